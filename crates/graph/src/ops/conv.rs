//! Convolution and its transpose.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::elements;
use super::operands::{f32s, integer_result, integers, optional, optional_f32s, reals, rounded, sum, tensor};
use super::unary::activate;
use super::window::{Windows, counts, covered, image};
use crate::{Activation, DType, Dim, Problem, Tensor, ValueType};

/// Convolution over one to three spatial axes (cross-correlation, as everywhere in the field):
/// `activation(conv(x, weight) + bias + residual)`.
///
/// Inputs: `x [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]`, `weight [M, C / groups, kernel...]`, optional `bias [M]`, optional
/// `residual` of the output's shape; all f32, or all of one integer type, without activation, whose sums wrap. Output: `[N, M, ...]`, each spatial axis of length
/// `(length + begin + end - dilation * (kernel - 1) - 1) / stride + 1`. Source: ONNX Conv-11, torch.nn.Conv1d, Conv2d.
#[derive(Clone, Debug, PartialEq)]
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

/// Transposed convolution over one to three spatial axes: `activation(conv_transpose(x, weight) + bias)`.
///
/// Inputs: `x [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]`, `weight [C, M / groups, kernel...]`, optional `bias [M]`. Output:
/// `[N, M, ...]`, each spatial axis of length `(L - 1) * stride - begin - end + dilation * (kernel - 1) + output_padding + 1`. Source: ONNX ConvTranspose-11,
/// torch.nn.ConvTranspose1d, ConvTranspose2d.
#[derive(Clone, Debug, PartialEq)]
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
        let arguments = Arguments::<2, 2>::numbers(inputs, ["x", "weight"], ["bias", "residual"])?;
        let dtype = arguments.required[0].dtype;
        let plain = self.activation.is_none() && dtype != DType::F64;
        arguments.expect(dtype == DType::F32 || plain, || "f32, or integers without an activation".into())?;
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
        Ok(vec![ValueType::new(dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x_shape, weight_shape) = (tensor(inputs, 0).shape(), tensor(inputs, 1).shape());
        let [_, out, counts @ ..] = &outputs[0][..] else { unreachable!("the shape rule gives three axes") };
        let [_, inner, kernel @ ..] = weight_shape else { unreachable!("the shape rule checks weight") };
        let windows = Windows::new(kernel, &self.stride, &self.padding, &self.dilation).expect("as in infer");
        let (length, taps, places) = (elements(&x_shape[2..]), elements(kernel), elements(counts));
        // The channel of an element of the output, and the places in x and in the weight of what is multiplied for it.
        let terms = |at: usize| {
            let (plane, place) = (at / places, at % places);
            let m = plane % out;
            // Without channels a window may cover any number of elements.
            if *inner == 0 {
                return (m, Vec::new());
            }
            let window = covered(&windows, &x_shape[2..], counts, place);
            let first = plane / out * x_shape[1] + m / (out / self.groups) * inner;
            let channel = |c| {
                let (x, weight) = ((first + c) * length, (m * inner + c) * taps);
                window.iter().map(move |&(tap, i)| (x + i, weight + tap))
            };
            (m, (0..*inner).flat_map(channel).collect())
        };
        let x = tensor(inputs, 0);
        vec![if x.dtype() == DType::F32 {
            let (x, weight) = (reals(x), reals(tensor(inputs, 1)));
            let (bias, residual) = (optional_f32s(inputs, 2), optional_f32s(inputs, 3));
            let values = (0..elements(&outputs[0])).map(|at| {
                let (m, terms) = terms(at);
                let product = sum(terms.into_iter().map(|(i, j)| x[i] * weight[j]));
                let bias = bias.map_or(0.0, |bias| f64::from(bias[m]));
                let residual = residual.map_or(0.0, |residual| f64::from(residual[at]));
                activate(self.activation, product + bias + residual)
            });
            rounded(&outputs[0], values)
        } else {
            let (dtype, x, weight) = (x.dtype(), integers(x), integers(tensor(inputs, 1)));
            let (bias, residual) = (optional(inputs, 2).map(integers), optional(inputs, 3).map(integers));
            let values = (0..elements(&outputs[0])).map(|at| {
                let (m, terms) = terms(at);
                let add = |sum: i128, (i, j): (usize, usize)| sum.wrapping_add(x[i].wrapping_mul(weight[j]));
                let product = terms.into_iter().fold(0, add);
                let bias = bias.as_ref().map_or(0, |bias| bias[m]);
                product.wrapping_add(bias + residual.as_ref().map_or(0, |residual| residual[at]))
            });
            integer_result(dtype, &outputs[0], values)
        }]
    }
}

