//! Normalisations.

use super::Operator;
use super::check::{Arguments, check_epsilon, fixed};
use super::index::elements;
use super::operands::{f32s, optional_f32s, rounded, sum};
use crate::{Dim, Problem, Tensor, ValueType};

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axes; the variance is the biased one.
///
/// Inputs: `x`, optional `weight` and `bias`, both of the shape of the last `axes` axes of `x`. Output: `x`'s shape.
/// Source: torch.nn.LayerNorm, ONNX LayerNormalization-17.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// How many trailing axes are normalised together.
    pub axes: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last axes.
///
/// Inputs: `x`, optional `weight` of the shape of the last `axes` axes of `x`. Output: `x`'s shape. Source: torch.nn.RMSNorm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// How many trailing axes are normalised together.
    pub axes: usize,
    /// Added to the mean square.
    pub epsilon: f32,
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` for each channel, with the stored statistics.
///
/// Inputs: `x [N, C, ...]`, `mean [C]`, `variance [C]`, optional `weight [C]`, optional `bias [C]`. Output: `x`'s shape. Source:
/// torch.nn.BatchNorm1d, BatchNorm2d in evaluation mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f32,
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` with the statistics of a group of channels of one sample.
///
/// Inputs: `x [N, C, ...]`, optional `weight [C]` and `bias [C]`. Output: `x`'s shape. Source: torch.nn.GroupNorm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the number of channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

/// `x / (bias + alpha / size * s)^beta`, `s` being the sum of the squares of the elements of the nearest `size` channels (of an even
/// number, one more after than before).
///
/// Input: `x [N, C, ...]`. Output: `x`'s shape. Source: ONNX LRN-13, torch.nn.LocalResponseNorm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Channels that are summed over, at least 1.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// The power.
    pub beta: f32,
    /// Added before the power is taken.
    pub bias: f32,
}

/// Mean and biased variance; NaN of no elements.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = sum(values.iter().copied()) / n;
    (mean, sum(values.iter().map(|v| (v - mean) * (v - mean))) / n)
}

/// Checks that the last `axes` axes of the first input may be normalised together and returns them.
fn normalised_axes<'a, const O: usize>(
    arguments: &Arguments<'a, 1, O>,
    axes: usize,
) -> Result<&'a [Dim], Problem> {
    let dims = arguments.required[0].shape.dims();
    let lead = dims.len().checked_sub(axes).filter(|_| axes > 0).ok_or_else(|| {
        Problem::new(
            "at least one axis to normalise, and no more than x has",
            format!("{axes} axes of {arguments}"),
        )
    })?;
    let problem = || {
        Problem::new("last axes of which none is the batch", format!("the last {axes} axes of {arguments}"))
    };
    fixed(&dims[lead..]).ok_or_else(problem)?;
    Ok(&dims[lead..])
}

/// Checks that the first input is `[N, C, ...]` with the batch, if any, as axis 0, and returns C.
fn channels<const R: usize, const O: usize>(arguments: &Arguments<'_, R, O>) -> Result<usize, Problem> {
    match arguments.required[0].shape.dims() {
        [_, rest @ ..] if fixed(rest).is_some_and(|rest| !rest.is_empty()) => Ok(rest[0].per_sample()),
        _ => Err(arguments.problem("x [N, C, ...], in which only axis 0 may be the batch")),
    }
}

/// `value * weight[index] + bias[index]`, either left out where there is none.
fn scaled(value: f64, weight: Option<&[f32]>, bias: Option<&[f32]>, index: usize) -> f64 {
    let weight = weight.map_or(1.0, |weight| f64::from(weight[index]));
    let bias = bias.map_or(0.0, |bias| f64::from(bias[index]));
    value * weight + bias
}

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        check_epsilon(self.epsilon)?;
        let arguments = Arguments::<1, 2>::f32(inputs, ["x"], ["weight", "bias"])?;
        let normalised = normalised_axes(&arguments, self.axes)?;
        let [weight, bias] = arguments.optional;
        arguments.shape("weight", weight, normalised, "the last axes of x")?;
        arguments.shape("bias", bias, normalised, "the last axes of x")?;
        Ok(vec![arguments.required[0].clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (weight, bias) = (optional_f32s(inputs, 1), optional_f32s(inputs, 2));
        vec![by_row(f32s(inputs, 0), &outputs[0], self.axes, |row| {
            let (mean, variance) = moments(row);
            let deviation = (variance + f64::from(self.epsilon)).sqrt();
            row.iter().enumerate().map(|(i, v)| scaled((v - mean) / deviation, weight, bias, i)).collect()
        })]
    }
}

