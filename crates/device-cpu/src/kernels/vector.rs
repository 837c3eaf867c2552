//! One SIMD register of `f32` lanes, so that a kernel is written once for every instruction set.
//!
//! A kernel is an `#[inline(always)] unsafe fn f<V: Vector>(..)`; [`super::set`] wraps it in a function compiled with
//! the instruction set's features. Everything between the wrapper and these methods must be `#[inline(always)]`:
//! a call that is not inlined loses the features and passes registers through memory.
//!
//! **Traps.** [`Vector::mul_add`] rounds once where the hardware fuses and twice in [`Portable`], so results differ
//! between instruction sets, but never within one: use vectors for the tail of a row too ([`Vector::load_first`])
//! rather than scalar arithmetic. NaN: [`Vector::max`] propagates it from either side;
//! [`Vector::at_least`] and [`Vector::at_most`] are one instruction and propagate it from `self`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;

/// One register of [`Vector::LANES`] `f32`s.
///
/// # Safety
/// Every method must be reached only on a machine that has the instruction set, inside a function compiled with it.
/// Pointers need no alignment; `n` of the partial loads and stores is at most [`Vector::LANES`].
pub(crate) trait Vector: Copy {
    /// The number of lanes.
    const LANES: usize;
    /// The registers that one row of a panel of packed weights fills: see [`super::pack`].
    const PANEL_VECTORS: usize;
    /// The most rows of a matrix product that one tile computes.
    const TILE_ROWS: usize;
    /// The registers that a tile one panel wide may use for sums; the others hold operands.
    const TILE_SUMS: usize;

    /// Runs a kernel in a function of its own compiled with this instruction set: for code too large, or
    /// instantiated too often, to be inlined where it is called.
    unsafe fn enter<K: Kernel>(kernel: K) -> K::Output;

    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// Reads [`Vector::LANES`] values.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes [`Vector::LANES`] values.
    unsafe fn store(self, to: *mut f32);
    /// Reads the first `n` lanes and nothing behind them; the others are 0.
    unsafe fn load_first(from: *const f32, n: usize) -> Self;
    /// Writes the first `n` lanes and nothing behind them.
    unsafe fn store_first(self, to: *mut f32, n: usize);
    /// Writes lane `j < columns` of `rows[i]`, for `i < count`, to `to[j * stride + i]`: a transposed store. `rows` holds
    /// [`Vector::LANES`] registers, so that they can stay registers whatever `count` is.
    unsafe fn store_transposed(rows: &[Self], count: usize, to: *mut f32, stride: usize, columns: usize);
    /// Reads `from[j]` into the lanes `begin <= j < end` and nothing around them; the others are 0.
    unsafe fn load_lanes(from: *const f32, begin: usize, end: usize) -> Self {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's promise that these values are readable; there are at most 16 lanes.
        unsafe {
            for (j, lane) in lanes.iter_mut().enumerate().take(end).skip(begin) {
                *lane = *from.wrapping_add(j);
            }
            Self::load(lanes.as_ptr())
        }
    }

    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `self * b`.
    unsafe fn mul(self, b: Self) -> Self;
    /// `self / b`, correctly rounded.
    unsafe fn div(self, b: Self) -> Self;
    /// `self * a + b`, rounded once where the instruction set can.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The square root, correctly rounded.
    unsafe fn sqrt(self) -> Self;

    /// The larger, or NaN if either is NaN.
    unsafe fn max(self, b: Self) -> Self;
    /// The larger of `self` and a bound that is not NaN; a NaN in `self` stays.
    unsafe fn at_least(self, bound: Self) -> Self;
    /// The smaller of `self` and a bound that is not NaN; a NaN in `self` stays.
    unsafe fn at_most(self, bound: Self) -> Self;

    /// The nearest integer, ties to even.
    unsafe fn round(self) -> Self;
    /// `self * 2^n` for integral `n`, rounded once for `|self|` in about [0.5, 2]: overflows to infinity,
    /// underflows through the denormals to 0.
    unsafe fn scale_by_pow2(self, n: Self) -> Self;

    /// The sign bit flipped.
    unsafe fn neg(self) -> Self;
    /// The sign bit cleared.
    unsafe fn abs(self) -> Self;
    /// The magnitude of `self` with the sign bit of `sign`.
    unsafe fn copysign(self, sign: Self) -> Self;

    /// `x` where `a > b`, else `y` (also where `a` or `b` is NaN).
    unsafe fn select_gt(a: Self, b: Self, x: Self, y: Self) -> Self;
    /// `x` where `a` equals `b`, else `y` (also where `a` or `b` is NaN).
    unsafe fn select_eq(a: Self, b: Self, x: Self, y: Self) -> Self;

    /// The sum of all lanes: halves are added to halves until one lane is left.
    unsafe fn reduce_add(self) -> f32;
    /// The largest lane, or NaN if any lane is NaN.
    unsafe fn reduce_max(self) -> f32;

    /// Asks for the cache line at an address, which need not be readable.
    #[inline(always)]
    unsafe fn prefetch(_at: *const f32) {}

    /// Asks for the cache line at an address in the second-level cache.
    #[inline(always)]
    unsafe fn prefetch_far(_at: *const f32) {}

    /// 0 in every lane.
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::splat(0.0) }
    }
}

/// A kernel that [`Vector::enter`] runs: the arguments, and what to do with them.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Output;

    /// The kernel; implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has `V`'s instruction set, and the kernel's own conditions hold.
    unsafe fn run<V: Vector>(self) -> Self::Output;
}

/// Runs a kernel on every instruction set of this machine.
#[cfg(test)]
macro_rules! on_every_isa {
    ($kernel:expr) => {
        for isa in $crate::kernels::isa::Isa::available() {
            // SAFETY: the machine has the instruction set.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::kernels::isa::Isa::Avx512 => {
                        <$crate::kernels::vector::Avx512 as $crate::kernels::vector::Vector>::enter($kernel)
                    }
                    #[cfg(target_arch = "x86_64")]
                    $crate::kernels::isa::Isa::Avx2 => {
                        <$crate::kernels::vector::Avx2 as $crate::kernels::vector::Vector>::enter($kernel)
                    }
                    #[cfg(target_arch = "aarch64")]
                    $crate::kernels::isa::Isa::Neon => {
                        <$crate::kernels::vector::Neon as $crate::kernels::vector::Vector>::enter($kernel)
                    }
                    _ => {
                        <$crate::kernels::vector::Portable as $crate::kernels::vector::Vector>::enter($kernel)
                    }
                }
            }
        }
    };
}
#[cfg(test)]
pub(crate) use on_every_isa;

#[cfg(test)]
mod tests;
