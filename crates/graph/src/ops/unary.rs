//! Functions of one element.

use super::Operator;
use super::check::Arguments;
use super::operands::{integer_result, integers, real_result, reals, tensor};
use crate::{Activation, DType, Problem, Tensor, ValueType};

/// A function of each element; the output has the input's shape and type.
///
/// Input: f32 or f64; for [`Relu`](UnaryOp::Relu), [`Neg`](UnaryOp::Neg), [`Abs`](UnaryOp::Abs) and [`Sign`](UnaryOp::Sign) integers
/// too; for [`Not`](UnaryOp::Not) bool or integers. Source: ONNX's operators of these names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unary(pub UnaryOp);

/// Which function of one element. NaN gives NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// `-x`; integers wrap.
    Neg,
    /// `|x|`; integers wrap.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// The largest whole number that is not larger.
    Floor,
    /// The smallest whole number that is not smaller.
    Ceil,
    /// The nearest whole number, the even one of two.
    Round,
    /// `1 / x`
    Reciprocal,
    /// Natural logarithm; NaN for negative `x`.
    Log,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// `ln(1 + e^x)`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x * max(0, min(1, x / 6 + 1 / 2))`: torch.nn.Hardswish
    HardSwish,
    /// `x * tanh(softplus(x))`
    Mish,
    /// Logical negation of bool, every bit of an integer inverted.
    Not,
    /// `x`, or `alpha * x` where `x < 0`.
    LeakyRelu {
        /// The slope for negative `x`.
        alpha: f32,
    },
    /// `x`, or `alpha * (e^x - 1)` where `x < 0`.
    Elu {
        /// The factor for negative `x`.
        alpha: f32,
    },
    /// `gamma * x`, or `gamma * alpha * (e^x - 1)` where `x <= 0`.
    Selu {
        /// The factor for negative `x`.
        alpha: f32,
        /// The factor of everything.
        gamma: f32,
    },
    /// `max(0, x) + min(0, alpha * (e^(x / alpha) - 1))`
    Celu {
        /// The factor for negative `x`.
        alpha: f32,
    },
    /// `x` where `x > alpha`, else 0.
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `max(0, min(1, alpha * x + beta))`; torch.nn.Hardsigmoid has 1 / 6 and 1 / 2.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x`, but at least `min` and at most `max`; `max` where `min` is larger. torch.nn.ReLU6 has 0 and 6.
    Clip {
        /// The least result.
        min: f32,
        /// The largest result.
        max: f32,
    },
    /// `x + bias` where `x < -threshold`, `x - bias` where `x > threshold`, else 0.
    Shrink {
        /// What is taken from the magnitude.
        bias: f32,
        /// The magnitude up to which the result is 0.
        threshold: f32,
    },
    /// `x * sigmoid(alpha * x)`
    Swish {
        /// The factor in the sigmoid.
        alpha: f32,
    },
}

impl UnaryOp {
    /// The function of a floating-point number.
    ///
    /// # Panics
    /// For [`UnaryOp::Not`], which is none.
    pub fn of(self, x: f64) -> f64 {
        let negative = |x: f64, of_negative: f64| if x < 0.0 { of_negative } else { x };
        match self {
            UnaryOp::Relu => negative(x, 0.0),
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
            UnaryOp::Abs => x.abs(),
            UnaryOp::Sign if x == 0.0 || x.is_nan() => x,
            UnaryOp::Sign => x.signum(),
            UnaryOp::Floor => x.floor(),
            UnaryOp::Ceil => x.ceil(),
            UnaryOp::Round => x.round_ties_even(),
            UnaryOp::Reciprocal => 1.0 / x,
            UnaryOp::Log => x.ln(),
            UnaryOp::Sin => x.sin(),
            UnaryOp::Cos => x.cos(),
            UnaryOp::Tan => x.tan(),
            UnaryOp::Asin => x.asin(),
            UnaryOp::Acos => x.acos(),
            UnaryOp::Atan => x.atan(),
            UnaryOp::Sinh => x.sinh(),
            UnaryOp::Cosh => x.cosh(),
            UnaryOp::Asinh => x.asinh(),
            UnaryOp::Acosh => x.acosh(),
            UnaryOp::Atanh => x.atanh(),
            // For large x, where e^x overflows, ln(1 + e^x) is x.
            UnaryOp::Softplus => negative(x, 0.0) + (-x.abs()).exp().ln_1p(),
            UnaryOp::Softsign => x / (1.0 + x.abs()),
            UnaryOp::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            UnaryOp::Mish => x * UnaryOp::Softplus.of(x).tanh(),
            UnaryOp::Not => unreachable!("the shape rule admits no Not of floating-point numbers"),
            UnaryOp::LeakyRelu { alpha } => negative(x, f64::from(alpha) * x),
            UnaryOp::Elu { alpha } => negative(x, f64::from(alpha) * x.exp_m1()),
            UnaryOp::Selu { alpha, gamma } => f64::from(gamma) * UnaryOp::Elu { alpha }.of(x),
            UnaryOp::Celu { alpha } => {
                let alpha = f64::from(alpha);
                negative(x, alpha * (x / alpha).exp_m1())
            }
            UnaryOp::ThresholdedRelu { alpha } => {
                if x > f64::from(alpha) || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
            UnaryOp::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
            UnaryOp::Clip { min, max } => {
                let raised = if x < f64::from(min) { f64::from(min) } else { x };
                if raised > f64::from(max) { f64::from(max) } else { raised }
            }
            UnaryOp::Shrink { bias, threshold } => {
                let (bias, threshold) = (f64::from(bias), f64::from(threshold));
                if x < -threshold {
                    x + bias
                } else if x > threshold {
                    x - bias
                } else if x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
            UnaryOp::Swish { alpha } => x * UnaryOp::Sigmoid.of(f64::from(alpha) * x),
        }
    }

    /// The function of an integer, or a boolean as 0 or 1, before it wraps to the element type.
    ///
    /// # Panics
    /// For functions that are not for integers.
    pub fn of_integer(self, x: i128, dtype: DType) -> i128 {
        match self {
            UnaryOp::Relu => x.max(0),
            UnaryOp::Neg => -x,
            UnaryOp::Abs => x.abs(),
            UnaryOp::Sign => x.signum(),
            UnaryOp::Not if dtype == DType::Bool => 1 - x,
            UnaryOp::Not => !x,
            _ => unreachable!("the shape rule admits no {self:?} of integers"),
        }
    }

    /// Whether the function is for an element type, and which ones it is for.
    fn accepts(self, dtype: DType) -> (bool, &'static str) {
        match self {
            UnaryOp::Not => (!dtype.is_float(), "bool or integers"),
            UnaryOp::Relu | UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign => (dtype != DType::Bool, "numbers"),
            _ => (dtype.is_float(), "f32 or f64"),
        }
    }

    /// The attribute that may not be what it is, if there is one.
    fn attribute_problem(self) -> Option<Problem> {
        let (given, expected) = match self {
            UnaryOp::LeakyRelu { alpha } | UnaryOp::Elu { alpha } | UnaryOp::Swish { alpha } => {
                ([alpha, 0.0], "a finite alpha")
            }
            UnaryOp::Selu { alpha, gamma } => ([alpha, gamma], "a finite alpha and gamma"),
            UnaryOp::Celu { alpha } => ([alpha, 1.0 / alpha], "a finite alpha that is not 0"),
            UnaryOp::ThresholdedRelu { alpha } => {
                ([if alpha.is_nan() { alpha } else { 0.0 }, 0.0], "an alpha that is a number")
            }
            UnaryOp::HardSigmoid { alpha, beta } => ([alpha, beta], "a finite alpha and beta"),
            UnaryOp::Clip { min, max } => {
                let nan = if min.is_nan() || max.is_nan() { f32::NAN } else { 0.0 };
                ([nan, 0.0], "bounds that are numbers")
            }
            UnaryOp::Shrink { bias, threshold } => ([bias, threshold], "a finite bias and threshold"),
            _ => return None,
        };
        let finite = given.iter().all(|x| x.is_finite());
        (!finite).then(|| Problem::new(expected, format!("{self:?}")))
    }
}

/// `activation(x)`, or `x` where there is none.
pub(super) fn activate(activation: Option<Activation>, x: f64) -> f64 {
    activation.map_or(x, |activation| activation.unary().of(x))
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
            UnaryOp::Abs => "Abs",
            UnaryOp::Sign => "Sign",
            UnaryOp::Floor => "Floor",
            UnaryOp::Ceil => "Ceil",
            UnaryOp::Round => "Round",
            UnaryOp::Reciprocal => "Reciprocal",
            UnaryOp::Log => "Log",
            UnaryOp::Sin => "Sin",
            UnaryOp::Cos => "Cos",
            UnaryOp::Tan => "Tan",
            UnaryOp::Asin => "Asin",
            UnaryOp::Acos => "Acos",
            UnaryOp::Atan => "Atan",
            UnaryOp::Sinh => "Sinh",
            UnaryOp::Cosh => "Cosh",
            UnaryOp::Asinh => "Asinh",
            UnaryOp::Acosh => "Acosh",
            UnaryOp::Atanh => "Atanh",
            UnaryOp::Softplus => "Softplus",
            UnaryOp::Softsign => "Softsign",
            UnaryOp::HardSwish => "HardSwish",
            UnaryOp::Mish => "Mish",
            UnaryOp::Not => "Not",
            UnaryOp::LeakyRelu { .. } => "LeakyRelu",
            UnaryOp::Elu { .. } => "Elu",
            UnaryOp::Selu { .. } => "Selu",
            UnaryOp::Celu { .. } => "Celu",
            UnaryOp::ThresholdedRelu { .. } => "ThresholdedRelu",
            UnaryOp::HardSigmoid { .. } => "HardSigmoid",
            UnaryOp::Clip { .. } => "Clip",
            UnaryOp::Shrink { .. } => "Shrink",
            UnaryOp::Swish { .. } => "Swish",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let (accepted, types) = self.0.accepts(x.dtype);
        arguments.expect(accepted, || format!("x of {types}"))?;
        self.0.attribute_problem().map_or(Ok(vec![x.clone()]), Err)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        vec![match x.dtype() {
            DType::F32 | DType::F64 => {
                real_result(x.dtype(), shape, reals(x).into_iter().map(|x| self.0.of(x)))
            }
            dtype => {
                integer_result(dtype, shape, integers(x).into_iter().map(|x| self.0.of_integer(x, dtype)))
            }
        }]
    }
}
