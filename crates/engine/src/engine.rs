//! The engine that users hold, and the threads behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use paceline_device::Program;

use crate::builder::Builder;
use crate::clock::nanos;
use crate::cost::CostTable;
use crate::dispatch::{Conflict, Dispatch, Lines};
use crate::error::{BuildError, LoadError};
use crate::lane;
use crate::loaded::{Loaded, Variant};
use crate::model::Model;
use crate::options::{LoadOptions, WarmUp};
use crate::queue::{Bounds, LineOptions};
use crate::serving::Serving;
use crate::statistics::{Counters, EngineStatistics};
use crate::sync::{JoinHandle, Mutex, is_current, is_finished, lock, spawn};
use crate::trace::{Recorder, Trace};
use crate::warm_up::warm_up;

/// Lanes that there may be at least.
const MIN_CAPACITY: usize = 64;

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

    pub(crate) fn start(
        lanes: usize,
        bounds: Bounds,
        max_helpers: usize,
        warm_up: Duration,
        trace: usize,
    ) -> Result<Self, BuildError> {
        let capacity = lanes.max(MIN_CAPACITY);
        let recorder = (trace > 0).then(|| Recorder::new(capacity, trace));
        let dispatch = Arc::new(Dispatch::new(lanes, capacity, bounds, max_helpers, recorder));
        let running = Running { dispatch, warm_up, threads: Mutex::new(Vec::with_capacity(lanes)) };
        for lane in 0..lanes {
            running.spawn(lane, 0).map_err(|error| BuildError::Thread { lane, error })?;
        }
        Ok(Engine { running: Arc::new(running) })
    }

    /// Loads a program under a name that no other model has, opens a session on it for each lane, and measures what it costs.
    pub fn load(&self, name: impl Into<String>, program: Arc<dyn Program>) -> Result<Model, LoadError> {
        self.load_with(name, [program], LoadOptions::default())
    }

    /// [`load`](Self::load) with choices, and with a program for each shape that samples may have. Requests of different shapes
    /// never share a batch, and never wait for each other's.
    pub fn load_with(
        &self,
        name: impl Into<String>,
        programs: impl IntoIterator<Item = Arc<dyn Program>>,
        options: LoadOptions,
    ) -> Result<Model, LoadError> {
        let name: String = name.into();
        if name.is_empty() {
            return Err(LoadError::NoName);
        }
        let dispatch = &self.running.dispatch;
        if dispatch.model(&name).is_some() {
            return Err(LoadError::NameTaken { name });
        }
        let (variants, lines) = self.open(&name, programs, &options)?;
        let counters = Counters::new(&dispatch.times);
        let loaded = Loaded { name: name.as_str().into(), variants, slot: 0, counters };
        match dispatch.add_model(loaded, options.weight, lines) {
            Ok(loaded) => Ok(Model::new(loaded, Arc::clone(&self.running))),
            Err(Conflict::NameTaken) => Err(LoadError::NameTaken { name }),
            Err(_) => Err(LoadError::Draining { name }),
        }
    }

    /// Has other programs serve the model of this name: the same inputs, outputs and shapes, at least as large batches. Requests
    /// accepted until then are executed by the old programs, later ones by the new; none is lost or refused. Handles to the
    /// model stay valid. All options are chosen anew: those of the old programs, the weight included, are not kept.
    pub fn replace(
        &self,
        name: &str,
        programs: impl IntoIterator<Item = Arc<dyn Program>>,
        options: LoadOptions,
    ) -> Result<Model, LoadError> {
        let dispatch = &self.running.dispatch;
        let missing = || LoadError::NoSuchModel {
            name: name.to_string(),
            models: dispatch.models().iter().map(|model| model.name.to_string()).collect(),
        };
        let loaded = dispatch.model(name).ok_or_else(missing)?;
        let (variants, lines) = self.open(name, programs, &options)?;
        let differs =
            |program, difference| LoadError::Differs { name: name.to_string(), program, difference };
        for (program, (new, old)) in variants.iter().zip(&loaded.variants).enumerate() {
            if new.signature != old.signature {
                return Err(differs(program, "has other inputs or outputs than the one it replaces"));
            }
            if new.max_samples < old.max_samples {
                return Err(differs(program, "allows smaller batches only than the one it replaces"));
            }
        }
        if variants.len() != loaded.variants.len() {
            let program = variants.len().min(loaded.variants.len());
            return Err(differs(program, "has no counterpart: there must be one for each shape"));
        }
        match dispatch.replace_model(loaded.slot, options.weight, lines) {
            Ok(version) => tracing::info!(model = name, version, "model replaced"),
            Err(Conflict::Draining) => return Err(LoadError::Draining { name: name.to_string() }),
            Err(_) => return Err(missing()),
        }
        Ok(Model::new(loaded, Arc::clone(&self.running)))
    }

    /// Accepts no more requests for the model of this name; those accepted are served. Whether there was one. The name is free
    /// then; handles to the model refuse requests.
    pub fn unload(&self, name: &str) -> bool {
        self.running.dispatch.remove_model(name)
    }

    /// The model of this name, if it is loaded.
    pub fn model(&self, name: &str) -> Option<Model> {
        let loaded = self.running.dispatch.model(name)?;
        Some(Model::new(loaded, Arc::clone(&self.running)))
    }

    /// Opens sessions on the programs of a model, and measures them.
    fn open(
        &self,
        name: &str,
        programs: impl IntoIterator<Item = Arc<dyn Program>>,
        options: &LoadOptions,
    ) -> Result<(Box<[Variant]>, Lines), LoadError> {
        let dispatch = &self.running.dispatch;
        let (mut variants, mut lines): (Vec<Variant>, Lines) = (Vec::new(), Vec::new());
        let lanes = dispatch.lanes();
        let name_shared: Arc<str> = name.into();
        for (number, program) in programs.into_iter().enumerate() {
            let variant = Variant::of(&*program, options.max_batch);
            let name = || name.to_string();
            if variant.max_samples == 0 {
                return Err(LoadError::NoBatchSize { name: name() });
            }
            let differs = |difference| LoadError::Differs { name: name(), program: number, difference };
            if variants.first().is_some_and(|first| !variant.is_alike(first)) {
                return Err(differs("has other names or element types than the first"));
            }
            if variants.iter().any(|other| variant.takes_the_same(other)) {
                return Err(differs("takes the same shapes as another"));
            }
            let mut costs = CostTable::new(program.batch_sizes(), variant.max_samples, dispatch.capacity());
            let serving = Serving::new(Arc::clone(&name_shared), program, dispatch.capacity());
            for &lane in &lanes {
                serving.open(lane).map_err(|error| LoadError::Session { name: name(), lane, error })?;
            }
            let progress = |step: WarmUp| options.progress.iter().for_each(|report| report(step));
            let (busy, budget) = (dispatch.occupancy().busy, options.warm_up.unwrap_or(self.running.warm_up));
            let known = options.costs.get(number).is_some_and(|measured| costs.adopt(measured));
            if !known {
                warm_up(&serving, &variant, &lanes, busy, budget, &mut costs, &progress);
            }
            let (late, max_delay) = (options.late, nanos(options.max_queue_delay));
            let line = LineOptions { model: 0, max_samples: variant.max_samples, late, max_delay };
            variants.push(variant);
            lines.push((Arc::new(serving), line, costs));
        }
        if variants.is_empty() {
            return Err(LoadError::NoProgram { name: name.to_string() });
        }
        tracing::debug!(model = name, shapes = variants.len(), lanes = lanes.len(), "model loaded");
        Ok((variants.into(), lines))
    }

    /// Changes the number of lanes. New ones open a session on every model first, and take part when this returns; superfluous
    /// ones end what they execute. At least 1, at most [`max_lanes`](Self::max_lanes).
    pub fn set_lanes(&self, lanes: usize) -> Result<(), BuildError> {
        let dispatch = &self.running.dispatch;
        let range = 1..=dispatch.capacity();
        if !range.contains(&lanes) {
            return Err(BuildError::Range { option: "lanes", range, got: lanes });
        }
        let mut threads = lock(&self.running.threads);
        let mut result = Ok(());
        for (lane, generation) in dispatch.want_lanes(lanes) {
            let serving = dispatch.serving();
            result = result.and_then(|()| {
                let opened = serving.iter().try_for_each(|serving| serving.open(lane));
                opened.map_err(|error| BuildError::Session { lane, error })?;
                let spawned = self.running.spawn_into(&mut threads, lane, generation);
                spawned.map_err(|error| BuildError::Thread { lane, error })
            });
            if result.is_ok() {
                dispatch.start_lane(lane);
            } else {
                serving.iter().for_each(|serving| serving.close(lane));
                dispatch.abandon_lane(lane);
            }
        }
        result
    }

    /// The most lanes that [`set_lanes`](Self::set_lanes) allows: 64, or as many as the engine was made with.
    pub fn max_lanes(&self) -> usize {
        self.running.dispatch.capacity()
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
            queued_bytes: now.queued_bytes,
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
    /// Time for measuring a program, unless chosen otherwise.
    warm_up: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    fn spawn(&self, lane: usize, generation: u64) -> std::io::Result<()> {
        self.spawn_into(&mut lock(&self.threads), lane, generation)
    }

    /// Starts a lane's thread; those that have ended meanwhile are forgotten.
    fn spawn_into(
        &self,
        threads: &mut Vec<JoinHandle<()>>,
        lane: usize,
        generation: u64,
    ) -> std::io::Result<()> {
        threads.retain(|thread| !is_finished(thread));
        let dispatch = Arc::clone(&self.dispatch);
        threads.push(spawn(format!("paceline-lane-{lane}"), move || lane::run(&dispatch, lane, generation))?);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.dispatch.close();
        if self.dispatch.is_on_a_lane() {
            return;
        }
        for thread in lock(&self.threads).drain(..) {
            // The thread of a lane that was retired just now calls the waker that dropped the last handle.
            if !is_current(&thread) && thread.join().is_err() {
                tracing::error!("the thread of a lane panicked");
            }
        }
    }
}
