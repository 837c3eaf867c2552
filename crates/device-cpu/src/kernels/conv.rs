//! Convolutions as products, without the matrix of windows.
//!
//! A row of the left operand is one output position, and what it holds at depth `(c, tap)` lies in the padded image at
//! a place that is the sum of two parts: where the window begins, a multiple of the row, and where the tap lies in
//! the window, the same for every row: a table. So a tile reads windows straight from the image. Its columns are the
//! output channels, packed once; the result is stored as it is where channels lie last, transposed where they lie first.
//!
//! Grouped convolutions are one product a group. Where a group is a single channel, see [`super::depthwise`] and
//! [`super::channelwise`].

use std::ops::Range;

use super::channelwise::Channelwise;
use super::depthwise::Depthwise;
use super::gemm::{GemmCall, RightPointer, Strides};
use super::pack::PackedMatrix;
use super::pad::Padded;
use super::set::KernelSet;
use crate::division::Units;

pub(crate) use args::{ConvArgs, Convolution};
pub(crate) use shape::{ConvShape, Layout};

/// A convolution with its weights packed for one instruction set.
pub(crate) struct PackedConv {
    set: &'static KernelSet,
    input_floats: usize,
    output_floats: usize,
    channels_out: usize,
    form: Form,
}

enum Form {
    Product(Product),
    Depthwise(Depthwise),
    Channelwise(Channelwise),
}

impl PackedConv {
    /// Packs `weight`, `[channels_out, channels_in / groups, kernel height, kernel width]`.
    ///
    /// # Panics
    /// If the sizes contradict each other, an image of one group has 2^32 values, or the layouts of a depthwise
    /// convolution differ or have no kernel.
    pub fn new(set: &'static KernelSet, shape: ConvShape, weight: &[f32]) -> Self {
        let ConvShape {
            channels_in, channels_out, groups, input, kernel: [kernel_height, kernel_width], ..
        } = shape;
        assert!(channels_in.is_multiple_of(groups) && channels_out.is_multiple_of(groups), "{shape:?}");
        assert_eq!(
            weight.len(),
            channels_out * (channels_in / groups) * kernel_height * kernel_width,
            "{shape:?}"
        );
        let [height, width] = shape.output();
        let form = match shape.layouts {
            _ if !shape.is_depthwise() => Form::Product(Product::of_conv(set, shape.flattened(), weight)),
            [Layout::ChannelsFirst, Layout::ChannelsFirst] => Form::Depthwise(Depthwise::new(&shape, weight)),
            [Layout::ChannelsLast, Layout::ChannelsLast] => {
                Form::Channelwise(Channelwise::new(&shape, weight))
            }
            layouts => panic!("a depthwise convolution from {layouts:?}"),
        };
        Self {
            set,
            input_floats: channels_in * input[0] * input[1],
            output_floats: channels_out * height * width,
            channels_out,
            form,
        }
    }
}

impl Convolution for PackedConv {
    fn scratch_floats(&self) -> usize {
        match &self.form {
            Form::Product(product) => product.scratch_floats(),
            Form::Depthwise(depthwise) => depthwise.scratch_floats(),
            Form::Channelwise(_) => 0,
        }
    }

    fn helper_floats(&self) -> usize {
        match &self.form {
            Form::Product(_) | Form::Channelwise(_) => 0,
            Form::Depthwise(depthwise) => depthwise.scratch_floats(),
        }
    }

    unsafe fn run(&self, args: ConvArgs<'_>) {
        args.check(self.input_floats, self.output_floats, self.channels_out, self.scratch_floats());
        // SAFETY: the caller's promise; the lengths have been checked.
        unsafe {
            match &self.form {
                Form::Product(product) => product.run(self.set, args),
                Form::Depthwise(depthwise) => {
                    let planes = 0..depthwise.planes(args.samples);
                    depthwise.run(self.set, &args, planes);
                }
                Form::Channelwise(channelwise) => {
                    let lines = 0..channelwise.lines(args.samples);
                    channelwise.run(self.set, &args, lines);
                }
            }
        }
    }

