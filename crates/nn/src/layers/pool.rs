//! Pooling over windows of one or two spatial axes.

use paceline_graph::{self as graph, Op, Value};

use super::Axes;
use super::axes::both_sides;
use crate::{BuildError, Layer, Module, Parameters, Scope};

/// `torch.nn.MaxPool1d`: `[N, C, L]`.
pub type MaxPool1d = MaxPool<1>;
/// `torch.nn.MaxPool2d`: `[N, C, H, W]`.
pub type MaxPool2d = MaxPool<2>;
/// `torch.nn.AvgPool1d`: `[N, C, L]`.
pub type AvgPool1d = AvgPool<1>;
/// `torch.nn.AvgPool2d`: `[N, C, H, W]`.
pub type AvgPool2d = AvgPool<2>;
/// `torch.nn.AdaptiveAvgPool1d`: `[N, C, L]`.
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// `torch.nn.AdaptiveAvgPool2d`: `[N, C, H, W]`.
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;

/// The largest element of each window. Windows that reach beyond the padding are left out (`ceil_mode=False`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool<const R: usize> {
    kernel: Axes<R>,
    stride: Axes<R>,
    padding: Axes<R>,
    dilation: Axes<R>,
}

impl<const R: usize> MaxPool<R> {
    /// Windows side by side, no padding, dilation 1.
    pub fn new(kernel_size: impl Into<Axes<R>>) -> Self {
        let kernel = kernel_size.into();
        MaxPool { kernel, stride: kernel, padding: 0.into(), dilation: 1.into() }
    }

    /// Step between windows. Default: the kernel size.
    pub fn stride(mut self, stride: impl Into<Axes<R>>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Elements around the input that never win; at most half the kernel. Default: 0.
    pub fn padding(mut self, padding: impl Into<Axes<R>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Distance between the elements of a window. Default: 1.
    pub fn dilation(mut self, dilation: impl Into<Axes<R>>) -> Self {
        self.dilation = dilation.into();
        self
    }
}

impl<const R: usize> Module for MaxPool<R> {
    fn parameters(&self, _: &mut Parameters) {}
}

impl<const R: usize> Layer for MaxPool<R> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let op = graph::MaxPool {
            kernel: self.kernel.0.into(),
            stride: self.stride.0.into(),
            padding: both_sides(self.padding),
            dilation: self.dilation.0.into(),
            ceil: false,
            indices: false,
        };
        scope.add("", Op::MaxPool(op), &[Some(x)])
    }
}

/// The mean of each window. Windows that reach beyond the padding are left out (`ceil_mode=False`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool<const R: usize> {
    kernel: Axes<R>,
    stride: Axes<R>,
    padding: Axes<R>,
    count_include_pad: bool,
}

impl<const R: usize> AvgPool<R> {
    /// Windows side by side, no padding.
    pub fn new(kernel_size: impl Into<Axes<R>>) -> Self {
        let kernel = kernel_size.into();
        AvgPool { kernel, stride: kernel, padding: 0.into(), count_include_pad: true }
    }

    /// Step between windows. Default: the kernel size.
    pub fn stride(mut self, stride: impl Into<Axes<R>>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Zeros around the input; at most half the kernel. Default: 0.
    pub fn padding(mut self, padding: impl Into<Axes<R>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Whether the padding counts as elements of the mean. Default: true.
    pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }
}

impl<const R: usize> Module for AvgPool<R> {
    fn parameters(&self, _: &mut Parameters) {}
}

impl<const R: usize> Layer for AvgPool<R> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let op = graph::AveragePool {
            kernel: self.kernel.0.into(),
            stride: self.stride.0.into(),
            padding: both_sides(self.padding),
            dilation: vec![1; R],
            ceil: false,
            count_include_pad: self.count_include_pad,
        };
        scope.add("", Op::AveragePool(op), &[Some(x)])
    }
}

/// Means over windows chosen so that the output has a given size.
///
/// An output size of 1 averages everything. Another one must divide the input's, so that all windows are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool<const R: usize> {
    output: Axes<R>,
}

impl<const R: usize> AdaptiveAvgPool<R> {
    /// To an output of this size.
    pub fn new(output_size: impl Into<Axes<R>>) -> Self {
        AdaptiveAvgPool { output: output_size.into() }
    }

    /// The window that gives the output size, which is also the step between windows.
    fn window(&self, scope: &Scope<'_>, x: Value) -> Result<Vec<usize>, BuildError> {
        let ty = scope.value_type(x);
        let window = self.output.0.iter().enumerate().map(|(axis, &output)| {
            super::fixed_length(ty, axis + 2)
                .filter(|length| output > 0 && *length > 0 && length % output == 0)
                .map(|length| length / output)
        });
        window.collect::<Option<Vec<_>>>().filter(|_| ty.shape.rank() == R + 2).ok_or_else(|| {
            let expected =
                format!("an input [N, C, ...] with {R} spatial axes divisible by {:?}", self.output.0);
            scope.problem(expected, ty.to_string())
        })
    }
}

impl<const R: usize> Module for AdaptiveAvgPool<R> {
    fn parameters(&self, _: &mut Parameters) {}
}

impl<const R: usize> Layer for AdaptiveAvgPool<R> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let kernel = self.window(scope, x)?;
        let op = if self.output.0 == [1; R] {
            Op::GlobalAveragePool(graph::GlobalAveragePool {})
        } else {
            Op::AveragePool(graph::AveragePool::new(kernel))
        };
        scope.add("", op, &[Some(x)])
    }
}
