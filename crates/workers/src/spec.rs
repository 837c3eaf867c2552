//! Models as they are described to a worker, which builds them itself: weights are not sent.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use paceline_engine::{Late, LoadOptions, MeasuredCost};
use paceline_graph::Graph;
use paceline_nn::{Model as Network, StateDict};
use paceline_profile::{Mismatch, Profile};
use serde::{Deserialize, Serialize};

use crate::message::Seen;

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
    /// What executions cost, where that is known; workers then need not measure it.
    #[serde(with = "crate::message::costs")]
    pub costs: Vec<MeasuredCost>,
    /// What tuning found out about it. Only used if it is of this model and of the workers' machine.
    pub profile: Option<Profile>,
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
            costs: Vec::new(),
            profile: None,
        }
    }

    /// Starts from what `paceline tune` found out about the model: the largest batch and the costs, and of the first model of a
    /// pool that has a profile, also the number of workers, their lanes and helpers. What is chosen otherwise goes before it.
    ///
    /// A profile of another model or machine is not used; see [`WorkerPool::profile_mismatches`](crate::WorkerPool).
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// One of the study's models, under its short name, with weights drawn from `seed`.
    pub fn study(model: impl Into<String>, seed: u64) -> Self {
        let model = model.into();
        Self::new(model.clone(), Source::Study { model, seed })
    }

    /// The graph of a source that this crate knows.
    pub fn graph(&self) -> Result<Graph, LoadFailure> {
        match &self.source {
            Source::Study { model, seed } => Ok(Network::by_name(model)?.graph(*seed)?),
            Source::Weights { model, path } => {
                Ok(Network::by_name(model)?.graph_with(&StateDict::from_safetensors(path)?)?)
            }
            Source::Custom { description } => {
                Err(format!("this program knows no model '{description}'").into())
            }
        }
    }

    /// Why its profile is not used, by what a worker has seen.
    pub(crate) fn mismatch(&self, seen: Option<&Seen>) -> Option<Mismatch> {
        let profile = self.profile.as_ref()?;
        match seen {
            Some(Seen { machine, model }) => Mismatch::of(profile, machine, model),
            None => Some(Mismatch::Unchecked { name: self.name.clone() }),
        }
    }

    /// Its profile, if it is of what a worker has seen.
    pub(crate) fn fitting_profile(&self, seen: Option<&Seen>) -> Option<&Profile> {
        self.profile.as_ref().filter(|_| self.mismatch(seen).is_none())
    }

    /// How its programs are loaded, where `profile` is of them.
    pub(crate) fn load_options(&self, profile: Option<&Profile>) -> LoadOptions {
        let late = if self.serve_late { Late::Serve } else { Late::Reject };
        let options = LoadOptions::new().weight(self.weight).late(late).max_queue_delay(self.max_queue_delay);
        let chosen = profile.and_then(Profile::chosen).map(|chosen| chosen.configuration.max_batch);
        let options = self.max_batch.or(chosen).into_iter().fold(options, LoadOptions::max_batch);
        match profile {
            Some(profile) if self.costs.is_empty() => options.costs(0, profile.engine_costs()),
            _ if self.costs.is_empty() => options,
            _ => options.costs(0, self.costs.iter().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
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
            let error = ModelSpec::new("m", source).graph().err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
