//! The engine: many callers, few lanes, and batches that form by themselves. One process, many threads.
//!
//! ```
//! # use std::sync::Arc;
//! # use paceline_device::fake::{FakeProgram, rows};
//! # use paceline_graph::Tensor;
//! # use paceline_engine::Engine;
//! # let program = Arc::new(FakeProgram::new(rows(2)));
//! let engine = Engine::builder().lanes(2).build()?;
//! let model = engine.load("double", program)?; // cheap to clone, called from any thread
//! let outputs = model.infer([("x", Tensor::new([1, 2], vec![1.0, 2.0])?)])?;
//! assert_eq!(outputs["y"].as_f32(), Some(&[3.0, 5.0][..]));
//!
//! let ticket = model.submit([("x", Tensor::new([1, 2], vec![3.0, 4.0])?)])?;
//! assert_eq!(ticket.wait()?.single().as_f32(), Some(&[7.0, 9.0][..])); // or `ticket.await?`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Words
//! A **lane** is a thread and its sessions, one for each model. A **request** has one or more **samples**; one with more than an
//! execution may have is executed in **parts**. A **batch** is the parts that one execution serves. A **ticket** is what a caller
//! holds until the answer comes.
//!
//! # The life of a request
//! 1. `validate` checks it against the signature and puts its inputs in order.
//! 2. [`Model::infer`] on an idle engine claims a lane and executes on the spot (`lane::infer_inline`): no hand-off.
//! 3. Otherwise it becomes a `job`, and its parts wait in the `queue`; `dispatch` calls a lane if one is idle.
//! 4. A lane that is free takes what `decide` chooses *now*, executes it (`lane`), puts the results into the jobs, and wakes who
//!    waits.
//! 5. The caller takes the answer out of the job; parts are joined in its thread.
//!
//! # What always holds
//! - Every accepted request is answered exactly once, or was withdrawn by dropping its ticket.
//! - No lane idles while a request waits; no request waits without bound on a full queue: it is refused, and its inputs come back.
//! - A failure or panic of a device fails the requests of that execution and no other.
//!
//! # Traps
//! - A device that never returns holds its lane, and so [`Engine::drain`] and the drop of the last handle, for ever.
//! - Wakers run on the threads of lanes: they must not block on the engine.
//!
//! # Not here
//! Devices, files, the network. Deadlines, priorities and measured costs have their places (`request`, `decide`, `loaded`) and are
//! not there yet: requests are served first come, first served.
#![forbid(unsafe_code)]

mod builder;
mod clock;
mod cost;
mod decide;
mod dispatch;
mod engine;
mod error;
mod job;
mod lane;
mod loaded;
mod model;
mod options;
mod outputs;
mod queue;
mod request;
mod serving;
#[cfg(any(test, feature = "simulator"))]
pub mod simulator;
mod statistics;
mod sync;
mod ticket;
mod trace;
mod validate;
mod wake;
mod warm_up;

pub use builder::Builder;
pub use decide::Late;
pub use engine::Engine;
pub use error::{BuildError, ExecutionError, InferError, LoadError, SubmitError};
pub use job::Answer;
pub use model::Model;
pub use options::{LoadOptions, WarmUp};
pub use outputs::Outputs;
pub use request::{Inputs, Request};
pub use statistics::{
    Distribution, EngineStatistics, LaneStatistics, ModelStatistics, Refusals, Release, Releases,
};
pub use ticket::Ticket;
pub use trace::{Trace, write_chrome};
pub use validate::InputError;
