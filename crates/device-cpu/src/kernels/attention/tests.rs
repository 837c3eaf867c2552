//! Attention against the definition, with every mask, at sizes that fill no register.

use super::*;
use crate::kernels::set::KernelSet;
use std::ptr::null;

/// A deterministic value in -1 ..= 1.
fn noise(i: usize) -> f32 {
    let mixed = (i as u32).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(0x9E37_79B1);
    (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// Operands of one call: `q`, `k` and `v` lie in rows of one buffer when there are as many queries as keys.
#[derive(Clone)]
struct Case {
    samples: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    head_size: usize,
    value_size: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    mask: Option<(Vec<f32>, [usize; 4])>,
    padding: Option<Vec<u8>>,
    causal: bool,
}

/// Values between the rows, which nothing may touch.
const GAP: usize = 3;

impl Case {
    fn new([heads, queries, keys, head_size, value_size]: [usize; 5], samples: usize) -> Self {
        let rows = |rows: usize, size: usize, seed: usize| {
            (0..samples * rows * (heads * size + GAP)).map(|i| noise(i + seed)).collect::<Vec<f32>>()
        };
        Case {
            samples,
            heads,
            queries,
            keys,
            head_size,
            value_size,
            q: rows(queries, head_size, 1),
            k: rows(keys, head_size, 100_000),
            v: rows(keys, value_size, 200_000),
            mask: None,
            padding: None,
            causal: false,
        }
    }

    /// An additive mask; `broadcast` axes have one value.
    fn masked(mut self, broadcast: [bool; 4], transposed: bool) -> Self {
        let lengths = [self.samples, self.heads, self.queries, self.keys];
        let order = if transposed { [0, 1, 3, 2] } else { [0, 1, 2, 3] };
        let (mut strides, mut total) = ([0; 4], 1);
        for axis in order.into_iter().rev().filter(|&axis| !broadcast[axis]) {
            strides[axis] = total;
            total *= lengths[axis];
        }
        let value = |i| if noise(i + 7) > 0.6 { f32::NEG_INFINITY } else { noise(i + 7) };
        self.mask = Some(((0..total).map(value).collect(), strides));
        self
    }

    fn padded(mut self, ignored: impl Fn(usize, usize) -> bool) -> Self {
        let keys = self.keys;
        self.padding =
            Some((0..self.samples * keys).map(|i| u8::from(ignored(i / keys, i % keys))).collect());
        self
    }

    fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// The samples from `first` on, `samples` of them.
    fn run(&self, set: &KernelSet, first: usize, samples: usize) -> Vec<f32> {
        let rows = |data: &[f32], rows: usize, size: usize| {
            let row_stride = self.heads * size + GAP;
            let start = data[first * rows * row_stride..].as_ptr();
            HeadRows { start, row_stride, sample_stride: rows * row_stride }
        };
        let mask = self.mask.as_ref().map_or(Mask { start: null(), strides: [0; 4] }, |(values, strides)| {
            Mask { start: values[first * strides[0]..].as_ptr(), strides: *strides }
        });
        let key_padding = KeyPadding {
            start: self.padding.as_ref().map_or(null(), |flags| flags[first * self.keys..].as_ptr()),
            sample_stride: self.keys,
        };
        let out_row_stride = self.heads * self.value_size + 1;
        let mut out = vec![7.0; samples * self.queries * out_row_stride];
        let mut scratch = vec![f32::NAN; scratch_floats(set.lanes, self.keys, self.head_size)];
        let args = Attention {
            heads: self.heads,
            queries: self.queries,
            keys: self.keys,
            head_size: self.head_size,
            value_size: self.value_size,
            q: rows(&self.q, self.queries, self.head_size),
            k: rows(&self.k, self.keys, self.head_size),
            v: rows(&self.v, self.keys, self.value_size),
            mask,
            key_padding,
            causal: self.causal,
            scale: 0.3,
            out: out.as_mut_ptr(),
            out_row_stride,
            out_sample_stride: self.queries * out_row_stride,
            scratch: scratch.as_mut_ptr(),
            blocks: [0, 0],
        };
        // The blocks in pieces, the last first: none depends on another.
        let count = samples * self.heads * blocks(set.lanes, self.queries);
        for first in (0..count).step_by(3).rev() {
            // SAFETY: every operand has the sizes that `args` says.
            unsafe { (set.attention)(&Attention { blocks: [first, (first + 3).min(count)], ..args }) };
        }
        assert!(out.iter().skip(out_row_stride - 1).step_by(out_row_stride).all(|&gap| gap == 7.0));
        out
    }

    /// The definition, in f64.
    fn expected(&self) -> Vec<f64> {
        let (q_row, v_row) = (self.heads * self.head_size + GAP, self.heads * self.value_size + GAP);
        let out_row = self.heads * self.value_size + 1;
        let mut out = vec![7.0; self.samples * self.queries * out_row];
        for (n, h, i) in (0..self.samples)
            .flat_map(|n| (0..self.heads).flat_map(move |h| (0..self.queries).map(move |i| (n, h, i))))
        {
            let score = |key: usize| {
                let ignored = self.padding.as_ref().is_some_and(|flags| flags[n * self.keys + key] != 0);
                if ignored || (self.causal && key > i) {
                    return f64::NEG_INFINITY;
                }
                let q = &self.q[(n * self.queries + i) * q_row + h * self.head_size..][..self.head_size];
                let k = &self.k[(n * self.keys + key) * q_row + h * self.head_size..][..self.head_size];
                let product: f64 = q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum();
                let added = self.mask.as_ref().map_or(0.0, |(values, s)| {
                    f64::from(values[n * s[0] + h * s[1] + i * s[2] + key * s[3]])
                });
                product * f64::from(0.3f32) + added
            };
            let scores: Vec<f64> = (0..self.keys).map(score).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weight = |s: f64| if s == f64::NEG_INFINITY { 0.0 } else { (s - largest).exp() };
            let total: f64 = scores.iter().map(|&s| weight(s)).sum();
            for j in 0..self.value_size {
                let value =
                    |key: usize| f64::from(self.v[(n * self.keys + key) * v_row + h * self.value_size + j]);
                let mixed: f64 = (0..self.keys)
                    .filter(|&key| weight(scores[key]) != 0.0)
                    .map(|key| weight(scores[key]) * value(key))
                    .sum();
                out[(n * self.queries + i) * out_row + h * self.value_size + j] =
                    if total == 0.0 { 0.0 } else { mixed / total };
            }
        }
        out
    }

    /// Compares with the definition, and each sample with itself alone.
    fn check(&self, what: &str) {
        let want = self.expected();
        for set in KernelSet::all() {
            let got = self.run(set, 0, self.samples);
            for (i, (&got, &want)) in got.iter().zip(&want).enumerate() {
                let close = (f64::from(got) - want).abs() <= 3e-6 * want.abs().max(1.0);
                assert!(
                    close || (got.is_nan() && want.is_nan()),
                    "{what} on {} at {i}: {got}, not {want}",
                    set.isa
                );
            }
            let each = got.len() / self.samples;
            for sample in 0..self.samples {
                let alone = self.run(set, sample, 1);
                let same = alone.iter().zip(&got[sample * each..]).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{what} on {}: sample {sample} alone differs", set.isa);
            }
        }
    }
}

/// Heads, queries, keys, head size, value size.
const SIZES: [[usize; 5]; 12] = [
    [1, 1, 1, 1, 1],
    [2, 3, 5, 7, 3],
    [1, 15, 15, 16, 16],
    [2, 16, 16, 32, 32],
    [1, 17, 33, 5, 20],
    [2, 32, 32, 64, 64],
    [1, 33, 17, 24, 48],
    [3, 1, 100, 8, 8],
    [1, 40, 9, 33, 31],
    [1, 100, 100, 16, 17],
    [1, 5, 257, 4, 6],
    [2, 4, 0, 3, 5],
];

#[test]
fn heads_attend_at_every_size() {
    for sizes in SIZES {
        Case::new(sizes, 2).check(&format!("{sizes:?}"));
        Case::new(sizes, 2).causal().check(&format!("causal {sizes:?}"));
    }
}

#[test]
fn masks_are_added_however_they_are_broadcast() {
    for sizes in SIZES {
        for broadcast in (0..16).map(|bits| [0, 1, 2, 3].map(|axis| bits >> axis & 1 == 1)) {
            Case::new(sizes, 2).masked(broadcast, false).check(&format!("mask {broadcast:?} of {sizes:?}"));
        }
        Case::new(sizes, 2)
            .masked([true, true, false, false], true)
            .check(&format!("transposed mask {sizes:?}"));
        Case::new(sizes, 2).masked([false; 4], false).causal().check(&format!("causal mask {sizes:?}"));
    }
}

#[test]
fn ignored_keys_have_no_part() {
    for sizes in SIZES {
        let case = || Case::new(sizes, 3);
        case().padded(|n, key| key >= 3 * n).check(&format!("suffixes of {sizes:?}"));
        case().padded(|n, key| noise(n * 1000 + key) > 0.0).check(&format!("gaps in {sizes:?}"));
        case().padded(|_, key| key < 2).causal().check(&format!("causal, a prefix of {sizes:?}"));
        let mut hostile =
            case().padded(|_, key| key % 3 == 1).masked([true, false, false, false], false).causal();
        let (k_row, v_row) = (sizes[0] * sizes[3] + GAP, sizes[0] * sizes[4] + GAP);
        for row in (0..3 * sizes[2]).filter(|row| row % sizes[2] % 3 == 1) {
            hostile.k[row * k_row..(row + 1) * k_row].fill(f32::NAN);
            hostile.v[row * v_row..(row + 1) * v_row].fill(f32::INFINITY);
        }
        hostile.check(&format!("hostile ignored keys of {sizes:?}"));
    }
}

#[test]
fn values_behind_a_mask_may_be_anything() {
    for sizes in [[1, 33, 40, 8, 20], [2, 16, 16, 4, 32]] {
        for value in [f32::NAN, f32::INFINITY] {
            for (key, causal) in [(0, true), (9, true), (15, true), (9, false)] {
                let mut case = Case::new(sizes, 2);
                let row = sizes[0] * sizes[4] + GAP;
                case.v[key * row..(key + 1) * row].fill(value);
                case = if causal { case.causal() } else { case.masked([true, true, false, false], false) };
                // The definition's own infinities, where a key is seen, are compared as they are.
                let want = case.expected();
                for set in KernelSet::all() {
                    for (i, (&got, &want)) in case.run(set, 0, 2).iter().zip(&want).enumerate() {
                        let close = (f64::from(got) - want).abs() <= 3e-6 * want.abs().max(1.0);
                        let same = close || f64::from(got) == want || (got.is_nan() && want.is_nan());
                        assert!(same, "{sizes:?} on {} at {i}: {got}, not {want}", set.isa);
                    }
                }
            }
        }
    }
}

#[test]
fn scores_may_be_extreme() {
    for (factor, nan) in [(1e19, false), (-1e19, false), (f32::NAN, true), (1e-30, false)] {
        let mut case = Case::new([1, 17, 20, 4, 18], 1);
        case.q[..4].iter_mut().for_each(|q| *q *= factor);
        case.k.iter_mut().for_each(|k| *k *= 1e3);
        for set in KernelSet::all() {
            let got = case.run(set, 0, 1);
            let first = &got[..18];
            assert!(first.iter().all(|y| y.is_nan() == nan && !y.is_infinite()), "{factor} on {}", set.isa);
            assert!(got[18..].iter().all(|y| y.is_finite()), "{factor} on {}", set.isa);
        }
    }
}
