//! Plain Rust: 4 lanes, which the compiler maps to what the target's baseline has.

use super::{Kernel, Vector};
use std::array::from_fn;

/// Four values.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

/// From here on every `f32` is an integer.
const INTEGERS_FROM: f32 = 8_388_608.0;

/// The nearest integer, ties to even: adding and subtracting 2^23 leaves no room for a fraction. (The standard
/// library's rounding is a call into libm on baselines without the instruction.)
#[inline(always)]
fn round(x: f32) -> f32 {
    let shift = INTEGERS_FROM.copysign(x);
    if x.abs() < INTEGERS_FROM { ((x + shift) - shift).copysign(x) } else { x }
}

/// `2^n` for `n` in -126 ..= 127.
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// The larger, or NaN if either is NaN.
#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller, or NaN if either is NaN.
#[inline(always)]
fn min(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

// SAFETY (all methods): plain Rust runs anywhere; pointers as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument, above, holds for every method")]
impl Vector for Portable {
    const LANES: usize = 4;
    const PANEL_VECTORS: usize = 2;
    const TILE_ROWS: usize = 4;
    const TILE_SUMS: usize = 8;

    #[inline(never)]
    unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        unsafe { kernel.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n) };
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, n) }
    }
    #[inline(always)]
    unsafe fn store_transposed(rows: &[Self], count: usize, to: *mut f32, stride: usize, columns: usize) {
        for (i, row) in rows.iter().enumerate().take(count) {
            for (j, value) in row.0.into_iter().enumerate() {
                if j < columns {
                    unsafe { to.add(j * stride + i).write(value) };
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(from_fn(|i| self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Self(from_fn(|i| self.0[i] - b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Self(from_fn(|i| self.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Self(from_fn(|i| self.0[i] / b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(from_fn(|i| self.0[i].sqrt()))
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Self(from_fn(|i| max(self.0[i], b.0[i])))
    }
    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        Self(from_fn(|i| max(self.0[i], bound.0[i])))
    }
    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        Self(from_fn(|i| min(self.0[i], bound.0[i])))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(from_fn(|i| round(self.0[i])))
    }
    #[inline(always)]
    unsafe fn scale_by_pow2(self, n: Self) -> Self {
        // Two factors, because 2^n itself may lie outside the normal numbers; the first product is exact.
        Self(from_fn(|i| {
            let n = n.0[i].clamp(-252.0, 254.0) as i32;
            self.0[i] * pow2(n >> 1) * pow2(n - (n >> 1))
        }))
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        Self(from_fn(|i| -self.0[i]))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(from_fn(|i| self.0[i].abs()))
    }
    #[inline(always)]
    unsafe fn copysign(self, sign: Self) -> Self {
        Self(from_fn(|i| self.0[i].copysign(sign.0[i])))
    }
    #[inline(always)]
    unsafe fn select_gt(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(from_fn(|i| if a.0[i] > b.0[i] { x.0[i] } else { y.0[i] }))
    }
    #[inline(always)]
    unsafe fn select_eq(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(from_fn(|i| if a.0[i] == b.0[i] { x.0[i] } else { y.0[i] }))
    }
    #[inline(always)]
    unsafe fn reduce_add(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
    #[inline(always)]
    unsafe fn reduce_max(self) -> f32 {
        let [a, b, c, d] = self.0;
        max(max(a, c), max(b, d))
    }
}