    fn passes(&self, samples: usize) -> usize {
        match &self.form {
            Form::Product(product) => product.passes(samples),
            Form::Depthwise(_) | Form::Channelwise(_) => 1,
        }
    }

    fn units(&self, samples: usize, pass: usize) -> Option<Units> {
        match &self.form {
            Form::Product(product) => product.units(self.set, samples, pass),
            Form::Depthwise(depthwise) => Some(depthwise.division(self.set, samples)?.units()),
            Form::Channelwise(channelwise) => Some(channelwise.division(self.set, samples)?.units()),
        }
    }

    unsafe fn run_units(&self, args: ConvArgs<'_>, pass: usize, units: Option<Range<usize>>) {
        args.check(self.input_floats, self.output_floats, self.channels_out, self.helper_floats());
        // SAFETY: the caller's promise; the lengths have been checked.
        unsafe {
            match &self.form {
                Form::Product(product) => product.run_units(self.set, &args, pass, units),
                Form::Depthwise(depthwise) => {
                    let all = 0..depthwise.planes(args.samples);
                    let division = depthwise.division(self.set, args.samples);
                    let some = division.zip(units).map(|(division, units)| division.rows(units));
                    depthwise.run(self.set, &args, some.unwrap_or(all));
                }
                Form::Channelwise(channelwise) => {
                    let all = 0..channelwise.lines(args.samples);
                    let division = channelwise.division(self.set, args.samples);
                    let some = division.zip(units).map(|(division, units)| division.rows(units));
                    channelwise.run(self.set, &args, some.unwrap_or(all));
                }
            }
        }
    }
}

/// Padded samples that are worked on together stay within the second-level cache: 256 KB.
const CHUNK_FLOATS: usize = 64 * 1024;

/// Windows of padded images times packed weights.
pub(super) struct Product {
    channels_in: usize,
    channels_out: usize,
    groups: usize,
    padded: Padded,
    layouts: [Layout; 2],
    /// The values of one sample of the output.
    output_floats: usize,
    /// The values of one channel of the output.
    output_plane: usize,
    /// What is computed of every group; several where a transposed convolution has several phases.
    pub(super) phases: Vec<Phase>,
}

/// Output positions that share the places of their taps.
pub(super) struct Phase {
    /// One matrix a group.
    pub weights: Vec<PackedMatrix>,
    /// Where every depth lies, from the first value of the group and window on; and one offset more, or none at all where
    /// depths lie side by side.
    pub offsets: Vec<u32>,
    /// Where the first window begins, from one line of windows to the next, and from one window to the next.
    pub first: usize,
    pub line_step: usize,
    pub step: usize,
    /// Lines of windows, and windows of a line.
    pub lines: usize,
    pub windows: usize,
    /// Where the first result lies in its channel, from one line to the next, and from one window to the next.
    pub out_first: usize,
    pub out_line_step: usize,
    pub out_step: usize,
}

impl Product {
    pub(super) fn new(
        [channels_in, channels_out, groups]: [usize; 3],
        padded: Padded,
        layouts: [Layout; 2],
        output_plane: usize,
        mut phases: Vec<Phase>,
    ) -> Self {
        let group_floats = match layouts[0] {
            Layout::ChannelsFirst => channels_in / groups * padded.plane_stride,
            Layout::ChannelsLast => padded.plane_stride,
        };
        assert!(u32::try_from(group_floats).is_ok(), "an image of {group_floats} values");
        for phase in &mut phases {
            let (_, depths) = phase.offsets.split_last().expect("one more than there are depths");
            if depths.iter().enumerate().all(|(depth, &offset)| offset as usize == depth) {
                phase.offsets = Vec::new();
            }
        }
        let output_floats = channels_out * output_plane;
        Self { channels_in, channels_out, groups, padded, layouts, output_floats, output_plane, phases }
    }

