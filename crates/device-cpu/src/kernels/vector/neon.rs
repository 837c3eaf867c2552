//! NEON: 4 lanes.

use super::{Kernel, Vector};
use std::arch::aarch64::*;

/// A 128-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

// SAFETY (all methods): the trait's promise that the machine has NEON; pointers as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument, above, holds for every method")]
impl Vector for Neon {
    const LANES: usize = 4;
    const PANEL_VECTORS: usize = 4;
    const TILE_ROWS: usize = 6;
    const TILE_SUMS: usize = 24;

    #[target_feature(enable = "neon")]
    unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        unsafe { kernel.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(unsafe { vdupq_n_f32(x) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { vld1q_f32(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            Self::load(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        let mut lanes = [0.0; 4];
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
    #[inline(always)]
    unsafe fn store_transposed(rows: &[Self], count: usize, to: *mut f32, stride: usize, columns: usize) {
        unsafe {
            let r: [_; 4] = std::array::from_fn(|i| rows[i].0);
            let pairs = |a: float32x4_t, b: float32x4_t| {
                let (even, odd) = (vtrn1q_f32(a, b), vtrn2q_f32(a, b));
                (vreinterpretq_f64_f32(even), vreinterpretq_f64_f32(odd))
            };
            let ((a_even, a_odd), (b_even, b_odd)) = (pairs(r[0], r[1]), pairs(r[2], r[3]));
            let columns_of = [
                vtrn1q_f64(a_even, b_even),
                vtrn1q_f64(a_odd, b_odd),
                vtrn2q_f64(a_even, b_even),
                vtrn2q_f64(a_odd, b_odd),
            ];
            for (j, column) in columns_of.into_iter().enumerate() {
                if j < columns {
                    Self(vreinterpretq_f32_f64(column)).store_first(to.add(j * stride), count);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(unsafe { vaddq_f32(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Self(unsafe { vsubq_f32(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Self(unsafe { vmulq_f32(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Self(unsafe { vdivq_f32(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { vfmaq_f32(b.0, self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(unsafe { vsqrtq_f32(self.0) })
    }
    // FMAX and FMIN propagate NaN from either operand.
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Self(unsafe { vmaxq_f32(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        unsafe { self.max(bound) }
    }
    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        Self(unsafe { vminq_f32(self.0, bound.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(unsafe { vrndnq_f32(self.0) })
    }
    #[inline(always)]
    unsafe fn scale_by_pow2(self, n: Self) -> Self {
        // Two factors, because 2^n itself may lie outside the normal numbers; the first product is exact.
        unsafe {
            let n = n.at_least(Self::splat(-252.0)).at_most(Self::splat(254.0));
            let n = vcvtnq_s32_f32(n.0);
            let half = vshrq_n_s32::<1>(n);
            let pow2 = |n| Self(vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)))));
            self.mul(pow2(half)).mul(pow2(vsubq_s32(n, half)))
        }
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        Self(unsafe { vnegq_f32(self.0) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(unsafe { vabsq_f32(self.0) })
    }
    #[inline(always)]
    unsafe fn copysign(self, sign: Self) -> Self {
        Self(unsafe { vbslq_f32(vdupq_n_u32(1 << 31), sign.0, self.0) })
    }
    #[inline(always)]
    unsafe fn select_gt(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { vbslq_f32(vcgtq_f32(a.0, b.0), x.0, y.0) })
    }
    #[inline(always)]
    unsafe fn select_eq(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { vbslq_f32(vceqq_f32(a.0, b.0), x.0, y.0) })
    }
    #[inline(always)]
    unsafe fn reduce_add(self) -> f32 {
        unsafe {
            let v = self.add(Self(vextq_f32::<2>(self.0, self.0)));
            vgetq_lane_f32::<0>(v.0) + vgetq_lane_f32::<1>(v.0)
        }
    }
    #[inline(always)]
    unsafe fn reduce_max(self) -> f32 {
        unsafe { vmaxvq_f32(self.0) }
    }
}
