//! Every vector type against plain arithmetic on extreme and ordinary values.

use super::*;

const VALUES: [f32; 20] = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.25,
    -7.75,
    1e-40,
    -1e-40,
    8388607.5,
    -8388609.0,
    3e38,
    -3e38,
    1e10,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MIN_POSITIVE,
];

/// Equal bits, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Compares one lane-wise operation with its scalar meaning over all pairs of values.
struct Lanewise;

impl Kernel for Lanewise {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let check = |name: &str, got: V, expected: f32, a: f32, b: f32| {
            let mut lanes = [0.0; 16];
            // SAFETY: 16 lanes at most.
            unsafe { got.store(lanes.as_mut_ptr()) };
            for &lane in &lanes[..V::LANES] {
                assert!(
                    same(lane, expected),
                    "{name}({a:e}, {b:e}) with {} lanes: {lane:e}, not {expected:e}",
                    V::LANES
                );
            }
        };
        let nan_or = |a: f32, b: f32, value: f32| if a.is_nan() || b.is_nan() { f32::NAN } else { value };
        for a in VALUES {
            for b in VALUES {
                // SAFETY: the trait's promise, passed on.
                unsafe {
                    let (x, y, yes, no) = (V::splat(a), V::splat(b), V::splat(1.0), V::splat(2.0));
                    let pick = |condition| if condition { 1.0 } else { 2.0 };
                    check("add", x.add(y), a + b, a, b);
                    check("sub", x.sub(y), a - b, a, b);
                    check("mul", x.mul(y), a * b, a, b);
                    check("div", x.div(y), a / b, a, b);
                    check("sqrt", x.sqrt(), a.sqrt(), a, b);
                    check("round", x.round(), a.round_ties_even(), a, b);
                    check("neg", x.neg(), -a, a, b);
                    check("abs", x.abs(), a.abs(), a, b);
                    check("copysign", x.copysign(y), a.copysign(b), a, b);
                    check("select_gt", V::select_gt(x, y, yes, no), pick(a > b), a, b);
                    check("select_eq", V::select_eq(x, y, yes, no), pick(a == b), a, b);
                    if a != 0.0 || b != 0.0 {
                        check("max", x.max(y), nan_or(a, b, a.max(b)), a, b);
                        if !b.is_nan() {
                            check("at_least", x.at_least(y), nan_or(a, b, a.max(b)), a, b);
                            check("at_most", x.at_most(y), nan_or(a, b, a.min(b)), a, b);
                        }
                    }
                    if !a.is_nan() && !b.is_nan() && a.abs() < 1e6 && b.abs() < 1e6 {
                        let exact = f64::from(a) * f64::from(b) + 3.25;
                        let mut lanes = [0.0; 16];
                        x.mul_add(y, V::splat(3.25)).store(lanes.as_mut_ptr());
                        assert!((f64::from(lanes[V::LANES - 1]) - exact).abs() <= exact.abs() * 1e-6);
                    }
                }
            }
        }
        for n in -300..300 {
            for a in [1.0f32, -1.25, 0.75, 0.0, f32::INFINITY, f32::NAN] {
                let expected = (f64::from(a) * 2f64.powi(n)) as f32;
                // SAFETY: the trait's promise, passed on.
                unsafe {
                    check("scale", V::splat(a).scale_by_pow2(V::splat(n as f32)), expected, a, n as f32)
                };
            }
        }
    }
}

#[test]
fn lanes_compute_what_scalars_compute() {
    on_every_isa!(Lanewise);
}

/// Partial and transposed loads and stores, and reductions, where lanes differ.
struct Movement;

impl Kernel for Movement {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let lanes = V::LANES;
        let source: Vec<f32> = (0..lanes * lanes).map(|i| 1.0 + i as f32).collect();
        for n in 0..=lanes {
            // Exactly n values are readable and writable, with a guard behind them.
            let from = source[..n].to_vec();
            let mut to = vec![-1.0; n + 1];
            // SAFETY: n <= lanes, and n values lie at both pointers.
            let v = unsafe { V::load_first(from.as_ptr(), n) };
            // SAFETY: as above.
            unsafe { v.store_first(to.as_mut_ptr(), n) };
            assert_eq!(to[..n], from[..]);
            assert_eq!(to[n], -1.0);
            // SAFETY: the trait's promise, passed on.
            unsafe {
                assert_eq!(v.reduce_add(), from.iter().sum::<f32>());
                assert_eq!(v.reduce_max(), from.iter().copied().fold(0.0, f32::max));
                assert_eq!(v.neg().reduce_max(), if n < lanes { 0.0 } else { -1.0 });
            }
            for columns in 0..=lanes {
                let stride = lanes + 3;
                let mut to = vec![-1.0; lanes * stride];
                // SAFETY: n rows of `lanes` values are read; columns * stride values lie at `to`.
                unsafe {
                    let mut rows = [V::zero(); 16];
                    for (i, row) in rows.iter_mut().enumerate().take(n) {
                        *row = V::load(source.as_ptr().add(i * lanes));
                    }
                    V::store_transposed(&rows[..V::LANES], n, to.as_mut_ptr(), stride, columns);
                }
                for j in 0..lanes {
                    for i in 0..stride {
                        let expected = if j < columns && i < n { source[i * lanes + j] } else { -1.0 };
                        assert_eq!(to[j * stride + i], expected, "{n} rows, {columns} columns, at {j}, {i}");
                    }
                }
            }
        }
        for at in 0..lanes {
            let mut values = source[..lanes].to_vec();
            values[at] = f32::NAN;
            // SAFETY: `lanes` values lie at the pointer.
            unsafe { assert!(V::load(values.as_ptr()).reduce_max().is_nan()) };
        }
    }
}

#[test]
fn loads_stores_and_reductions_touch_the_lanes_they_name() {
    on_every_isa!(Movement);
}
