//! Convolution and its transpose.

use super::Operator;
use super::check::{Arguments, fixed};
use super::elementwise::activate;
use super::index::elements;
use super::operands::{f32s, optional_f32s, rounded, sum, tensor};
use super::window::{Windows, counts, covered, image};
use crate::{Activation, DType, Dim, Problem, Tensor, ValueType};

/// Convolution over one or two spatial axes (cross-correlation, as everywhere in the field):
/// `activation(conv(x, weight) + bias + residual)`.
///
/// Inputs: `x [N, C, L]` or `[N, C, H, W]`, `weight [M, C / groups, kernel...]`, optional `bias [M]`, optional `residual` of the
/// output's shape. Output: `[N, M, ...]`, each spatial axis of length
/// `(length + begin + end - dilation * (kernel - 1) - 1) / stride + 1`. Source: ONNX Conv-11, torch.nn.Conv1d, Conv2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Step between windows, one a spatial axis.
    pub stride: Vec<usize>,
    /// Zeros added before and after each spatial axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between taps, one a spatial axis.
    pub dilation: Vec<usize>,
    /// Channels are split into this many groups that do not see each other.
    pub groups: usize,
    /// Applied last.
    pub activation: Option<Activation>,
}

impl Conv {
    /// Stride 1, no padding, dilation 1, one group, over `spatial` axes.
    pub fn new(spatial: usize) -> Self {
        Conv {
            stride: vec![1; spatial],
            padding: vec![(0, 0); spatial],
            dilation: vec![1; spatial],
            groups: 1,
            activation: None,
        }
    }
}

/// Transposed convolution over one spatial axis: `activation(conv_transpose(x, weight) + bias)`.
///
/// Inputs: `x [N, C, L]`, `weight [C, M / groups, kernel]`, optional `bias [M]`. Output: `[N, M, length]` of length
/// `(L - 1) * stride - begin - end + dilation * (kernel - 1) + output_padding + 1`. Source: ONNX ConvTranspose-11,
/// torch.nn.ConvTranspose1d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTranspose {
    /// Step between windows in the output, one a spatial axis.
    pub stride: Vec<usize>,
    /// Taken from the beginning and end of each spatial axis of the output.
    pub padding: Vec<(usize, usize)>,
    /// Added to the end of each spatial axis of the output.
    pub output_padding: Vec<usize>,
    /// Distance between taps, one a spatial axis.
    pub dilation: Vec<usize>,
    /// Channels are split into this many groups that do not see each other.
    pub groups: usize,
    /// Applied last.
    pub activation: Option<Activation>,
}

impl ConvTranspose {
    /// Stride 1, no padding, dilation 1, one group, over `spatial` axes.
    pub fn new(spatial: usize) -> Self {
        ConvTranspose {
            stride: vec![1; spatial],
            padding: vec![(0, 0); spatial],
            output_padding: vec![0; spatial],
            dilation: vec![1; spatial],
            groups: 1,
            activation: None,
        }
    }
}

/// Checks that `groups` divides `channels`, which are those of `what`.
fn check_groups<const O: usize>(
    arguments: &Arguments<'_, 2, O>,
    groups: usize,
    channels: usize,
    what: &str,
) -> Result<(), Problem> {
    if groups > 0 && channels.is_multiple_of(groups) {
        return Ok(());
    }
    let expected = format!("a number of groups that divides the {channels} channels of {what}");
    Err(Problem::new(expected, format!("{groups} groups of {arguments}")))
}

/// The lengths of a weight of `axes` spatial axes: two channel axes, then the kernel.
fn weight_lengths<const O: usize>(
    arguments: &Arguments<'_, 2, O>,
    axes: usize,
) -> Result<(usize, usize, Vec<usize>), Problem> {
    match fixed(arguments.required[1].shape.dims()).as_deref() {
        Some([first, second, kernel @ ..]) if kernel.len() == axes => Ok((*first, *second, kernel.to_vec())),
        _ => Err(arguments.problem(format!("a weight of {} axes, none of which is the batch", axes + 2))),
    }
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2, 2>::f32(inputs, ["x", "weight"], ["bias", "residual"])?;
        let [bias, residual] = arguments.optional;
        let (samples, channels, lengths) = image(&arguments, self.stride.len())?;
        let (out, inner, kernel) = weight_lengths(&arguments, lengths.len())?;
        check_groups(&arguments, self.groups, channels, "x")?;
        check_groups(&arguments, self.groups, out, "the weight")?;
        arguments.expect(inner == channels / self.groups, || {
            format!("weight [M, {}, kernel...] to match x in {} groups", channels / self.groups, self.groups)
        })?;
        let windows = Windows::new(&kernel, &self.stride, &self.padding, &self.dilation)?;
        let counts = counts(&arguments, &windows, &lengths)?;
        let channels = Dim::Fixed(out);
        let dims: Vec<Dim> =
            [samples, channels].into_iter().chain(counts.into_iter().map(Dim::Fixed)).collect();
        arguments.shape("bias", bias, &[channels], "weight")?;
        arguments.shape("residual", residual, &dims, "the output")?;
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x_shape, weight_shape) = (tensor(inputs, 0).shape(), tensor(inputs, 1).shape());
        let (x, weight) = (f32s(inputs, 0), f32s(inputs, 1));
        let (bias, residual) = (optional_f32s(inputs, 2), optional_f32s(inputs, 3));
        let [samples, out, counts @ ..] = &outputs[0][..] else {
            unreachable!("the shape rule gives three axes")
        };
        let [_, inner, kernel @ ..] = weight_shape else { unreachable!("the shape rule checks weight") };
        let windows = Windows::new(kernel, &self.stride, &self.padding, &self.dilation).expect("as in infer");
        let windows = covered(&windows, &x_shape[2..], counts);
        let (length, taps) = (elements(&x_shape[2..]), elements(kernel));
        let mut values = Vec::new();
        for n in 0..*samples {
            for m in 0..*out {
                let first = n * x_shape[1] + m / (out / self.groups) * inner;
                for window in &windows {
                    let products = (0..*inner).flat_map(|c| {
                        let x = &x[(first + c) * length..][..length];
                        let weight = &weight[(m * inner + c) * taps..][..taps];
                        window.iter().map(move |&(tap, i)| f64::from(x[i]) * f64::from(weight[tap]))
                    });
                    let bias = bias.map_or(0.0, |bias| f64::from(bias[m]));
                    let residual = residual.map_or(0.0, |residual| f64::from(residual[values.len()]));
                    values.push(activate(self.activation, sum(products) + bias + residual));
                }
            }
        }
        vec![rounded(&outputs[0], values)]
    }
}

