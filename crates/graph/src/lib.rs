//! Models as data: operators on tensors, weights, named inputs and outputs, with a symbolic batch axis.
//!
//! A [`Graph`] is built with a [`GraphBuilder`], which checks every node when it is added, and is immutable
//! afterwards. Passes ([`passes`]) are functions from graph to graph. [`reference::evaluate`] computes a graph slowly and
//! obviously, accumulating in f64: it is the oracle that every device is compared with.
//!
//! **Not here**: anything about how a graph runs fast. Devices compile graphs; this crate knows no device.

mod builder;
mod dim;
mod dtype;
mod element;
mod elements;
mod error;
mod flops;
mod graph;
mod op;
mod ops;
pub mod passes;
pub mod reference;
mod tensor;
#[cfg(feature = "testing")]
pub mod testing;

pub use builder::GraphBuilder;
pub use dim::{Dim, Shape, axis_position};
pub use dtype::DType;
pub use element::Element;
pub use elements::{Elements, Store};
pub use error::{GraphError, Problem};
pub use flops::{flops, op_work, work};
pub use graph::{Graph, Node, Output, Source, Value, ValueInfo, ValueType};
pub use op::{Activation, Op};
pub use ops::*;
pub use tensor::{Data, Tensor, TensorError};