impl Operator for RmsNorm {
    fn name(&self) -> &'static str {
        "RmsNorm"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        check_epsilon(self.epsilon)?;
        let arguments = Arguments::<1, 1>::f32(inputs, ["x"], ["weight"])?;
        let normalised = normalised_axes(&arguments, self.axes)?;
        arguments.shape("weight", arguments.optional[0], normalised, "the last axes of x")?;
        Ok(vec![arguments.required[0].clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let weight = optional_f32s(inputs, 1);
        vec![by_row(f32s(inputs, 0), &outputs[0], self.axes, |row| {
            let mean_square = sum(row.iter().map(|v| v * v)) / row.len() as f64;
            let root = (mean_square + f64::from(self.epsilon)).sqrt();
            row.iter().enumerate().map(|(i, v)| scaled(v / root, weight, None, i)).collect()
        })]
    }
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNorm"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        check_epsilon(self.epsilon)?;
        let arguments = Arguments::<3, 2>::f32(inputs, ["x", "mean", "variance"], ["weight", "bias"])?;
        let per_channel = [Dim::Fixed(channels(&arguments)?)];
        let ([x, mean, variance], [weight, bias]) = (arguments.required, arguments.optional);
        let named = [("mean", Some(mean)), ("variance", Some(variance)), ("weight", weight), ("bias", bias)];
        for (name, ty) in named {
            arguments.shape(name, ty, &per_channel, "the channels of x")?;
        }
        Ok(vec![x.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (mean, variance) = (f32s(inputs, 1), f32s(inputs, 2));
        let (weight, bias) = (optional_f32s(inputs, 3), optional_f32s(inputs, 4));
        let shape = &outputs[0];
        let (channels, inner) = (shape[1], elements(&shape[2..]));
        let values = f32s(inputs, 0).iter().enumerate().map(|(index, &x)| {
            let channel = index / inner % channels;
            let deviation = (f64::from(variance[channel]) + f64::from(self.epsilon)).sqrt();
            scaled((f64::from(x) - f64::from(mean[channel])) / deviation, weight, bias, channel)
        });
        vec![rounded(shape, values)]
    }
}

impl Operator for GroupNorm {
    fn name(&self) -> &'static str {
        "GroupNorm"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        check_epsilon(self.epsilon)?;
        let arguments = Arguments::<1, 2>::f32(inputs, ["x"], ["weight", "bias"])?;
        let channels = channels(&arguments)?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let expected = format!("a number of groups that divides the {channels} channels");
            return Err(Problem::new(expected, format!("{} groups of {arguments}", self.groups)));
        }
        let [weight, bias] = arguments.optional;
        arguments.shape("weight", weight, &[Dim::Fixed(channels)], "the channels of x")?;
        arguments.shape("bias", bias, &[Dim::Fixed(channels)], "the channels of x")?;
        Ok(vec![arguments.required[0].clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (weight, bias) = (optional_f32s(inputs, 1), optional_f32s(inputs, 2));
        let shape = &outputs[0];
        let (channels, inner) = (shape[1], elements(&shape[2..]));
        let x: Vec<f64> = f32s(inputs, 0).iter().map(|&v| f64::from(v)).collect();
        let mut values = Vec::with_capacity(x.len());
        for group in x.chunks((channels / self.groups * inner).max(1)) {
            let (mean, variance) = moments(group);
            let deviation = (variance + f64::from(self.epsilon)).sqrt();
            for v in group {
                let channel = values.len() / inner % channels;
                values.push(scaled((v - mean) / deviation, weight, bias, channel));
            }
        }
        vec![rounded(shape, values)]
    }
}

impl Operator for Lrn {
    fn name(&self) -> &'static str {
        "LRN"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        channels(&arguments)?;
        if self.size == 0 || ![self.alpha, self.beta, self.bias].iter().all(|x| x.is_finite()) {
            return Err(Problem::new("a size of at least 1 and finite factors", format!("{self:?}")));
        }
        Ok(vec![arguments.required[0].clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (shape, x) = (&outputs[0], f32s(inputs, 0));
        let (channels, inner) = (shape[1], elements(&shape[2..]));
        let (before, after) = ((self.size - 1) / 2, self.size / 2);
        let values = x.iter().enumerate().map(|(index, &v)| {
            let channel = index / inner % channels;
            let near = channel.saturating_sub(before)..channels.min(channel.saturating_add(after) + 1);
            let squares = near.map(|c| f64::from(x[index - channel * inner + c * inner]).powi(2));
            let mean = f64::from(self.alpha) / self.size as f64 * sum(squares);
            f64::from(v) / (f64::from(self.bias) + mean).powf(f64::from(self.beta))
        });
        vec![rounded(shape, values)]
    }
}

/// Replaces each row, which is what the last `axes` axes hold, by what `normalise` makes of it.
fn by_row(x: &[f32], shape: &[usize], axes: usize, normalise: impl Fn(&[f64]) -> Vec<f64>) -> Tensor {
    let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let length = elements(&shape[shape.len() - axes..]);
    rounded(shape, x.chunks(length.max(1)).flat_map(normalise))
}
