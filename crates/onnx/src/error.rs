//! Why a model could not be read or written.

use std::fmt;
use std::io;
use std::path::PathBuf;

use paceline_graph::GraphError;

/// Why a model could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A file could not be opened or read.
    #[error("cannot read '{}': {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no ONNX model, or one that is cut off.
    #[error("this is not an ONNX model: {problem}")]
    NotOnnx {
        /// What is wrong with it.
        problem: String,
    },
    /// The model is larger, or more deeply nested, than is read.
    #[error("expected at most {most} {what} in a model, got more")]
    Bound {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A tensor's data does not fit what is said of it, or cannot be had.
    #[error("tensor '{name}': expected {expected}, got {got}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What there should be.
        expected: String,
        /// What there is.
        got: String,
    },
    /// The model is not well formed: names that are used twice or not at all, in cycles or out of order.
    #[error("the model is not well formed: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: String,
    },
    /// Operators, or ways to use them, that are not supported: all of them.
    #[error("the model uses what is not supported:{}", list(.0))]
    Unsupported(Vec<UnsupportedOperator>),
    /// A node cannot be computed with what it is given.
    #[error("node '{node}' ({operator}): {problem}")]
    Node {
        /// The node's name, or that of its first output.
        node: String,
        /// Its operator.
        operator: String,
        /// What was expected, and what it was given.
        problem: String,
    },
    /// Axes have names instead of lengths.
    #[error(
        "the lengths of these axes are not known: {}; bind each of them, in the library by ImportOptions::dim, on the \
         command line by --dim NAME=LENGTH",
        axes.join(", ")
    )]
    UnboundAxes {
        /// `name (axis of input)`, in the order of the inputs.
        axes: Vec<String>,
    },
    /// A choice does not fit the model.
    #[error("expected {expected}, got {got}")]
    Choice {
        /// What could be chosen.
        expected: String,
        /// What was.
        got: String,
    },
    /// The graph could not be made.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why a graph could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A file could not be written.
    #[error("cannot write '{}': {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The model is larger than an ONNX file can be.
    #[error("expected a model of at most 2 GiB, which is what one ONNX file can hold, got {bytes} bytes")]
    TooLarge {
        /// Bytes of the encoded model.
        bytes: usize,
    },
    /// In ONNX a name means one value.
    #[error("expected names of inputs and outputs that are not empty, each of one value, got '{name}'")]
    Name {
        /// The name that is empty, or of an input and of an output that is another value.
        name: String,
    },
    /// An operator of the graph cannot be said in ONNX.
    #[error("node '{node}' ({operator}) cannot be written as ONNX: {problem}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: &'static str,
        /// Why not.
        problem: String,
    },
}

/// An operator that is not supported, or not in the way a model uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOperator {
    /// The operator, with its domain where that is not ONNX's own: `NonZero`, `com.microsoft.FusedConv`.
    pub operator: String,
    /// The version of the operator set that the model uses.
    pub opset: i64,
    /// What about it is not supported; `None` where all of it is not.
    pub problem: Option<String>,
    /// Values that must be known when the model is read, and are not: they say how to compute, not what with. Those that are inputs
    /// of the model can be [bound](crate::ImportOptions::bind).
    pub unknown: Vec<String>,
    /// The nodes that use it so.
    pub nodes: Vec<String>,
}

/// Names of nodes that a message lists before it only counts them.
const MOST_NAMES: usize = 3;

impl fmt::Display for UnsupportedOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (opset {})", self.operator, self.opset)?;
        if let Some(problem) = &self.problem {
            write!(f, ": {problem}")?;
        }
        if !self.unknown.is_empty() {
            let names: Vec<String> = self.unknown.iter().map(|name| format!("'{name}'")).collect();
            write!(
                f,
                ": {} must be known when the model is read; if it is an input of the model, bind it to a value, in the library by \
                 ImportOptions::bind, on the command line by --bind",
                names.join(", ")
            )?;
        }
        if self.nodes.is_empty() {
            return Ok(());
        }
        write!(
            f,
            ", in {}",
            self.nodes.iter().take(MOST_NAMES).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
        )?;
        match self.nodes.len().saturating_sub(MOST_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn list(operators: &[UnsupportedOperator]) -> String {
    operators.iter().map(|operator| format!("\n  {operator}")).collect()
}
