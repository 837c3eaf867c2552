//! Functions of one element, or of two with broadcasting.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// A function of two elements; the shapes are broadcast as in NumPy.
///
/// Inputs: `a`, `b`, f32 (or both i64 for [`BinaryOp::Add`], [`BinaryOp::Sub`], [`BinaryOp::Mul`], which wrap). Source: ONNX Add-14 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binary(pub BinaryOp);

/// Which function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
}

/// A function of each f32 element; the output has the input's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unary(pub UnaryOp);

/// Which function of one element. NaN gives NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `max(x, 0)`
    Relu,
    /// `x * (1 + erf(x / sqrt 2)) / 2`: torch.nn.GELU()
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`: torch.nn.GELU("tanh")
    GeluTanh,
    /// `x * sigmoid(x)`
    Silu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `e^x`
    Exp,
    /// Square root; NaN for negative `x`.
    Sqrt,
    /// The error function.
    Erf,
    /// `-x`
    Neg,
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        "Binary"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Unary {
    fn name(&self) -> &'static str {
        "Unary"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
