//! `torch.nn.ConvTranspose1d`.

use paceline_graph::{self as graph, Op, Value};

use crate::parameter::elements;
use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// Transposed convolution: `[N, in_channels, L]` to `[N, out_channels, L']`. `torch.nn.ConvTranspose1d`.
///
/// Parameters: `weight [in_channels, out_channels / groups, kernel]`, `bias [out_channels]`. The output's length is
/// `(L - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose1d {
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
    dilation: usize,
    groups: usize,
    bias: bool,
}

impl ConvTranspose1d {
    /// Stride 1, no padding, dilation 1, one group, with a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: usize) -> Self {
        ConvTranspose1d {
            in_channels,
            out_channels,
            kernel: kernel_size,
            stride: 1,
            padding: 0,
            output_padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
        }
    }

    /// Step between windows in the output. Default: 1.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Taken from both ends of the output. Default: 0.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Added to the end of the output; less than the stride or the dilation. Default: 0.
    pub fn output_padding(mut self, output_padding: usize) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// Distance between taps. Default: 1.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    /// Groups of channels that do not see each other; divides both numbers of channels. Default: 1.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Whether there is a bias. Default: true.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Module for ConvTranspose1d {
    fn parameters(&self, parameters: &mut Parameters) {
        let shape = [self.in_channels, self.out_channels.checked_div(self.groups).unwrap_or(0), self.kernel];
        // PyTorch computes the fan from the weight's second axis here as well.
        let initial = Initial::fan_in(elements(&shape[1..]));
        parameters.parameter("weight", shape, initial);
        if self.bias {
            parameters.parameter("bias", [self.out_channels], initial);
        }
    }
}

impl Layer for ConvTranspose1d {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        if self.output_padding >= self.stride.max(self.dilation) {
            return Err(scope.problem(
                format!(
                    "an output_padding less than the stride ({}) or the dilation ({})",
                    self.stride, self.dilation
                ),
                self.output_padding.to_string(),
            ));
        }
        let op = graph::ConvTranspose {
            stride: vec![self.stride],
            padding: vec![(self.padding, self.padding)],
            output_padding: vec![self.output_padding],
            dilation: vec![self.dilation],
            groups: self.groups,
            activation: None,
        };
        let weight = scope.parameter("weight")?;
        let bias = scope.optional_parameter(self.bias, "bias")?;
        scope.add("", Op::ConvTranspose(op), &[Some(x), Some(weight), bias])
    }
}
