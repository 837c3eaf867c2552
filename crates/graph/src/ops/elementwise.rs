//! Functions of one element, or of two with broadcasting.

use super::Operator;
use super::broadcast::{broadcast, broadcast_strides};
use super::check::Arguments;
use super::index::offsets;
use super::operands::{f32s, result, rounded, tensor};
use crate::{Activation, DType, Problem, Tensor, ValueType};

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

impl BinaryOp {
    fn of_f32(self, a: f32, b: f32) -> f64 {
        let (a, b) = (f64::from(a), f64::from(b));
        match self {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
        }
    }

    fn of_i64(self, a: i64, b: i64) -> i64 {
        match self {
            BinaryOp::Add => a.wrapping_add(b),
            BinaryOp::Sub => a.wrapping_sub(b),
            BinaryOp::Mul => a.wrapping_mul(b),
            BinaryOp::Div => unreachable!("the shape rule admits no division of integers"),
        }
    }
}

impl UnaryOp {
    /// The function itself.
    pub(super) fn of(self, x: f64) -> f64 {
        match self {
            UnaryOp::Relu => {
                if x > 0.0 || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
            // erfc(-z) is 1 + erf(z) without the cancellation that the sum suffers for negative z.
            UnaryOp::Gelu => x * libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0,
            UnaryOp::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                x * (1.0 + inner.tanh()) / 2.0
            }
            UnaryOp::Silu => x * UnaryOp::Sigmoid.of(x),
            UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryOp::Tanh => x.tanh(),
            UnaryOp::Exp => x.exp(),
            UnaryOp::Sqrt => x.sqrt(),
            UnaryOp::Erf => libm::erf(x),
            UnaryOp::Neg => -x,
        }
    }
}

/// `activation(x)`, or `x` where there is none.
pub(super) fn activate(activation: Option<Activation>, x: f64) -> f64 {
    activation.map_or(x, |activation| activation.unary().of(x))
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self.0 {
            BinaryOp::Add => "Add",
            BinaryOp::Sub => "Sub",
            BinaryOp::Mul => "Mul",
            BinaryOp::Div => "Div",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["a", "b"], [])?;
        let [a, b] = arguments.required;
        let (dtypes, accepted): (&[DType], _) = match self.0 {
            BinaryOp::Div => (&[DType::F32], "a and b of f32"),
            _ => (&[DType::F32, DType::I64], "a and b both of f32 or both of i64"),
        };
        arguments.expect(a.dtype == b.dtype && dtypes.contains(&a.dtype), || accepted.into())?;
        let shape = broadcast(a.shape.dims(), b.shape.dims())
            .ok_or_else(|| arguments.problem("shapes that broadcast together"))?;
        Ok(vec![ValueType::new(a.dtype, shape)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let (a, b) = (tensor(inputs, 0), tensor(inputs, 1));
        let walk = |t: &Tensor| offsets(shape, &broadcast_strides(t.shape(), shape));
        let pairs = walk(a).into_iter().zip(walk(b));
        vec![match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => {
                result(shape, pairs.map(|(i, j)| self.0.of_i64(a[i], b[j])).collect::<Vec<_>>())
            }
            _ => {
                let (a, b) = (f32s(inputs, 0), f32s(inputs, 1));
                rounded(shape, pairs.map(|(i, j)| self.0.of_f32(a[i], b[j])))
            }
        }]
    }
}

impl Operator for Unary {
    fn name(&self) -> &'static str {
        match self.0 {
            UnaryOp::Relu => "Relu",
            UnaryOp::Gelu => "Gelu",
            UnaryOp::GeluTanh => "GeluTanh",
            UnaryOp::Silu => "Silu",
            UnaryOp::Sigmoid => "Sigmoid",
            UnaryOp::Tanh => "Tanh",
            UnaryOp::Exp => "Exp",
            UnaryOp::Sqrt => "Sqrt",
            UnaryOp::Erf => "Erf",
            UnaryOp::Neg => "Neg",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let [x] = Arguments::<1>::f32(inputs, ["x"], [])?.required;
        Ok(vec![x.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        vec![rounded(&outputs[0], f32s(inputs, 0).iter().map(|&x| self.0.of(f64::from(x))))]
    }
}
