//! Depthwise convolutions of images with channels last: channels fill the registers.
//!
//! A tile is up to eight adjacent windows of a line; for one register of channels after the other it keeps the sums of all of
//! them in registers. Inside the image the windows' values lie at equal distances. At the border each is looked up in a
//! table made for the tile, in which what lies outside of the image leads to zeros: so no padded copy is needed.

use std::mem::MaybeUninit;
use std::ops::Range;

use paceline_graph::Activation;

use super::activation::apply;
use super::conv::{ConvArgs, ConvShape};
use super::row::{load_up_to, store_up_to};
use super::set::KernelSet;
use super::vector::Vector;
use crate::division::{RowsDivision, estimated_us, within};

/// The most windows of a tile.
const TILE: usize = 8;
/// The most taps: what the table of a tile has room for.
const MOST_TAPS: usize = 128;

/// A depthwise convolution with one output a channel.
pub(crate) struct Channelwise {
    shape: ConvShape,
    output: [usize; 2],
    /// `[taps, channels]`.
    weight: Vec<f32>,
    /// Where every tap lies from the first value of a window on.
    offsets: Vec<usize>,
    /// Channels outside of the image.
    zeros: Vec<f32>,
}

impl Channelwise {
    /// Whether there is a kernel for a depthwise convolution of this shape.
    pub(super) fn exists(shape: &ConvShape) -> bool {
        shape.channels_in == shape.channels_out && shape.kernel[0] * shape.kernel[1] <= MOST_TAPS
    }

    pub(super) fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        assert!(Self::exists(shape), "{shape:?}");
        let (channels, taps) = (shape.channels_in, shape.kernel[0] * shape.kernel[1]);
        let place = |tap: usize| {
            let [y, x] =
                [tap / shape.kernel[1] * shape.dilation[0], tap % shape.kernel[1] * shape.dilation[1]];
            (y * shape.input[1] + x) * channels
        };
        Self {
            shape: *shape,
            output: shape.output(),
            weight: (0..taps * channels).map(|i| weight[i % channels * taps + i / channels]).collect(),
            offsets: (0..taps).map(place).collect(),
            zeros: vec![0.0; channels],
        }
    }

    /// Lines of the output of so many samples.
    pub(super) fn lines(&self, samples: usize) -> usize {
        samples * self.output[0]
    }

    /// How threads share the lines, if that is worth it.
    pub(super) fn division(&self, set: &KernelSet, samples: usize) -> Option<RowsDivision> {
        let channels = self.shape.channels_in;
        let values = self.output[1] * channels;
        let read = self.shape.input[0] * self.shape.input[1] * channels / self.output[0].max(1);
        let bytes = ((values + read) * size_of::<f32>()) as f64;
        // Loading a value costs as much as multiplying it.
        let operations = (2 * values * self.offsets.len()) as f64;
        RowsDivision::of(self.lines(samples), estimated_us(set, operations, bytes))
    }

    /// Computes some lines, counted from the first of the first sample.
    ///
    /// # Safety
    /// As for [`Convolution::run_units`](super::conv::Convolution::run_units), of these lines; the lengths of the slices have been
    /// checked.
    pub(super) unsafe fn run(&self, set: &KernelSet, args: &ConvArgs<'_>, lines: Range<usize>) {
        let ([height, width], windows) = (self.shape.input, self.output[1]);
        let channels = self.shape.channels_in;
        let output = windows * channels;
        for (sample, lines) in within(lines, self.output[0]) {
            let image = &args.input[sample * height * width * channels..][..height * width * channels];
            for line in lines {
                let first = (sample * self.output[0] + line) * output;
                assert!(first + output <= args.out.len(), "line {line} of sample {sample}");
                let residual = args.residual.map(|residual| &residual[first..][..output]);
                let call = ChannelwiseCall {
                    conv: self,
                    image: image.as_ptr(),
                    line,
                    bias: args.bias.map(|bias| bias[..channels].as_ptr()),
                    residual: residual.map(<[f32]>::as_ptr),
                    activation: args.activation,
                    out: args.out.cast::<f32>().wrapping_add(first),
                };
                // SAFETY: the slices above have the lengths, and so has the output; nobody else uses this line of it, by the
                // caller's promise; holding a set proves the instruction set.
                unsafe { (set.channelwise)(&call) }
            }
        }
    }
}

/// One line of one sample, by address.
pub(crate) struct ChannelwiseCall<'a> {
    conv: &'a Channelwise,
    image: *const f32,
    line: usize,
    bias: Option<*const f32>,
    residual: Option<*const f32>,
    activation: Option<Activation>,
    out: *mut f32,
}

/// The kernel: every output starts at the bias and adds its taps in order.
///
/// # Safety
/// The image, and the line of the output and the residual, have the convolution's sizes; the bias has one value a channel. The
/// machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn channelwise<V: Vector>(call: &ChannelwiseCall<'_>) {
    let windows = call.conv.output[1];
    let tiles = windows.div_ceil(TILE);
    for tile in 0..tiles {
        // Evenly: 14 windows are 7 + 7.
        let (first, end) = (windows * tile / tiles, windows * (tile + 1) / tiles);
        // SAFETY: the caller's promise; the tile lies within the line.
        unsafe {
            match end - first {
                1 => call.tile::<V, 1>(first),
                2 => call.tile::<V, 2>(first),
                3 => call.tile::<V, 3>(first),
                4 => call.tile::<V, 4>(first),
                5 => call.tile::<V, 5>(first),
                6 => call.tile::<V, 6>(first),
                7 => call.tile::<V, 7>(first),
                _ => call.tile::<V, TILE>(first),
            }
        }
    }
}

