//! Reads ONNX models into graphs, and writes graphs as ONNX.
//!
//! ```no_run
//! use paceline_onnx::{ImportOptions, read};
//! let imported = read("bert.onnx", &ImportOptions::default().dim("sequence", 128))?;
//! println!("{} nodes", imported.graph.nodes().len());
//! # Ok::<(), paceline_onnx::OnnxError>(())
//! ```
//!
//! A file is not trusted: its size, the depth of its messages, the size of every tensor and where its data lies are checked
//! before anything is made of them, and what is wrong is an [`OnnxError`].
//!
//! **Not here**: how a graph runs. What is read is a [`Graph`](paceline_graph::Graph) like any other.

mod error;
mod export;
mod file;
mod import;
mod options;
#[allow(missing_docs, reason = "ONNX documents its messages")]
mod proto;
mod read;
mod tensor;
mod wire;

pub use error::{ExportError, OnnxError, UnsupportedOperator};
pub use export::{to_bytes, write};
pub use import::{FreeAxis, Imported};
pub use options::{BatchAxis, ImportOptions};
pub use read::{Source, read, read_bytes, read_tensor};
