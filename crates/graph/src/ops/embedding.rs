//! Table look-up.

use super::Operator;
use super::check::Arguments;
use super::operands::{f32s, result, tensor};
use crate::{DType, Dim, Problem, Tensor, ValueType};

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

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["indices", "weight"], [])?;
        let [indices, weight] = arguments.required;
        arguments.dtype("indices", indices, DType::I64)?;
        arguments.dtype("weight", weight, DType::F32)?;
        let &[Dim::Fixed(_), d @ Dim::Fixed(_)] = weight.shape.dims() else {
            return Err(arguments.problem("weight [rows, d], neither of which is the batch"));
        };
        let dims: Vec<Dim> = indices.shape.dims().iter().copied().chain([d]).collect();
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let indices = tensor(inputs, 0).as_i64().expect("the shape rule checks that indices are i64");
        let [rows, d] = *tensor(inputs, 1).shape() else { unreachable!("the shape rule checks weight") };
        let weight = f32s(inputs, 1);
        let row = |&index: &i64| match usize::try_from(index) {
            Ok(index) if index < rows => weight[index * d..(index + 1) * d].to_vec(),
            _ => vec![f32::NAN; d],
        };
        vec![result(&outputs[0], indices.iter().flat_map(row).collect::<Vec<f32>>())]
    }
}
