//! How threads share a convolution that is a product: first the rows of images that are padded, then rows and columns of the products.

use std::ops::Range;

use super::{ConvArgs, Phase, Product};
use crate::division::{ProductDivision, RowsDivision, Units, estimated_us, within};
use crate::kernels::set::KernelSet;

/// Rows of a chunk that one call multiplies.
pub(super) struct Stretch {
    /// The first sample.
    pub sample: usize,
    line: usize,
    window: usize,
    /// Samples of the call, which may be lines.
    pub count: usize,
    /// Rows of each.
    pub rows: usize,
}

impl Stretch {
    /// Where the first row begins in its sample, with these distances between lines and between windows.
    pub fn at(&self, line_step: usize, step: usize) -> usize {
        self.line * line_step + self.window * step
    }
}

impl Phase {
    /// The rows of a sample: see [`Product::rows`].
    pub(super) fn rows(&self) -> usize {
        if self.lines > 1 { self.lines } else { self.windows }
    }

    /// Calls that together multiply these rows of a chunk; one, where samples [follow](Product::samples_follow).
    pub(super) fn stretches(&self, rows: Range<usize>, follow: bool) -> impl Iterator<Item = Stretch> {
        let each = self.rows().max(1);
        let one_call = follow || (self.lines == 1 && self.windows == 1);
        let several_lines = self.lines > 1;
        let windows = self.windows;
        let mut next = rows.start;
        std::iter::from_fn(move || {
            let left = rows.end.checked_sub(next).filter(|&left| left > 0)?;
            let (sample, first) = (next / each, next % each);
            let in_sample = left.min(each - first);
            let (line, window) = if several_lines { (first, 0) } else { (0, first) };
            let (taken, count, rows) = if one_call {
                (left, 1, left)
            } else if several_lines {
                (in_sample, in_sample, windows)
            } else if first == 0 && left >= each {
                (left / each * each, left / each, each)
            } else {
                (in_sample, 1, in_sample)
            };
            next += taken;
            Some(Stretch { sample, line, window, count, rows })
        })
    }
}

/// Which chunk of samples a pass is about, and whether it pads it.
struct Pass {
    chunk: Range<usize>,
    pads: bool,
}

/// How the products of a chunk are divided.
enum Division {
    /// Whole parts.
    Parts(RowsDivision),
    /// Each part by rows and columns.
    Products(ProductDivision),
}

impl Product {
    fn pass(&self, samples: usize, pass: usize) -> Pass {
        let (index, pads) =
            if self.padded.is_plain() { (pass, false) } else { (pass / 2, pass.is_multiple_of(2)) };
        let first = index * self.pass_samples(samples);
        Pass { chunk: first..(first + self.pass_samples(samples)).min(samples), pads }
    }

    /// Samples of a pass: all where nothing is padded.
    fn pass_samples(&self, samples: usize) -> usize {
        if self.padded.is_plain() { samples } else { self.chunk(samples) }
    }

    pub(in crate::kernels) fn passes(&self, samples: usize) -> usize {
        let chunks = samples.div_ceil(self.pass_samples(samples).max(1));
        if self.padded.is_plain() { chunks } else { 2 * chunks }
    }

    pub(in crate::kernels) fn units(&self, set: &KernelSet, samples: usize, pass: usize) -> Option<Units> {
        let Pass { chunk, pads } = self.pass(samples, pass);
        if pads {
            return Some(self.padding(set, chunk.len())?.units());
        }
        match self.division(set, chunk.len())? {
            Division::Parts(division) => Some(division.units()),
            Division::Products(division) => {
                let Units { count, most } = division.units();
                let count = count.checked_mul(self.parts()).filter(|&count| count <= Units::LIMIT)?;
                Some(Units { count, most })
            }
        }
    }

    /// Computes some units of a pass, or all of it.
    ///
    /// # Safety
    /// As for [`Convolution::run_units`](super::Convolution::run_units); the lengths of the slices have been checked.
    pub(in crate::kernels) unsafe fn run_units(
        &self,
        set: &KernelSet,
        args: &ConvArgs<'_>,
        pass: usize,
        units: Option<Range<usize>>,
    ) {
        let Pass { chunk, pads } = self.pass(args.samples, pass);
        let samples = chunk.len();
        if pads {
            let some = self.padding(set, samples).zip(units).map(|(division, units)| division.rows(units));
            let rows = some.unwrap_or(0..self.padded_rows(samples));
            // SAFETY: the caller's promise; no two units have a row in common.
            return unsafe { self.pad(set, args, &chunk, rows) };
        }
        let columns = self.channels_out / self.groups;
        match (self.division(set, samples), units) {
            (Some(Division::Products(division)), Some(units)) => {
                for (part, piece) in within(units, division.units().count) {
                    for (rows, columns) in division.blocks(piece, self.rows(part, samples)) {
                        // SAFETY: the caller's promise; no two units have rows and columns in common.
                        unsafe { self.multiply(set, args, &chunk, part, rows, columns) }
                    }
                }
            }
            (division, units) => {
                let parts = match (division, units) {
                    (Some(Division::Parts(division)), Some(units)) => division.rows(units),
                    _ => 0..self.parts(),
                };
                for part in parts {
                    let rows = 0..self.rows(part, samples);
                    // SAFETY: the caller's promise; no two units have a part in common.
                    unsafe { self.multiply(set, args, &chunk, part, rows, 0..columns) }
                }
            }
        }
    }

    /// The division of padding.
    fn padding(&self, set: &KernelSet, samples: usize) -> Option<RowsDivision> {
        let bytes = 2 * self.padded.row_stride * size_of::<f32>();
        RowsDivision::of(self.padded_rows(samples), estimated_us(set, 0.0, bytes as f64))
    }

    /// The division of the products of a chunk. All parts are about alike, so that one division serves them all.
    fn division(&self, set: &KernelSet, samples: usize) -> Option<Division> {
        let phase = self.phases.first()?;
        let weight = phase.weights.first()?;
        let rows = samples * phase.lines * phase.windows;
        let sizes = [rows, self.channels_out / self.groups, weight.k];
        if let Some(division) = ProductDivision::of(set, sizes, self.row_floats(phase)) {
            return Some(Division::Products(division));
        }
        let operations = sizes.map(|size| size as f64).iter().product();
        let bytes = (sizes[1] * sizes[2] * size_of::<f32>()) as f64;
        Some(Division::Parts(RowsDivision::of(self.parts(), estimated_us(set, operations, bytes))?))
    }
}
