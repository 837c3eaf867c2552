//! The pool that users hold, and the threads behind it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use paceline_profile::Mismatch;

use crate::error::BuildError;
use crate::layout::Layout;
use crate::model::Model;
use crate::options::{Builder, Options};
use crate::shared::{ModelInfo, Shared, lock};
use crate::state::{Limits, State};
use crate::statistics::PoolStatistics;
use crate::supervisor;

/// How long to wait for a change before looking without one.
const LOOK: Duration = Duration::from_millis(500);

/// Engines in processes of their own, that serve the same models for any number of threads. Cheap to clone.
///
/// When a worker dies it is started again, and what it held is executed again; see the [crate's documentation](crate). The pool
/// runs until the last handle to it, a `WorkerPool` or a [`Model`], is dropped. What was accepted until then is served, also for
/// tickets that are still held, and the workers are ended. (On a thread of the pool, inside a waker, that is not waited for.)
#[derive(Clone)]
pub struct WorkerPool {
    running: Arc<Running>,
}

impl WorkerPool {
    /// A pool with chosen models, workers and bounds.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(options: Options) -> Result<WorkerPool, BuildError> {
        let slots = u32::try_from(options.samples).unwrap_or(u32::MAX);
        let layout = Layout::new(slots, options.bytes).ok_or(BuildError::Range {
            option: "in_flight_bytes",
            range: 1..=isize::MAX as usize / 2,
            got: options.bytes,
        })?;
        let workers = options.workers;
        let limits = Limits { samples: options.samples, layout, request_timeout: options.request_timeout };
        let shared = Arc::new(Shared::new(options, State::new(limits, workers)));
        let running = Running { shared, threads: Mutex::new(Vec::with_capacity(workers)) };
        for worker in 0..workers {
            let shared = Arc::clone(&running.shared);
            let thread = thread::Builder::new().name(format!("paceline-worker-{worker}"));
            match thread.spawn(move || supervisor::run(&shared, layout, worker)) {
                Ok(thread) => lock(&running.threads).push(thread),
                Err(error) => return Err(BuildError::Thread { worker, error }),
            }
        }
        running.await_workers()?;
        Ok(WorkerPool { running: Arc::new(running) })
    }

    /// The model of this name, if the pool serves it.
    pub fn model(&self, name: &str) -> Option<Model> {
        let models = self.running.shared.models();
        let index = models.iter().position(|model| model.contract.name() == name)?;
        Some(Model::new(index, Arc::clone(&self.running)))
    }

    /// All models, in the order in which they were given.
    pub fn models(&self) -> Vec<Model> {
        let count = self.running.shared.models().len();
        (0..count).map(|index| Model::new(index, Arc::clone(&self.running))).collect()
    }

    /// Accepts no more requests, and returns when every accepted one is answered. A pool cannot be opened again.
    ///
    /// On a thread of the pool, inside a waker, it does not wait.
    pub fn drain(&self) {
        self.running.drain();
    }

    /// Which [profiles](crate::ModelSpec::profile) are not used, because machine or model differ from those that they are of. Nothing
    /// where they all fit, or there are none.
    pub fn profile_mismatches(&self) -> Vec<Mismatch> {
        let now = self.model_infos().iter().filter_map(|model| model.mismatch.clone());
        self.running.shared.options.mismatches.iter().cloned().chain(now).collect()
    }

    pub(crate) fn model_infos(&self) -> &[ModelInfo] {
        self.running.shared.models()
    }

    /// What was counted so far, and how the workers are now.
    pub fn statistics(&self) -> PoolStatistics {
        let shared = &self.running.shared;
        shared.counters.snapshot(&shared.lock(), shared.options.lanes)
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("statistics", &self.statistics()).finish()
    }
}

/// A pool's threads. They end when it goes.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    /// Waits until all workers serve.
    fn await_workers(&self) -> Result<(), BuildError> {
        let mut state = self.shared.lock();
        loop {
            if let Some(error) = lock(&self.shared.first_failure).take() {
                return Err(error);
            }
            if state.seats.iter().all(|seat| seat.starts > 0) {
                return Ok(());
            }
            state = self.shared.wait(state, LOOK);
        }
    }

    fn drain(&self) {
        let mut state = self.shared.lock();
        state.open = false;
        while state.outstanding > 0 && !self.is_on_own_thread() {
            state = self.shared.wait(state, LOOK);
        }
    }

    fn is_on_own_thread(&self) -> bool {
        let current = thread::current().id();
        lock(&self.threads).iter().any(|thread| thread.thread().id() == current)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_on_own_thread() {
            self.shared.end_when_over();
            return;
        }
        self.drain();
        self.shared.stop();
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a supervisor panicked");
            }
        }
    }
}
