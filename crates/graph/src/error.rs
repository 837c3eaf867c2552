//! Why a graph could not be built or evaluated.

use crate::TensorError;

/// Why a graph could not be built or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A node does not accept its inputs.
    #[error("node '{node}' ({operator}): expected {expected}, got {got}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator, by ONNX's name.
        operator: &'static str,
        /// What the operator accepts.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// Two inputs, two outputs, two constants or two nodes share a name.
    #[error("the name '{name}' is already taken by another {what}; names must be unique")]
    DuplicateName {
        /// "input", "output", "constant" or "node".
        what: &'static str,
        /// The name used twice.
        name: String,
    },
    /// An input or output does not fit the graph's batch axis.
    #[error("{what} '{name}': expected {expected}, got {got}")]
    Boundary {
        /// "input" or "output".
        what: &'static str,
        /// Its name.
        name: String,
        /// What the graph needs.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// A value of another builder was used.
    #[error("value {index} does not belong to this graph, which has {len} values")]
    UnknownValue {
        /// The index of the value.
        index: usize,
        /// Values in this graph.
        len: usize,
    },
    /// A graph computes nothing.
    #[error("a graph needs at least one output; call `output` before `finish`")]
    NoOutput,
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// What an operator expected and what it got; the builder adds the node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What the operator accepts.
    pub expected: String,
    /// What it was given.
    pub got: String,
}

impl Problem {
    /// A problem from the two halves of its message.
    pub fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Problem { expected: expected.into(), got: got.into() }
    }
}
