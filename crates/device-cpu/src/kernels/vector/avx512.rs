//! AVX-512F: 16 lanes.

use super::{Kernel, Vector};
use std::arch::x86_64::*;

/// A 512-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// The mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    debug_assert!(n <= 16);
    ((1u32 << n) - 1) as __mmask16
}

/// `values` with every sign bit replaced by that of `signs`.
#[inline(always)]
unsafe fn with_sign(values: __m512, signs: __m512) -> __m512 {
    // SAFETY: the caller's promise that the machine has AVX-512F.
    unsafe {
        let sign = _mm512_set1_epi32(i32::MIN);
        // 0xCA: a ? b : c, bit by bit.
        _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0xCA>(
            sign,
            _mm512_castps_si512(signs),
            _mm512_castps_si512(values),
        ))
    }
}

// SAFETY (all methods): the trait's promise that the machine has AVX-512F; pointers as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument, above, holds for every method")]
impl Vector for Avx512 {
    const LANES: usize = 16;
    const PANEL_VECTORS: usize = 2;
    const TILE_ROWS: usize = 14;
    const TILE_SUMS: usize = 28;

    #[target_feature(enable = "avx512f")]
    unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        unsafe { kernel.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    unsafe fn prefetch_far(at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(first(n), from) })
    }
    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, begin: usize, end: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(first(end) & !first(begin), from) })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first(n), self.0) }
    }
    #[inline(always)]
    unsafe fn store_transposed(rows: &[Self], count: usize, to: *mut f32, stride: usize, columns: usize) {
        unsafe {
            let mut r: [_; 16] = std::array::from_fn(|i| rows[i].0);
            // Within each 128-bit quarter: 4 x 4 transposes of rows 4g .. 4g + 4.
            let mut t = [_mm512_setzero_ps(); 16];
            for g in 0..4 {
                let (a, b, c, d) = (r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]);
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                t[4 * g] = _mm512_shuffle_ps::<0x44>(ab_low, cd_low);
                t[4 * g + 1] = _mm512_shuffle_ps::<0xEE>(ab_low, cd_low);
                t[4 * g + 2] = _mm512_shuffle_ps::<0x44>(ab_high, cd_high);
                t[4 * g + 3] = _mm512_shuffle_ps::<0xEE>(ab_high, cd_high);
            }
            // Between quarters: quarter q of t[4g + e] holds rows 4g .. 4g + 4 of column 4q + e.
            for e in 0..4 {
                let (a, b, c, d) = (t[e], t[4 + e], t[8 + e], t[12 + e]);
                let (ab_even, ab_odd) =
                    (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
                let (cd_even, cd_odd) =
                    (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
                r[e] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
                r[8 + e] = _mm512_shuffle_f32x4::<0xDD>(ab_even, cd_even);
                r[4 + e] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
                r[12 + e] = _mm512_shuffle_f32x4::<0xDD>(ab_odd, cd_odd);
            }
            let mask = first(count);
            for (j, column) in r.into_iter().enumerate() {
                if j < columns {
                    _mm512_mask_storeu_ps(to.add(j * stride), mask, column);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Self(unsafe { _mm512_div_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }
    // The instruction returns its second operand when either is NaN.
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        unsafe {
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            Self(_mm512_mask_blend_ps(is_nan, _mm512_max_ps(self.0, b.0), self.0))
        }
    }
    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        Self(unsafe { _mm512_max_ps(bound.0, self.0) })
    }
    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        Self(unsafe { _mm512_min_ps(bound.0, self.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    unsafe fn scale_by_pow2(self, n: Self) -> Self {
        Self(unsafe { _mm512_scalef_ps(self.0, n.0) })
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        unsafe {
            let sign = _mm512_set1_epi32(i32::MIN);
            Self(_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(self.0), sign)))
        }
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(unsafe { _mm512_abs_ps(self.0) })
    }
    #[inline(always)]
    unsafe fn copysign(self, sign: Self) -> Self {
        Self(unsafe { with_sign(self.0, sign.0) })
    }
    #[inline(always)]
    unsafe fn select_gt(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a.0, b.0), y.0, x.0) })
    }
    #[inline(always)]
    unsafe fn select_eq(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a.0, b.0), y.0, x.0) })
    }
    #[inline(always)]
    unsafe fn reduce_add(self) -> f32 {
        unsafe {
            let v = self.add(Self(_mm512_shuffle_f32x4::<0x4E>(self.0, self.0)));
            let v = v.add(Self(_mm512_shuffle_f32x4::<0xB1>(v.0, v.0)));
            let v = v.add(Self(_mm512_permute_ps::<0x4E>(v.0)));
            _mm512_cvtss_f32(v.add(Self(_mm512_permute_ps::<0xB1>(v.0))).0)
        }
    }
    #[inline(always)]
    unsafe fn reduce_max(self) -> f32 {
        unsafe {
            let v = self.max(Self(_mm512_shuffle_f32x4::<0x4E>(self.0, self.0)));
            let v = v.max(Self(_mm512_shuffle_f32x4::<0xB1>(v.0, v.0)));
            let v = v.max(Self(_mm512_permute_ps::<0x4E>(v.0)));
            _mm512_cvtss_f32(v.max(Self(_mm512_permute_ps::<0xB1>(v.0))).0)
        }
    }
}
