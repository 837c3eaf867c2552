//! Convolutions whose groups have one input channel each: no product to be had, so positions fill the registers.
//!
//! A channel is padded into the scratch, its columns sorted by their remainder modulo the stride: then what a tap
//! reads for adjacent outputs is adjacent too, whatever the stride.

use std::ops::Range;

use paceline_graph::Activation;

use super::activation::apply;
use super::conv::{ConvArgs, ConvShape};
use super::set::KernelSet;
use super::vector::Vector;
use crate::division::{RowsDivision, estimated_us};

/// A depthwise convolution.
pub(crate) struct Depthwise {
    shape: ConvShape,
    output: [usize; 2],
    /// Height of a padded channel, columns of each remainder, and how many remainders there are.
    rows: usize,
    columns: usize,
    remainders: usize,
    /// `[channels_out, taps]`.
    weight: Vec<f32>,
    /// Where every tap lies, from the first value of the window on.
    offsets: Vec<usize>,
}

impl Depthwise {
    pub(super) fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        let [rows, width] = shape.padded().size;
        let remainders = shape.stride[1];
        let columns = width.div_ceil(remainders);
        let offsets = (0..shape.kernel[0]).flat_map(|y| {
            (0..shape.kernel[1]).map(move |x| {
                let (line, column) = (y * shape.dilation[0], x * shape.dilation[1]);
                (line * remainders + column % remainders) * columns + column / remainders
            })
        });
        Self {
            shape: *shape,
            output: shape.output(),
            rows,
            columns,
            remainders,
            weight: weight.to_vec(),
            offsets: offsets.collect(),
        }
    }

    pub(super) fn scratch_floats(&self) -> usize {
        self.rows * self.remainders * self.columns
    }

    /// Planes of the input of so many samples.
    pub(super) fn planes(&self, samples: usize) -> usize {
        samples * self.shape.channels_in
    }

    /// How threads share the planes, if that is worth it.
    pub(super) fn division(&self, set: &KernelSet, samples: usize) -> Option<RowsDivision> {
        let windows = self.output[0] * self.output[1] * self.shape.channels_out / self.shape.channels_in;
        let values = self.scratch_floats() + windows;
        // Sorting and storing cost about as much as a few taps.
        let operations = (windows * self.offsets.len() + 4 * values) as f64;
        let bytes = (values * size_of::<f32>()) as f64;
        RowsDivision::of(self.planes(samples), estimated_us(set, operations, bytes))
    }

    /// Computes what some planes of the input lead to.
    ///
    /// # Safety
    /// As for [`Convolution::run_units`](super::conv::Convolution::run_units), of these planes; the lengths of the slices have been
    /// checked.
    pub(super) unsafe fn run(&self, set: &KernelSet, args: &ConvArgs<'_>, planes: Range<usize>) {
        let (inputs, outputs) = (self.shape.channels_in, self.shape.channels_out);
        let input_plane = self.shape.input[0] * self.shape.input[1];
        let output_plane = self.output[0] * self.output[1];
        let taps = self.offsets.len();
        // SAFETY: the scratch is as long, and this thread's alone.
        let padded =
            unsafe { std::slice::from_raw_parts_mut(args.scratch.cast::<f32>(), self.scratch_floats()) };
        padded.fill(0.0);
        for plane in planes {
            self.sort(&args.input[plane * input_plane..][..input_plane], padded);
            for each in 0..outputs / inputs {
                let channel = plane % inputs * (outputs / inputs) + each;
                let first = (plane / inputs * outputs + channel) * output_plane;
                let call = DepthwiseCall {
                    image: padded.as_ptr(),
                    line_step: self.shape.stride[0] * self.remainders * self.columns,
                    taps,
                    weight: self.weight[channel * taps..][..taps].as_ptr(),
                    offsets: self.offsets.as_ptr(),
                    lines: self.output[0],
                    windows: self.output[1],
                    bias: args.bias.map_or(0.0, |bias| bias[channel]),
                    residual: args.residual.map_or(std::ptr::null(), |r| r[first..][..output_plane].as_ptr()),
                    activation: args.activation,
                    out: args.out.cast::<f32>().wrapping_add(first),
                };
                // SAFETY: every window lies within the padded channel by the shape, and the slices have the lengths;
                // holding a set proves the instruction set.
                unsafe { (set.depthwise)(&call) }
            }
        }
    }

    /// Copies a channel into the padded one, columns sorted by their remainder; the borders stay zero.
    fn sort(&self, plane: &[f32], padded: &mut [f32]) {
        let [(top, _), (left, _)] = self.shape.padding;
        for (y, row) in plane.chunks_exact(self.shape.input[1]).enumerate() {
            let line =
                &mut padded[(top + y) * self.remainders * self.columns..][..self.remainders * self.columns];
            match self.remainders {
                1 => line[left..left + row.len()].copy_from_slice(row),
                2 => {
                    // A first value without its even neighbour, pairs, and perhaps a last one.
                    let (even, odd) = line.split_at_mut(self.columns);
                    let (single, pairs) = row.split_at(left % 2);
                    odd[left / 2..].iter_mut().zip(single).for_each(|(to, &value)| *to = value);
                    let first = left.div_ceil(2);
                    let (pairs, last) = pairs.as_chunks::<2>();
                    let places = even[first..].iter_mut().zip(&mut odd[first..]);
                    for ((even, odd), &[a, b]) in places.zip(pairs) {
                        (*even, *odd) = (a, b);
                    }
                    even[first + pairs.len()..].iter_mut().zip(last).for_each(|(to, &value)| *to = value);
                }
                remainders => {
                    for x in 0..remainders.min(row.len()) {
                        let (remainder, first) = ((left + x) % remainders, (left + x) / remainders);
                        let places = line[remainder * self.columns + first..].iter_mut();
                        let values = row[x..].iter().step_by(remainders);
                        places.zip(values).for_each(|(to, &value)| *to = value);
                    }
                }
            }
        }
    }
}

