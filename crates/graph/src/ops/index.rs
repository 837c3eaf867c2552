//! Where the elements of a dense row-major tensor lie. Arithmetic saturates: only in a shape without elements can it
//! go out of range, and there nothing is ever reached through it.

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

/// The position of `axis`, which may be negative and which the shape rule has checked, among `rank` axes.
pub(super) fn position(axis: isize, rank: usize) -> usize {
    if axis < 0 { rank - axis.unsigned_abs() } else { axis.unsigned_abs() }
}

/// The offset of the first element of every line along `axis`.
pub(super) fn lines(shape: &[usize], axis: usize) -> Vec<usize> {
    let mut first = shape.to_vec();
    first[axis] = first[axis].min(1);
    offsets(&first, &strides(shape))
}
