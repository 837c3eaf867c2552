//! Every function against `f64`, on every instruction set.

use super::*;
use crate::kernels::vector::{Kernel, on_every_isa};

/// The error function in `f64`: its Taylor series, or from 2.5 on a continued fraction of erfc.
fn erf_f64(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 2.5 {
        let (mut term, mut sum) = (size, size);
        for n in 1..80 {
            term *= -size * size / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..60).rev().fold(size, |tail, n| size + f64::from(n) / 2.0 / tail);
        1.0 - (-size * size).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0
    };
    value.copysign(x)
}

fn sigmoid_f64(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu_tanh_f64(x: f64) -> f64 {
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x * sigmoid_f64(2.0 * u)
}

fn gelu_erf_f64(x: f64) -> f64 {
    0.5 * x * (1.0 + erf_f64(x / std::f64::consts::SQRT_2))
}

/// The distance in units in the last place of the `f32` nearest to `expected`; 0 where both are NaN or the same
/// infinity.
fn ulps(got: f32, expected: f64) -> f64 {
    let nearest = expected as f32;
    if (got.is_nan() && nearest.is_nan()) || got == nearest {
        return 0.0;
    }
    let unit = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
    let distance = (f64::from(got) - expected).abs() / unit;
    if distance.is_nan() { f64::INFINITY } else { distance }
}

struct Accuracy;

impl Kernel for Accuracy {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let extremes = [
            0.0,
            -0.0,
            1e-45,
            -1e-40,
            1e-20,
            88.7228,
            88.73,
            -87.4,
            -100.0,
            -103.9,
            -104.1,
            -1e5,
            1e5,
            3e38,
            -3e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        let dense = (-40_000..40_000).map(|i| i as f32 * 0.0003125);
        let wide = (-3000..3000).map(|i| i as f32 * 0.0353);
        let apply = |f: &dyn Fn(V) -> V, x: f32| {
            let mut lanes = [0.0; 16];
            // SAFETY: the trait's promise, passed on; at most 16 lanes.
            unsafe { f(V::splat(x)).store(lanes.as_mut_ptr()) };
            lanes[V::LANES - 1]
        };
        for x in extremes.into_iter().chain(dense).chain(wide) {
            let exact = f64::from(x);
            let near = |name: &str, got: f32, expected: f64, tolerance: f64| {
                let error = ulps(got, expected);
                assert!(
                    error <= tolerance,
                    "{name}({x:e}) with {} lanes: {got:e}, not {expected:e}: {error:.2} ulp",
                    V::LANES
                );
            };
            // SAFETY: the trait's promise, passed on.
            unsafe {
                near("exp", apply(&|v| exp(v), x), exact.exp(), 2.0);
                near("sigmoid", apply(&|v| sigmoid(v), x), sigmoid_f64(exact), 2.5);
                near("tanh", apply(&|v| tanh(v), x), exact.tanh(), 2.0);
                near("erf", apply(&|v| erf(v), x), erf_f64(exact), 2.0);
                // Below, the sigmoid is denormal and has few bits.
                if x.is_nan() || x > -87.0 {
                    near("silu", apply(&|v| silu(v), x), exact * sigmoid_f64(exact), 3.0);
                }
                // Relative to |x| where 1 + erf cancels, as in every f32 implementation of the formula.
                if x.is_finite() {
                    let tolerance = 3e-7 * exact.abs() + 1e-38;
                    assert!(
                        (f64::from(apply(&|v| gelu_erf(v), x)) - gelu_erf_f64(exact)).abs() <= tolerance,
                        "{x}"
                    );
                    assert!(
                        (f64::from(apply(&|v| gelu_tanh(v), x)) - gelu_tanh_f64(exact)).abs() <= tolerance,
                        "{x}"
                    );
                }
            }
        }
    }
}

#[test]
fn functions_are_accurate_everywhere() {
    on_every_isa!(Accuracy);
}

/// The largest error over the whole range of `f32`, one number in 30 011.
struct Sweep;

impl Kernel for Sweep {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let numbers: Vec<f32> = (0..=u32::MAX).step_by(30_011).map(f32::from_bits).collect();
        let worst = |name: &str, f: &dyn Fn(V) -> V, exact: &dyn Fn(f64) -> f64, tolerance: f64| {
            for chunk in numbers.chunks(V::LANES) {
                let mut got = [0.0; 16];
                // SAFETY: the trait's promise, passed on; a chunk fits a register, and a register the array.
                unsafe { f(V::load_first(chunk.as_ptr(), chunk.len())).store(got.as_mut_ptr()) };
                for (&x, &got) in chunk.iter().zip(&got) {
                    let error = ulps(got, exact(f64::from(x)));
                    assert!(error <= tolerance, "{name}({x:e}) with {} lanes: {error:.2} ulp", V::LANES);
                }
            }
        };
        // SAFETY: the trait's promise, passed on.
        unsafe {
            worst("exp", &|x| exp(x), &f64::exp, 2.0);
            worst("sigmoid", &|x| sigmoid(x), &sigmoid_f64, 2.5);
            worst("tanh", &|x| tanh(x), &f64::tanh, 2.0);
            worst("erf", &|x| erf(x), &erf_f64, 2.0);
        }
    }
}

#[test]
fn errors_are_bounded_over_the_whole_range() {
    on_every_isa!(Sweep);
}