    fn of_conv(set: &KernelSet, shape: ConvShape, weight: &[f32]) -> Self {
        let ConvShape { channels_in, channels_out, groups, kernel, stride, dilation, layouts, .. } = shape;
        let padded = shape.padded();
        let [lines, windows] = shape.output();
        let (inner, outer) = (channels_in / groups, channels_out / groups);
        let taps = kernel[0] * kernel[1];
        // The order of the sums: that in which the values of a window lie.
        let depths: Vec<(usize, usize)> = match layouts[0] {
            Layout::ChannelsFirst => (0..inner).flat_map(|c| (0..taps).map(move |tap| (c, tap))).collect(),
            Layout::ChannelsLast => (0..taps).flat_map(|tap| (0..inner).map(move |c| (c, tap))).collect(),
        };
        let matrix = |group: usize| {
            let channels = group * outer..(group + 1) * outer;
            let rows: Vec<f32> = channels
                .flat_map(|m| depths.iter().map(move |&(c, tap)| weight[(m * inner + c) * taps + tap]))
                .collect();
            PackedMatrix::new(set, &rows, outer, depths.len())
        };
        let (channel_step, pixel) = layouts[0].steps(channels_in, padded.plane_stride);
        let (_, out_pixel) = layouts[1].steps(channels_out, lines * windows);
        let offset = |&(c, tap): &(usize, usize)| {
            let (y, x) = (tap / kernel[1], tap % kernel[1]);
            (c * channel_step + y * dilation[0] * padded.row_stride + x * dilation[1] * pixel) as u32
        };
        let phase = Phase {
            weights: (0..groups).map(matrix).collect(),
            offsets: depths.iter().map(offset).chain([0]).collect(),
            first: 0,
            line_step: stride[0] * padded.row_stride,
            step: stride[1] * pixel,
            lines,
            windows,
            out_first: 0,
            out_line_step: windows * out_pixel,
            out_step: out_pixel,
        };
        Self::new([channels_in, channels_out, groups], padded, layouts, lines * windows, vec![phase])
    }

    /// The planes of one sample.
    fn planes(&self) -> usize {
        match self.layouts[0] {
            Layout::ChannelsFirst => self.channels_in,
            Layout::ChannelsLast => 1,
        }
    }

    /// The values of one padded sample.
    fn sample_floats(&self) -> usize {
        self.planes() * self.padded.plane_stride
    }

    /// How many samples are worked on together.
    fn chunk(&self, samples: usize) -> usize {
        // Without a padded copy the product divides the rows itself.
        if self.padded.is_plain() && self.layouts == [Layout::ChannelsLast; 2] {
            return samples;
        }
        (CHUNK_FLOATS / self.sample_floats().max(1)).clamp(1, 16)
    }

    pub(super) fn scratch_floats(&self) -> usize {
        if self.padded.is_plain() { 0 } else { self.chunk(1) * self.sample_floats() }
    }

    /// Computes every sample.
    ///
    /// # Safety
    /// As for [`Convolution::run`]; the lengths of the slices have been checked.
    pub(super) unsafe fn run(&self, set: &KernelSet, args: ConvArgs<'_>) {
        for first in (0..args.samples).step_by(self.chunk(args.samples).max(1)) {
            let chunk = first..(first + self.chunk(args.samples)).min(args.samples);
            // SAFETY: the caller's promise; every row is padded before a window of it is read.
            unsafe {
                if !self.padded.is_plain() {
                    self.pad(set, &args, &chunk, 0..self.padded_rows(chunk.len()));
                }
                for part in 0..self.parts() {
                    let rows = self.rows(part, chunk.len());
                    self.multiply(set, &args, &chunk, part, 0..rows, 0..self.channels_out / self.groups);
                }
            }
        }
    }

    /// The values of one sample of the input.
    fn input_floats(&self) -> usize {
        self.planes() * self.padded.input[0] * self.padded.input[1]
    }

    /// The rows of so many padded samples.
    fn padded_rows(&self, samples: usize) -> usize {
        samples * self.planes() * self.padded.size[0]
    }

    /// Whether the windows of a sample, and their results, follow those of the sample before as they follow each other.
    fn samples_follow(&self, phase: &Phase) -> bool {
        phase.lines == 1
            && self.sample_floats() == phase.windows * phase.step
            && self.output_floats == phase.windows * phase.out_step
    }

