//! AVX2 with FMA: 8 lanes.

use super::{Kernel, Vector};
use std::arch::x86_64::*;

/// A 256-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Reading 8 values from index `8 - n` gives the mask of the first `n` lanes.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `n` lanes.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: n <= 8, so that the 8 values lie in the table; the machine has AVX2.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - n).cast()) }
}

// SAFETY (all methods): the trait's promise that the machine has AVX2 and FMA; pointers as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument, above, holds for every method")]
impl Vector for Avx2 {
    const LANES: usize = 8;
    const PANEL_VECTORS: usize = 2;
    const TILE_ROWS: usize = 6;
    const TILE_SUMS: usize = 12;

    #[target_feature(enable = "avx2,fma")]
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
        Self(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        Self(unsafe { _mm256_maskload_ps(from, first(n)) })
    }
    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, begin: usize, end: usize) -> Self {
        Self(unsafe { _mm256_maskload_ps(from, _mm256_andnot_si256(first(begin), first(end))) })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        unsafe { _mm256_maskstore_ps(to, first(n), self.0) }
    }
    #[inline(always)]
    unsafe fn store_transposed(rows: &[Self], count: usize, to: *mut f32, stride: usize, columns: usize) {
        unsafe {
            let mut r: [_; 8] = std::array::from_fn(|i| rows[i].0);
            // Within each half: 4 x 4 transposes of rows 4g .. 4g + 4.
            let mut t = [_mm256_setzero_ps(); 8];
            for g in 0..2 {
                let (a, b, c, d) = (r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]);
                let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                t[4 * g] = _mm256_shuffle_ps::<0x44>(ab_low, cd_low);
                t[4 * g + 1] = _mm256_shuffle_ps::<0xEE>(ab_low, cd_low);
                t[4 * g + 2] = _mm256_shuffle_ps::<0x44>(ab_high, cd_high);
                t[4 * g + 3] = _mm256_shuffle_ps::<0xEE>(ab_high, cd_high);
            }
            // Between halves: half h of t[4g + e] holds rows 4g .. 4g + 4 of column 4h + e.
            for e in 0..4 {
                r[e] = _mm256_permute2f128_ps::<0x20>(t[e], t[4 + e]);
                r[4 + e] = _mm256_permute2f128_ps::<0x31>(t[e], t[4 + e]);
            }
            for (j, column) in r.into_iter().enumerate() {
                if j < columns {
                    Self(column).store_first(to.add(j * stride), count);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Self(unsafe { _mm256_sub_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Self(unsafe { _mm256_mul_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Self(unsafe { _mm256_div_ps(self.0, b.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }
    // The instruction returns its second operand when either is NaN.
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        unsafe {
            let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
            Self(_mm256_blendv_ps(_mm256_max_ps(self.0, b.0), self.0, is_nan))
        }
    }
    #[inline(always)]
    unsafe fn at_least(self, bound: Self) -> Self {
        Self(unsafe { _mm256_max_ps(bound.0, self.0) })
    }
    #[inline(always)]
    unsafe fn at_most(self, bound: Self) -> Self {
        Self(unsafe { _mm256_min_ps(bound.0, self.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    unsafe fn scale_by_pow2(self, n: Self) -> Self {
        // Two factors, because 2^n itself may lie outside the normal numbers; the first product is exact.
        unsafe {
            let n = n.at_least(Self::splat(-252.0)).at_most(Self::splat(254.0));
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            let bias = _mm256_set1_epi32(127);
            let pow2 = |n| Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, bias))));
            self.mul(pow2(half)).mul(pow2(_mm256_sub_epi32(n, half)))
        }
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    unsafe fn copysign(self, sign: Self) -> Self {
        Self(unsafe { _mm256_or_ps(self.abs().0, _mm256_and_ps(_mm256_set1_ps(-0.0), sign.0)) })
    }
    #[inline(always)]
    unsafe fn select_gt(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { _mm256_blendv_ps(y.0, x.0, _mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0)) })
    }
    #[inline(always)]
    unsafe fn select_eq(a: Self, b: Self, x: Self, y: Self) -> Self {
        Self(unsafe { _mm256_blendv_ps(y.0, x.0, _mm256_cmp_ps::<_CMP_EQ_OQ>(a.0, b.0)) })
    }
    #[inline(always)]
    unsafe fn reduce_add(self) -> f32 {
        unsafe {
            let v = self.add(Self(_mm256_permute2f128_ps::<0x01>(self.0, self.0)));
            let v = v.add(Self(_mm256_permute_ps::<0x4E>(v.0)));
            _mm256_cvtss_f32(v.add(Self(_mm256_permute_ps::<0xB1>(v.0))).0)
        }
    }
    #[inline(always)]
    unsafe fn reduce_max(self) -> f32 {
        unsafe {
            let v = self.max(Self(_mm256_permute2f128_ps::<0x01>(self.0, self.0)));
            let v = v.max(Self(_mm256_permute_ps::<0x4E>(v.0)));
            _mm256_cvtss_f32(v.max(Self(_mm256_permute_ps::<0xB1>(v.0))).0)
        }
    }
}
