//! Table look-up.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// Rows of a table.
///
/// Inputs: `indices` (i64, any shape), `weight [rows, d]`. Output: `[indices..., d]`. An index outside `0..rows` gives a row of
/// NaN: one bad request must fail visibly without failing the others of its batch. Source: torch.nn.Embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Embedding {}

impl Operator for Embedding {
    fn name(&self) -> &'static str {
        "Embedding"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
