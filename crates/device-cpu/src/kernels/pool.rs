//! Pooling over windows of planes; one spatial axis is a plane of one row.
//!
//! A row of results is made tap by tap: each tap of the window combines one stretch of an input row into it. So a window
//! costs the same wherever it lies, and where windows follow each other without a gap the stretch runs in registers. Where
//! channels lie last, a window is made for one register of channels after the other, from the same taps in the same order.

use super::row::{load_up_to, map, store_up_to};
use super::vector::Vector;
use std::ops::Range;

/// The windows along one axis: tap `t` of window `o` is at `o * stride + t * dilation - padding`, where that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolAxis {
    /// Length of the input.
    pub input: usize,
    /// Length of the output.
    pub output: usize,
    /// Taps of a window.
    pub kernel: usize,
    /// From one window to the next.
    pub stride: usize,
    /// Elements missing before the input.
    pub padding: usize,
    /// From one tap to the next.
    pub dilation: usize,
}

impl PoolAxis {
    /// The place of a tap of a window, if it lies in the input.
    fn place(&self, window: usize, tap: usize) -> Option<usize> {
        (window * self.stride + tap * self.dilation).checked_sub(self.padding).filter(|&at| at < self.input)
    }

    /// The windows of which a tap lies in the input.
    fn windows_of(&self, tap: usize) -> Range<usize> {
        let offset = tap * self.dilation;
        let first = self.padding.saturating_sub(offset).div_ceil(self.stride);
        let end = (self.input + self.padding).saturating_sub(offset).div_ceil(self.stride).min(self.output);
        first.min(end)..end
    }

    /// The taps of a window that lie in the input.
    fn taps_inside(&self, window: usize) -> Range<usize> {
        let first = window * self.stride;
        let begin = self.padding.saturating_sub(first).div_ceil(self.dilation);
        let end = (self.input + self.padding).saturating_sub(first).div_ceil(self.dilation).min(self.kernel);
        begin.min(end)..end
    }

    /// Where a tap of a window lies that is in the input.
    fn at(&self, window: usize, tap: usize) -> usize {
        window * self.stride + tap * self.dilation - self.padding
    }
}

/// The largest element of each window of each of `planes` planes, `[rows, columns]`; NaN if one is, `-inf` of none.
///
/// # Safety
/// `planes` times the inputs' product of values are readable at `src`, times the outputs' writable at `dst`, the two
/// apart. Strides are at least 1. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn max_pool<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    planes: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
) {
    let larger = |a: f32, b: f32| if a > b || a.is_nan() { a } else { b };
    for row in 0..planes * rows.output {
        // SAFETY: the caller's promise.
        unsafe {
            let plane = src.add(row / rows.output * rows.input * columns.input);
            let dst = dst.add(row * columns.output);
            std::slice::from_raw_parts_mut(dst, columns.output).fill(f32::NEG_INFINITY);
            combine_row(plane, dst, row % rows.output, rows, columns, |a: V, b| a.max(b), larger);
        }
    }
}

/// The mean of each window, over all its taps if `count_include_pad` and over those in the input otherwise.
///
/// # Safety
/// As for [`max_pool`].
#[inline(always)]
pub(crate) unsafe fn average_pool<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    planes: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
    count_include_pad: bool,
) {
    for row in 0..planes * rows.output {
        // SAFETY: the caller's promise.
        unsafe {
            let plane = src.add(row / rows.output * rows.input * columns.input);
            let dst = dst.add(row * columns.output);
            std::slice::from_raw_parts_mut(dst, columns.output).fill(0.0);
            combine_row(plane, dst, row % rows.output, rows, columns, |a: V, b| a.add(b), |a, b| a + b);
            if count_include_pad {
                let taps = V::splat((rows.kernel * columns.kernel) as f32);
                map!(dst, dst, columns.output, |sum: V| sum.div(taps));
            } else {
                let taps = rows.taps_inside(row % rows.output).len();
                for o in 0..columns.output {
                    *dst.add(o) /= (taps * columns.taps_inside(o).len()) as f32;
                }
            }
        }
    }
}

/// [`max_pool`] of images `[rows, columns, channels]`: some lines of windows, counted from the first of the first image.
///
/// # Safety
/// As for [`max_pool`], with `channels` planes for each image up to the last with one of these lines; of the output, only these lines
/// need be writable.
#[inline(always)]
pub(crate) unsafe fn max_pool_channels<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    lines: Range<usize>,
    channels: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let lowest = V::splat(f32::NEG_INFINITY);
        let largest = |a: V, b: V| a.max(b);
        combine_channels(src, dst, lines, channels, rows, columns, lowest, largest, |v, _| v);
    }
}

