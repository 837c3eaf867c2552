//! Places of the largest and smallest, the largest themselves, and running sums, along one axis that is not the batch.

use std::cmp::Ordering;

use super::Operator;
use super::check::Arguments;
use super::index::{elements, lines, position};
use super::operands::{integer_result, integers, real_result, reals, result, tensor};
use crate::{DType, Data, Dim, Element, Problem, Shape, Tensor, ValueType, by_type};

/// The index of the largest or smallest element along one axis; of the first NaN, if there is one.
///
/// Input: numbers of any type, at least one along the axis. Output: i64. Source: ONNX ArgMax-13, ArgMin-13, torch.argmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgReduce {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// The largest, or the smallest.
    pub largest: bool,
    /// Whether the axis stays, with length 1.
    pub keep_dims: bool,
    /// The last of equal elements, or the first.
    pub last: bool,
}

/// The `k` largest or smallest elements along one axis, best first, and their indices. Of equal elements the one of the lower
/// index comes first; NaN counts as larger than any number.
///
/// Input: numbers of any type. Outputs: the elements, and their indices (i64). Source: ONNX TopK-11, torch.topk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// How many; at most the axis's length.
    pub k: usize,
    /// The largest, or the smallest.
    pub largest: bool,
}

/// Running sums or products along one axis.
///
/// Input: numbers of any type; integers wrap. Output: the same shape. Source: ONNX CumSum-14, CumProd-26, torch.cumsum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumulative {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// Products instead of sums.
    pub product: bool,
    /// Without the element itself.
    pub exclusive: bool,
    /// From the end.
    pub reverse: bool,
}

/// The first elements along one axis in the opposite order, as many as each sequence is long; the others stay.
///
/// Inputs: `x` of any type, `lengths` (i64) `[sequences]`, one for each index of `batch_axis` of `x`. A length is held to the range from
/// 0 to the axis's length. Source: ONNX ReverseSequence-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReverseSequence {
    /// The axis that is turned round, which may not be the batch.
    pub time_axis: usize,
    /// The axis of the sequences.
    pub batch_axis: usize,
}

/// How elements are ordered, NaN last.
fn order<T: Element>(a: &T, b: &T) -> Ordering {
    let is_nan = |x: &T| x.to_f64().is_nan();
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// The axes with `axis` replaced by one of length `length`, or left out.
fn replaced(dims: &[Dim], axis: usize, length: Option<usize>) -> Shape {
    let mut dims = dims.to_vec();
    match length {
        Some(length) => dims[axis] = Dim::Fixed(length),
        None => drop(dims.remove(axis)),
    }
    dims.into()
}

impl Operator for ArgReduce {
    fn name(&self) -> &'static str {
        if self.largest { "ArgMax" } else { "ArgMin" }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::numbers(inputs, ["x"], [])?;
        let (axis, length) = arguments.axis_of_one_sample(self.axis)?;
        arguments.expect(length > 0, || "at least one element along the axis".into())?;
        let dims = arguments.required[0].shape.dims();
        Ok(vec![ValueType::new(DType::I64, replaced(dims, axis, self.keep_dims.then_some(1)))])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let axis = position(self.axis, x.shape().len());
        let (length, inner) = (x.shape()[axis], elements(&x.shape()[axis + 1..]));
        fn best<T: Element>(at: impl Fn(usize) -> T, length: usize, op: &ArgReduce) -> i64 {
            let is_nan = |x: T| x.to_f64().is_nan();
            let mut best = 0;
            for i in 1..length {
                let (old, new) = (at(best), at(i));
                if is_nan(old) {
                    break;
                }
                let better = if op.largest { new > old } else { new < old };
                if is_nan(new) || better || (op.last && new == old) {
                    best = i;
                }
            }
            best as i64
        }
        let firsts = lines(x.shape(), axis);
        let indices: Vec<i64> = by_type!(
            Data, x.data(),
            v => firsts.iter().map(|first| best(|i| v[first + i * inner], length, self)).collect()
        );
        vec![result(&outputs[0], indices)]
    }
}

