//! `torch.nn.Conv1d` and `Conv2d`.

use paceline_graph::{self as graph, Op, Value};

use super::axes::both_sides;
use super::{Axes, Padding};
use crate::parameter::elements;
use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// `torch.nn.Conv1d`: `[N, in_channels, L]` to `[N, out_channels, L']`.
pub type Conv1d = Conv<1>;
/// `torch.nn.Conv2d`: `[N, in_channels, H, W]` to `[N, out_channels, H', W']`.
pub type Conv2d = Conv<2>;

/// Convolution over `R` spatial axes, padded with zeros.
///
/// Parameters: `weight [out_channels, in_channels / groups, kernel...]`, `bias [out_channels]`. An output axis has the length
/// `(length + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv<const R: usize> {
    in_channels: usize,
    out_channels: usize,
    kernel: [usize; R],
    stride: [usize; R],
    padding: Padding<R>,
    dilation: [usize; R],
    groups: usize,
    bias: bool,
}

impl<const R: usize> Conv<R> {
    /// Stride 1, no padding, dilation 1, one group, with a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<Axes<R>>) -> Self {
        Conv {
            in_channels,
            out_channels,
            kernel: kernel_size.into().0,
            stride: [1; R],
            padding: Padding::from(0),
            dilation: [1; R],
            groups: 1,
            bias: true,
        }
    }

    /// Step between windows. Default: 1.
    pub fn stride(mut self, stride: impl Into<Axes<R>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Zeros around the input. Default: none.
    pub fn padding(mut self, padding: impl Into<Padding<R>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Distance between taps. Default: 1.
    pub fn dilation(mut self, dilation: impl Into<Axes<R>>) -> Self {
        self.dilation = dilation.into().0;
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

    fn channels_per_group(&self) -> usize {
        self.in_channels.checked_div(self.groups).unwrap_or(0)
    }

    fn padding_of_each_side(&self, scope: &Scope<'_>) -> Result<Vec<(usize, usize)>, BuildError> {
        match self.padding {
            Padding::Zeros(zeros) => Ok(both_sides(zeros)),
            Padding::Same if self.stride != [1; R] => {
                Err(scope.problem("a stride of 1 with Padding::Same", format!("{:?}", self.stride)))
            }
            Padding::Same => Ok(std::iter::zip(self.kernel, self.dilation)
                .map(|(kernel, dilation)| {
                    let total = kernel.saturating_sub(1).saturating_mul(dilation);
                    (total / 2, total - total / 2)
                })
                .collect()),
        }
    }
}

impl<const R: usize> Module for Conv<R> {
    fn parameters(&self, parameters: &mut Parameters) {
        let shape = [&[self.out_channels, self.channels_per_group()], &self.kernel[..]].concat();
        let initial = Initial::fan_in(elements(&shape[1..]));
        parameters.parameter("weight", shape, initial);
        if self.bias {
            parameters.parameter("bias", [self.out_channels], initial);
        }
    }
}

impl<const R: usize> Layer for Conv<R> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let op = graph::Conv {
            stride: self.stride.into(),
            padding: self.padding_of_each_side(scope)?,
            dilation: self.dilation.into(),
            groups: self.groups,
            activation: None,
        };
        let weight = scope.parameter("weight")?;
        let bias = scope.optional_parameter(self.bias, "bias")?;
        scope.add("", Op::Conv(op), &[Some(x), Some(weight), bias])
    }
}
