//! Softmax and its logarithm along one axis.
//!
//! As in PyTorch, a NaN, an infinity or nothing but negative infinities make the whole slice NaN: `inf - inf` is NaN,
//! and the sum takes it to every element.

use super::math::exp;
use super::row::{fold, load_up_to, map, store_up_to};
use super::vector::Vector;

/// `exp(x - max) / sum(exp(x - max))` along the middle axis of values `[outer, len, inner]`; `dst` may be `src`.
///
/// # Safety
/// `outer * len * inner` values are readable at `src` and writable at `dst`, the two being the same or apart. The
/// machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn softmax<V: Vector>(src: *const f32, dst: *mut f32, sizes: (usize, usize, usize)) {
    // SAFETY: the caller's promise.
    unsafe { slices::<V, false>(src, dst, sizes) }
}

/// `x - max - ln(sum(exp(x - max)))` along the middle axis of values `[outer, len, inner]`.
///
/// # Safety
/// As for [`softmax`], but that `src` and `dst` do not overlap.
#[inline(always)]
pub(crate) unsafe fn log_softmax<V: Vector>(src: *const f32, dst: *mut f32, sizes: (usize, usize, usize)) {
    // SAFETY: the caller's promise.
    unsafe { slices::<V, true>(src, dst, sizes) }
}

/// Softmax, or its logarithm if `LOG`.
#[inline(always)]
unsafe fn slices<V: Vector, const LOG: bool>(
    src: *const f32,
    dst: *mut f32,
    (outer, len, inner): (usize, usize, usize),
) {
    for i in 0..outer {
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(i * len * inner), dst.add(i * len * inner));
            if inner == 1 {
                row::<V, LOG>(src, dst, len);
                continue;
            }
            for j in (0..inner).step_by(V::LANES) {
                columns::<V, LOG>(src.add(j), dst.add(j), len, inner, inner - j);
            }
        }
    }
}

/// `e^x` for `x` up to 0, where results below the normal numbers become 0: beside the 1 of the largest element they are
/// nothing, and processors take a hundred cycles for each.
#[inline(always)]
pub(super) unsafe fn exp_or_zero<V: Vector>(x: V) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        let lowest = V::splat(-87.0);
        V::select_gt(lowest, x, V::zero(), exp(x.at_least(lowest)))
    }
}

/// One row of `len` values.
#[inline(always)]
unsafe fn row<V: Vector, const LOG: bool>(src: *const f32, dst: *mut f32, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let lowest = V::splat(f32::NEG_INFINITY);
        // A NaN may get lost here: it comes back with its own element.
        let largest = fold(src, len, (lowest, lowest), |m, x| x.at_least(m), |a, b| a.max(b));
        let largest = V::splat(largest.reduce_max());
        map!(src, dst, len, |x: V| exp_or_zero(x.sub(largest)));
        let sum = fold(dst, len, (V::zero(), V::zero()), |sum, e| sum.add(e), |a, b| a.add(b));
        if LOG {
            let logarithm = V::splat(ln(sum.reduce_add()));
            map!(src, dst, len, |x: V| x.sub(largest).sub(logarithm));
        } else {
            let factor = V::splat(1.0 / sum.reduce_add());
            map!(dst, dst, len, |e: V| e.mul(factor));
        }
    }
}

/// `n` columns, or a register of them if there are more, of `len` values each, `stride` apart.
#[inline(always)]
unsafe fn columns<V: Vector, const LOG: bool>(
    src: *const f32,
    dst: *mut f32,
    len: usize,
    stride: usize,
    n: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut largest = V::splat(f32::NEG_INFINITY);
        for k in 0..len {
            largest = load_up_to::<V>(src.add(k * stride), n).at_least(largest);
        }
        let mut sum = V::zero();
        for k in 0..len {
            let e = exp_or_zero(load_up_to::<V>(src.add(k * stride), n).sub(largest));
            sum = sum.add(e);
            if !LOG {
                store_up_to(e, dst.add(k * stride), n);
            }
        }
        if LOG {
            let mut sums = [0.0; 16];
            sum.store(sums.as_mut_ptr());
            let logarithm = V::load(sums.map(ln).as_ptr());
            for k in 0..len {
                let x = load_up_to::<V>(src.add(k * stride), n);
                store_up_to(x.sub(largest).sub(logarithm), dst.add(k * stride), n);
            }
        } else {
            let factor = V::splat(1.0).div(sum);
            for k in 0..len {
                store_up_to(load_up_to::<V>(dst.add(k * stride), n).mul(factor), dst.add(k * stride), n);
            }
        }
    }
}

