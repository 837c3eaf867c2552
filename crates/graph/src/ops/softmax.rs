//! Softmax and its relatives, along one axis that is not the batch.

use super::Operator;
use super::check::Arguments;
use super::index::{elements, lines, position};
use super::operands::{real_result, reals, sum, tensor};
use crate::{Problem, Tensor, ValueType};

/// `exp(x - max) / sum(exp(x - max))` along one axis, which may not be the batch.
///
/// Input: f32 or f64 of any shape. Output: the same shape. A slice of only `-inf` gives NaN, as PyTorch does. Source: ONNX Softmax-13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

/// `x - max - ln(sum(exp(x - max)))` along one axis, which may not be the batch.
///
/// Input: f32 or f64 of any shape. Output: the same shape. Source: ONNX LogSoftmax-13, torch.nn.LogSoftmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSoftmax {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

/// 1 for the first of the largest elements along one axis, which may not be the batch, else 0.
///
/// Input: f32 or f64 of any shape; where one is NaN, the first NaN counts as the largest. Output: the same shape. Source: ONNX Hardmax-13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardmax {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

fn infer(axis: isize, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
    let arguments = Arguments::<1>::floats(inputs, ["x"], [])?;
    arguments.axis_of_one_sample(axis)?;
    Ok(vec![arguments.required[0].clone()])
}

/// Replaces every line along `axis` by what `function` makes of it.
fn by_line(
    axis: isize,
    inputs: &[Option<&Tensor>],
    shape: &[usize],
    function: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<Tensor> {
    let x = tensor(inputs, 0);
    let axis = position(axis, shape.len());
    let (length, inner) = (shape[axis], elements(&shape[axis + 1..]));
    let mut values = reals(x);
    for first in lines(shape, axis) {
        let line: Vec<f64> = (0..length).map(|i| values[first + i * inner]).collect();
        for (i, value) in function(&line).into_iter().enumerate() {
            values[first + i * inner] = value;
        }
    }
    vec![real_result(x.dtype(), shape, values)]
}

fn largest(line: &[f64]) -> f64 {
    line.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        infer(self.axis, inputs)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        by_line(self.axis, inputs, &outputs[0], |line| {
            let max = largest(line);
            let total = sum(line.iter().map(|x| (x - max).exp()));
            line.iter().map(|x| (x - max).exp() / total).collect()
        })
    }
}

impl Operator for LogSoftmax {
    fn name(&self) -> &'static str {
        "LogSoftmax"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        infer(self.axis, inputs)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        by_line(self.axis, inputs, &outputs[0], |line| {
            let max = largest(line);
            let logarithm = sum(line.iter().map(|x| (x - max).exp())).ln();
            line.iter().map(|x| x - max - logarithm).collect()
        })
    }
}

impl Operator for Hardmax {
    fn name(&self) -> &'static str {
        "Hardmax"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        infer(self.axis, inputs)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        by_line(self.axis, inputs, &outputs[0], |line| {
            let nan = line.iter().position(|x| x.is_nan());
            let first = nan.or_else(|| line.iter().position(|&x| x == largest(line)));
            (0..line.len()).map(|i| f64::from(u8::from(Some(i) == first))).collect()
        })
    }
}
