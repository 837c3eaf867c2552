//! Transposed convolutions over one axis, phase by phase.
//!
//! Output `o` receives input `i` through tap `t` where `o + padding = i * stride + t * dilation`. Outputs whose
//! `o + padding` leave the same remainder modulo the stride see the same taps, so each such phase is an ordinary
//! convolution of stride 1 with some of the taps, its results `stride` apart. Nothing is scattered, no zero multiplied.

use std::ops::Range;

use super::conv::{ConvArgs, Convolution, Layout, Phase, Product};
use super::pack::PackedMatrix;
use super::pad::Padded;
use super::set::KernelSet;
use crate::division::Units;

/// The sizes of a transposed convolution over one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConvTransposeShape {
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Groups of channels that do not see each other; they divide both.
    pub groups: usize,
    /// Length of the input.
    pub length: usize,
    /// Taps.
    pub kernel: usize,
    /// Outputs from one input's first tap to the next's.
    pub stride: usize,
    /// Outputs taken from the beginning and the end.
    pub padding: (usize, usize),
    /// Outputs added at the end.
    pub output_padding: usize,
    /// Outputs from one tap to the next.
    pub dilation: usize,
}

impl ConvTransposeShape {
    /// Length of the output.
    ///
    /// # Panics
    /// If nothing is left of it.
    pub fn output(&self) -> usize {
        let whole =
            (self.length - 1) * self.stride + (self.kernel - 1) * self.dilation + 1 + self.output_padding;
        let taken = self.padding.0 + self.padding.1;
        assert!(taken < whole, "{taken} taken from an output of {whole}");
        whole - taken
    }
}

/// A transposed convolution with its weights packed for one instruction set.
pub(crate) struct PackedConvTranspose {
    set: &'static KernelSet,
    input_floats: usize,
    output_floats: usize,
    channels_out: usize,
    product: Product,
}

impl PackedConvTranspose {
    /// Packs `weight`, `[channels_in, channels_out / groups, kernel]`.
    ///
    /// # Panics
    /// If the sizes contradict each other, or an image of one group has 2^32 values.
    pub fn new(set: &'static KernelSet, shape: ConvTransposeShape, weight: &[f32]) -> Self {
        let ConvTransposeShape { channels_in, channels_out, groups, length, kernel, stride, .. } = shape;
        assert!(channels_in.is_multiple_of(groups) && channels_out.is_multiple_of(groups), "{shape:?}");
        assert_eq!(weight.len(), channels_in * (channels_out / groups) * kernel, "{shape:?}");
        let output = shape.output();
        // Before the first input lie the inputs that the last tap would reach; behind the last, those that the last
        // output would.
        let before = (kernel - 1) * shape.dilation / stride;
        let last = (shape.padding.0 + output - 1) / stride;
        let after = (last + 1).saturating_sub(length);
        let padded = Padded::new([1, length], [(0, 0), (before, after)]);
        // One phase for each of the first outputs, up to a stride of them: no phase without an output, however far the stride.
        let phases = (0..stride.min(output))
            .map(|first| phase(set, &shape, weight, first, before, padded.plane_stride))
            .collect();
        Self {
            set,
            input_floats: channels_in * length,
            output_floats: channels_out * output,
            channels_out,
            product: Product::new(
                [channels_in, channels_out, groups],
                padded,
                [Layout::ChannelsFirst; 2],
                output,
                phases,
            ),
        }
    }
}

impl Convolution for PackedConvTranspose {
    fn scratch_floats(&self) -> usize {
        self.product.scratch_floats()
    }

    fn helper_floats(&self) -> usize {
        0
    }

    unsafe fn run(&self, args: ConvArgs<'_>) {
        args.check(self.input_floats, self.output_floats, self.channels_out, self.scratch_floats());
        // SAFETY: the caller's promise; the lengths have been checked.
        unsafe { self.product.run(self.set, args) }
    }

    fn passes(&self, samples: usize) -> usize {
        self.product.passes(samples)
    }

    fn units(&self, samples: usize, pass: usize) -> Option<Units> {
        self.product.units(self.set, samples, pass)
    }

    unsafe fn run_units(&self, args: ConvArgs<'_>, pass: usize, units: Option<Range<usize>>) {
        args.check(self.input_floats, self.output_floats, self.channels_out, 0);
        // SAFETY: the caller's promise; the lengths have been checked.
        unsafe { self.product.run_units(self.set, &args, pass, units) }
    }
}

/// The output `first`, less than a stride, and those whole strides after it.
fn phase(
    set: &KernelSet,
    shape: &ConvTransposeShape,
    weight: &[f32],
    first: usize,
    before: usize,
    plane_stride: usize,
) -> Phase {
    let &ConvTransposeShape { channels_in, channels_out, groups, kernel, stride, dilation, .. } = shape;
    let (inner, outer) = (channels_in / groups, channels_out / groups);
    let (quotient, remainder) = ((first + shape.padding.0) / stride, (first + shape.padding.0) % stride);
    let taps: Vec<usize> = (0..kernel).filter(|tap| tap * dilation % stride == remainder).collect();
    let depths = || (0..inner).flat_map(|c| taps.iter().map(move |&tap| (c, tap)));
    let matrix = |group: usize| {
        let rows: Vec<f32> = (0..outer)
            .flat_map(|m| {
                depths().map(move |(c, tap)| weight[((group * inner + c) * outer + m) * kernel + tap])
            })
            .collect();
        PackedMatrix::new(set, &rows, outer, inner * taps.len())
    };
    // The output at q * stride + remainder reads input q - tap * dilation / stride.
    let offset = |(c, tap): (usize, usize)| (c * plane_stride + before - tap * dilation / stride) as u32;
    Phase {
        weights: (0..groups).map(matrix).collect(),
        offsets: depths().map(offset).chain([0]).collect(),
        first: quotient,
        line_step: 0,
        step: 1,
        lines: 1,
        windows: (shape.output() - first).div_ceil(stride),
        out_first: first,
        out_line_step: 0,
        out_step: stride,
    }
}

#[cfg(test)]
mod tests;
