//! Models as they are described to a worker, which builds them itself: weights are not sent.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use paceline_device::{CompileOptions, Device, Program};
use paceline_engine::{Late, LoadOptions};
use paceline_graph::Graph;
use paceline_nn::{Model as Network, StateDict};
use serde::{Deserialize, Serialize};

/// A model that every worker of a pool serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The name it is called by, which no other model of the pool has.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// The largest batch of one execution; the device's choice without one.
    pub max_batch: Option<usize>,
    /// Its claim to the lanes' time against the other models'.
    pub weight: u32,
    /// Whether requests are still served when their deadline has passed.
    pub serve_late: bool,
    /// How long a request may wait for company although a lane is idle.
    pub max_queue_delay: Duration,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Source {
    /// One of the study's models by short name, with weights drawn from a seed.
    Study {
        /// The short name, as `paceline models` lists them.
        model: String,
        /// Draws the weights.
        seed: u64,
    },
    /// One of the study's models by short name, with the weights of a safetensors file.
    Weights {
        /// The short name.
        model: String,
        /// A file with the names of PyTorch's `state_dict`.
        path: PathBuf,
    },
    /// Something that the program of the worker knows, and this crate does not.
    Custom {
        /// What the program makes of it is its own affair.
        description: String,
    },
}

/// Why a program could not be made.
pub type LoadFailure = Box<dyn Error + Send + Sync>;

impl ModelSpec {
    /// A model with the defaults of [`LoadOptions`].
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        ModelSpec {
            name: name.into(),
            source,
            max_batch: None,
            weight: 1,
            serve_late: false,
            max_queue_delay: Duration::ZERO,
        }
    }

    /// One of the study's models, under its short name, with weights drawn from `seed`.
    pub fn study(model: impl Into<String>, seed: u64) -> Self {
        let model = model.into();
        Self::new(model.clone(), Source::Study { model, seed })
    }

    /// The programs of a source that this crate knows, compiled for `device`.
    pub fn compile(&self, device: &dyn Device) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
        let graph = match &self.source {
            Source::Study { model, seed } => Network::by_name(model)?.graph(*seed)?,
            Source::Weights { model, path } => {
                Network::by_name(model)?.graph_with(&StateDict::from_safetensors(path)?)?
            }
            Source::Custom { description } => {
                return Err(format!("this program knows no model '{description}'").into());
            }
        };
        self.compile_graph(&graph, device)
    }

    /// The programs of a graph that the caller made of this source, compiled for `device`.
    pub fn compile_graph(
        &self,
        graph: &Graph,
        device: &dyn Device,
    ) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
        let mut options = CompileOptions::default();
        if let Some(max_batch) = self.max_batch {
            options.max_batch = max_batch;
        }
        Ok(vec![device.compile(graph, &options)?])
    }

    pub(crate) fn load_options(&self) -> LoadOptions {
        let late = if self.serve_late { Late::Serve } else { Late::Reject };
        LoadOptions::new().weight(self.weight).late(late).max_queue_delay(self.max_queue_delay)
    }
}

#[cfg(test)]
mod tests {
    use paceline_device_cpu::CpuDevice;

    use super::*;

    #[test]
    fn a_source_that_cannot_be_had_is_named() {
        let study = |model: &str| Source::Study { model: model.into(), seed: 1 };
        let weights = Source::Weights { model: "linear".into(), path: "/nowhere/w.safetensors".into() };
        let cases = [
            (study("lineal"), "no model 'lineal'"),
            (weights, "/nowhere/w.safetensors"),
            (Source::Custom { description: "mine".into() }, "'mine'"),
        ];
        for (source, part) in cases {
            let error = ModelSpec::new("m", source).compile(&CpuDevice::new()).err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
