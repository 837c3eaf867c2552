//! Zero-padded copies of images, so that a window of a convolution never has to ask whether it lies inside.

use super::set::KernelSet;
use super::vector::Vector;

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

    /// Writes the padded copies of as many planes as `from` holds.
    ///
    /// # Panics
    /// If `from` is no whole number of planes, or `to` too short.
    pub fn copy(&self, set: &KernelSet, from: &[f32], to: &mut [f32]) {
        let plane = self.input[0] * self.input[1];
        let planes = from.len() / plane;
        assert_eq!(planes * plane, from.len(), "planes of {:?}", self.input);
        assert!(planes * self.plane_stride <= to.len(), "{planes} padded planes in {}", to.len());
        assert!((0..2).all(|axis| self.begin[axis] + self.input[axis] <= self.size[axis]), "{self:?}");
        assert!(
            self.size[1] <= self.row_stride && self.size[0] * self.row_stride <= self.plane_stride,
            "{self:?}"
        );
        // SAFETY: the lengths were checked; holding a set proves the instruction set.
        unsafe { (set.pad)(self, planes, from.as_ptr(), to.as_mut_ptr()) }
    }
}

/// The kernel of [`Padded::copy`].
///
/// # Safety
/// `planes` planes lie at `from`, and as many padded ones at `to`, within which the plane fits.
#[inline(always)]
pub(crate) unsafe fn pad<V: Vector>(padded: &Padded, planes: usize, from: *const f32, to: *mut f32) {
    let &Padded { input: [height, width], begin: [top, left], size: [rows, _], row_stride, plane_stride } =
        padded;
    for plane in 0..planes {
        for y in 0..rows {
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
