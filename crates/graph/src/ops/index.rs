//! Where the elements of a dense row-major tensor lie. Arithmetic saturates: only in a shape without elements can it
//! go out of range, and there nothing is ever reached through it.

use crate::axis_position;

/// Number of elements of a shape.
pub(super) fn elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &length| n.saturating_mul(length))
}

/// The distance in elements between neighbours along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| elements(&shape[axis + 1..])).collect()
}

/// The offset of every index of `shape`, in row-major order, where a step along each axis moves by its stride.
pub(super) fn offsets(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    if shape.contains(&0) {
        return Vec::new();
    }
    shape.iter().zip(strides).fold(vec![0], |offsets, (&length, &stride)| {
        let along =
            |offset: usize| (0..length).map(move |i: usize| offset.saturating_add(i.saturating_mul(stride)));
        offsets.iter().flat_map(|&offset| along(offset)).collect()
    })
}

/// The position of `axis`, which the shape rule has checked, among `rank` axes.
///
/// # Panics
/// If there is no such axis.
pub(super) fn position(axis: isize, rank: usize) -> usize {
    axis_position(axis, rank).unwrap_or_else(|| panic!("axis {axis} of {rank}"))
}

/// The offset of the first element of every line along `axis`.
pub(super) fn lines(shape: &[usize], axis: usize) -> Vec<usize> {
    let mut first = shape.to_vec();
    first[axis] = first[axis].min(1);
    offsets(&first, &strides(shape))
}
