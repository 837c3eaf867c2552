//! Sizes given for one or two spatial axes, as PyTorch takes them: one number for all, or one each.

/// A number for each of `R` spatial axes. Made from one number for all of them, or from an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axes<const R: usize>(pub [usize; R]);

impl<const R: usize> From<usize> for Axes<R> {
    fn from(all: usize) -> Self {
        Axes([all; R])
    }
}

impl<const R: usize> From<[usize; R]> for Axes<R> {
    fn from(each: [usize; R]) -> Self {
        Axes(each)
    }
}

/// What a convolution adds around its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding<const R: usize> {
    /// This many zeros on both sides of each axis. Zero is what PyTorch also calls `valid`.
    Zeros(Axes<R>),
    /// As much as makes the output as long as the input, the odd one at the end. Needs a stride of 1.
    Same,
}

impl<const R: usize> From<usize> for Padding<R> {
    fn from(all: usize) -> Self {
        Padding::Zeros(all.into())
    }
}

impl<const R: usize> From<[usize; R]> for Padding<R> {
    fn from(each: [usize; R]) -> Self {
        Padding::Zeros(each.into())
    }
}

/// The same amount before and after each axis.
pub(super) fn both_sides<const R: usize>(axes: Axes<R>) -> Vec<(usize, usize)> {
    axes.0.iter().map(|&p| (p, p)).collect()
}
