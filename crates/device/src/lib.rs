//! The seam between the engine and whatever computes: traits [`Device`], [`Program`] and [`Session`], and their errors.
//!
//! A **device** compiles a graph into a **program**: packed weights and chosen kernels, immutable and shared by every thread. A
//! program opens **sessions**: scratch memory and streams, each used by one thread at a time. A session executes a **batch**:
//! the slices of several callers, gathered and scattered by the session itself.
//!
//! What every device keeps to, and the conformance suite checks:
//! - no output row depends on another row;
//! - every output element is written;
//! - a failed execution leaves the session usable, or says that it is lost ([`DeviceError::Lost`]);
//! - nothing is global: two devices of one kind do not know of each other.
//!
//! **Not here**: queues, threads, batching. Those are the engine's.

mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod fake;
mod signature;

use std::sync::Arc;

use paceline_graph::Graph;

pub use batch::{Batch, Part, View, ViewMut};
pub use error::{BatchError, CompileError, DeviceError, UnsupportedNode};
pub use signature::{BatchSizes, Port, Signature};

/// What computes: compiles graphs into programs.
pub trait Device: Send + Sync {
    /// What the device is.
    fn info(&self) -> DeviceInfo;

    /// Compiles a graph. The error names every node that the device cannot run, not only the first.
    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError>;
}

/// A graph compiled for one device: immutable, shared by every thread.
pub trait Program: Send + Sync {
    /// Names, element types and per-sample shapes of the inputs and outputs.
    fn signature(&self) -> &Signature;

    /// Which batch sizes one execution may have.
    fn batch_sizes(&self) -> &BatchSizes;

    /// The nodes that the device has no kernel for and evaluates instead, which is right but slow, each with the reason.
    fn without_kernel(&self) -> &[UnsupportedNode] {
        &[]
    }

    /// Bytes that a session takes beyond the program, at most; `None` where the device does not know.
    fn lane_bytes(&self) -> Option<usize> {
        None
    }

    /// A new session on this program.
    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError>;

    /// Whether [`Program::help`] can make an execution of some size faster. If not, there is no use in calling it.
    fn can_be_helped(&self) -> bool {
        false
    }

    /// Lends the calling thread to one execution of this program that another thread's session has under way, and that is
    /// [open to help](Batch::open_to_help). Whether and when there is help changes no result.
    ///
    /// Returns when that execution is over or `leave` is true, which is asked between pieces of work of some ten microseconds;
    /// without an execution to help, after waiting for one to begin for some milliseconds at most. True if the thread
    /// has done a part of the work.
    ///
    /// Never fails: what goes wrong in a part fails the execution, in the thread that launched it.
    fn help(&self, leave: &dyn Fn() -> bool) -> bool {
        let _ = leave;
        false
    }
}

/// The mutable half of running a program. Used by one thread at a time.
///
/// Executions finish in the order they were launched. A session that can have only one in flight does all the work in
/// `launch`, and nothing in `finish`.
pub trait Session: Send {
    /// Begins one execution and has read all inputs of `batch` when it returns.
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError>;

    /// Waits for the oldest execution in flight, launched with this same `batch`; its outputs are written when it returns.
    fn finish(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError>;
}

/// Executes one batch: [`Session::launch`], then [`Session::finish`].
pub fn execute(session: &mut dyn Session, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
    session.launch(batch)?;
    session.finish(batch)
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`, `metal:0`.
    pub id: String,
    /// The hardware's name for people.
    pub name: String,
    /// The instruction set or architecture its kernels are built for, such as `avx512`.
    pub isa: String,
    /// How many lanes serve it well by default: cores of a CPU.
    pub default_lanes: usize,
}

/// Choices made when a graph is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompileOptions {
    /// The largest batch one execution may have, at least 1. A device may allow less.
    pub max_batch: usize,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions { max_batch: 256 }
    }
}
