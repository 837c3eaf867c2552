//! The CPU device: packed weights, kernels per instruction set, fused operators, arenas.
//!
//! A graph is simplified, then lowered (`lower`) to a plan (`plan`): steps over storages. What a step does is decided when the graph
//! is compiled; what is left for run time is the number of samples and where the memory is. Weights are packed once a
//! program, in the order in which kernels read them. A session is an arena in which values share memory by liveness.
//!
//! **Invariants.** A sample's result is bitwise the same whatever batch it travelled in and whichever session ran it: every
//! output element is accumulated in an order that depends on the operator's sizes alone. Any batch size up to the limit is
//! legal and none is padded. `launch` allocates only when a batch is larger than any before it, and for nodes without
//! a kernel.
//!
//! A node without a kernel is evaluated by its reference evaluation (`lower::evaluated`): any graph runs, and
//! `Program::without_kernel` lists what runs slowly.
//!
//! An execution that is open to help posts the pieces of its steps on a board (`board`), where idle threads take them; how a step is
//! divided is in `division`, what rows most steps are made of in `rowwise`.
//!
//! **Not here**: threads, but for those that pack weights while a graph is compiled. A session runs on the thread that calls it, with the
//! help of those that call `Program::help`.

mod arena;
mod board;
pub mod ceilings;
mod chunk;
mod device;
mod division;
mod kernels;
mod lower;
mod memory;
mod nd;
mod operand;
mod plan;
mod program;
mod rowwise;
mod session;
mod sync;
mod weights;

pub use device::{CpuDevice, IsaUnavailable};
pub use kernels::isa::{Isa, UnknownIsa};
