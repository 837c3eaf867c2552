//! What can go wrong between the engine and a device.

use std::fmt;

use paceline_graph::{DType, GraphError};

/// Why a graph could not be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The device lacks something that these nodes need. All of them are listed.
    #[error("{device} cannot run {} of the graph's nodes:{}", nodes.len(), list(nodes))]
    Unsupported {
        /// The device's id.
        device: String,
        /// Every node that it cannot run.
        nodes: Vec<UnsupportedNode>,
    },
    /// A pass produced an invalid graph.
    #[error("simplifying the graph failed: {0}")]
    Graph(#[from] GraphError),
    /// An option is out of range.
    #[error("{option}: expected {expected}, got {got}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        got: String,
    },
    /// The program would not fit in memory.
    #[error(
        "one sample of this graph needs {bytes} bytes for what is computed on the way; the device allows {limit}: give it a \
         smaller sample (fewer tokens or pixels a request), or cut the graph in two"
    )]
    TooLarge {
        /// What one sample takes; `usize::MAX` when that cannot be counted.
        bytes: usize,
        /// What the device allows.
        limit: usize,
    },
}

/// A node that a device cannot run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub operator: &'static str,
    /// What the device lacks, and what to do instead.
    pub reason: String,
}

fn list(nodes: &[UnsupportedNode]) -> impl fmt::Display + '_ {
    struct List<'a>(&'a [UnsupportedNode]);
    impl fmt::Display for List<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|n| write!(f, "\n  '{}' ({}): {}", n.node, n.operator, n.reason))
        }
    }
    List(nodes)
}

/// Why an execution failed, or a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The batch does not fit the program; nothing was executed. The session is usable.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The execution failed. The session is usable.
    #[error("the device failed: {0}")]
    Failed(String),
    /// The execution failed and took the session with it: open another.
    #[error("the session is lost: {0}")]
    Lost(String),
    /// Memory for the session could not be had.
    #[error("out of memory: the session needs {bytes} bytes more")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
    },
}

impl DeviceError {
    /// Whether the session can no longer be used.
    pub fn is_lost(&self) -> bool {
        matches!(self, DeviceError::Lost(_))
    }
}

/// Why a batch does not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// More samples than one execution may have.
    #[error("a batch may have {max} samples, got {got}")]
    TooManySamples {
        /// The program's limit.
        max: usize,
        /// Samples given.
        got: usize,
    },
    /// The wrong number of inputs or outputs.
    #[error("expected {} inputs and {} outputs, got {} and {}", expected.0, expected.1, got.0, got.1)]
    Ports {
        /// Inputs and outputs of the signature.
        expected: (usize, usize),
        /// Inputs and outputs of a part.
        got: (usize, usize),
    },
    /// An input or output has the wrong element type or number of elements.
    #[error("'{name}': expected {} elements of {} for {samples} samples, got {} of {}", expected.1, expected.0, got.1, got.0)]
    Port {
        /// The port's name.
        name: String,
        /// Samples of the part.
        samples: usize,
        /// Element type and number of elements it should have.
        expected: (DType, usize),
        /// Element type and number of elements it has.
        got: (DType, usize),
    },
}

#[cfg(test)]
mod tests {
    use super::CompileError;

    #[test]
    fn a_graph_that_is_too_large_is_told_what_to_do() {
        let message = CompileError::TooLarge { bytes: 4096, limit: 1024 }.to_string();
        for part in
            ["4096 bytes", "allows 1024", "a smaller sample", "fewer tokens or pixels", "cut the graph"]
        {
            assert!(message.contains(part), "'{part}' is missing: {message}");
        }
    }
}