    /// Makes some rows of the padded copy of a chunk.
    ///
    /// # Safety
    /// Nobody else uses these rows in the shared scratch.
    unsafe fn pad(&self, set: &KernelSet, args: &ConvArgs<'_>, chunk: &Range<usize>, rows: Range<usize>) {
        let floats = chunk.start * self.input_floats()..chunk.end * self.input_floats();
        // SAFETY: the caller's promise.
        unsafe { self.padded.copy(set, &args.input[floats], args.shared, rows) }
    }

    /// Groups of phases: products that have nothing in common.
    pub(super) fn parts(&self) -> usize {
        self.phases.len() * self.groups
    }

    /// The rows by which a part of so many samples can be divided: lines of windows; windows, where there is one line; samples,
    /// where a sample is one window.
    pub(super) fn rows(&self, part: usize, samples: usize) -> usize {
        samples * self.phases[part / self.groups].rows()
    }

    /// Some rows and columns (of a group's channels, from the beginning of a panel on) of one part of a chunk of padded samples.
    ///
    /// # Safety
    /// As for [`Convolution::run_units`], of these rows and columns; the lengths of the slices have been checked.
    unsafe fn multiply(
        &self,
        set: &KernelSet,
        args: &ConvArgs<'_>,
        chunk: &Range<usize>,
        part: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let (phase, group) = (&self.phases[part / self.groups], part % self.groups);
        let (weight, sample_floats) = (&phase.weights[group], self.sample_floats());
        let image = if self.padded.is_plain() {
            args.input[chunk.start * self.input_floats()..].as_ptr()
        } else {
            args.shared.cast::<f32>().cast_const()
        };
        let channel = group * (self.channels_out / self.groups) + columns.start;
        let (channel_step, _) = self.layouts[0].steps(self.channels_in, self.padded.plane_stride);
        let (column, _) = self.layouts[1].steps(self.channels_out, self.output_plane);
        let left = group * (self.channels_in / self.groups) * channel_step + phase.first;
        let first = chunk.start * self.output_floats + channel * column + phase.out_first;
        // The rows of the product are the windows of a line, and its samples the lines; or, over one axis, the
        // samples; or, if a sample has one window, the rows are the samples; or, if samples follow each other as
        // windows do, the windows of all samples.
        let strides = |sample: usize, line: usize, step: usize| match (phase.lines, phase.windows) {
            (1, 1) => Strides { sample: 0, row: sample, column },
            (1, _) => Strides { sample, row: step, column },
            _ => Strides { sample: line, row: step, column },
        };
        let out_strides = strides(self.output_floats, phase.out_line_step, phase.out_step);
        for stretch in phase.stretches(rows, self.samples_follow(phase)) {
            let left = left + stretch.sample * sample_floats + stretch.at(phase.line_step, phase.step);
            let to =
                first + stretch.sample * self.output_floats + stretch.at(phase.out_line_step, phase.out_step);
            let call = GemmCall {
                samples: stretch.count,
                m: stretch.rows,
                n: columns.len(),
                k: weight.k,
                left: image.wrapping_add(left),
                left_strides: strides(sample_floats, phase.line_step, phase.step),
                left_offsets: if phase.offsets.is_empty() {
                    std::ptr::null()
                } else {
                    phase.offsets.as_ptr()
                },
                left_row_floats: self.row_floats(phase),
                right: RightPointer::Panels(weight.panels()[columns.start * weight.k..].as_ptr()),
                bias: args.bias.map_or(std::ptr::null(), |bias| bias[channel..].as_ptr()),
                residual: args.residual.map_or(std::ptr::null(), |residual| residual[to..].as_ptr()),
                residual_strides: out_strides,
                activation: args.activation,
                out: args.out.cast::<f32>().wrapping_add(to),
                out_strides,
            };
            // SAFETY: every window lies within the padded images and every result within the outputs, by the shape;
            // the images and outputs of the samples lie in the slices; holding a set proves the instruction set.
            unsafe { (set.gemm)(&call) }
        }
    }

    /// About how many values of a padded sample belong to one window.
    fn row_floats(&self, phase: &Phase) -> usize {
        self.sample_floats() / (phase.lines * phase.windows).max(1)
    }
}

mod args;
mod shape;
mod shared;

#[cfg(test)]
mod tests;
