//! Reductions over axes.

use super::Operator;
use super::check::Arguments;
use super::index::{offsets, position, strides};
use super::operands::{integer_result, integers, maximum, real_result, reals, sum, tensor};
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Reduces elements over some axes, none of which may be the batch.
///
/// Input: f32, f64, or, for what needs no logarithm or root, integers, whose results wrap; bool too for [`Max`](ReduceOp::Max) and
/// [`Min`](ReduceOp::Min). Source: ONNX ReduceMean-18 and so on.
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
    /// Arithmetic mean; NaN of no elements. Of integers towards zero.
    Mean,
    /// Sum; 0 of no elements.
    Sum,
    /// Largest element; NaN if one is NaN. Of no elements: `-inf`, or for integers an error when the graph is built.
    Max,
    /// Smallest element; NaN if one is NaN. Of no elements: `inf`, or for integers an error when the graph is built.
    Min,
    /// Product; 1 of no elements.
    Prod,
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
    /// Sum of squares.
    SumSquare,
    /// Logarithm of the sum.
    LogSum,
    /// Logarithm of the sum of exponentials.
    LogSumExp,
}

impl ReduceOp {
    /// Whether the reduction is for an element type, and which ones it is for.
    fn accepts(self, dtype: DType) -> (bool, &'static str) {
        match self {
            ReduceOp::Max | ReduceOp::Min => (true, "any type"),
            ReduceOp::L2 | ReduceOp::LogSum | ReduceOp::LogSumExp => (dtype.is_float(), "f32 or f64"),
            _ => (dtype != DType::Bool, "numbers"),
        }
    }

    fn of(self, elements: impl Iterator<Item = f64> + Clone) -> f64 {
        match self {
            ReduceOp::Mean => sum(elements.clone()) / elements.count() as f64,
            ReduceOp::Sum => sum(elements),
            ReduceOp::Max => elements.fold(f64::NEG_INFINITY, maximum),
            ReduceOp::Min => -elements.fold(f64::NEG_INFINITY, |max, x| maximum(max, -x)),
            ReduceOp::Prod => elements.fold(1.0, |product, x| product * x),
            ReduceOp::L1 => sum(elements.map(f64::abs)),
            ReduceOp::L2 => sum(elements.map(|x| x * x)).sqrt(),
            ReduceOp::SumSquare => sum(elements.map(|x| x * x)),
            ReduceOp::LogSum => sum(elements).ln(),
            ReduceOp::LogSumExp => {
                let max = elements.clone().fold(f64::NEG_INFINITY, maximum);
                // With an infinite maximum the differences would be NaN.
                if max.is_infinite() { max } else { max + sum(elements.map(|x| (x - max).exp())).ln() }
            }
        }
    }

    fn of_integers(self, elements: impl Iterator<Item = i128> + Clone) -> i128 {
        match self {
            ReduceOp::Mean => {
                elements.clone().sum::<i128>().checked_div(elements.count() as i128).unwrap_or(0)
            }
            ReduceOp::Sum => elements.sum(),
            ReduceOp::Max => elements.max().expect("the shape rule checks that there is an element"),
            ReduceOp::Min => elements.min().expect("the shape rule checks that there is an element"),
            ReduceOp::Prod => elements.fold(1, i128::wrapping_mul),
            ReduceOp::L1 => elements.map(i128::abs).sum(),
            ReduceOp::SumSquare => elements.fold(0i128, |sum, x| sum.wrapping_add(x.wrapping_mul(x))),
            _ => unreachable!("the shape rule admits no {self:?} of integers"),
        }
    }
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        match self.op {
            ReduceOp::Mean => "ReduceMean",
            ReduceOp::Sum => "ReduceSum",
            ReduceOp::Max => "ReduceMax",
            ReduceOp::Min => "ReduceMin",
            ReduceOp::Prod => "ReduceProd",
            ReduceOp::L1 => "ReduceL1",
            ReduceOp::L2 => "ReduceL2",
            ReduceOp::SumSquare => "ReduceSumSquare",
            ReduceOp::LogSum => "ReduceLogSum",
            ReduceOp::LogSumExp => "ReduceLogSumExp",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let (accepted, types) = self.op.accepts(x.dtype);
        arguments.expect(accepted, || format!("x of {types}"))?;
        let dims = x.shape.dims();
        let problem = |expected: &str| Problem::new(expected, format!("axes {:?} of {arguments}", self.axes));
        let mut reduced = vec![false; dims.len()];
        for &axis in &self.axes {
            let (axis, length) = arguments.axis_of_one_sample(axis)?;
            if std::mem::replace(&mut reduced[axis], true) {
                return Err(problem("each axis at most once"));
            }
            let of_one = matches!(self.op, ReduceOp::Max | ReduceOp::Min) && !x.dtype.is_float();
            if of_one && length == 0 {
                return Err(problem("at least one element to choose from"));
            }
        }
        if self.axes.is_empty() {
            return Err(problem("at least one axis"));
        }
        let kept = |(&dim, reduced): (&Dim, bool)| match (reduced, self.keep_dims) {
            (false, _) => Some(dim),
            (true, true) => Some(Dim::Fixed(1)),
            (true, false) => None,
        };
        let dims: Vec<Dim> = dims.iter().zip(reduced).filter_map(kept).collect();
        Ok(vec![ValueType::new(x.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let shape = x.shape();
        let axes: Vec<usize> = self.axes.iter().map(|&axis| position(axis, shape.len())).collect();
        let only = |chosen: bool| -> Vec<usize> {
            let length = |axis: usize| if axes.contains(&axis) == chosen { shape[axis] } else { 1 };
            offsets(&(0..shape.len()).map(length).collect::<Vec<_>>(), &strides(shape))
        };
        let (reduced, kept) = (only(true), only(false));
        vec![if x.dtype().is_float() {
            let x64 = reals(x);
            let reduce = |&first: &usize| self.op.of(reduced.iter().map(|offset| x64[first + offset]));
            real_result(x.dtype(), &outputs[0], kept.iter().map(reduce))
        } else {
            let whole = integers(x);
            let reduce =
                |&first: &usize| self.op.of_integers(reduced.iter().map(|offset| whole[first + offset]));
            integer_result(x.dtype(), &outputs[0], kept.iter().map(reduce))
        }]
    }
}