impl ConvTranspose {
    /// The windows of the convolution of which this is the transpose: it goes from this one's output to its input.
    fn windows(&self, kernel: &[usize]) -> Result<Vec<Windows>, Problem> {
        Windows::new(kernel, &self.stride, &self.padding, &self.dilation)
    }

    /// The length of the output; `None` when it is not at least 1, or overflows.
    fn length(&self, windows: Windows, length: usize) -> Option<usize> {
        let whole = length.checked_sub(1)?.checked_mul(windows.stride)?.checked_add(windows.reach()?)?;
        let whole = whole.checked_add(self.output_padding[0])?;
        whole.checked_sub(windows.padding.0)?.checked_sub(windows.padding.1).filter(|&length| length > 0)
    }
}

impl Operator for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2, 1>::f32(inputs, ["x", "weight"], ["bias"])?;
        let [bias] = arguments.optional;
        if self.stride.len() != 1 || self.output_padding.len() != 1 {
            let got = format!("strides {:?}, output paddings {:?}", self.stride, self.output_padding);
            return Err(Problem::new("one spatial axis: one stride and one output padding", got));
        }
        let (samples, channels, lengths) = image(&arguments, 1)?;
        let (weight_channels, each, kernel) = weight_lengths(&arguments, 1)?;
        check_groups(&arguments, self.groups, channels, "x")?;
        arguments.expect(weight_channels == channels, || {
            format!("weight [{channels}, M / groups, kernel] to match x")
        })?;
        let [windows] = self.windows(&kernel)?[..] else { unreachable!("there is one stride") };
        if self.output_padding[0] >= windows.stride.max(windows.dilation) {
            return Err(Problem::new(
                "an output padding smaller than the stride or the dilation",
                format!(
                    "output padding {}, stride {}, dilation {}",
                    self.output_padding[0], windows.stride, windows.dilation
                ),
            ));
        }
        let sizes = (each.checked_mul(self.groups), self.length(windows, lengths[0]));
        let (Some(out), Some(length)) = sizes else {
            let got = format!("{self:?} of {arguments}");
            return Err(Problem::new(
                "an output whose channels and length, of at least 1, fit in memory",
                got,
            ));
        };
        let out = Dim::Fixed(out);
        arguments.shape("bias", bias, &[out], "weight and groups")?;
        Ok(vec![ValueType::new(DType::F32, [samples, out, Dim::Fixed(length)])])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let [_, channels, length] = *tensor(inputs, 0).shape() else {
            unreachable!("the shape rule checks x")
        };
        let [_, each, taps] = *tensor(inputs, 1).shape() else {
            unreachable!("the shape rule checks weight")
        };
        let [samples, out, out_length] = outputs[0][..] else {
            unreachable!("the shape rule gives three axes")
        };
        let (x, weight, bias) = (f32s(inputs, 0), f32s(inputs, 1), optional_f32s(inputs, 2));
        let windows = covered(&self.windows(&[taps]).expect("as in infer"), &[out_length], &[length]);
        let inner = channels / self.groups;
        let mut values = Vec::new();
        for n in 0..samples {
            for m in 0..out {
                let mut row = vec![bias.map_or(0.0, |bias| f64::from(bias[m])); out_length];
                let group = m / each;
                for c in group * inner..(group + 1) * inner {
                    for (i, window) in windows.iter().enumerate() {
                        let x = f64::from(x[(n * channels + c) * length + i]);
                        for &(tap, o) in window {
                            row[o] += x * f64::from(weight[(c * each + m % each) * taps + tap]);
                        }
                    }
                }
                values.extend(row.into_iter().map(|v| activate(self.activation, v)));
            }
        }
        vec![rounded(&outputs[0], values)]
    }
}
