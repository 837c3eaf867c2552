//! Broadcasting as in NumPy: shapes are aligned at their last axis, and an axis of length 1 stretches to any length.

use super::index::strides;
use crate::Dim;

/// The shape that two shapes broadcast to; `None` where they do not. An axis that depends on the batch stretches to nothing
/// else, and the result has at most one.
pub(super) fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let aligned = |dims: &[Dim], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(own) => dims[own],
        None => Dim::Fixed(1),
    };
    let dims: Vec<Dim> = (0..rank)
        .map(|axis| match (aligned(a, axis), aligned(b, axis)) {
            (a, b) if a == b => Some(a),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other),
            _ => None,
        })
        .collect::<Option<_>>()?;
    (dims.iter().filter(|d| d.is_batch()).count() <= 1).then_some(dims)
}

/// The strides that walk a dense tensor of shape `from` as if it had the shape `to`, which `from` broadcasts to.
pub(super) fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = from.iter().zip(strides(from)).map(|(&length, stride)| if length == 1 { 0 } else { stride });
    std::iter::repeat_n(0, to.len() - from.len()).chain(own).collect()
}
