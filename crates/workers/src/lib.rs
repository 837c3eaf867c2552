//! Engines in processes of their own. What kills one of them costs time, and no request.
mod channel;
mod clock;
mod crashes;
mod entry;
mod error;
#[cfg(test)]
mod hostile;
mod job;
mod layout;
mod link;
mod message;
mod model;
mod options;
mod patience;
mod pool;
mod process;
mod region;
mod ring;
mod seat;
mod shared;
mod sleeper;
mod spec;
mod state;
mod statistics;
mod status;
mod supervisor;
mod wire;
mod worker;

pub use error::BuildError;
pub use model::Model;
pub use options::Builder;
pub use pool::WorkerPool;
pub use spec::{LoadFailure, ModelSpec, Source};
pub use statistics::{PoolStatistics, WorkerState, WorkerStatistics};
pub use worker::{ARGUMENTS, Assignment, WorkerError, become_worker_if_started_as_one, run};