/// One output channel, by address.
pub(crate) struct DepthwiseCall {
    image: *const f32,
    line_step: usize,
    taps: usize,
    weight: *const f32,
    offsets: *const usize,
    lines: usize,
    windows: usize,
    bias: f32,
    residual: *const f32,
    activation: Option<Activation>,
    out: *mut f32,
}

/// The kernel: every output starts at the bias and adds its taps in order.
///
/// # Safety
/// Window `i` of line `j`, at `image + j * line_step + i`, has its taps within the image; `taps` weights and offsets,
/// and `lines * windows` outputs and residuals (unless null) lie at their addresses.
#[inline(always)]
pub(crate) unsafe fn depthwise<V: Vector>(call: &DepthwiseCall) {
    const UNROLL: usize = 4;
    for line in 0..call.lines {
        let mut i = 0;
        while i < call.windows {
            let at = line * call.windows + i;
            // SAFETY: the caller's promise; windows beyond the line are neither read nor written.
            unsafe {
                let image = call.image.add(line * call.line_step + i);
                if i + UNROLL * V::LANES <= call.windows {
                    let mut sums = [V::splat(call.bias); UNROLL];
                    for tap in 0..call.taps {
                        let weight = V::splat(*call.weight.add(tap));
                        let from = image.add(*call.offsets.add(tap));
                        for (u, sum) in sums.iter_mut().enumerate() {
                            *sum = V::load(from.add(u * V::LANES)).mul_add(weight, *sum);
                        }
                    }
                    for (u, sum) in sums.into_iter().enumerate() {
                        call.finish(sum, at + u * V::LANES, V::LANES);
                    }
                    i += UNROLL * V::LANES;
                } else {
                    let count = (call.windows - i).min(V::LANES);
                    let mut sum = V::splat(call.bias);
                    for tap in 0..call.taps {
                        let value = V::load_first(image.add(*call.offsets.add(tap)), count);
                        sum = value.mul_add(V::splat(*call.weight.add(tap)), sum);
                    }
                    call.finish(sum, at, count);
                    i += count;
                }
            }
        }
    }
}

impl DepthwiseCall {
    /// Residual, activation and store of `count` outputs.
    #[inline(always)]
    unsafe fn finish<V: Vector>(&self, sum: V, at: usize, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut y = sum;
            if !self.residual.is_null() {
                y = y.add(V::load_first(self.residual.add(at), count));
            }
            apply(self.activation, y).store_first(self.out.add(at), count);
        }
    }
}
