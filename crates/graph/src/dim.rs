//! Shapes with a symbolic batch axis.

use std::fmt;

/// The length of one axis: known, or a multiple of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A length known when the graph is built.
    Fixed(usize),
    /// This many elements a sample: `Batch(1)` is the batch axis itself, `Batch(32)` is the batch axis merged with an axis
    /// of 32, as `[N, 32, d]` reshaped to `[N * 32, d]` has it.
    Batch(usize),
}

impl Dim {
    /// The batch axis.
    pub const BATCH: Dim = Dim::Batch(1);

    /// Whether the length depends on the batch.
    pub fn is_batch(self) -> bool {
        matches!(self, Dim::Batch(_))
    }

    /// The length when the batch has `batch` samples; saturates, so that a hostile batch is a length nothing can have.
    pub fn resolve(self, batch: usize) -> usize {
        match self {
            Dim::Fixed(length) => length,
            Dim::Batch(each) => each.saturating_mul(batch),
        }
    }

    /// The length, or for a batch dimension its length for one sample.
    pub fn per_sample(self) -> usize {
        self.resolve(1)
    }
}

impl From<usize> for Dim {
    fn from(length: usize) -> Self {
        Dim::Fixed(length)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(length) => write!(f, "{length}"),
            Dim::Batch(1) => f.write_str("N"),
            Dim::Batch(each) => write!(f, "{each}N"),
        }
    }
}

/// The axes of a value. At most one of them is a batch dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<Dim>);

impl Shape {
    /// A shape of these axes.
    pub fn new(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Shape(dims.into_iter().map(Into::into).collect())
    }

    /// `[N, per_sample...]`.
    pub fn batched(per_sample: &[usize]) -> Self {
        Shape(std::iter::once(Dim::BATCH).chain(per_sample.iter().map(|&d| Dim::Fixed(d))).collect())
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The axes in order.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// The axis whose length depends on the batch, if one does.
    pub fn batch_axis(&self) -> Option<usize> {
        self.0.iter().position(|d| d.is_batch())
    }

    /// The lengths when the batch has `batch` samples.
    pub fn resolve(&self, batch: usize) -> Vec<usize> {
        self.0.iter().map(|d| d.resolve(batch)).collect()
    }

    /// Elements in one sample (all elements, when no axis is a batch dimension); `None` when the product of any of the axes
    /// overflows, so that strides and sizes of parts need no care of their own, even beside an axis of length 0.
    pub fn elements_per_sample(&self) -> Option<usize> {
        checked_elements(self.0.iter().map(|d| d.per_sample()))
    }

    /// The lengths, when none depends on the batch.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        self.batch_axis().is_none().then(|| self.resolve(1))
    }
}

/// Which of `rank` axes `axis` means, where a negative one counts from the end: -1 is the last. `None` if there is no such axis.
pub fn axis_position(axis: isize, rank: usize) -> Option<usize> {
    let position = if axis < 0 { rank.checked_add_signed(axis)? } else { axis.unsigned_abs() };
    (position < rank).then_some(position)
}

/// Number of elements of a shape; `None` when the product of its lengths, those of 0 left out, overflows.
pub(crate) fn checked_elements(lengths: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let product = lengths.clone().try_fold(1usize, |n, length| n.checked_mul(length.max(1)))?;
    Some(if lengths.into_iter().any(|length| length == 0) { 0 } else { product })
}

impl<D: Into<Dim>, const R: usize> From<[D; R]> for Shape {
    fn from(dims: [D; R]) -> Self {
        Shape::new(dims)
    }
}

impl From<Vec<Dim>> for Shape {
    fn from(dims: Vec<Dim>) -> Self {
        Shape(dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape::new(dims.iter().copied())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::axis_position;

    #[test]
    fn a_negative_axis_counts_from_the_end() {
        for (axis, rank, expected) in [
            (0, 3, Some(0)),
            (2, 3, Some(2)),
            (3, 3, None),
            (-1, 3, Some(2)),
            (-3, 3, Some(0)),
            (-4, 3, None),
            (0, 0, None),
            (-1, 0, None),
            (isize::MAX, 3, None),
            (isize::MIN, 3, None),
        ] {
            assert_eq!(axis_position(axis, rank), expected, "axis {axis} of {rank}");
        }
    }
}
