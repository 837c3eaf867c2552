//! Normalisation: each row by its own statistics, or each channel by stored ones.
//!
//! Means come first and squares are summed about them in a second pass: in one pass the two would cancel where the
//! mean is large. `dst` may be `src` throughout; a null `weight` means ones and a null `bias` zeros.

use super::row::{fold, load_up_to, map, store_up_to};
use super::vector::Vector;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` for each of `rows` rows of `len` values.
///
/// # Safety
/// `rows * len` values are readable at `src` and writable at `dst`, the two being the same or apart; `len` values are
/// readable at `weight` and `bias`, where they are not null. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn layer_norm<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    rows: usize,
    len: usize,
    epsilon: f32,
    weight: *const f32,
    bias: *const f32,
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(row * len), dst.add(row * len));
            let statistics = Statistics::of::<V>(src, len, epsilon);
            normalise::<V>(src, dst, len, statistics, weight, bias);
        }
    }
}

/// `x / sqrt(mean(x^2) + epsilon) * weight` for each of `rows` rows of `len` values.
///
/// # Safety
/// As for [`layer_norm`].
#[inline(always)]
pub(crate) unsafe fn rms_norm<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    rows: usize,
    len: usize,
    epsilon: f32,
    weight: *const f32,
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(row * len), dst.add(row * len));
            let statistics = Statistics { mean: 0.0, scale: scale_about::<V>(src, len, 0.0, epsilon) };
            normalise::<V>(src, dst, len, statistics, weight, std::ptr::null());
        }
    }
}

/// [`layer_norm`] over the channels of a group and what lies in them, with one `weight` and `bias` a channel: the
/// values are `[samples, groups, channels, inner]`, where `channels` are those of one group.
///
/// # Safety
/// As for [`layer_norm`], with `samples * groups * channels * inner` values and `groups * channels` weights.
#[inline(always)]
pub(crate) unsafe fn group_norm<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    samples: usize,
    (groups, channels, inner): (usize, usize, usize),
    epsilon: f32,
    weight: *const f32,
    bias: *const f32,
) {
    let len = channels * inner;
    let channel_of = |values: *const f32, c| if values.is_null() { values } else { values.wrapping_add(c) };
    for row in 0..samples * groups {
        let first = row % groups * channels;
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(row * len), dst.add(row * len));
            let statistics = Statistics::of::<V>(src, len, epsilon);
            if inner == 1 {
                let (weight, bias) = (channel_of(weight, first), channel_of(bias, first));
                normalise::<V>(src, dst, len, statistics, weight, bias);
                continue;
            }
            let (mean, scale) = (V::splat(statistics.mean), V::splat(statistics.scale));
            for c in 0..channels {
                let w = V::splat(if weight.is_null() { 1.0 } else { *weight.add(first + c) });
                let b = V::splat(if bias.is_null() { 0.0 } else { *bias.add(first + c) });
                let (src, dst) = (src.add(c * inner), dst.add(c * inner));
                map!(src, dst, inner, |x: V| x.sub(mean).mul(scale).mul_add(w, b));
            }
        }
    }
}

/// `x * scale[c] + shift[c]` for values `[samples, channels, inner]`: normalisation by stored statistics.
///
/// # Safety
/// `samples * channels * inner` values are readable at `src` and writable at `dst`, the two being the same or apart,
/// and `channels` at `scale` and `shift`. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn channel_affine<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    (samples, channels, inner): (usize, usize, usize),
    scale: *const f32,
    shift: *const f32,
) {
    for sample in 0..samples {
        // SAFETY: the caller's promise.
        unsafe {
            let (src, dst) = (src.add(sample * channels * inner), dst.add(sample * channels * inner));
            if inner == 1 {
                for c in (0..channels).step_by(V::LANES) {
                    let n = channels - c;
                    let (a, b): (V, V) = (load_up_to(scale.add(c), n), load_up_to(shift.add(c), n));
                    store_up_to(load_up_to::<V>(src.add(c), n).mul_add(a, b), dst.add(c), n);
                }
                continue;
            }
            for c in 0..channels {
                let (a, b) = (V::splat(*scale.add(c)), V::splat(*shift.add(c)));
                map!(src.add(c * inner), dst.add(c * inner), inner, |x: V| x.mul_add(a, b));
            }
        }
    }
}

/// What a row is normalised by.
#[derive(Clone, Copy)]
struct Statistics {
    mean: f32,
    /// `1 / sqrt(variance + epsilon)`
    scale: f32,
}

impl Statistics {
    /// Of one row.
    #[inline(always)]
    unsafe fn of<V: Vector>(src: *const f32, len: usize, epsilon: f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = fold(src, len, (V::zero(), V::zero()), |sum, x| sum.add(x), |a, b| a.add(b));
            let mean = sum.reduce_add() / len as f32;
            Statistics { mean, scale: scale_about::<V>(src, len, mean, epsilon) }
        }
    }
}

/// `1 / sqrt(mean((x - centre)^2) + epsilon)`.
#[inline(always)]
unsafe fn scale_about<V: Vector>(src: *const f32, len: usize, centre: f32, epsilon: f32) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let centre = V::splat(centre);
        let square = |sum: V, x: V| {
            let d = x.sub(centre);
            d.mul_add(d, sum)
        };
        let squares = fold(src, len, (V::zero(), centre), square, |a, b| a.add(b));
        1.0 / (squares.reduce_add() / len as f32 + epsilon).sqrt()
    }
}

/// `(x - mean) * scale * weight + bias` over one row.
#[inline(always)]
unsafe fn normalise<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    len: usize,
    statistics: Statistics,
    weight: *const f32,
    bias: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mean, scale) = (V::splat(statistics.mean), V::splat(statistics.scale));
        for i in (0..len).step_by(V::LANES) {
            let n = len - i;
            let w = if weight.is_null() { V::splat(1.0) } else { load_up_to(weight.add(i), n) };
            let b = if bias.is_null() { V::zero() } else { load_up_to(bias.add(i), n) };
            let x: V = load_up_to(src.add(i), n);
            store_up_to(x.sub(mean).mul(scale).mul_add(w, b), dst.add(i), n);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::set::KernelSet;
    use std::ptr::null;

    const LENGTHS: [usize; 9] = [1, 2, 3, 15, 16, 17, 33, 100, 257];
    const EPSILON: f32 = 1e-5;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7 + seed) as f32 * 0.7).sin() * 3.0 + 20.0).collect()
    }

    fn weights(len: usize, seed: usize) -> Vec<f32> {
        values(len, seed).into_iter().map(|x| x / 20.0).collect()
    }

    /// One row by the definition.
    fn expected(x: &[f32], centred: bool, affine: impl Fn(usize) -> (f64, f64)) -> Vec<f64> {
        let x: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let mean = if centred { x.iter().sum::<f64>() / x.len() as f64 } else { 0.0 };
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
        x.iter().enumerate().map(|(i, x)| (x - mean) * scale * affine(i).0 + affine(i).1).collect()
    }

    fn assert_close(got: &[f32], want: &[f64], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
            assert!(
                (f64::from(got) - want).abs() <= 4e-6 * want.abs().max(1.0),
                "{what} at {i}: {got}, not {want}"
            );
        }
    }

    #[test]
    fn rows_are_normalised_by_their_own_statistics() {
        for set in KernelSet::all() {
            for (len, affine) in LENGTHS.into_iter().flat_map(|len| [(len, false), (len, true)]) {
                let rows = 3;
                let (x, w, b) = (values(rows * len, 0), weights(len, 3), weights(len, 5));
                let (weight, bias) = if affine { (w.as_ptr(), b.as_ptr()) } else { (null(), null()) };
                let factor = |i: usize| if affine { f64::from(w[i]) } else { 1.0 };
                let term = |i: usize| if affine { f64::from(b[i]) } else { 0.0 };
                let what = format!("{} with rows of {len}, affine {affine}", set.isa);
                let (mut layer, mut rms) = (x.clone(), vec![0.0; rows * len]);
                // SAFETY: three rows, in place; three rows of `rms`.
                unsafe {
                    (set.layer_norm)(layer.as_ptr(), layer.as_mut_ptr(), rows, len, EPSILON, weight, bias);
                    (set.rms_norm)(x.as_ptr(), rms.as_mut_ptr(), rows, len, EPSILON, weight);
                }
                for row in 0..rows {
                    let at = row * len..(row + 1) * len;
                    let want = expected(&x[at.clone()], true, |i| (factor(i), term(i)));
                    assert_close(&layer[at.clone()], &want, &format!("layer norm on {what}"));
                    let want = expected(&x[at.clone()], false, |i| (factor(i), 0.0));
                    assert_close(&rms[at.clone()], &want, &format!("rms norm on {what}"));
                    let mut alone = x[at.clone()].to_vec();
                    // SAFETY: one row, in place.
                    unsafe {
                        (set.layer_norm)(alone.as_ptr(), alone.as_mut_ptr(), 1, len, EPSILON, weight, bias)
                    };
                    assert_eq!(alone, layer[at], "a row alone on {what}");
                }
            }
        }
    }

    #[test]
    fn groups_are_normalised_and_channels_scaled() {
        for set in KernelSet::all() {
            for (groups, channels, inner) in
                [(1, 1, 5), (2, 3, 1), (3, 4, 7), (4, 17, 1), (2, 2, 100), (1, 33, 16)]
            {
                let (samples, len) = (2, channels * inner);
                let x = values(samples * groups * len, 1);
                let (w, b) = (weights(groups * channels, 3), weights(groups * channels, 5));
                let what = format!("{} with {groups} x {channels} x {inner}", set.isa);
                let (mut got, mut scaled, mut plain) = (vec![0.0; x.len()], vec![0.0; x.len()], x.clone());
                let sizes = (groups, channels, inner);
                // SAFETY: sizes as the kernels ask.
                unsafe {
                    let to = got.as_mut_ptr();
                    (set.group_norm)(x.as_ptr(), to, samples, sizes, EPSILON, w.as_ptr(), b.as_ptr());
                    let (in_place, to) = (plain.as_ptr(), plain.as_mut_ptr());
                    (set.group_norm)(in_place, to, samples, sizes, EPSILON, null(), null());
                    let sizes = (samples, groups * channels, inner);
                    (set.channel_affine)(x.as_ptr(), scaled.as_mut_ptr(), sizes, w.as_ptr(), b.as_ptr());
                }
                for row in 0..samples * groups {
                    let at = row * len..(row + 1) * len;
                    let channel = |i: usize| row % groups * channels + i / inner;
                    let affine = |i| (f64::from(w[channel(i)]), f64::from(b[channel(i)]));
                    let want = expected(&x[at.clone()], true, affine);
                    assert_close(&got[at.clone()], &want, &format!("group norm on {what}"));
                    let want = expected(&x[at.clone()], true, |_| (1.0, 0.0));
                    assert_close(&plain[at.clone()], &want, &format!("plain group norm on {what}"));
                    let row: Vec<f64> = x[at.clone()]
                        .iter()
                        .enumerate()
                        .map(|(i, &x)| f64::from(x) * affine(i).0 + affine(i).1)
                        .collect();
                    assert_close(&scaled[at], &row, &format!("channel affine on {what}"));
                }
            }
        }
    }

    #[test]
    fn a_constant_row_gives_zeros_and_nan_stays_in_its_row() {
        for set in KernelSet::all() {
            let mut x = vec![7.0f32; 34];
            x[20] = f32::NAN;
            // SAFETY: two rows of 17, in place.
            unsafe { (set.layer_norm)(x.as_ptr(), x.as_mut_ptr(), 2, 17, EPSILON, null(), null()) };
            assert!(x[..17].iter().all(|&y| y.abs() < 1e-3), "{}: {:?}", set.isa, &x[..17]);
            assert!(x[17..].iter().all(|y| y.is_nan()));
        }
    }
}
