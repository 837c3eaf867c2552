//! Operators that move elements and compute nothing.

use super::Operator;
use crate::{Problem, Shape, Tensor, ValueType};

/// The same elements in row-major order under another shape. Elements of different samples stay apart: what comes before
/// the batch axis must have the same number of elements in both shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The new shape.
    pub shape: Shape,
}

/// Permutes the axes: output axis `i` is input axis `permutation[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// Each of `0..rank` once.
    pub permutation: Vec<usize>,
}

/// Joins tensors, equal but for one axis, along that axis, which may not be the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

/// Elements `start, start + step, ...` before `end` of one axis, which may not be the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// First element taken.
    pub start: usize,
    /// First element not taken; at most the axis's length.
    pub end: usize,
    /// Distance between elements taken, at least 1.
    pub step: usize,
}

/// Cuts one axis, which may not be the batch, into consecutive pieces: one output a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// Lengths of the pieces; their sum is the axis's length.
    pub sizes: Vec<usize>,
}

/// Adds elements before and after the axes; the batch axis takes none.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Elements added before and after each axis.
    pub pads: Vec<(usize, usize)>,
    /// What the added elements are.
    pub value: f32,
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        "Split"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