/// [`average_pool`] of images `[rows, columns, channels]`: some lines of windows.
///
/// # Safety
/// As for [`max_pool_channels`].
#[inline(always)]
pub(crate) unsafe fn average_pool_channels<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    lines: Range<usize>,
    channels: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
    count_include_pad: bool,
) {
    let all = rows.kernel * columns.kernel;
    // SAFETY: the caller's promise.
    unsafe {
        let mean = |sum: V, taps: usize| sum.div(V::splat(if count_include_pad { all } else { taps } as f32));
        combine_channels(src, dst, lines, channels, rows, columns, V::zero(), |a, b| a.add(b), mean);
    }
}

/// Combines the taps of every window of these lines, from the first to the last, and finishes the result given how many there were.
#[inline(always)]
unsafe fn combine_channels<V: Vector>(
    src: *const f32,
    dst: *mut f32,
    lines: Range<usize>,
    channels: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
    neutral: V,
    combine: impl Fn(V, V) -> V,
    finish: impl Fn(V, usize) -> V,
) {
    for row in lines {
        let image = src.wrapping_add(row / rows.output * rows.input * columns.input * channels);
        let ys = rows.taps_inside(row % rows.output);
        for column in 0..columns.output {
            let xs = columns.taps_inside(column);
            for channel in (0..channels).step_by(V::LANES) {
                let left = channels - channel;
                // SAFETY: the caller's promise; these taps lie inside.
                unsafe {
                    let mut value = neutral;
                    for y in ys.clone() {
                        let line =
                            image.add(rows.at(row % rows.output, y) * columns.input * channels + channel);
                        for x in xs.clone() {
                            value =
                                combine(value, load_up_to(line.add(columns.at(column, x) * channels), left));
                        }
                    }
                    let to = dst.add((row * columns.output + column) * channels + channel);
                    store_up_to(finish(value, ys.len() * xs.len()), to, left);
                }
            }
        }
    }
}

