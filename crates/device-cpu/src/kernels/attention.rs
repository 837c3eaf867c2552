//! Scaled dot-product attention, one block of queries of one head at a time.
//!
//! **Queries are lanes.** A block of up to two registers of queries is transposed once; the keys of the head are then
//! read where they lie, and the scores come out as `[key][query]`. So the softmax runs down the keys with no sum across
//! lanes, a key that is to be ignored is a row never visited, and the scores are already in the order in which the
//! product with the values reads them. The values are read where they lie as well, and their sums are divided by the
//! softmax's denominator on the way out.
//!
//! Each sum runs over the keys (or over a head's elements) in order, whatever the block or the tile.
//!
//! **Traps.** A score of `-inf` takes no part even where the value is infinite or NaN: ignored keys are not read, and
//! if other masks meet such values, products with a weight of 0 are left out one by one ([`MixSkippingZeros`]).

mod tile;

use super::row::load_up_to;
use super::softmax::exp_or_zero;
use super::vector::Vector;
use tile::{Mix, MixSkippingZeros, Product, Score};

/// The most registers of queries in a block.
const BLOCK_VECTORS: usize = 2;
/// The most queries in a block, on the widest registers.
const BLOCK_LANES: usize = BLOCK_VECTORS * 16;

/// The rows of one operand: a sample's rows lie `row_stride` apart, the heads of a row side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadRows {
    /// The first row of the first sample.
    pub start: *const f32,
    /// From one row to the next, in values.
    pub row_stride: usize,
    /// From one sample to the next, in values.
    pub sample_stride: usize,
}

/// A value that is added to each score; a stride is 0 where it is the same along an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    /// The first value; null for no mask.
    pub start: *const f32,
    /// From one sample, head, query and key to the next, in values.
    pub strides: [usize; 4],
}

/// Which keys of a sample are to be ignored: those that are not 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPadding {
    /// The first key of the first sample; null for none to be ignored.
    pub start: *const u8,
    /// From one sample to the next.
    pub sample_stride: usize,
}

/// `softmax(q k^T * scale + mask) v` for each head of each sample, or some blocks of it; no sample depends on another. A query that no key is left for gives zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    /// Heads of a sample.
    pub heads: usize,
    /// Queries of a sample: rows of `q` and of `out`.
    pub queries: usize,
    /// Keys of a sample: rows of `k` and `v`.
    pub keys: usize,
    /// Values of a head in a row of `q` and `k`.
    pub head_size: usize,
    /// Values of a head in a row of `v` and `out`.
    pub value_size: usize,
    /// Queries.
    pub q: HeadRows,
    /// Keys.
    pub k: HeadRows,
    /// Values.
    pub v: HeadRows,
    /// Added to the scaled scores.
    pub mask: Mask,
    /// Keys to be ignored.
    pub key_padding: KeyPadding,
    /// Query `i` sees keys `0..=i` only.
    pub causal: bool,
    /// Multiplies the scores.
    pub scale: f32,
    /// The first row of the first sample of the result.
    pub out: *mut f32,
    /// From one row of the result to the next.
    pub out_row_stride: usize,
    /// From one sample of the result to the next.
    pub out_sample_stride: usize,
    /// [`scratch_floats`] values, best at the start of a cache line.
    pub scratch: *mut f32,
    /// Which of the [`blocks`] of every head of every sample are computed: from the first of these on, up to the other.
    pub blocks: [usize; 2],
}

/// The blocks of queries of a head.
pub(crate) fn blocks(lanes: usize, queries: usize) -> usize {
    queries.div_ceil(BLOCK_VECTORS * lanes)
}

/// The scratch that [`attention`] needs on registers of `lanes` lanes.
pub(crate) fn scratch_floats(lanes: usize, keys: usize, head_size: usize) -> usize {
    BLOCK_VECTORS * lanes * (keys + head_size)
}

