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
//! 1. `validate` checks it against the signatures, finds the one of its shape, and puts its inputs in order.
//! 2. [`Model::infer`] on an idle engine claims a lane and executes on the spot (`lane::infer_inline`): no hand-off. Idle lanes
//!    help if that takes long.
//! 3. Otherwise the `queue` admits it or says when to come back. It becomes a `job`, whose parts wait; `dispatch` calls a lane if
//!    one is idle.
//! 4. A lane that is free takes what `decide` chooses *now*, by the measured costs (`cost`), deadlines, priorities and the models'
//!    shares; executes it (`lane`), puts the results into the jobs, and wakes who waits. What is too late is answered with an error.
//! 5. The caller takes the answer out of the job; parts are joined in its thread.
//!
//! # What always holds
//! - Every accepted request is answered exactly once, or was withdrawn by dropping its ticket, also while lanes are added and retired
//!   and models loaded, replaced and unloaded.
//! - No lane idles while a request waits, unless the model asks for a `max_queue_delay`; nothing waits without bound: what is too
//!   much in samples, bytes or predicted time is refused, and its inputs come back.
//! - No priority and no model starves another.
//! - A failure or panic of a device fails the requests of that execution and no other.
//!
//! # Traps
//! - A device that never returns holds its lane, and so [`Engine::drain`] and the drop of the last handle, for ever.
//! - Wakers run on the threads of lanes: they must not block on the engine.
//!
//! # Not here
//! Devices, files, the network.
#![forbid(unsafe_code)]

mod ahead;
mod builder;
mod callable;
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
pub mod remote;
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
pub use callable::Callable;
pub use cost::MeasuredCost;
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