impl ConvTranspose {
    /// The windows of the convolution of which this is the transpose: it goes from this one's output to its input.
    fn windows(&self, kernel: &[usize]) -> Result<Vec<Windows>, Problem> {
        Windows::new(kernel, &self.stride, &self.padding, &self.dilation)
    }

    /// The length of an axis of the output; `None` when it is not at least 1, or overflows.
    fn length(&self, windows: Windows, length: usize, output_padding: usize) -> Option<usize> {
        let whole = length.checked_sub(1)?.checked_mul(windows.stride)?.checked_add(windows.reach()?)?;
        let whole = whole.checked_add(output_padding)?;
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
        if self.output_padding.len() != self.stride.len() {
            let got = format!("strides {:?}, output paddings {:?}", self.stride, self.output_padding);
            return Err(Problem::new("one stride and one output padding for each spatial axis", got));
        }
        let (samples, channels, lengths) = image(&arguments, self.stride.len())?;
        let (weight_channels, each, kernel) = weight_lengths(&arguments, lengths.len())?;
        check_groups(&arguments, self.groups, channels, "x")?;
        arguments.expect(weight_channels == channels, || {
            format!("weight [{channels}, M / groups, kernel...] to match x")
        })?;
        let windows = self.windows(&kernel)?;
        for (windows, &padding) in windows.iter().zip(&self.output_padding) {
            if padding >= windows.stride.max(windows.dilation) {
                return Err(Problem::new(
                    "an output padding smaller than the stride or the dilation",
                    format!(
                        "output padding {padding}, stride {}, dilation {}",
                        windows.stride, windows.dilation
                    ),
                ));
            }
        }
        let out_lengths: Option<Vec<usize>> = windows
            .iter()
            .zip(lengths.iter().zip(&self.output_padding))
            .map(|(&windows, (&length, &padding))| self.length(windows, length, padding))
            .collect();
        let (Some(out), Some(out_lengths)) = (each.checked_mul(self.groups), out_lengths) else {
            let got = format!("{self:?} of {arguments}");
            return Err(Problem::new(
                "an output whose channels and lengths, of at least 1, fit in memory",
                got,
            ));
        };
        let out = Dim::Fixed(out);
        arguments.shape("bias", bias, &[out], "weight and groups")?;
        let dims: Vec<Dim> =
            [samples, out].into_iter().chain(out_lengths.into_iter().map(Dim::Fixed)).collect();
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let [_, channels, lengths @ ..] = tensor(inputs, 0).shape() else {
            unreachable!("the shape rule checks x")
        };
        let [_, each, kernel @ ..] = tensor(inputs, 1).shape() else {
            unreachable!("the shape rule checks weight")
        };
        let [samples, out, out_lengths @ ..] = &outputs[0][..] else {
            unreachable!("the shape rule gives three axes")
        };
        let (x, weight, bias) = (f32s(inputs, 0), f32s(inputs, 1), optional_f32s(inputs, 2));
        let windows = self.windows(kernel).expect("as in infer");
        let (length, out_length, taps) = (elements(lengths), elements(out_lengths), elements(kernel));
        let inner = channels / self.groups;
        let mut values: Vec<f64> = (0..samples * out * out_length)
            .map(|at| bias.map_or(0.0, |bias| f64::from(bias[at / out_length % out])))
            .collect();
        // Without channels there may be any number of places.
        for i in 0..if inner == 0 { 0 } else { length } {
            let window = covered(&windows, out_lengths, lengths, i);
            for plane in 0..samples * out {
                let (n, m) = (plane / out, plane % out);
                for c in m / each * inner..(m / each + 1) * inner {
                    let x = f64::from(x[(n * channels + c) * length + i]);
                    for &(tap, o) in &window {
                        values[plane * out_length + o] +=
                            x * f64::from(weight[(c * each + m % each) * taps + tap]);
                    }
                }
            }
        }
        let values = values.into_iter().map(|value| activate(self.activation, value));
        vec![rounded(&outputs[0], values)]
    }
}
