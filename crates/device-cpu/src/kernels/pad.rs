//! Zero-padded copies of images, so that a window of a convolution never has to ask whether it lies inside.

use super::set::KernelSet;
use super::vector::Vector;

/// Planes of `input` values laid into the midst of larger ones, zero elsewhere. One axis is a height of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padded {
    /// Height and width of a plane.
    pub input: [usize; 2],
    /// Zero rows above and zero columns before it.
    pub begin: [usize; 2],
    /// Height and width of the padded plane.
    pub size: [usize; 2],
}

impl Padded {
    /// Whether the padded plane is the plane itself.
    pub fn is_plain(&self) -> bool {
        self.input == self.size
    }

    /// The values of a padded plane.
    pub fn floats(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Writes the padded copies of as many planes as `from` holds.
    ///
    /// # Panics
    /// If `from` is no whole number of planes, or `to` too short.
    pub fn copy(&self, set: &KernelSet, from: &[f32], to: &mut [f32]) {
        let plane = self.input[0] * self.input[1];
        let planes = from.len() / plane;
        assert_eq!(planes * plane, from.len(), "planes of {:?}", self.input);
        assert!(planes * self.floats() <= to.len(), "{planes} padded planes in {}", to.len());
        assert!((0..2).all(|axis| self.begin[axis] + self.input[axis] <= self.size[axis]), "{self:?}");
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
    let &Padded { input: [height, width], begin: [top, left], size: [rows, columns] } = padded;
    // SAFETY: the caller's promise: every run of values below lies inside its plane.
    unsafe {
        for plane in 0..planes {
            let from = from.add(plane * height * width);
            let to = to.add(plane * rows * columns);
            zero::<V>(to, top * columns);
            for y in 0..height {
                let (from, to) = (from.add(y * width), to.add((top + y) * columns));
                zero::<V>(to, left);
                for x in (0..width).step_by(V::LANES) {
                    if x + V::LANES <= width {
                        V::load(from.add(x)).store(to.add(left + x));
                    } else {
                        V::load_first(from.add(x), width - x).store_first(to.add(left + x), width - x);
                    }
                }
                zero::<V>(to.add(left + width), columns - left - width);
            }
            zero::<V>(to.add((top + height) * columns), (rows - top - height) * columns);
        }
    }
}

/// Writes `count` zeros.
#[inline(always)]
unsafe fn zero<V: Vector>(to: *mut f32, count: usize) {
    for i in (0..count).step_by(V::LANES) {
        // SAFETY: the caller's promise that `count` values lie at `to`.
        unsafe { V::zero().store_first(to.add(i), (count - i).min(V::LANES)) }
    }
}