/// Computes `args`.
///
/// # Safety
/// The rows, the mask and the padding that `args` names are readable, the rows of the result and the scratch writable,
/// and neither overlaps anything else. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn attention<V: Vector>(args: &Attention) {
    let a = args;
    let each = blocks(V::LANES, a.queries);
    let [mut next, end] = a.blocks;
    while next < end {
        let (sample, head) = (next / each / a.heads, next / each % a.heads);
        // SAFETY: the caller's promise: these are the sample's and the head's places in each operand.
        unsafe {
            let head_of =
                |rows: HeadRows, size: usize| rows.start.add(sample * rows.sample_stride + head * size);
            let one = Head {
                args: a,
                q: head_of(a.q, a.head_size),
                k: head_of(a.k, a.head_size),
                v: head_of(a.v, a.value_size),
                mask: a.mask.start.wrapping_add(sample * a.mask.strides[0] + head * a.mask.strides[1]),
                visible: Visible::new(a, sample),
                out: a.out.add(sample * a.out_sample_stride + head * a.value_size),
            };
            let skip_zeros = (a.causal || !a.mask.start.is_null()) && !one.values_are_finite::<V>();
            let end = end.min((next / each + 1) * each);
            for block in next % each..end - next / each * each {
                let first = block * BLOCK_VECTORS * V::LANES;
                let count = (a.queries - first).min(BLOCK_VECTORS * V::LANES);
                if count > V::LANES {
                    one.block::<V, BLOCK_VECTORS>(first, count, skip_zeros);
                } else {
                    one.block::<V, 1>(first, count, skip_zeros);
                }
            }
            next = end;
        }
    }
}

/// The keys of a sample that are not to be ignored.
#[derive(Clone, Copy)]
struct Visible {
    /// Which keys are ignored; null if none before `end` is.
    padding: *const u8,
    /// Behind the last visible key.
    end: usize,
}

impl Visible {
    unsafe fn new(args: &Attention, sample: usize) -> Self {
        let KeyPadding { start, sample_stride } = args.key_padding;
        if start.is_null() {
            return Visible { padding: start, end: args.keys };
        }
        // SAFETY: the sample's keys have these flags.
        let flags = unsafe { std::slice::from_raw_parts(start.add(sample * sample_stride), args.keys) };
        let end = flags.iter().rposition(|&ignored| ignored == 0).map_or(0, |last| last + 1);
        let gaps = flags[..end].iter().any(|&ignored| ignored != 0);
        Visible { padding: if gaps { flags.as_ptr() } else { std::ptr::null() }, end }
    }

    /// The next stretch of visible keys from `from` on and before `end`; empty at the end.
    unsafe fn run(&self, mut from: usize, end: usize) -> (usize, usize) {
        let end = end.min(self.end);
        if self.padding.is_null() {
            return (from.min(end), end);
        }
        // SAFETY: there is a flag for every key before `end`.
        unsafe {
            while from < end && *self.padding.add(from) != 0 {
                from += 1;
            }
            let mut to = from;
            while to < end && *self.padding.add(to) == 0 {
                to += 1;
            }
            (from, to)
        }
    }
}

/// Calls `$body` with the bounds of each stretch of visible keys before `$end`.
macro_rules! for_each_run {
    ($visible:expr, $end:expr, |$from:ident, $to:ident| $body:block) => {
        let mut next = 0;
        loop {
            let ($from, $to) = $visible.run(next, $end);
            if $from >= $to {
                break;
            }
            $body
            next = $to;
        }
    };
}
use for_each_run;

/// One head of one sample.
struct Head<'a> {
    args: &'a Attention,
    q: *const f32,
    k: *const f32,
    v: *const f32,
    mask: *const f32,
    visible: Visible,
    out: *mut f32,
}

