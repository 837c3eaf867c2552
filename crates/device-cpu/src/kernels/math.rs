//! Transcendental functions on vectors, to about two units in the last place.
//!
//! Polynomial coefficients were fitted for this file: Lawson-weighted least squares at 400 Chebyshev nodes for the
//! smallest relative error of the function, rounded to `f32` one after another with the rest refitted.

use super::vector::Vector;

/// `c[0] + c[1] x + c[2] x^2 + ..`, by Horner's rule.
///
/// # Safety
/// The machine has `V`'s instruction set; so for every function of this module.
#[inline(always)]
pub(crate) unsafe fn polynomial<V: Vector, const N: usize>(x: V, c: [f32; N]) -> V {
    // SAFETY: the caller's promise, here and in every function of this module.
    unsafe {
        let mut sum = V::splat(c[N - 1]);
        for i in (0..N - 1).rev() {
            sum = sum.mul_add(x, V::splat(c[i]));
        }
        sum
    }
}

/// `e^x`: 0 from about -104 down, denormal below -87.3, infinite from 88.73 up.
#[inline(always)]
pub(crate) unsafe fn exp<V: Vector>(x: V) -> V {
    // ln 2 in two parts: the first has 9 significant bits, so that its product with n is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // SAFETY: as above.
    unsafe {
        let x = x.at_least(V::splat(-104.0)).at_most(V::splat(89.0));
        let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        let r = n.mul_add(V::splat(-LN2_LOW), n.mul_add(V::splat(-LN2_HIGH), x));
        // e^r = 1 + r + r^2 q(r) on |r| <= ln(2)/2, within 3.3e-9.
        let q = polynomial(r, [0.5, 0.166_665_2, 0.041_666_385, 0.008_368_861, 0.001_394_221_9]);
        let e = r.mul(r).mul_add(q, r).add(V::splat(1.0));
        e.scale_by_pow2(n)
    }
}

/// `1 / (1 + e^-x)`, without overflow on either side.
#[inline(always)]
pub(crate) unsafe fn sigmoid<V: Vector>(x: V) -> V {
    // SAFETY: as above.
    unsafe {
        let one = V::splat(1.0);
        let e = exp(x.abs().neg());
        V::select_gt(V::zero(), x, e, one).div(one.add(e))
    }
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) unsafe fn tanh<V: Vector>(x: V) -> V {
    const SMALL: f32 = 0.625;
    // SAFETY: as above.
    unsafe {
        let size = x.abs();
        // x + x^3 q(x^2) below SMALL, within 4.2e-9; else 1 - 2 / (e^2x + 1).
        let z = x.mul(x);
        let q = polynomial(z, [-0.333_332_84, 0.133_314_85, -0.053_743_005, 0.020_649_103, -0.005_715_499]);
        let small = x.mul(z).mul_add(q, x);
        let e = exp(size.add(size));
        let large = V::splat(1.0).sub(V::splat(2.0).div(e.add(V::splat(1.0))));
        V::select_gt(V::splat(SMALL), size, small, large.copysign(x))
    }
}

/// The error function.
#[inline(always)]
pub(crate) unsafe fn erf<V: Vector>(x: V) -> V {
    const SMALL: f32 = 0.9;
    // From here on the result rounds to 1.
    const ONE_FROM: f32 = 3.95;
    // SAFETY: as above.
    unsafe {
        let size = x.abs();
        // x + x q(x^2) below SMALL, within 1.4e-8; else 1 - e^p(|x|), where p is the logarithm of erfc.
        let q = polynomial(
            x.mul(x),
            [0.128_379_15, -0.376_125_07, 0.112_819_76, -0.026_773_067, 0.005_003_519, -0.000_604_783_1],
        );
        let small = x.mul_add(q, x);
        let p = polynomial(
            size.at_most(V::splat(ONE_FROM)),
            [
                -1.664_505_8e-4,
                -1.127_797_2,
                -0.636_976_06,
                -0.104_113_69,
                0.022_315_202,
                -0.003_065_478_5,
                1.982_168_8e-4,
            ],
        );
        let large = V::splat(1.0).sub(exp(p));
        V::select_gt(V::splat(SMALL), size, small, large.copysign(x))
    }
}

/// `x sigmoid(x)`.
#[inline(always)]
pub(crate) unsafe fn silu<V: Vector>(x: V) -> V {
    // SAFETY: as above.
    unsafe { x.mul(sigmoid(x)) }
}

/// GELU by the error function: `x (1 + erf(x / sqrt 2)) / 2`.
#[inline(always)]
pub(crate) unsafe fn gelu_erf<V: Vector>(x: V) -> V {
    // SAFETY: as above.
    unsafe {
        let half = x.mul(V::splat(0.5));
        half.mul_add(erf(x.mul(V::splat(std::f32::consts::FRAC_1_SQRT_2))), half)
    }
}

/// GELU by the hyperbolic tangent: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
#[inline(always)]
pub(crate) unsafe fn gelu_tanh<V: Vector>(x: V) -> V {
    // (1 + tanh u) / 2 = sigmoid(2u); 2 sqrt(2 / pi):
    const SCALE: f32 = 1.595_769_2;
    // SAFETY: as above.
    unsafe {
        let cubic = x.mul(x).mul_add(V::splat(0.044715 * SCALE), V::splat(SCALE));
        x.mul(sigmoid(x.mul(cubic)))
    }
}

/// `x * max(0, min(1, x / 6 + 1 / 2))`.
///
/// # Safety
/// As for [`exp`].
#[inline(always)]
pub(crate) unsafe fn hard_swish<V: Vector>(x: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { x.mul(hard_sigmoid(x, 1.0 / 6.0, 0.5)) }
}

/// `max(0, min(1, alpha * x + beta))`; NaN stays.
///
/// # Safety
/// As for [`exp`].
#[inline(always)]
pub(crate) unsafe fn hard_sigmoid<V: Vector>(x: V, alpha: f32, beta: f32) -> V {
    // SAFETY: the caller's promise.
    unsafe { clip(x.mul_add(V::splat(alpha), V::splat(beta)), 0.0, 1.0) }
}

/// `x`, or `alpha * x` where `x < 0`.
///
/// # Safety
/// As for [`exp`].
#[inline(always)]
pub(crate) unsafe fn leaky_relu<V: Vector>(x: V, alpha: f32) -> V {
    // SAFETY: the caller's promise.
    unsafe { V::select_gt(V::zero(), x, x.mul(V::splat(alpha)), x) }
}

/// `x`, at least `min` and then at most `max`; NaN stays.
///
/// # Safety
/// As for [`exp`].
#[inline(always)]
pub(crate) unsafe fn clip<V: Vector>(x: V, min: f32, max: f32) -> V {
    // SAFETY: the caller's promise; the bounds are numbers.
    unsafe { x.at_least(V::splat(min)).at_most(V::splat(max)) }
}

#[cfg(test)]
mod tests;
