//! Reductions over axes.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// Reduces f32 elements over some axes, none of which may be the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduce {
    /// What is computed.
    pub op: ReduceOp,
    /// The axes; negative counts from the end. Each at most once, at least one.
    pub axes: Vec<isize>,
    /// Whether a reduced axis stays, with length 1.
    pub keep_dims: bool,
}

/// Which reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// Arithmetic mean; NaN of no elements.
    Mean,
    /// Sum; 0 of no elements.
    Sum,
    /// Largest element; NaN if one is NaN. Of no elements: an error when the graph is built.
    Max,
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        "Reduce"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