/// Combines the taps of row `row` of the windows into `dst`, from the first to the last.
#[inline(always)]
unsafe fn combine_row<V: Vector>(
    plane: *const f32,
    dst: *mut f32,
    row: usize,
    rows: &PoolAxis,
    columns: &PoolAxis,
    combine: impl Fn(V, V) -> V,
    combine_one: impl Fn(f32, f32) -> f32,
) {
    for y in (0..rows.kernel).filter_map(|tap| rows.place(row, tap)) {
        for tap in 0..columns.kernel {
            let windows = columns.windows_of(tap);
            if windows.is_empty() {
                continue;
            }
            let x = windows.start * columns.stride + tap * columns.dilation - columns.padding;
            // SAFETY: these windows have this tap in the row, from `x` on.
            unsafe {
                let (src, dst) = (plane.add(y * columns.input + x), dst.add(windows.start));
                if columns.stride == 1 {
                    for o in (0..windows.len()).step_by(V::LANES) {
                        let n = windows.len() - o;
                        let (so_far, x): (V, V) = (load_up_to(dst.add(o), n), load_up_to(src.add(o), n));
                        store_up_to(combine(so_far, x), dst.add(o), n);
                    }
                } else {
                    for o in 0..windows.len() {
                        *dst.add(o) = combine_one(*dst.add(o), *src.add(o * columns.stride));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::set::KernelSet;

    /// Input length, kernel, stride, padding before, padding after, dilation.
    const AXES: [[usize; 6]; 10] = [
        [1, 1, 1, 0, 0, 1],
        [7, 3, 1, 1, 1, 1],
        [8, 2, 2, 0, 0, 1],
        [9, 3, 2, 1, 0, 1],
        [33, 5, 1, 2, 2, 1],
        [16, 3, 1, 1, 1, 2],
        [20, 3, 3, 1, 1, 3],
        [17, 17, 1, 0, 0, 1],
        [100, 4, 1, 2, 1, 1],
        [3, 4, 1, 2, 2, 1],
    ];

    fn axis([input, kernel, stride, before, after, dilation]: [usize; 6]) -> PoolAxis {
        let output = (input + before + after - dilation * (kernel - 1) - 1) / stride + 1;
        PoolAxis { input, output, kernel, stride, padding: before, dilation }
    }

    /// The elements of a window that lie in the input, by the definition.
    fn window(x: &[f32], rows: &PoolAxis, columns: &PoolAxis, at: usize) -> Vec<f64> {
        let (plane, row) = (at / columns.output / rows.output, at / columns.output % rows.output);
        let inside = |axis: &PoolAxis, window: usize, tap: usize| {
            let place = (window * axis.stride + tap * axis.dilation) as isize - axis.padding as isize;
            (0..axis.input as isize).contains(&place).then_some(place as usize)
        };
        let mut elements = vec![];
        for ky in 0..rows.kernel {
            for kx in 0..columns.kernel {
                if let (Some(y), Some(x_at)) =
                    (inside(rows, row, ky), inside(columns, at % columns.output, kx))
                {
                    elements.push(f64::from(x[(plane * rows.input + y) * columns.input + x_at]));
                }
            }
        }
        elements
    }

    #[test]
    fn windows_are_pooled() {
        for set in KernelSet::all() {
            for (rows, columns) in
                AXES.into_iter().flat_map(|row| AXES.map(|column| (axis(row), axis(column))))
            {
                let planes = 2;
                let x: Vec<f32> =
                    (0..planes * rows.input * columns.input).map(|i| (i as f32 * 1.7).sin() + 0.5).collect();
                let len = planes * rows.output * columns.output;
                let mut got = vec![vec![7.0; len + 1]; 3];
                // SAFETY: the axes' sizes.
                unsafe {
                    (set.max_pool)(x.as_ptr(), got[0].as_mut_ptr(), planes, &rows, &columns);
                    (set.average_pool)(x.as_ptr(), got[1].as_mut_ptr(), planes, &rows, &columns, true);
                    (set.average_pool)(x.as_ptr(), got[2].as_mut_ptr(), planes, &rows, &columns, false);
                }
                for at in 0..len {
                    let elements = window(&x, &rows, &columns, at);
                    let sum: f64 = elements.iter().sum();
                    let taps = rows.kernel * columns.kernel;
                    let largest = elements.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let want = [largest, sum / taps as f64, sum / elements.len() as f64];
                    for (got, want) in got.iter().zip(want) {
                        let close = (f64::from(got[at]) - want).abs() <= 2e-6;
                        assert!(
                            close,
                            "{} at {at} of {rows:?}, {columns:?}: {}, not {want}",
                            set.isa, got[at]
                        );
                    }
                }
                assert!(got.iter().all(|got| got[len] == 7.0));
                // The two planes as channels, and more of them than a register holds.
                let channels = 21;
                let pixels = rows.input * columns.input;
                let last: Vec<f32> =
                    (0..channels * pixels).map(|i| x[i % channels % 2 * pixels + i / channels]).collect();
                let mut pooled = vec![vec![7.0; len / 2 * channels + 1]; 3];
                // SAFETY: the axes' sizes.
                unsafe {
                    let lines = 0..rows.output;
                    (set.max_pool_channels)(
                        last.as_ptr(),
                        pooled[0].as_mut_ptr(),
                        lines.clone(),
                        channels,
                        &rows,
                        &columns,
                    );
                    for (pooled, count_include_pad) in pooled[1..].iter_mut().zip([true, false]) {
                        let (from, to) = (last.as_ptr(), pooled.as_mut_ptr());
                        let lines = lines.clone();
                        (set.average_pool_channels)(
                            from,
                            to,
                            lines,
                            channels,
                            &rows,
                            &columns,
                            count_include_pad,
                        );
                    }
                }
                for (pooled, got) in pooled.iter().zip(&got) {
                    for (i, &value) in pooled[..len / 2 * channels].iter().enumerate() {
                        let same = got[i % channels % 2 * (len / 2) + i / channels];
                        assert!(value == same, "{} at {i} of {rows:?}, {columns:?}", set.isa);
                    }
                    assert_eq!(pooled[len / 2 * channels], 7.0);
                }
                let mut alone = vec![0.0; len / 2];
                let second = x[rows.input * columns.input..].as_ptr();
                // SAFETY: one plane.
                unsafe { (set.average_pool)(second, alone.as_mut_ptr(), 1, &rows, &columns, false) };
                assert_eq!(alone, got[2][len / 2..len]);
            }
        }
    }

    #[test]
    fn the_largest_of_a_window_is_nan_if_one_is() {
        for set in KernelSet::all() {
            for stride in [1, 2] {
                let (rows, columns) = (axis([1, 1, 1, 0, 0, 1]), axis([40, 3, stride, 1, 1, 1]));
                for at in 0..40 {
                    let mut x = [-1.0; 40];
                    x[at] = f32::NAN;
                    let mut y = vec![0.0; columns.output];
                    // SAFETY: one plane of one row.
                    unsafe { (set.max_pool)(x.as_ptr(), y.as_mut_ptr(), 1, &rows, &columns) };
                    let mut last = vec![0.0; columns.output];
                    // SAFETY: one image of one channel.
                    unsafe {
                        (set.max_pool_channels)(x.as_ptr(), last.as_mut_ptr(), 0..1, 1, &rows, &columns);
                    }
                    for (o, y) in y.iter().chain(&last).enumerate() {
                        let o = o % columns.output;
                        let seen = (0..3).any(|tap| columns.place(o, tap) == Some(at));
                        assert!(
                            if seen { y.is_nan() } else { *y == -1.0 },
                            "{} at {at}, stride {stride}",
                            set.isa
                        );
                    }
                }
            }
        }
    }
}
