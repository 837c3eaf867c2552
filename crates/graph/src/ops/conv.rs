//! Convolution and its transpose.

use super::Operator;
use crate::{Activation, Problem, Tensor, ValueType};

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

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
