//! Functions of two elements, the shapes broadcast as in NumPy.

use super::Operator;
use super::broadcast::{broadcast, broadcast_strides};
use super::check::Arguments;
use super::index::offsets;
use super::operands::{integer_result, integers, maximum, real_result, reals, tensor};
use crate::{DType, Problem, Shape, Tensor, ValueType};

/// A function of two elements; the shapes are broadcast as in NumPy.
///
/// Inputs: `a`, `b`, both of one element type: numbers, whose integers wrap, or for [`And`](BinaryOp::And), [`Or`](BinaryOp::Or) and
/// [`Xor`](BinaryOp::Xor) bool or integers. Source: ONNX Add-14 and so on.
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
    /// `a / b`; of integers towards zero, and 0 where `b` is 0.
    Div,
    /// `a` to the power of `b`; of integers 0 for a negative power of anything but 1 and -1.
    Pow,
    /// What is left of `a` divided by `b`, with the sign of `b`; of integers 0 where `b` is 0.
    Mod,
    /// What is left of `a` divided by `b`, with the sign of `a` (C's fmod); of integers 0 where `b` is 0.
    Fmod,
    /// The smaller one; NaN if one is NaN.
    Min,
    /// The larger one; NaN if one is NaN.
    Max,
    /// `a`, or `a * b` where `a < 0`.
    PRelu,
    /// Both, of bool; of integers bit by bit.
    And,
    /// One or both, of bool; of integers bit by bit.
    Or,
    /// Exactly one, of bool; of integers bit by bit.
    Xor,
    /// The bits of the integer `a` moved by `b` places towards the highest; 0 beyond the type's width.
    ShiftLeft,
    /// The bits of the integer `a` moved by `b` places towards the lowest, filled with its sign; nothing but that for a negative `b`.
    ShiftRight,
}

impl BinaryOp {
    /// The function of floating-point numbers.
    ///
    /// # Panics
    /// For the functions of bits.
    pub fn of(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Pow => a.powf(b),
            BinaryOp::Mod => {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }
            BinaryOp::Fmod => a % b,
            BinaryOp::Min => -maximum(-a, -b),
            BinaryOp::Max => maximum(a, b),
            BinaryOp::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            _ => unreachable!("the shape rule admits no {self:?} of floating-point numbers"),
        }
    }

    /// The function of integers, before it wraps to a type of `bits` bits.
    pub fn of_integers(self, a: i128, b: i128, bits: u32) -> i128 {
        match self {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a.wrapping_mul(b),
            BinaryOp::Div => a.checked_div(b).unwrap_or(0),
            BinaryOp::Pow => power(a, b),
            BinaryOp::Mod => {
                let rest = a.checked_rem(b).unwrap_or(0);
                if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
            }
            BinaryOp::Fmod => a.checked_rem(b).unwrap_or(0),
            BinaryOp::Min => a.min(b),
            BinaryOp::Max => a.max(b),
            BinaryOp::PRelu => {
                if a < 0 {
                    a.wrapping_mul(b)
                } else {
                    a
                }
            }
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
            BinaryOp::Xor => a ^ b,
            BinaryOp::ShiftLeft if (0..i128::from(bits)).contains(&b) => a << b,
            BinaryOp::ShiftLeft => 0,
            BinaryOp::ShiftRight if (0..128).contains(&b) => a >> b,
            BinaryOp::ShiftRight => a >> 127,
        }
    }

    /// Whether the function is for an element type, and which ones it is for.
    fn accepts(self, dtype: DType) -> (bool, &'static str) {
        match self {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => {
                (!dtype.is_float(), "bool, or of one integer type")
            }
            BinaryOp::ShiftLeft | BinaryOp::ShiftRight => (dtype.is_integer(), "one integer type"),
            _ => (dtype != DType::Bool, "one type of numbers"),
        }
    }
}

/// `a` to the power of `b` modulo 2^128, in which every integer type wraps as by itself.
fn power(a: i128, b: i128) -> i128 {
    match (a, b) {
        (1, ..0) => 1,
        (-1, ..0) => 1 - 2 * (b & 1),
        (_, ..0) => 0,
        _ => {
            let (mut power, mut square, mut rest) = (1i128, a, b);
            while rest > 0 {
                if rest & 1 == 1 {
                    power = power.wrapping_mul(square);
                }
                square = square.wrapping_mul(square);
                rest >>= 1;
            }
            power
        }
    }
}

/// The element type and shape of two operands of equal type that broadcast together.
pub(super) fn broadcast_operands<const R: usize>(
    arguments: &Arguments<'_, R>,
    [a, b]: [&ValueType; 2],
) -> Result<Shape, Problem> {
    arguments.expect(a.dtype == b.dtype, || "operands of one element type".into())?;
    broadcast(a.shape.dims(), b.shape.dims())
        .map(Shape::from)
        .ok_or_else(|| arguments.problem("shapes that broadcast together"))
}

/// For every element of a result of `shape`, the offset of the element of each operand that it is made of.
pub(super) fn walk(operand: &Tensor, shape: &[usize]) -> Vec<usize> {
    offsets(shape, &broadcast_strides(operand.shape(), shape))
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self.0 {
            BinaryOp::Add => "Add",
            BinaryOp::Sub => "Sub",
            BinaryOp::Mul => "Mul",
            BinaryOp::Div => "Div",
            BinaryOp::Pow => "Pow",
            BinaryOp::Mod => "Mod",
            BinaryOp::Fmod => "Fmod",
            BinaryOp::Min => "Min",
            BinaryOp::Max => "Max",
            BinaryOp::PRelu => "PRelu",
            BinaryOp::And => "And",
            BinaryOp::Or => "Or",
            BinaryOp::Xor => "Xor",
            BinaryOp::ShiftLeft => "ShiftLeft",
            BinaryOp::ShiftRight => "ShiftRight",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["a", "b"], [])?;
        let [a, b] = arguments.required;
        let (accepted, types) = self.0.accepts(a.dtype);
        arguments.expect(a.dtype == b.dtype && accepted, || format!("a and b both of {types}"))?;
        Ok(vec![ValueType::new(a.dtype, broadcast_operands(&arguments, [a, b])?)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let (a, b) = (tensor(inputs, 0), tensor(inputs, 1));
        let pairs = walk(a, shape).into_iter().zip(walk(b, shape));
        let dtype = a.dtype();
        vec![if dtype.is_float() {
            let (a, b) = (reals(a), reals(b));
            real_result(dtype, shape, pairs.map(|(i, j)| self.0.of(a[i], b[j])))
        } else {
            let (a, b) = (integers(a), integers(b));
            let bits = 8 * dtype.size_bytes() as u32;
            integer_result(dtype, shape, pairs.map(|(i, j)| self.0.of_integers(a[i], b[j], bits)))
        }]
    }
}
