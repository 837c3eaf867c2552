//! Reductions over axes.

use super::Operator;
use super::check::Arguments;
use super::index::{offsets, position, strides};
use super::operands::{f32s, maximum, rounded, sum, tensor};
use crate::{DType, Dim, Problem, Tensor, ValueType};

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
        match self.op {
            ReduceOp::Mean => "ReduceMean",
            ReduceOp::Sum => "ReduceSum",
            ReduceOp::Max => "ReduceMax",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        let dims = arguments.required[0].shape.dims();
        let problem = |expected: &str| Problem::new(expected, format!("axes {:?} of {arguments}", self.axes));
        let mut reduced = vec![false; dims.len()];
        for &axis in &self.axes {
            let (axis, length) = arguments.axis_of_one_sample(axis)?;
            if std::mem::replace(&mut reduced[axis], true) {
                return Err(problem("each axis at most once"));
            }
            if self.op == ReduceOp::Max && length == 0 {
                return Err(problem("at least one element to take the largest of"));
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
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (shape, x) = (tensor(inputs, 0).shape(), f32s(inputs, 0));
        let axes: Vec<usize> = self.axes.iter().map(|&axis| position(axis, shape.len())).collect();
        let only = |chosen: bool| -> Vec<usize> {
            let length = |axis: usize| if axes.contains(&axis) == chosen { shape[axis] } else { 1 };
            offsets(&(0..shape.len()).map(length).collect::<Vec<_>>(), &strides(shape))
        };
        let reduced = only(true);
        let reduce = |first: usize| {
            let elements = reduced.iter().map(|offset| f64::from(x[first + offset]));
            match self.op {
                ReduceOp::Mean => sum(elements) / reduced.len() as f64,
                ReduceOp::Sum => sum(elements),
                ReduceOp::Max => elements.fold(f64::NEG_INFINITY, maximum),
            }
        };
        vec![rounded(&outputs[0], only(false).into_iter().map(reduce))]
    }
}