/// The natural logarithm, of one sum in many elements.
fn ln(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

#[cfg(test)]
mod tests {
    use crate::kernels::set::KernelSet;

    const LENGTHS: [usize; 9] = [0, 1, 3, 15, 16, 17, 33, 100, 257];

    /// Softmax, or its logarithm.
    fn of(set: &KernelSet, log: bool, x: &[f32], sizes: (usize, usize, usize)) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let kernel = if log { set.log_softmax } else { set.softmax };
        // SAFETY: the sizes multiply to the number of values.
        unsafe { kernel(x.as_ptr(), y.as_mut_ptr(), sizes) };
        y
    }

    /// Compares the slices of numbers of every length with the definition, and the second with itself alone.
    fn check(log: bool, number: fn(f32) -> f32, tolerance: fn(f64) -> f64) {
        for set in KernelSet::all() {
            for (len, inner) in LENGTHS.into_iter().flat_map(|len| [1, 2, 16, 19].map(|inner| (len, inner))) {
                let outer = 2;
                let x: Vec<f32> = (0..outer * len * inner).map(|i| number((i as f32 * 1.3).sin())).collect();
                let y = of(set, log, &x, (outer, len, inner));
                for (i, j) in (0..outer).flat_map(|i| (0..inner).map(move |j| (i, j))) {
                    let at = |k: usize| (i * len + k) * inner + j;
                    let largest = (0..len).map(|k| x[at(k)]).fold(f32::NEG_INFINITY, f32::max);
                    let below = |k: usize| f64::from(x[at(k)]) - f64::from(largest);
                    let sum: f64 = (0..len).map(|k| below(k).exp()).sum();
                    for k in 0..len {
                        let want = if log { below(k) - sum.ln() } else { below(k).exp() / sum };
                        let (got, what) = (y[at(k)], format!("{} of {outer} x {len} x {inner}", set.isa));
                        let close = (f64::from(got) - want).abs() <= tolerance(want);
                        assert!(close, "{what}, at {k}: {got}, not {want}");
                    }
                }
                assert_eq!(of(set, log, &x[len * inner..], (1, len, inner)), y[len * inner..]);
            }
        }
    }

    #[test]
    fn slices_are_normalised_exponentials() {
        check(false, |x| x * 30.0 - 1e4, |want| 2e-6 * want + 1e-37);
    }

    #[test]
    fn logarithms_are_right_far_from_the_largest_too() {
        check(true, |x| x * 200.0, |want| 1e-6 * want.abs().max(1.0));
    }

    #[test]
    fn exponentials_are_normalised_in_place_too() {
        for set in KernelSet::all() {
            for (len, inner) in [(33, 1), (9, 19)] {
                let x: Vec<f32> = (0..2 * len * inner).map(|i| (i as f32 * 1.3).sin() * 30.0).collect();
                let mut y = x.clone();
                // SAFETY: the sizes multiply to the number of values, which are replaced.
                unsafe { (set.softmax)(y.as_ptr(), y.as_mut_ptr(), (2, len, inner)) };
                assert_eq!(y, of(set, false, &x, (2, len, inner)), "{}", set.isa);
            }
        }
    }

    #[test]
    fn extremes_do_as_in_pytorch() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let cases: [(&[f32], Option<&[f32]>); 8] = [
            (&[-inf, 0.0, -inf], Some(&[0.0, 1.0, 0.0])),
            (&[3e38, -3e38], Some(&[1.0, 0.0])),
            (&[-3e38, -3e38], Some(&[0.5, 0.5])),
            (&[1e-40, 1e-40], Some(&[0.5, 0.5])),
            (&[-inf, -inf, -inf], None),
            (&[inf, 0.0], None),
            (&[nan, 0.0, 1.0], None),
            (&[0.0, 1.0, nan], None),
        ];
        for set in KernelSet::all() {
            for (case, want) in cases {
                for inner in [1, 17] {
                    let x: Vec<f32> = case.iter().flat_map(|&x| std::iter::repeat_n(x, inner)).collect();
                    let y = of(set, false, &x, (1, case.len(), inner));
                    match want {
                        Some(want) => {
                            assert!(y.iter().enumerate().all(|(i, &y)| y == want[i / inner]), "{case:?}")
                        }
                        None => assert!(y.iter().all(|y| y.is_nan()), "{case:?} on {}: {y:?}", set.isa),
                    }
                }
            }
            for inner in [1, 17] {
                let log = |case: &[f32]| {
                    let x: Vec<f32> = case.iter().flat_map(|&x| std::iter::repeat_n(x, inner)).collect();
                    of(set, true, &x, (1, case.len(), inner))
                };
                assert!(log(&[-inf, 0.0]).iter().enumerate().all(|(i, &y)| y == [-inf, 0.0][i / inner]));
                for case in [[-inf, -inf], [inf, 0.0], [nan, 0.0], [0.0, nan]] {
                    assert!(log(&case).iter().all(|y| y.is_nan()), "{case:?} on {}", set.isa);
                }
            }
            // A NaN anywhere among many.
            for at in 0..257 {
                let mut x = vec![1.0; 257];
                x[at] = nan;
                assert!(of(set, false, &x, (1, 257, 1)).iter().all(|y| y.is_nan()), "{at} on {}", set.isa);
            }
        }
    }
}