impl Head<'_> {
    /// Whether no visible value is infinite or NaN: products with 0 stay 0.
    #[inline(always)]
    unsafe fn values_are_finite<V: Vector>(&self) -> bool {
        let a = self.args;
        // SAFETY: the caller's promise of `attention`.
        unsafe {
            let mut sum = V::zero();
            for_each_run!(self.visible, a.keys, |from, to| {
                for key in from..to {
                    for j in (0..a.value_size).step_by(V::LANES) {
                        let v: V = load_up_to(self.v.add(key * a.v.row_stride + j), a.value_size - j);
                        sum = v.mul_add(V::zero(), sum);
                    }
                }
            });
            sum.reduce_add() == 0.0
        }
    }

    /// `count` queries from `first` on, in `N` registers.
    #[inline(always)]
    unsafe fn block<V: Vector, const N: usize>(&self, first: usize, count: usize, skip_zeros: bool) {
        let a = self.args;
        let width = N * V::LANES;
        // Keys that the last query of the block sees.
        let end = if a.causal { self.visible.end.min(first + count) } else { self.visible.end };
        // SAFETY: the caller's promise of `attention`; the scratch has room for `width` lanes of queries and scores.
        unsafe {
            let queries = a.scratch;
            let scores = a.scratch.add(a.head_size * width);
            let q = self.q.add(first * a.q.row_stride);
            to_lanes::<V>(q, a.q.row_stride, 1, count, a.head_size, queries, width);
            let masked = !a.mask.start.is_null();
            if masked {
                let mask = self.mask.add(first * a.mask.strides[2]);
                to_lanes::<V>(mask, a.mask.strides[2], a.mask.strides[3], count, end, scores, width);
            }

            let mut largest = [f32::NEG_INFINITY; BLOCK_LANES];
            let score = Score::<N> {
                k: self.k,
                k_stride: a.k.row_stride,
                queries,
                head_size: a.head_size,
                scale: a.scale,
                scores,
                masked,
                causal_from: if a.causal { first } else { usize::MAX },
                largest: largest.as_mut_ptr(),
            };
            for_each_run!(self.visible, end, |from, to| {
                score.rows::<V>(from, to);
            });

            let mut factors = [0.0; BLOCK_LANES];
            self.exponentials::<V, N>(scores, end, &largest, &mut factors);

            let mix = Mix {
                weights: scores,
                width,
                v: self.v,
                v_stride: a.v.row_stride,
                value_size: a.value_size,
                visible: self.visible,
                causal_from: if a.causal { first } else { usize::MAX },
                factors: factors.as_ptr(),
                out: self.out.add(first * a.out_row_stride),
                out_stride: a.out_row_stride,
            };
            if skip_zeros { MixSkippingZeros(mix).rows::<V>(0, count) } else { mix.rows::<V>(0, count) }
        }
    }

    /// Replaces each score by its exponential relative to the query's largest; `factors` become one over their sums.
    #[inline(always)]
    unsafe fn exponentials<V: Vector, const N: usize>(
        &self,
        scores: *mut f32,
        end: usize,
        largest: &[f32; BLOCK_LANES],
        factors: &mut [f32; BLOCK_LANES],
    ) {
        // SAFETY: the caller's promise of `attention`; a block has at most `BLOCK_LANES` lanes.
        unsafe {
            let (mut sums, mut shifts) = ([V::zero(); N], [V::zero(); N]);
            for (v, shift) in shifts.iter_mut().enumerate() {
                let m = V::load(largest.as_ptr().add(v * V::LANES));
                // Where every score is -inf, every exponential is to be 0.
                *shift = V::select_eq(m, V::splat(f32::NEG_INFINITY), V::zero(), m);
            }
            for_each_run!(self.visible, end, |from, to| {
                for key in from..to {
                    for v in 0..N {
                        let at = scores.add((key * N + v) * V::LANES);
                        let e = exp_or_zero(V::load(at).sub(shifts[v]));
                        sums[v] = sums[v].add(e);
                        e.store(at);
                    }
                }
            });
            for (v, &sum) in sums.iter().enumerate() {
                let factor = V::select_eq(sum, V::zero(), V::zero(), V::splat(1.0).div(sum));
                factor.store(factors.as_mut_ptr().add(v * V::LANES));
            }
        }
    }
}

/// Puts `rows` rows of `columns` values side by side, row `i` in lane `i` of every `width`, and zeros in the other lanes:
/// `to[j * width + i] = from[i * row_stride + j * column_stride]`.
#[inline(always)]
unsafe fn to_lanes<V: Vector>(
    from: *const f32,
    row_stride: usize,
    column_stride: usize,
    rows: usize,
    columns: usize,
    to: *mut f32,
    width: usize,
) {
    const { assert!(V::LANES <= 16) };
    // SAFETY: the caller's promise that the rows are readable and `columns * width` values writable.
    unsafe {
        if column_stride != 1 {
            for (j, i) in (0..columns).flat_map(|j| (0..width).map(move |i| (j, i))) {
                *to.add(j * width + i) =
                    if i < rows { *from.add(i * row_stride + j * column_stride) } else { 0.0 };
            }
            return;
        }
        for i in (0..width).step_by(V::LANES) {
            for j in (0..columns).step_by(V::LANES) {
                let mut block = [V::zero(); 16];
                for (r, row) in block.iter_mut().enumerate().take(rows.saturating_sub(i).min(V::LANES)) {
                    *row = load_up_to(from.add((i + r) * row_stride + j), columns - j);
                }
                let to = to.add(j * width + i);
                V::store_transposed(&block[..V::LANES], V::LANES, to, width, (columns - j).min(V::LANES));
            }
        }
    }
}

#[cfg(test)]
mod tests;
