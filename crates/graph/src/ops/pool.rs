//! Pooling over windows of one or two spatial axes.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// Largest element of each window; NaN if one is NaN. Padding counts as `-inf`.
///
/// Input: `x [N, C, L]` or `[N, C, H, W]`. Output lengths as for [`crate::Conv`]. A padding may be at most half its kernel, as in
/// PyTorch. Source: torch.nn.MaxPool1d, MaxPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between the elements of a window.
    pub dilation: Vec<usize>,
}

/// Mean of each window.
///
/// Input: `x [N, C, L]` or `[N, C, H, W]`. Source: torch.nn.AvgPool1d, AvgPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Whether padding counts as zeros in the mean (PyTorch's default) or is left out.
    pub count_include_pad: bool,
}

/// Mean over all spatial axes, which stay with length 1.
///
/// Input: `x [N, C, ...]`. Output: `[N, C, 1...]`. Source: ONNX GlobalAveragePool-1, torch.nn.AdaptiveAvgPool1d(1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePool {}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
