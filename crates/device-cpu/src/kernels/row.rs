//! Rows of any length, one register at a time: what kernels that are not matrix products share.
//!
//! The registers of a row start at multiples of [`Vector::LANES`] and the last may be partial. It goes through the
//! same arithmetic as the others, so that an element's result does not depend on its place in the row.

use super::vector::Vector;

/// The numbers of the lanes.
static LANE_NUMBERS: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// The number of each lane: 0, 1, ..
///
/// # Safety
/// The machine has `V`'s instruction set; so for every function of this module.
#[inline(always)]
pub(crate) unsafe fn lane_numbers<V: Vector>() -> V {
    const { assert!(V::LANES <= LANE_NUMBERS.len()) };
    // SAFETY: the table has enough values.
    unsafe { V::load(LANE_NUMBERS.as_ptr()) }
}

/// Reads `n` values, or a full register if there are more; lanes without a value are 0.
///
/// # Safety
/// As many values are readable at `from`.
#[inline(always)]
pub(crate) unsafe fn load_up_to<V: Vector>(from: *const f32, n: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { if n >= V::LANES { V::load(from) } else { V::load_first(from, n) } }
}

/// Writes `n` values, or a full register if there is room for more.
///
/// # Safety
/// As many values are writable at `to`.
#[inline(always)]
pub(crate) unsafe fn store_up_to<V: Vector>(v: V, to: *mut f32, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if n >= V::LANES { v.store(to) } else { v.store_first(to, n) } }
}

/// The first `n` lanes of `v`, and `fill` in the others.
///
/// # Safety
/// As for [`lane_numbers`].
#[inline(always)]
pub(crate) unsafe fn first_or<V: Vector>(v: V, n: usize, fill: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { V::select_gt(V::splat(n as f32), lane_numbers(), v, fill) }
}

/// `dst[i] = f(src[i])`, with `f` written as `|x: V| ..`, inside an `unsafe` block: `len` values are readable at `src` and
/// writable at `dst`, and the two are the same or do not overlap. A macro, because a closure of more than a few
/// instructions is not inlined, and so loses the instruction set.
macro_rules! map {
    ($src:expr, $dst:expr, $len:expr, |$x:ident: $vector:ty| $value:expr) => {{
        let (src, dst, len): (*const f32, *mut f32, usize) = ($src, $dst, $len);
        for i in (0..len).step_by(<$vector as $crate::kernels::vector::Vector>::LANES) {
            let $x: $vector = $crate::kernels::row::load_up_to(src.add(i), len - i);
            $crate::kernels::row::store_up_to($value, dst.add(i), len - i);
        }
    }};
}
pub(crate) use map;

/// Folds a row into one register: four accumulators, each `f(accumulator, values)` over every fourth register of the
/// row, then joined in pairs. Lanes behind the end of the row hold `fill`. The closures are a few instructions each.
///
/// # Safety
/// `len` values are readable at `src`.
#[inline(always)]
pub(crate) unsafe fn fold<V: Vector>(
    src: *const f32,
    len: usize,
    (start, fill): (V, V),
    f: impl Fn(V, V) -> V,
    join: impl Fn(V, V) -> V,
) -> V {
    let mut sums = [start; 4];
    let mut i = 0;
    // SAFETY: the caller's promise; every register starts before the end and a partial one stops there.
    unsafe {
        while i + 4 * V::LANES <= len {
            for sum in &mut sums {
                *sum = f(*sum, V::load(src.add(i)));
                i += V::LANES;
            }
        }
        for sum in &mut sums {
            if i + V::LANES <= len {
                *sum = f(*sum, V::load(src.add(i)));
            } else if i < len {
                *sum = f(*sum, first_or(V::load_first(src.add(i), len - i), len - i, fill));
            }
            i += V::LANES;
        }
    }
    join(join(sums[0], sums[2]), join(sums[1], sums[3]))
}
