//! Zero-padded copies of images, so that a window of a convolution never has to ask whether it lies inside.

use std::ops::Range;

use super::set::KernelSet;
use super::vector::Vector;
use crate::division::within;

/// Planes laid into the midst of larger ones, zero elsewhere. One axis is a height of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padded {
    /// Height and width of a plane.
    pub input: [usize; 2],
    /// Zero rows above and zero columns before it.
    pub begin: [usize; 2],
    /// Height and width of the padded plane.
    pub size: [usize; 2],
    /// From one row of the padded plane to the next.
    pub row_stride: usize,
    /// From one padded plane to the next.
    pub plane_stride: usize,
}

/// The values of a cache line.
const LINE: usize = 16;

impl Padded {
    /// Planes of `input` values with `padding` before and after each axis.
    pub fn new(input: [usize; 2], padding: [(usize, usize); 2]) -> Self {
        let begin = padding.map(|(before, _)| before);
        let size = [0, 1].map(|axis| padding[axis].0 + input[axis] + padding[axis].1);
        // Rows begin on cache lines where that costs little; planes an odd number of lines apart, so that the same
        // place in all of them does not fall into a few sets of the cache.
        let (row_stride, plane_stride) = match (size == input, size[1] < LINE) {
            (true, _) => (size[1], size[0] * size[1]),
            (_, true) => (size[1], (size[0] * size[1]).next_multiple_of(LINE) | LINE),
            _ => (size[1].next_multiple_of(LINE), (size[0] * size[1].next_multiple_of(LINE)) | LINE),
        };
        Self { input, begin, size, row_stride, plane_stride }
    }

    /// Whether the padded plane is the plane itself.
    pub fn is_plain(&self) -> bool {
        self.input == self.size
    }

    /// Writes some rows of the padded copies of the planes that `from` holds; rows are those of all padded planes.
    ///
    /// # Panics
    /// If `from` is no whole number of planes or has no such rows, or `to` is too short.
    ///
    /// # Safety
    /// Nobody else uses these rows of `to`.
    pub unsafe fn copy(&self, set: &KernelSet, from: &[f32], to: *mut [f32], rows: Range<usize>) {
        let plane = self.input[0] * self.input[1];
        let planes = from.len() / plane;
        assert_eq!(planes * plane, from.len(), "planes of {:?}", self.input);
        assert!(planes * self.plane_stride <= to.len(), "{planes} padded planes in {}", to.len());
        assert!(rows.end <= planes * self.size[0], "{rows:?} of {planes} padded planes");
        assert!((0..2).all(|axis| self.begin[axis] + self.input[axis] <= self.size[axis]), "{self:?}");
        assert!(
            self.size[1] <= self.row_stride && self.size[0] * self.row_stride <= self.plane_stride,
            "{self:?}"
        );
        // SAFETY: the lengths were checked; holding a set proves the instruction set; the caller's promise.
        unsafe { (set.pad)(self, rows, from.as_ptr(), to.cast()) }
    }
}

/// The kernel of [`Padded::copy`].
///
/// # Safety
/// The planes with these rows lie at `from`; at `to` there is room for their padded ones, within which the plane fits.
#[inline(always)]
pub(crate) unsafe fn pad<V: Vector>(padded: &Padded, rows: Range<usize>, from: *const f32, to: *mut f32) {
    let &Padded { input: [height, width], begin: [top, left], size, row_stride, plane_stride } = padded;
    for (plane, rows) in within(rows, size[0]) {
        for y in rows {
            let inside = (top..top + height).contains(&y);
            let row = from.wrapping_add((plane * height + y.saturating_sub(top)) * width).wrapping_sub(left);
            for x in (0..row_stride).step_by(V::LANES) {
                let begin = left.saturating_sub(x);
                let end = if inside { (left + width).saturating_sub(x).min(V::LANES) } else { 0 };
                // SAFETY: the lanes from `begin` to `end` lie within the row; the stores within the padded row.
                unsafe {
                    let values = if begin == 0 && end == V::LANES {
                        V::load(row.wrapping_add(x))
                    } else if begin < end {
                        V::load_lanes(row.wrapping_add(x), begin, end)
                    } else {
                        V::zero()
                    };
                    let to = to.add(plane * plane_stride + y * row_stride + x);
                    if x + V::LANES <= row_stride {
                        values.store(to);
                    } else {
                        values.store_first(to, row_stride - x);
                    }
                }
            }
        }
    }
}
