//! Layers that only give their input another shape.

use paceline_graph::{Dim, Op, Reshape, Shape, Value, axis_position};

use crate::{BuildError, Layer, Module, Parameters, Scope};

/// Merges a run of axes into one. `torch.nn.Flatten`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten {
    first: isize,
    last: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten::new()
    }
}

impl Flatten {
    /// All axes but the batch: `[N, ...]` to `[N, elements]`.
    pub fn new() -> Self {
        Flatten::axes(1, -1)
    }

    /// Axes `start_dim` to `end_dim` inclusive; a negative one counts from the end.
    pub fn axes(start_dim: isize, end_dim: isize) -> Self {
        Flatten { first: start_dim, last: end_dim }
    }
}

impl Module for Flatten {
    fn parameters(&self, _: &mut Parameters) {}
}

impl Layer for Flatten {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let ty = scope.value_type(x);
        let dims = ty.shape.dims();
        let axes = axis_position(self.first, dims.len()).zip(axis_position(self.last, dims.len()));
        let Some((first, last)) = axes.filter(|(first, last)| first <= last) else {
            let expected = format!("an input with axes {} to {}", self.first, self.last);
            return Err(scope.problem(expected, ty.to_string()));
        };
        let merged = dims[first..=last].iter().fold(Dim::Fixed(1), |merged, &d| product(merged, d));
        let dims = [&dims[..first], &[merged], &dims[last + 1..]].concat();
        scope.add("", Op::Reshape(Reshape { shape: Shape::new(dims) }), &[Some(x)])
    }
}

/// Splits one axis into several. `torch.nn.Unflatten`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unflatten {
    axis: isize,
    sizes: Vec<usize>,
}

impl Unflatten {
    /// Axis `dim`, not the batch, into axes of these lengths; a negative one counts from the end.
    pub fn new(dim: isize, sizes: impl Into<Vec<usize>>) -> Self {
        Unflatten { axis: dim, sizes: sizes.into() }
    }
}

impl Module for Unflatten {
    fn parameters(&self, _: &mut Parameters) {}
}

impl Layer for Unflatten {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let ty = scope.value_type(x);
        let dims = ty.shape.dims();
        let Some(axis) = axis_position(self.axis, dims.len()) else {
            return Err(scope.problem(format!("an input with an axis {}", self.axis), ty.to_string()));
        };
        let sizes: Vec<Dim> = self.sizes.iter().map(|&size| Dim::Fixed(size)).collect();
        let dims = [&dims[..axis], &sizes, &dims[axis + 1..]].concat();
        scope.add("", Op::Reshape(Reshape { shape: Shape::new(dims) }), &[Some(x)])
    }
}

/// The length of two axes merged. At most one of them is the batch.
fn product(a: Dim, b: Dim) -> Dim {
    let length = a.per_sample().saturating_mul(b.per_sample());
    if a.is_batch() || b.is_batch() { Dim::Batch(length) } else { Dim::Fixed(length) }
}
