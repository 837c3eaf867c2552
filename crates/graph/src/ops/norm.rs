//! Softmax and the normalisations.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// `exp(x - max) / sum(exp(x - max))` along one axis, which may not be the batch.
///
/// Input: f32 of any shape. Output: the same shape. A slice of only `-inf` gives NaN, as PyTorch does. Source: ONNX Softmax-13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

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

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for RmsNorm {
    fn name(&self) -> &'static str {
        "RmsNorm"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNorm"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for GroupNorm {
    fn name(&self) -> &'static str {
        "GroupNorm"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
