//! Engines in processes of their own. What kills one of them costs time, and no request.
//!
//! ```no_run
//! use paceline_graph::Tensor;
//! use paceline_workers::{ModelSpec, WorkerPool, become_worker_if_started_as_one};
//! # fn device(_: &str) -> Result<Box<dyn paceline_device::Device>, std::io::Error> { unimplemented!() }
//!
//! // First thing in `main`: the pool starts this very executable once more for each worker.
//! become_worker_if_started_as_one(|assignment| {
//!     let device = device(assignment.device)?;
//!     assignment.compile(&*device)
//! });
//! let pool = WorkerPool::builder().model(ModelSpec::study("mlp", 1)).workers(2).build()?;
//! let mlp = pool.model("mlp").expect("it serves this model"); // cheap to clone, called from any thread
//! let outputs = mlp.infer([("x", Tensor::new([1, 512], vec![0.5; 512])?)])?;
//! let ticket = mlp.submit([("x", Tensor::new([1, 512], vec![0.1; 512])?)])?; // wait for it, await it, or drop it
//! # let _ = (outputs, ticket.wait()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A model of a pool is called like one of an engine in this process, with the same requests, tickets, outputs and errors;
//! [`Callable`](paceline_engine::Callable) stands for either. A pool starts from what tuning found out where its model has a
//! profile: [`ModelSpec::profile`].
//!
//! # Words
//! The **parent** is the process that holds the pool; a **worker** is a process with an engine. A **supervisor** is the parent's
//! thread that looks after one worker. A **slot** is the place of one request in the memory that a worker and its parent share;
//! its **block** is where its inputs and outputs lie. A **suspect** is a request that was in a worker when it died.
//!
//! # The life of a request
//! 1. [`Model::submit`] checks it as an engine would, and becomes a `job`, which keeps the inputs until it is answered. The `state`
//!    gives it to the worker with the least to do, or lets it wait while there is none, or refuses it.
//! 2. Its inputs are copied into a block, and its slot's number into the submit ring (`link`); a worker that sleeps is woken through
//!    its socket (`wire`).
//! 3. The worker's loop (`worker::serve`) makes a request of it for its engine. A short one that comes alone is executed on the
//!    spot. The answer is copied into the block, and the slot's number into the done ring (`worker::tickets`).
//! 4. The parent copies it out (`shared`): the caller itself where it looks for it or sleeps on the slot (`sleeper`), otherwise the
//!    `supervisor`.
//!
//! # What always holds
//! - Every accepted request is answered exactly once, or was withdrawn by dropping its ticket, however many workers die.
//! - A request is executed at most once more than [`Builder::retries`] says, and then fails with
//!   [`Crashed`](paceline_engine::ExecutionError::Crashed). From its second execution on it is alone in its worker, so that it
//!   takes nothing along, and in the worker that died before, so that it takes down no other.
//! - Nothing that a worker writes makes the parent read outside the shared memory, trust a length, or wait for ever.
//! - No worker outlives its parent, and no shared memory outlives both: it has no name.
//! - What is in flight is bounded, and what is refused comes back.
//!
//! # Traps
//! - A suspect waits for its worker to be there again. Where models take long to load, so does that.
//! - Wakers run on threads of the pool, or of other callers: they must not block on it.
//! - Requests are executed again after a death, so whatever a device does beside computing may happen twice.
//!
//! # Not here
//! Devices: the workers' executable has them, and knows them by name. The network.

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
