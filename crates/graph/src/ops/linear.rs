//! Products of matrices.

use super::Operator;
use crate::{Activation, Problem, Tensor, ValueType};

/// Matrix product of the last two axes, the axes before them broadcast as in NumPy.
///
/// Inputs: `a [..., m, k]`, `b [..., k, n]`. Output: `[..., m, n]`. A one-dimensional operand is treated as NumPy does: a
/// missing row (or column) axis is added and dropped again. Source: ONNX MatMul-13.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatMul {}

/// `activation(x W^T + bias + residual)`.
///
/// Inputs: `x [..., in]`, `weight [out, in]` as PyTorch stores it, optional `bias [out]`, optional `residual` of the output's
/// shape. Output: `[..., out]`. Source: torch.nn.Linear; the residual and the activation are put there by fusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linear {
    /// Applied last.
    pub activation: Option<Activation>,
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "Linear"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
