//! What the fuzz targets share: what is done with a model ([`examine`]), and changes of models that leave them models
//! ([`mutated`], [`crossed`]).
//!
//! A model is a tree of protobuf messages ([`Message`]), read by the part of ONNX's schema that Paceline knows. Changes work on the
//! tree, so that most of what they make passes the first checks and comes to the translation of operators.

mod change;
mod examine;
mod schema;
mod tree;
mod words;

pub use change::{crossed, mutated};
pub use examine::examine;
pub use schema::Kind;
pub use tree::{Content, Message};
