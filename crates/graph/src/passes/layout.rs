//! Where the elements of a reshaped and transposed value lie in the value it came from.
//!
//! A [`Layout`] describes each axis by the runs of elements it steps through, outermost first; what several operators do to
//! the order of elements can then be compared without looking at how they did it.
//!
//! **Not here**: slices and joins. A layout holds every element of its origin once.

use super::site::Site;
use crate::{Dim, Op, Shape, Value};

/// `length` elements, `stride` elements of the origin apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    length: Dim,
    stride: Dim,
}

/// For each axis the runs of elements it steps through; neighbours that are one run are one, and none has length 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    axes: Vec<Vec<Run>>,
}

impl Layout {
    /// Row-major order. `None` for a shape that has no elements, or two batch axes.
    pub(super) fn contiguous(shape: &Shape) -> Option<Self> {
        let mut stride = Dim::Fixed(1);
        let mut axes = Vec::with_capacity(shape.rank());
        for &length in shape.dims().iter().rev() {
            axes.push(joined([Run { length, stride }]));
            stride = times(stride, length)?;
        }
        axes.reverse();
        Some(Layout { axes })
    }

    /// Axis `i` of the result is axis `permutation[i]`.
    pub(super) fn permuted(&self, permutation: &[usize]) -> Self {
        Layout { axes: permutation.iter().map(|&axis| self.axes[axis].clone()).collect() }
    }

    /// The same elements in the same order under another shape; `None` where an axis of it is no combination of whole runs.
    pub(super) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        let mut runs = joined(self.axes.iter().flatten().copied());
        runs.reverse();
        let axes = shape.dims().iter().map(|&length| take(&mut runs, length)).collect::<Option<_>>()?;
        runs.is_empty().then_some(Layout { axes })
    }

    /// The permutation that makes `self` from `origin`, if one does.
    pub(super) fn permutation_of(&self, origin: &Layout) -> Option<Vec<usize>> {
        let mut free: Vec<usize> = (0..origin.axes.len()).collect();
        let permutation = self.axes.iter().map(|axis| {
            let found = free.iter().position(|&from| origin.axes[from] == *axis)?;
            Some(free.remove(found))
        });
        let permutation = permutation.collect::<Option<Vec<_>>>()?;
        free.is_empty().then_some(permutation)
    }
}

/// Takes runs of `length` elements altogether from the end of `runs`.
fn take(runs: &mut Vec<Run>, length: Dim) -> Option<Vec<Run>> {
    let mut rest = length;
    let mut taken = Vec::new();
    while rest != Dim::Fixed(1) {
        let run = runs.pop()?;
        if let Some(beyond) = over(rest, run.length) {
            rest = beyond;
            taken.push(run);
        } else {
            let inner = Run { length: over(run.length, rest)?, stride: run.stride };
            taken.push(Run { length: rest, stride: times(inner.stride, inner.length)? });
            runs.push(inner);
            rest = Dim::Fixed(1);
        }
    }
    Some(joined(taken))
}

/// The same elements in the fewest runs.
fn joined(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        if run.length == Dim::Fixed(1) {
            continue;
        }
        match joined.last_mut() {
            Some(outer) if times(run.stride, run.length) == Some(outer.stride) => {
                match times(outer.length, run.length) {
                    Some(length) => *outer = Run { length, stride: run.stride },
                    None => joined.push(run),
                }
            }
            _ => joined.push(run),
        }
    }
    joined
}

fn times(a: Dim, b: Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_mul(b).filter(|&n| n > 0).map(Dim::Fixed),
        (Dim::Fixed(a), Dim::Batch(b)) | (Dim::Batch(a), Dim::Fixed(b)) => {
            a.checked_mul(b).filter(|&n| n > 0).map(Dim::Batch)
        }
        (Dim::Batch(_), Dim::Batch(_)) => None,
    }
}

/// `a / b`, where that has no remainder.
fn over(a: Dim, b: Dim) -> Option<Dim> {
    let exact = |a: usize, b: usize| (b > 0 && a.is_multiple_of(b)).then(|| a / b);
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) | (Dim::Batch(a), Dim::Batch(b)) => exact(a, b).map(Dim::Fixed),
        (Dim::Batch(a), Dim::Fixed(b)) => exact(a, b).map(Dim::Batch),
        (Dim::Fixed(_), Dim::Batch(_)) => None,
    }
}

/// `value` and the values it is made from by reshaping and transposing alone, nearest first. `also` may name further nodes to
/// look through: it is given a value and returns the one it is made from.
pub(super) fn origins(site: &Site<'_>, value: Value, also: impl Fn(Value) -> Option<Value>) -> Vec<Value> {
    std::iter::successors(Some(value), |&value| match site.producer(value) {
        Some(node) if matches!(node.op, Op::Reshape(_) | Op::Transpose(_)) => node.input(0),
        _ => also(value),
    })
    .collect()
}

/// The layout of `chain[0]` in `chain.last()`, where `chain` is a beginning of what [`origins`] returned.
pub(super) fn layout_along(site: &Site<'_>, chain: &[Value]) -> Option<Layout> {
    let origin = site.ty(*chain.last()?);
    chain.iter().rev().skip(1).try_fold(Layout::contiguous(&origin.shape)?, |layout, &value| {
        match &site.producer(value)?.op {
            Op::Reshape(_) => layout.reshaped(&site.ty(value).shape),
            Op::Transpose(transpose) => Some(layout.permuted(&transpose.permutation)),
            _ => Some(layout),
        }
    })
}
