//! Why a pool could not be made.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Why a [`WorkerPool`](crate::WorkerPool) could not be made. No worker is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option is out of range.
    #[error("{option}: expected {} to {}, got {got}", range.start(), range.end())]
    Range {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        range: RangeInclusive<usize>,
        /// What it is.
        got: usize,
    },
    /// There is nothing to serve.
    #[error("a pool serves at least one model; give it some with `model`")]
    NoModels,
    /// Two models have one name, or one has none.
    #[error("models need names of their own, of at least one character; got '{name}' {times} times")]
    Name {
        /// The name.
        name: String,
        /// How often it was given.
        times: usize,
    },
    /// This process was started as a worker, but did not become one.
    #[error(
        "this process was started as a worker by a pool, and must not make one: call become_worker_if_started_as_one first thing \
         in main"
    )]
    IsWorker,
    /// The executable of the workers could not be started.
    #[error("the workers' executable {} could not be started: {error}", path.display())]
    Executable {
        /// The executable.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A worker could not begin to serve.
    #[error("worker {worker} could not begin to serve: {reason}")]
    Worker {
        /// Its number.
        worker: usize,
        /// What it said, or how it ended.
        reason: String,
    },
    /// The system refused a thread.
    #[error("the thread that looks after worker {worker} could not be started: {error}")]
    Thread {
        /// The worker's number.
        worker: usize,
        /// The system's reason.
        error: io::Error,
    },
}
