//! What can go wrong with one node.

use paceline_graph::{GraphError, Problem};

use crate::OnnxError;

/// What is wrong with one node.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is used in a way that is not supported.
    Unsupported(String),
    /// This input of it must be known when the model is read, and is not.
    Unknown(usize),
    /// It does not accept what it is given.
    Refused(String),
    /// Something else is wrong with the model.
    Model(OnnxError),
}

impl Trouble {
    /// It does not accept what it is given.
    pub(crate) fn refused(expected: impl AsRef<str>, got: impl AsRef<str>) -> Self {
        Trouble::Refused(format!("expected {}, got {}", expected.as_ref(), got.as_ref()))
    }

    /// It is used in a way that is not supported.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Trouble::Unsupported(what.into())
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Trouble::refused(problem.expected, problem.got)
    }
}

impl From<GraphError> for Trouble {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Node { expected, got, .. } | GraphError::Boundary { expected, got, .. } => {
                Trouble::refused(expected, got)
            }
            other => Trouble::Model(other.into()),
        }
    }
}

impl From<OnnxError> for Trouble {
    fn from(error: OnnxError) -> Self {
        Trouble::Model(error)
    }
}
