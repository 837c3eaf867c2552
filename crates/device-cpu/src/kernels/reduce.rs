//! Means, sums, and largest and smallest elements along one axis.

use super::row::{fold, load_up_to, store_up_to};
use super::vector::Vector;
use paceline_graph::ReduceOp;

/// Reduces the middle axis of values `[outer, len, inner]` to `[outer, inner]`. Of no elements the mean is NaN, the sum
/// 0, the largest `-inf` and the smallest `inf`; `op` is one of these.
///
/// # Safety
/// `outer * len * inner` values are readable at `src`, `outer * inner` writable at `dst`, the two apart. The machine
/// has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn reduce<V: Vector>(
    op: ReduceOp,
    src: *const f32,
    dst: *mut f32,
    sizes: (usize, usize, usize),
) {
    let len = sizes.1 as f32;
    // SAFETY: the caller's promise; the closures run on the machine that it speaks of.
    unsafe {
        let (zero, lowest) = (V::zero(), V::splat(f32::NEG_INFINITY));
        match op {
            ReduceOp::Sum => along(src, dst, sizes, zero, |a, b| a.add(b), |v| v.reduce_add(), |v| v),
            ReduceOp::Mean => {
                let mean = |v: V| v.div(V::splat(len));
                along(src, dst, sizes, zero, |a, b| a.add(b), |v| v.reduce_add(), mean)
            }
            ReduceOp::Max => along(src, dst, sizes, lowest, |a, b| a.max(b), |v| v.reduce_max(), |v| v),
            ReduceOp::Min => {
                let smaller = |a: V, b: V| a.neg().max(b.neg()).neg();
                along(src, dst, sizes, lowest.neg(), smaller, |v| -v.neg().reduce_max(), |v| v)
            }
            other => unreachable!("{other:?} has no kernel"),
        }
    }
}

/// [`reduce`] by `combine`, which leaves a value combined with `neutral` as it is, and `finish`.
#[inline(always)]
unsafe fn along<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    (outer, len, inner): (usize, usize, usize),
    neutral: V,
    combine: impl Fn(V, V) -> V,
    across: impl Fn(V) -> f32,
    finish: impl Fn(V) -> V,
) {
    for i in 0..outer {
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(i * len * inner), dst.add(i * inner));
            if inner == 1 {
                let value = across(fold(src, len, (neutral, neutral), &combine, &combine));
                finish(V::splat(value)).store_first(dst, 1);
                continue;
            }
            for j in (0..inner).step_by(V::LANES) {
                // Four running values, as in a row.
                let mut running = [neutral; 4];
                let mut k = 0;
                while k < len {
                    for value in &mut running {
                        if k < len {
                            *value = combine(*value, load_up_to(src.add(k * inner + j), inner - j));
                        }
                        k += 1;
                    }
                }
                let value = combine(combine(running[0], running[2]), combine(running[1], running[3]));
                store_up_to(finish(value), dst.add(j), inner - j);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::set::KernelSet;

    fn reduce_of(set: &KernelSet, op: ReduceOp, x: &[f32], sizes: (usize, usize, usize)) -> Vec<f32> {
        let mut y = vec![7.0; sizes.0 * sizes.2];
        // SAFETY: the sizes multiply to the numbers of values.
        unsafe { (set.reduce)(op, x.as_ptr(), y.as_mut_ptr(), sizes) };
        y
    }

    #[test]
    fn axes_are_reduced() {
        for set in KernelSet::all() {
            for len in [0, 1, 3, 15, 16, 17, 33, 100, 257, 4099] {
                for inner in [0, 1, 2, 16, 19] {
                    let x: Vec<f32> = (0..2 * len * inner).map(|i| (i as f32 * 1.3).sin() + 5.0).collect();
                    for op in [ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min] {
                        let y = reduce_of(set, op, &x, (2, len, inner));
                        for (at, &got) in y.iter().enumerate() {
                            let (i, j) = (at / inner, at % inner);
                            let slice = (0..len).map(|k| f64::from(x[(i * len + k) * inner + j]));
                            let want = match op {
                                ReduceOp::Mean => slice.sum::<f64>() / len as f64,
                                ReduceOp::Sum => slice.sum(),
                                ReduceOp::Max => slice.fold(f64::NEG_INFINITY, f64::max),
                                ReduceOp::Min => slice.fold(f64::INFINITY, f64::min),
                                other => unreachable!("{other:?} has no kernel"),
                            };
                            let chosen = matches!(op, ReduceOp::Max | ReduceOp::Min);
                            let tolerance = if chosen { 0.0 } else { 5e-6 * want };
                            let close = (f64::from(got) - want).abs() <= tolerance || f64::from(got) == want;
                            let what = format!("{op:?} on {} of {len} x {inner}", set.isa);
                            assert!(close || (got.is_nan() && want.is_nan()), "{what}: {got}, not {want}");
                        }
                        let alone = reduce_of(set, op, &x[len * inner..], (1, len, inner));
                        assert!(alone.iter().zip(&y[inner..]).all(|(a, b)| a.to_bits() == b.to_bits()));
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_is_nan_if_one_is() {
        for set in KernelSet::all() {
            for (len, inner) in [(33, 1), (9, 19)] {
                for at in 0..len * inner {
                    let mut x = vec![-1.0; len * inner];
                    x[at] = f32::NAN;
                    let y = reduce_of(set, ReduceOp::Max, &x, (1, len, inner));
                    let nan_at: Vec<usize> = (0..inner).filter(|&j| y[j].is_nan()).collect();
                    assert_eq!(nan_at, [at % inner], "{}", set.isa);
                }
            }
        }
    }
}
