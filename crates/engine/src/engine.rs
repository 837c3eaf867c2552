//! The engine that users hold, and the threads behind it.

use std::fmt;
use std::sync::Arc;

use paceline_device::Program;

use crate::builder::Builder;
use crate::dispatch::Dispatch;
use crate::error::{BuildError, LoadError};
use crate::lane;
use crate::loaded::Loaded;
use crate::model::Model;
use crate::statistics::EngineStatistics;
use crate::sync::{JoinHandle, spawn};
use crate::trace::{Recorder, Trace};

/// Lanes that serve any number of models for any number of threads. Cheap to clone.
///
/// It runs until the last handle to it, an `Engine` or a [`Model`], is dropped. What was accepted until then is served, also
/// for tickets that are still held, and the threads are joined. (On the thread of a lane, inside a waker, they are not joined
/// but end by themselves.)
#[derive(Clone)]
pub struct Engine {
    running: Arc<Running>,
}

impl Engine {
    /// An engine with the defaults of [`builder`](Self::builder).
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// An engine with chosen lanes and bounds.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(lanes: usize, max_queued_samples: usize, trace: usize) -> Result<Self, BuildError> {
        let recorder = (trace > 0).then(|| Recorder::new(lanes, trace));
        let dispatch = Arc::new(Dispatch::new(lanes, max_queued_samples, recorder));
        let mut running = Running { dispatch, threads: Vec::with_capacity(lanes) };
        for lane in 0..lanes {
            let dispatch = Arc::clone(&running.dispatch);
            let thread = spawn(format!("paceline-lane-{lane}"), move || lane::run(&dispatch, lane))
                .map_err(|error| BuildError::Thread { lane, error })?;
            running.threads.push(thread);
        }
        Ok(Engine { running: Arc::new(running) })
    }

    /// Loads a program under a name that no other model has, and opens a session on it for each lane.
    pub fn load(&self, name: impl Into<String>, program: Arc<dyn Program>) -> Result<Model, LoadError> {
        let name = name.into();
        if name.is_empty() {
            return Err(LoadError::NoName);
        }
        let dispatch = &self.running.dispatch;
        if dispatch.models().iter().any(|model| model.name == name) {
            return Err(LoadError::NameTaken { name });
        }
        let loaded = Loaded::open(name, program, &dispatch.times, dispatch.lanes())?;
        match dispatch.add_model(loaded) {
            Ok(loaded) => {
                tracing::debug!(model = loaded.name, max_samples = loaded.max_samples, "model loaded");
                Ok(Model::new(loaded, Arc::clone(&self.running)))
            }
            Err(loaded) if dispatch.is_open() => Err(LoadError::NameTaken { name: loaded.name }),
            Err(loaded) => Err(LoadError::Draining { name: loaded.name }),
        }
    }

    /// Accepts no more requests, and returns when every accepted one is answered. An engine cannot be opened again.
    ///
    /// On the thread of a lane, inside a waker, it does not wait.
    pub fn drain(&self) {
        self.running.dispatch.drain();
    }

    /// What was counted so far, and what is in use now.
    pub fn statistics(&self) -> EngineStatistics {
        let dispatch = &self.running.dispatch;
        let now = dispatch.occupancy();
        EngineStatistics {
            lanes: now.lanes,
            retired: now.retired,
            busy: now.busy,
            queued: now.queued,
            queued_samples: now.queued_samples,
            by_lane: dispatch.times.snapshot(),
            models: dispatch.models().iter().map(|model| model.counters.snapshot(&model.name)).collect(),
        }
    }

    /// What the lanes executed since the last call, as far as [`Builder::trace`] allows it to be kept; nothing where that was not
    /// asked for.
    pub fn take_trace(&self) -> Trace {
        self.running.dispatch.trace.as_ref().map(Recorder::take).unwrap_or_default()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.running.dispatch.occupancy();
        f.debug_struct("Engine").field("lanes", &now.lanes).field("retired", &now.retired).finish()
    }
}

/// The threads of an engine. Dropping it ends them.
pub(crate) struct Running {
    pub(crate) dispatch: Arc<Dispatch>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.dispatch.close();
        if self.dispatch.is_on_a_lane() {
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("the thread of a lane panicked");
            }
        }
    }
}
