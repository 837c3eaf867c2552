//! An engine together with the device that its models are compiled for.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use paceline_device::{CompileError, CompileOptions, Device, Program};
use paceline_engine::{EngineStatistics, LoadOptions, Model, Trace};
use paceline_graph::Graph;
use paceline_onnx::OnnxError;
use paceline_profile::{Machine, Mismatch, Profile};

use crate::device::{UnknownDevice, device};
use crate::profiles::Profiles;

/// Lanes on one device that serve any number of models for any number of threads. Cheap to clone.
///
/// It runs until the last handle to it, an `Engine` or a [`Model`], is dropped.
#[derive(Clone)]
pub struct Engine {
    engine: paceline_engine::Engine,
    device: Arc<dyn Device>,
    /// The largest batch, where it was chosen.
    max_batch: Option<usize>,
    profiles: Arc<Profiles>,
}

/// Choices made when an [`Engine`] is made.
#[derive(Clone)]
#[must_use = "a builder makes an engine only when `build` is called"]
pub struct Builder {
    device: Choice,
    lanes: Option<usize>,
    helpers: Option<usize>,
    max_batch: Option<usize>,
    profiles: Vec<Profile>,
    engine: paceline_engine::Builder,
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
    /// The file cannot be read for these lengths.
    #[error("model '{name}': {error}")]
    Onnx {
        /// The model.
        name: String,
        /// What is wrong.
        error: OnnxError,
    },
    /// A program for lengths that the model was not loaded for.
    #[error("model '{name}': {problem}")]
    Lengths {
        /// The model.
        name: String,
        /// Which lengths it may have.
        problem: String,
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
            helpers: None,
            max_batch: None,
            profiles: Vec::new(),
            engine: paceline_engine::Engine::builder(),
        }
    }

    /// Compiles a graph for the device, loads it under a name that no other model has, and measures what it costs, unless a
    /// [profile](Builder::profile) is of it.
    pub fn load(&self, name: impl Into<String>, graph: impl Borrow<Graph>) -> Result<Model, LoadError> {
        self.load_with(name, [graph], LoadOptions::default())
    }

    /// [`load`](Self::load) with choices, and with a graph for each shape that samples may have. Requests of different shapes
    /// never share a batch, and never wait for each other's.
    pub fn load_with<G: Borrow<Graph>>(
        &self,
        name: impl Into<String>,
        graphs: impl IntoIterator<Item = G>,
        options: LoadOptions,
    ) -> Result<Model, LoadError> {
        let name = name.into();
        let (programs, options) = self.compile(&name, graphs, options)?;
        Ok(self.engine.load_with(name, programs, options)?)
    }

    /// Has other graphs serve the model of this name: the same inputs, outputs and shapes, at least as large batches. No request
    /// is lost or refused meanwhile, and handles to the model stay valid.
    pub fn replace<G: Borrow<Graph>>(
        &self,
        name: &str,
        graphs: impl IntoIterator<Item = G>,
        options: LoadOptions,
    ) -> Result<Model, LoadError> {
        let (programs, options) = self.compile(name, graphs, options)?;
        Ok(self.engine.replace(name, programs, options)?)
    }

    /// Accepts no more requests for the model of this name; those accepted are served. Whether there was one.
    pub fn unload(&self, name: &str) -> bool {
        self.engine.unload(name)
    }

    /// The model of this name, if it is loaded.
    pub fn model(&self, name: &str) -> Option<Model> {
        self.engine.model(name)
    }

    /// Changes the number of lanes; what they execute is not interrupted.
    pub fn set_lanes(&self, lanes: usize) -> Result<(), BuildError> {
        Ok(self.engine.set_lanes(lanes)?)
    }

    fn compile<G: Borrow<Graph>>(
        &self,
        name: &str,
        graphs: impl IntoIterator<Item = G>,
        mut load: LoadOptions,
    ) -> Result<(Vec<Arc<dyn Program>>, LoadOptions), LoadError> {
        let mut programs = Vec::new();
        for (number, graph) in graphs.into_iter().enumerate() {
            let mut compile = CompileOptions::default();
            compile.max_batch = self.max_batch.unwrap_or(compile.max_batch);
            if let Some(profile) = self.profiles.of(name, graph.borrow()) {
                load = load.costs(number, profile.engine_costs());
                if let Some(chosen) = profile.chosen() {
                    let chosen = chosen.configuration.max_batch;
                    compile.max_batch = self.max_batch.unwrap_or(compile.max_batch.max(chosen));
                    load = load.default_max_batch(chosen);
                }
            }
            let compiled = self.device.compile(graph.borrow(), &compile);
            programs.push(compiled.map_err(|error| LoadError::Compile { name: name.to_string(), error })?);
        }
        Ok((programs, load))
    }

    /// What of the [profiles](Builder::profile) was not used, because machine or model differ from those that they are of, or because
    /// they recommend worker processes. Nothing where they all fit, or there are none.
    pub fn profile_mismatches(&self) -> Vec<Mismatch> {
        self.profiles.mismatches()
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

    /// How many idle lanes may help one long execution; by default all of them.
    pub fn helpers(mut self, most: usize) -> Self {
        self.helpers = Some(most);
        self
    }

    /// Starts from what `paceline tune` found out, read with [`Profile::from_file`]: lanes and helpers as recommended there, unless they
    /// are chosen here, and for the model that it is of, costs that need not be measured and the largest batch. May be called for
    /// each model that there is a profile of; the first says how many lanes.
    ///
    /// A profile of another machine or device is not used, and a model of which there is none is measured as ever. An engine cannot
    /// start worker processes: where the profile recommends them, it has as many lanes as all of them together; a
    /// [`WorkerPool`](crate::workers::WorkerPool) whose model has the profile starts them. A warning says so each time, and
    /// [`Engine::profile_mismatches`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profiles.push(profile);
        self
    }

    /// How many samples, of all models together, may wait. Requests beyond are refused at once.
    pub fn queue_samples(mut self, samples: usize) -> Self {
        self.engine = self.engine.queue_samples(samples);
        self
    }

    /// How many bytes the inputs and outputs of what waits may take, of all models together. Requests beyond are refused at once.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.engine = self.engine.queue_bytes(bytes);
        self
    }

    /// How long a request may have to wait by the measured costs. Requests that would wait longer are refused at once.
    pub fn queue_time(mut self, time: Duration) -> Self {
        self.engine = self.engine.queue_time(time);
        self
    }

    /// How much time to spend, for each graph that is loaded, on measuring what its executions cost.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.engine = self.engine.warm_up(time);
        self
    }

    /// Records what the lanes execute, for [`Engine::take_trace`]: of each lane the latest batches and requests, together at most
    /// so many. Zero, which it is without a choice, records nothing and costs nothing.
    pub fn trace(mut self, events: usize) -> Self {
        self.engine = self.engine.trace(events);
        self
    }

    /// The largest batch of one execution.
    pub fn max_batch(mut self, samples: usize) -> Self {
        self.max_batch = Some(samples);
        self
    }

    /// Makes the engine and starts its lanes.
    pub fn build(self) -> Result<Engine, BuildError> {
        let device = match self.device {
            Choice::Named(name) => device(&name)?,
            Choice::Given(device) => device,
        };
        let info = device.info();
        let profiles = Profiles::new(self.profiles, &Machine::of(&info));
        let chosen = profiles.first();
        let most = paceline_engine::Builder::MAX_LANES;
        let lanes = self.lanes.or(chosen.map(|chosen| chosen.all_lanes().min(most)));
        let lanes = lanes.unwrap_or(info.default_lanes);
        let helpers = self.helpers.or(chosen.map(|chosen| chosen.helpers));
        let engine = self.engine.lanes(lanes);
        let engine = helpers.into_iter().fold(engine, paceline_engine::Builder::helpers).build()?;
        Ok(Engine { engine, device, max_batch: self.max_batch, profiles: Arc::new(profiles) })
    }
}
