//! Questions about elements, and choices by their answers.

use super::Operator;
use super::binary::{broadcast_operands, walk};
use super::broadcast::broadcast;
use super::check::Arguments;
use super::operands::{integers, reals, result, tensor};
use crate::{DType, Data, Problem, Tensor, ValueType, by_type};

/// Compares two elements; the shapes are broadcast as in NumPy.
///
/// Inputs: `a`, `b`, both of one element type, bool only for [`Equal`](CompareOp::Equal). Output: bool. Nothing compares with NaN.
/// Source: ONNX Equal-19, Less-13 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compare(pub CompareOp);

/// Which comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `a == b`
    Equal,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterOrEqual,
}

/// Whether each floating-point element is of some class. Output: bool of the input's shape. Source: ONNX IsNaN-20, IsInf-20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Classify {
    /// Whether it is NaN.
    IsNan,
    /// Whether it is an infinity of a sign that is asked for.
    IsInf {
        /// Negative infinity counts.
        negative: bool,
        /// Positive infinity counts.
        positive: bool,
    },
}

/// `a` where the condition holds, else `b`; the three shapes are broadcast as in NumPy.
///
/// Inputs: `condition` (bool), `a`, `b` of one element type. Source: ONNX Where-16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Where {}

impl CompareOp {
    /// The comparison itself.
    pub fn of<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            CompareOp::Equal => a == b,
            CompareOp::Less => a < b,
            CompareOp::LessOrEqual => a <= b,
            CompareOp::Greater => a > b,
            CompareOp::GreaterOrEqual => a >= b,
        }
    }
}

impl Classify {
    /// Whether an element is of the class.
    pub fn of(self, x: f64) -> bool {
        match self {
            Classify::IsNan => x.is_nan(),
            Classify::IsInf { negative, positive } => {
                (negative && x == f64::NEG_INFINITY) || (positive && x == f64::INFINITY)
            }
        }
    }
}

impl Operator for Compare {
    fn name(&self) -> &'static str {
        match self.0 {
            CompareOp::Equal => "Equal",
            CompareOp::Less => "Less",
            CompareOp::LessOrEqual => "LessOrEqual",
            CompareOp::Greater => "Greater",
            CompareOp::GreaterOrEqual => "GreaterOrEqual",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["a", "b"], [])?;
        let [a, _] = arguments.required;
        arguments
            .expect(a.dtype != DType::Bool || self.0 == CompareOp::Equal, || "a and b of numbers".into())?;
        Ok(vec![ValueType::new(DType::Bool, broadcast_operands(&arguments, arguments.required)?)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let (a, b) = (tensor(inputs, 0), tensor(inputs, 1));
        let pairs = walk(a, shape).into_iter().zip(walk(b, shape));
        let answers: Vec<bool> = if a.dtype().is_float() {
            let (a, b) = (reals(a), reals(b));
            pairs.map(|(i, j)| self.0.of(a[i], b[j])).collect()
        } else {
            let (a, b) = (integers(a), integers(b));
            pairs.map(|(i, j)| self.0.of(a[i], b[j])).collect()
        };
        vec![result(shape, answers)]
    }
}

impl Operator for Classify {
    fn name(&self) -> &'static str {
        match self {
            Classify::IsNan => "IsNaN",
            Classify::IsInf { .. } => "IsInf",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::floats(inputs, ["x"], [])?;
        Ok(vec![ValueType::new(DType::Bool, arguments.required[0].shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let answers: Vec<bool> = reals(tensor(inputs, 0)).into_iter().map(|x| self.of(x)).collect();
        vec![result(&outputs[0], answers)]
    }
}

impl Operator for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<3>::new(inputs, ["condition", "a", "b"], [])?;
        let [condition, a, b] = arguments.required;
        arguments.dtype("condition", condition, DType::Bool)?;
        let values = broadcast_operands(&arguments, [a, b])?;
        let dims = broadcast(condition.shape.dims(), values.dims())
            .ok_or_else(|| arguments.problem("shapes that broadcast together"))?;
        Ok(vec![ValueType::new(a.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let (condition, a, b) = (tensor(inputs, 0), tensor(inputs, 1), tensor(inputs, 2));
        let holds = condition.as_bool().expect("the shape rule checks that the condition is bool");
        let (places, (i, j)) = (walk(condition, shape), (walk(a, shape), walk(b, shape)));
        let chosen = by_type!(
            Data, a.data(), Data, b.data(),
            (a, b) => Data::of(
                places.iter().enumerate().map(|(n, &at)| if holds[at] { a[i[n]] } else { b[j[n]] }).collect()
            ),
            else unreachable!("the shape rule checks that a and b have one type")
        );
        vec![result(shape, chosen)]
    }
}