/// Where the values that a tap multiplies lie, for each window of a tile, in the first channel.
trait Places<const WINDOWS: usize> {
    /// # Safety
    /// There is such a tap.
    unsafe fn of(&self, tap: usize) -> [*const f32; WINDOWS];
}

/// A tile inside the image.
struct Inside<'a> {
    first: *const f32,
    /// From one window to the next.
    step: usize,
    offsets: &'a [usize],
}

impl<const WINDOWS: usize> Places<WINDOWS> for Inside<'_> {
    #[inline(always)]
    unsafe fn of(&self, tap: usize) -> [*const f32; WINDOWS] {
        // SAFETY: the caller's promise.
        let first = self.first.wrapping_add(unsafe { *self.offsets.get_unchecked(tap) });
        std::array::from_fn(|window| first.wrapping_add(window * self.step))
    }
}

/// A tile at the border.
struct Table<const WINDOWS: usize>([MaybeUninit<[*const f32; WINDOWS]>; MOST_TAPS]);

impl<const WINDOWS: usize> Places<WINDOWS> for Table<WINDOWS> {
    #[inline(always)]
    unsafe fn of(&self, tap: usize) -> [*const f32; WINDOWS] {
        // SAFETY: the places of every tap have been written.
        unsafe { self.0.get_unchecked(tap).assume_init() }
    }
}

impl ChannelwiseCall<'_> {
    /// The windows from `first` on.
    #[inline(always)]
    unsafe fn tile<V: Vector, const WINDOWS: usize>(&self, first: usize) {
        let conv = self.conv;
        let ConvShape { channels_in: channels, input: [height, width], kernel, stride, dilation, .. } =
            conv.shape;
        let [(top, _), (left, _)] = conv.shape.padding;
        let (y, x) = (self.line * stride[0], first * stride[1]);
        let last_tap = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis]);
        let inside = y >= top
            && x >= left
            && y - top + last_tap[0] < height
            && x - left + (WINDOWS - 1) * stride[1] + last_tap[1] < width;
        // SAFETY: the caller's promise. Inside, every tap of every window is one of the image; at the border, those are looked
        // up that are, and the others are zeros.
        unsafe {
            if inside {
                let first_value = self.image.add(((y - top) * width + x - left) * channels);
                let step = stride[1] * channels;
                let places = Inside { first: first_value, step, offsets: &conv.offsets };
                self.channels::<V, WINDOWS>(first, &places);
                return;
            }
            let mut table = Table::<WINDOWS>([const { MaybeUninit::uninit() }; MOST_TAPS]);
            for tap in 0..conv.offsets.len() {
                let row = (y + tap / kernel[1] * dilation[0]).wrapping_sub(top);
                let column = (x + tap % kernel[1] * dilation[1]).wrapping_sub(left);
                table.0[tap].write(std::array::from_fn(|window| {
                    let column = column.wrapping_add(window * stride[1]);
                    if row < height && column < width {
                        self.image.add((row * width + column) * channels)
                    } else {
                        conv.zeros.as_ptr()
                    }
                }));
            }
            self.channels::<V, WINDOWS>(first, &table);
        }
    }

    /// All channels of the windows from `first` on.
    #[inline(always)]
    unsafe fn channels<V: Vector, const WINDOWS: usize>(&self, first: usize, places: &impl Places<WINDOWS>) {
        let channels = self.conv.shape.channels_in;
        let whole = channels / V::LANES * V::LANES;
        // SAFETY: the caller's promise, for each of the channels.
        unsafe {
            for channel in (0..whole).step_by(V::LANES) {
                self.register::<V, WINDOWS, true>(first, places, channel);
            }
            if whole < channels {
                self.register::<V, WINDOWS, false>(first, places, whole);
            }
        }
    }

    /// One register of channels of the windows from `first` on: a full one if `WHOLE`.
    #[inline(always)]
    unsafe fn register<V: Vector, const WINDOWS: usize, const WHOLE: bool>(
        &self,
        first: usize,
        places: &impl Places<WINDOWS>,
        channel: usize,
    ) {
        let channels = self.conv.shape.channels_in;
        let left = if WHOLE { V::LANES } else { channels - channel };
        let weight = self.conv.weight.as_ptr().wrapping_add(channel);
        // SAFETY: the caller's promise: `left` channels are there at every place, from this one on.
        unsafe {
            let bias = self.bias.map_or(V::zero(), |bias| load_up_to(bias.add(channel), left));
            let mut sums = [bias; WINDOWS];
            for tap in 0..self.conv.offsets.len() {
                let weight: V = load_up_to(weight.add(tap * channels), left);
                for (sum, from) in sums.iter_mut().zip(places.of(tap)) {
                    *sum = load_up_to::<V>(from.add(channel), left).mul_add(weight, *sum);
                }
            }
            for (window, sum) in sums.into_iter().enumerate() {
                let at = (first + window) * channels + channel;
                let mut y = sum;
                if let Some(residual) = self.residual {
                    y = y.add(load_up_to(residual.add(at), left));
                }
                store_up_to(apply(self.activation, y), self.out.add(at), left);
            }
        }
    }
}
