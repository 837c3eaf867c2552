//! Moving elements between layouts: one plane, the two innermost axes, at a time.
//!
//! Reading or writing a matrix down its columns touches a cache line an element. So a plane that runs along different
//! axes in source and destination is moved in square blocks, which fit the cache whichever way they are walked.

use super::row::{load_up_to, map};
use super::vector::Vector;

/// Two axes, and how to step along them in the source and in the destination; strides count elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    /// Steps along each axis.
    pub lengths: [usize; 2],
    /// From one step to the next in the source.
    pub src_strides: [usize; 2],
    /// From one step to the next in the destination.
    pub dst_strides: [usize; 2],
}

impl Plane {
    /// The same elements with the axis along which the destination is contiguous last, if there is one.
    fn along_destination(self) -> Self {
        if self.dst_strides[1] == 1 || self.dst_strides[0] != 1 {
            return self;
        }
        let swap = |[a, b]: [usize; 2]| [b, a];
        Plane {
            lengths: swap(self.lengths),
            src_strides: swap(self.src_strides),
            dst_strides: swap(self.dst_strides),
        }
    }
}

/// The edge of a block of [`copy`]: a line of eight-byte elements.
const BLOCK: usize = 8;

/// Copies a plane of elements of any size.
///
/// # Safety
/// The elements that `plane` names are readable at `src` and writable at `dst`, the two apart.
pub(crate) unsafe fn copy<T: Copy>(plane: Plane, src: *const T, dst: *mut T) {
    let plane = plane.along_destination();
    let ([rows, columns], [src_row, src_column], [dst_row, dst_column]) =
        (plane.lengths, plane.src_strides, plane.dst_strides);
    // SAFETY: the caller's promise; every element is one of the plane.
    unsafe {
        if (src_column, dst_column) == (1, 1) {
            for i in 0..rows {
                std::ptr::copy_nonoverlapping(src.add(i * src_row), dst.add(i * dst_row), columns);
            }
            return;
        }
        for first_row in (0..rows).step_by(BLOCK) {
            for first_column in (0..columns).step_by(BLOCK) {
                for i in first_row..rows.min(first_row + BLOCK) {
                    for j in first_column..columns.min(first_column + BLOCK) {
                        *dst.add(i * dst_row + j * dst_column) = *src.add(i * src_row + j * src_column);
                    }
                }
            }
        }
    }
}

/// [`copy`] for elements of four bytes, which are transposed in registers.
///
/// # Safety
/// As for [`copy`]; the machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn copy_f32<V: Vector>(plane: Plane, src: *const f32, dst: *mut f32) {
    let plane = plane.along_destination();
    let ([rows, columns], [src_row, src_column], [dst_row, dst_column]) =
        (plane.lengths, plane.src_strides, plane.dst_strides);
    // SAFETY: the caller's promise.
    unsafe {
        if (src_column, dst_column) == (1, 1) {
            for i in 0..rows {
                map!(src.add(i * src_row), dst.add(i * dst_row), columns, |x: V| x);
            }
        } else if (src_row, dst_column) == (1, 1) {
            // Columns of the destination are contiguous in the source.
            transpose::<V>(src, src_column, dst, dst_row, columns, rows);
        } else {
            copy(plane, src, dst);
        }
    }
}

/// `dst[j * dst_stride + i] = src[i * src_stride + j]` for `i < rows` and `j < columns`.
///
/// # Safety
/// The elements are readable and writable, `src` and `dst` apart. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn transpose<V: Vector>(
    src: *const f32,
    src_stride: usize,
    dst: *mut f32,
    dst_stride: usize,
    rows: usize,
    columns: usize,
) {
    const { assert!(V::LANES <= 16) };
    for i in (0..rows).step_by(V::LANES) {
        let count = (rows - i).min(V::LANES);
        for j in (0..columns).step_by(V::LANES) {
            // SAFETY: `count` rows from i on, and up to a register of columns from j on, lie inside.
            unsafe {
                let mut block = [V::zero(); 16];
                for (r, row) in block.iter_mut().enumerate().take(count) {
                    *row = load_up_to(src.add((i + r) * src_stride + j), columns - j);
                }
                let to = dst.add(j * dst_stride + i);
                V::store_transposed(&block[..V::LANES], count, to, dst_stride, (columns - j).min(V::LANES));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::set::KernelSet;

    /// A plane, by the definition; elements that are not named stay -1.
    fn expected(plane: Plane, src: &[f32], len: usize) -> Vec<f32> {
        let mut dst = vec![-1.0; len];
        for i in 0..plane.lengths[0] {
            for j in 0..plane.lengths[1] {
                dst[i * plane.dst_strides[0] + j * plane.dst_strides[1]] =
                    src[i * plane.src_strides[0] + j * plane.src_strides[1]];
            }
        }
        dst
    }

    #[test]
    fn planes_are_copied_whatever_their_strides() {
        for (rows, columns) in
            [0, 1, 3, 15, 16, 17, 33].into_iter().flat_map(|r| [0, 1, 7, 16, 40].map(|c| (r, c)))
        {
            let layouts = [
                [columns, 1],
                [columns + 3, 1],
                [1, rows],
                [1, rows + 5],
                [2 * columns + 1, 2],
                [3, 3 * rows + 1],
            ];
            for (src_strides, dst_strides) in layouts.into_iter().flat_map(|s| layouts.map(|d| (s, d))) {
                let plane = Plane { lengths: [rows, columns], src_strides, dst_strides };
                let extent = |strides: [usize; 2]| rows * strides[0] + columns * strides[1] + 1;
                let src: Vec<f32> = (0..extent(src_strides)).map(|i| i as f32).collect();
                let want = expected(plane, &src, extent(dst_strides));
                let mut got = vec![-1.0; want.len()];
                // SAFETY: the extents hold the plane.
                unsafe { copy(plane, src.as_ptr(), got.as_mut_ptr()) };
                assert_eq!(got, want, "{plane:?}");
                for set in KernelSet::all() {
                    got.fill(-1.0);
                    // SAFETY: as above.
                    unsafe { (set.copy_f32)(plane, src.as_ptr(), got.as_mut_ptr()) };
                    assert_eq!(got, want, "{plane:?} on {}", set.isa);
                }
            }
        }
    }
}