impl Operator for TopK {
    fn name(&self) -> &'static str {
        "TopK"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::numbers(inputs, ["x"], [])?;
        let (axis, length) = arguments.axis_of_one_sample(self.axis)?;
        arguments.expect(self.k <= length, || format!("at least {} elements along axis {axis}", self.k))?;
        let [x] = arguments.required;
        let shape = replaced(x.shape.dims(), axis, Some(self.k));
        Ok(vec![ValueType::new(x.dtype, shape.clone()), ValueType::new(DType::I64, shape)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let axis = position(self.axis, shape.len());
        let (length, inner) = (x.shape()[axis], elements(&shape[axis + 1..]));
        let (from, to) = (lines(x.shape(), axis), lines(shape, axis));
        fn ranked<T: Element>(at: impl Fn(usize) -> T, length: usize, largest: bool) -> Vec<usize> {
            let mut indices: Vec<usize> = (0..length).collect();
            // A stable sort: of equal elements the lower index stays first.
            indices.sort_by(|&i, &j| {
                let order = order(&at(i), &at(j));
                if largest { order.reverse() } else { order }
            });
            indices
        }
        let mut indices = vec![0i64; elements(shape)];
        let mut taken = vec![0; elements(shape)];
        for (&from, &to) in from.iter().zip(&to) {
            let ranked = by_type!(
                Data, x.data(),
                v => ranked(|i| v[from + i * inner], length, self.largest)
            );
            for (rank, &index) in ranked[..self.k].iter().enumerate() {
                indices[to + rank * inner] = index as i64;
                taken[to + rank * inner] = from + index * inner;
            }
        }
        let best = by_type!(Data, x.data(), v => Data::of(taken.iter().map(|&i| v[i]).collect()));
        vec![result(shape, best), result(shape, indices)]
    }
}

impl Operator for Cumulative {
    fn name(&self) -> &'static str {
        if self.product { "CumProd" } else { "CumSum" }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::numbers(inputs, ["x"], [])?;
        arguments.axis_of_one_sample(self.axis)?;
        Ok(vec![arguments.required[0].clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let axis = position(self.axis, shape.len());
        fn run<T: Copy>(
            op: &Cumulative,
            x: &[T],
            shape: &[usize],
            axis: usize,
            neutral: T,
            join: impl Fn(T, T) -> T,
        ) -> Vec<T> {
            let (length, inner) = (shape[axis], elements(&shape[axis + 1..]));
            let mut all = x.to_vec();
            for first in lines(shape, axis) {
                let mut total = neutral;
                for step in 0..length {
                    let at = first + if op.reverse { length - 1 - step } else { step } * inner;
                    let with = join(total, x[at]);
                    all[at] = if op.exclusive { total } else { with };
                    total = with;
                }
            }
            all
        }
        vec![if x.dtype().is_float() {
            let x64 = reals(x);
            let all = if self.product {
                run(self, &x64, shape, axis, 1.0, |a, b| a * b)
            } else {
                run(self, &x64, shape, axis, 0.0, |a, b| a + b)
            };
            real_result(x.dtype(), shape, all)
        } else {
            let whole = integers(x);
            let all = if self.product {
                run(self, &whole, shape, axis, 1, i128::wrapping_mul)
            } else {
                run(self, &whole, shape, axis, 0, i128::wrapping_add)
            };
            integer_result(x.dtype(), shape, all)
        }]
    }
}

impl Operator for ReverseSequence {
    fn name(&self) -> &'static str {
        "ReverseSequence"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["x", "lengths"], [])?;
        let [x, lengths] = arguments.required;
        arguments.dtype("lengths", lengths, DType::I64)?;
        let dims = x.shape.dims();
        let (Some(time), Some(&sequences)) = (dims.get(self.time_axis), dims.get(self.batch_axis)) else {
            return Err(Problem::new("two axes that x has", format!("{self:?} of {arguments}")));
        };
        if self.time_axis == self.batch_axis || time.is_batch() {
            return Err(Problem::new(
                "a time axis that is not the batch",
                format!("{self:?} of {arguments}"),
            ));
        }
        arguments.shape("lengths", Some(lengths), &[sequences], "the sequences of x")?;
        Ok(vec![x.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let lengths = tensor(inputs, 1).as_i64().expect("the shape rule checks that lengths are i64");
        let inner = |axis: usize| elements(&shape[axis + 1..]);
        let (time, sequences) = (shape[self.time_axis], shape[self.batch_axis]);
        let step = inner(self.time_axis);
        let turned: Vec<usize> = (0..x.len())
            .map(|at| {
                let (t, sequence) = (at / step % time, at / inner(self.batch_axis) % sequences);
                let length = usize::try_from(lengths[sequence]).unwrap_or(0).min(time);
                if t < length { at - t * step + (length - 1 - t) * step } else { at }
            })
            .collect();
        vec![result(shape, by_type!(Data, x.data(), v => Data::of(turned.iter().map(|&i| v[i]).collect())))]
    }
}
