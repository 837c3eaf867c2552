//! An engine together with the device that its models are compiled for.

use std::borrow::Borrow;
use std::sync::Arc;

use paceline_device::{CompileError, CompileOptions, Device};
use paceline_engine::{EngineStatistics, Model, Trace};
use paceline_graph::Graph;

use crate::device::{UnknownDevice, device};

/// Lanes on one device that serve any number of models for any number of threads. Cheap to clone.
///
/// It runs until the last handle to it, an `Engine` or a [`Model`], is dropped.
#[derive(Clone)]
pub struct Engine {
    engine: paceline_engine::Engine,
    device: Arc<dyn Device>,
    options: CompileOptions,
}

/// Choices made when an [`Engine`] is made.
#[derive(Clone)]
#[must_use = "a builder makes an engine only when `build` is called"]
pub struct Builder {
    device: Choice,
    lanes: Option<usize>,
    queue_samples: Option<usize>,
    trace: usize,
    options: CompileOptions,
}

#[derive(Clone)]
enum Choice {
    Named(String),
    Given(Arc<dyn Device>),
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no device of this name.
    #[error(transparent)]
    Device(#[from] UnknownDevice),
    /// An option is out of range, or a thread could not be started.
    #[error(transparent)]
    Engine(#[from] paceline_engine::BuildError),
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The device cannot run the graph.
    #[error("model '{name}': {error}")]
    Compile {
        /// The model.
        name: String,
        /// What the device lacks.
        error: CompileError,
    },
    /// The engine cannot take the program.
    #[error(transparent)]
    Engine(#[from] paceline_engine::LoadError),
}

impl Engine {
    /// An engine on a device by name, with as many lanes as suit it: `cpu`, or `auto` for the best there is.
    pub fn on(device: &str) -> Result<Engine, BuildError> {
        Engine::builder().device(device).build()
    }

    /// An engine with chosen device, lanes and bounds.
    pub fn builder() -> Builder {
        Builder {
            device: Choice::Named("auto".into()),
            lanes: None,
            queue_samples: None,
            trace: 0,
            options: CompileOptions::default(),
        }
    }

    /// Compiles a graph for the device and loads it under a name that no other model has.
    pub fn load(&self, name: impl Into<String>, graph: impl Borrow<Graph>) -> Result<Model, LoadError> {
        let name = name.into();
        let compiled = self.device.compile(graph.borrow(), &self.options);
        let program = compiled.map_err(|error| LoadError::Compile { name: name.clone(), error })?;
        Ok(self.engine.load(name, program)?)
    }

    /// The device.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Accepts no more requests, and returns when every accepted one is answered. An engine cannot be opened again.
    pub fn drain(&self) {
        self.engine.drain();
    }

    /// What was counted so far, and what is in use now.
    pub fn statistics(&self) -> EngineStatistics {
        self.engine.statistics()
    }

    /// What the lanes executed since the last call, as far as [`Builder::trace`] allows it to be kept; nothing where that was not
    /// asked for.
    pub fn take_trace(&self) -> Trace {
        self.engine.take_trace()
    }
}

impl Builder {
    /// The device by name: `cpu`, or `auto`, the default.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Choice::Named(name.into());
        self
    }

    /// A device of one's own making.
    pub fn with_device(mut self, device: Arc<dyn Device>) -> Self {
        self.device = Choice::Given(device);
        self
    }

    /// How many executions may run at a time, each on a thread of its own; by default what suits the device.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// How many samples, of all models together, may wait. Requests beyond are refused at once.
    pub fn queue_samples(mut self, samples: usize) -> Self {
        self.queue_samples = Some(samples);
        self
    }

    /// Records what the lanes execute, for [`Engine::take_trace`]: of each lane the latest batches and requests, together at most
    /// so many. Zero, which it is without a choice, records nothing and costs nothing.
    pub fn trace(mut self, events: usize) -> Self {
        self.trace = events;
        self
    }

    /// The largest batch of one execution.
    pub fn max_batch(mut self, samples: usize) -> Self {
        self.options.max_batch = samples;
        self
    }

    /// Makes the engine and starts its lanes.
    pub fn build(self) -> Result<Engine, BuildError> {
        let device = match self.device {
            Choice::Named(name) => device(&name)?,
            Choice::Given(device) => device,
        };
        let lanes = self.lanes.unwrap_or_else(|| device.info().default_lanes);
        let mut engine = paceline_engine::Engine::builder().lanes(lanes).trace(self.trace);
        if let Some(samples) = self.queue_samples {
            engine = engine.queue_samples(samples);
        }
        Ok(Engine { engine: engine.build()?, device, options: self.options })
    }
}
