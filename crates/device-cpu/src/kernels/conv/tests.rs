//! Convolutions against their definition in `f64`, and samples against the same sample alone, on every instruction set.

use super::*;
use crate::kernels::test_values::values;
use paceline_graph::Activation;
use proptest::prelude::*;

/// The definition: every output element on its own.
fn naive(shape: &ConvShape, input: &[f32], weight: &[f32], bias: &[f32], residual: &[f32]) -> Vec<f64> {
    let [height, width] = shape.input;
    let [out_height, out_width] = shape.output();
    let [kernel_height, kernel_width] = shape.kernel;
    let (inner, outer) = (shape.channels_in / shape.groups, shape.channels_out / shape.groups);
    let samples = input.len() / (shape.channels_in * height * width);
    let mut out = Vec::new();
    for n in 0..samples {
        for m in 0..shape.channels_out {
            for at in 0..out_height * out_width {
                let mut sum = f64::from(bias[m]) + f64::from(residual[out.len()]);
                for c in 0..inner {
                    for tap in 0..kernel_height * kernel_width {
                        let y = at / out_width * shape.stride[0] + tap / kernel_width * shape.dilation[0];
                        let x = at % out_width * shape.stride[1] + tap % kernel_width * shape.dilation[1];
                        let (top, left) = (shape.padding[0].0, shape.padding[1].0);
                        if y < top || x < left || y - top >= height || x - left >= width {
                            continue;
                        }
                        let plane = n * shape.channels_in + m / outer * inner + c;
                        let value = input[(plane * height + y - top) * width + x - left];
                        let w = weight[(m * inner + c) * kernel_height * kernel_width + tap];
                        sum += f64::from(value) * f64::from(w);
                    }
                }
                out.push(sum.max(0.0));
            }
        }
    }
    out
}

/// `[images, channels, pixels]` in another layout.
fn laid(values: &[f32], channels: usize, pixels: usize, layout: Layout) -> Vec<f32> {
    let image = channels * pixels;
    let from = |i: usize| match layout {
        Layout::ChannelsFirst => i,
        Layout::ChannelsLast => i / image * image + i % channels * pixels + i % image / channels,
    };
    (0..values.len()).map(|i| values[from(i)]).collect()
}

/// A convolution in all layouts that it has.
fn laid_out(shape: ConvShape) -> impl Iterator<Item = ConvShape> {
    const BOTH: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];
    let all = BOTH.into_iter().flat_map(|input| BOTH.map(|output| [input, output]));
    all.map(move |layouts| ConvShape { layouts, ..shape }).filter(|shape| {
        let same = shape.layouts[0] == shape.layouts[1];
        shape.layouts == [Layout::ChannelsFirst; 2]
            || (shape.may_have_channels_last() && (same || !shape.is_depthwise()))
    })
}

/// Checks a convolution in all layouts that it has.
fn check(shape: ConvShape, samples: usize, seed: u64) {
    laid_out(shape).for_each(|shape| check_layout(shape, samples, seed));
}

/// Runs `samples` samples and compares them with the definition, and each with itself alone.
fn check_layout(shape: ConvShape, samples: usize, seed: u64) {
    let [height, width] = shape.output();
    let (input_floats, output_floats) =
        (shape.channels_in * shape.input[0] * shape.input[1], shape.channels_out * height * width);
    let depth = shape.channels_in / shape.groups * shape.kernel[0] * shape.kernel[1];
    let input = values(samples * input_floats, seed);
    let weight = values(shape.channels_out * depth, seed + 1);
    let bias = values(shape.channels_out, seed + 2);
    let residual = values(samples * output_floats, seed + 3);
    let expected = naive(&shape, &input, &weight, &bias, &residual);
    let input = laid(&input, shape.channels_in, shape.input[0] * shape.input[1], shape.layouts[0]);
    let output = |values: &[f32]| laid(values, shape.channels_out, height * width, shape.layouts[1]);
    let residual = output(&residual);
    let expected = output(&expected.iter().map(|&y| y as f32).collect::<Vec<_>>());
    for set in KernelSet::all() {
        let conv = PackedConv::new(set, shape, &weight);
        let run = |samples: std::ops::Range<usize>| {
            let outputs = samples.start * output_floats..samples.end * output_floats;
            let mut out = vec![f32::NAN; outputs.len()];
            let mut scratch = vec![f32::NAN; conv.scratch_floats()];
            let args = ConvArgs {
                samples: samples.len(),
                input: &input[samples.start * input_floats..samples.end * input_floats],
                bias: Some(&bias),
                residual: Some(&residual[outputs]),
                activation: Some(Activation::Relu),
                out: &mut out[..],
                shared: &mut scratch[..],
                scratch: &mut scratch[..],
            };
            // SAFETY: output and scratch are borrowed here alone.
            unsafe { conv.run(args) };
            out
        };
        let out = run(0..samples);
        for (index, (&y, &expected)) in out.iter().zip(&expected).enumerate() {
            let error = f64::from((y - expected).abs());
            assert!(
                error <= 1e-6 * (2 + depth) as f64,
                "{} {shape:?} at {index}: {y}, not {expected}",
                set.isa
            );
        }
        let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        for sample in 0..samples {
            let together = &out[sample * output_floats..][..output_floats];
            assert_eq!(
                bits(&run(sample..sample + 1)),
                bits(together),
                "{} {shape:?} sample {sample}",
                set.isa
            );
        }
    }
}

const PLAIN: ConvShape = ConvShape {
    channels_in: 3,
    channels_out: 5,
    groups: 1,
    input: [1, 11],
    kernel: [1, 3],
    stride: [1, 1],
    padding: [(0, 0); 2],
    dilation: [1, 1],
    layouts: [Layout::ChannelsFirst; 2],
};

#[test]
fn convolutions_follow_their_definition() {
    let one_axis = |padding, shape: ConvShape| ConvShape { padding: [(0, 0), padding], ..shape };
    let cases = [
        PLAIN,
        one_axis((1, 1), PLAIN),
        one_axis((0, 2), ConvShape { stride: [1, 3], ..PLAIN }),
        // A kernel larger than the input, and one as large.
        one_axis((2, 3), ConvShape { input: [1, 2], kernel: [1, 6], ..PLAIN }),
        ConvShape { kernel: [1, 11], channels_out: 70, ..PLAIN },
        // A stride larger than the kernel; pointwise, with and without a step.
        ConvShape { stride: [1, 4], kernel: [1, 2], ..PLAIN },
        ConvShape { kernel: [1, 1], channels_out: 33, ..PLAIN },
        ConvShape { kernel: [1, 1], stride: [1, 2], ..PLAIN },
        one_axis((4, 4), ConvShape { dilation: [1, 4], ..PLAIN }),
        one_axis((1, 1), ConvShape { input: [1, 1], ..PLAIN }),
        // Groups, depthwise, and depthwise with several outputs a channel.
        one_axis((1, 1), ConvShape { channels_in: 6, channels_out: 9, groups: 3, ..PLAIN }),
        one_axis((1, 1), ConvShape { channels_in: 4, channels_out: 4, groups: 4, input: [1, 150], ..PLAIN }),
        one_axis((2, 1), ConvShape { channels_out: 6, groups: 3, stride: [1, 3], dilation: [1, 2], ..PLAIN }),
        // Two axes.
        ConvShape { input: [5, 7], kernel: [3, 2], ..PLAIN },
        ConvShape { input: [5, 7], kernel: [1, 1], channels_out: 40, ..PLAIN },
        ConvShape {
            input: [6, 33],
            kernel: [3, 3],
            stride: [2, 2],
            padding: [(1, 0), (2, 1)],
            dilation: [1, 2],
            channels_out: 40,
            ..PLAIN
        },
        ConvShape { input: [4, 3], kernel: [4, 1], ..PLAIN },
        ConvShape {
            channels_in: 2,
            channels_out: 2,
            groups: 2,
            input: [9, 21],
            kernel: [3, 3],
            stride: [2, 2],
            padding: [(1, 1), (1, 1)],
            ..PLAIN
        },
    ];
    for (index, shape) in cases.into_iter().enumerate() {
        check(shape, 1 + index % 3, index as u64);
        check(shape, 19, index as u64);
    }
}

#[test]
fn depthwise_convolutions_are_right_inside_of_images_and_at_their_borders() {
    let depthwise =
        |channels| ConvShape { channels_in: channels, channels_out: channels, groups: channels, ..PLAIN };
    // Lines of one tile of every size, and of several, all of them at the border or not.
    for (seed, width) in (1..=20).chain([33]).enumerate() {
        let padding = [(1, 1), (2, 2)];
        check(ConvShape { input: [3, width], kernel: [3, 5], padding, ..depthwise(18) }, 2, seed as u64);
        let stride = [2, 1 + width % 2];
        check(ConvShape { input: [9, width + 6], kernel: [7, 7], stride, ..depthwise(35) }, 1, seed as u64);
    }
    let table = ConvShape { input: [16, 9], kernel: [16, 8], padding: [(3, 4), (2, 2)], ..depthwise(2) };
    assert!(table.may_have_channels_last());
    check(table, 1, 0);
    assert!(!ConvShape { kernel: [16, 9], ..table }.may_have_channels_last());
}

#[test]
fn units_in_any_order_leave_the_same_bits_in_all_layouts() {
    let wide = ConvShape { channels_in: 40, channels_out: 75, input: [23, 29], kernel: [1, 1], ..PLAIN };
    let padded = ConvShape { kernel: [3, 3], padding: [(1, 1), (2, 1)], ..wide };
    let shapes = [
        wide,
        padded,
        ConvShape { stride: [2, 2], ..padded },
        ConvShape { channels_out: 80, groups: 20, ..padded },
        ConvShape { channels_in: 75, groups: 75, ..padded },
    ];
    for shape in shapes.into_iter().flat_map(laid_out) {
        let [height, width] = shape.output();
        let input_floats = shape.channels_in * shape.input[0] * shape.input[1];
        let output_floats = shape.channels_out * height * width;
        let depth = shape.channels_in / shape.groups * shape.kernel[0] * shape.kernel[1];
        let (samples, input) = (3, values(3 * input_floats, 1));
        let (weight, residual) = (values(shape.channels_out * depth, 2), values(3 * output_floats, 3));
        for set in KernelSet::all() {
            let conv = PackedConv::new(set, shape, &weight);
            let bits = |run: &dyn Fn(ConvArgs<'_>)| {
                let mut out = vec![f32::NAN; samples * output_floats];
                let mut shared = vec![f32::NAN; conv.scratch_floats()];
                let mut scratch = vec![f32::NAN; conv.scratch_floats()];
                run(ConvArgs {
                    samples,
                    input: &input,
                    bias: None,
                    residual: Some(&residual),
                    activation: Some(Activation::Relu),
                    out: &mut out[..],
                    shared: &mut shared[..],
                    scratch: &mut scratch[..],
                });
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            // SAFETY: output and scratch are borrowed here alone.
            let whole = bits(&|args| unsafe { conv.run(args) });
            let pieces = bits(&|args| {
                let mut divided = false;
                for pass in 0..conv.passes(samples) {
                    let units = conv.units(samples, pass).map(|units| units.count);
                    divided |= units.is_some();
                    let pieces: Vec<_> = units.map_or(vec![None], |units| {
                        (0..units).rev().map(|unit| Some(unit..unit + 1)).collect()
                    });
                    for piece in pieces {
                        // SAFETY: as above; every unit is computed once, after the passes before.
                        unsafe { conv.run_units(args, pass, piece) }
                    }
                }
                assert!(divided, "{} {shape:?}", set.isa);
            });
            assert!(whole == pieces, "{} {shape:?}", set.isa);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_sample_is_right_and_the_same_bits_in_any_company(
        (groups, inner, outer) in (1usize..4, 1usize..5, 1usize..40),
        input in [1usize..9, 1usize..40],
        kernel in [1usize..4, 1usize..5],
        (stride, dilation) in ([1usize..4, 1usize..4], [1usize..3, 1usize..4]),
        padding in [(0usize..3, 0usize..3), (0usize..4, 0usize..4)],
        (samples, seed) in (1usize..5, 0u64..1000),
    ) {
        let shape = ConvShape {
            channels_in: groups * inner, channels_out: groups * outer, groups, input, kernel, stride, padding, dilation, ..PLAIN
        };
        let size = [0, 1].map(|axis| padding[axis].0 + input[axis] + padding[axis].1);
        prop_assume!((0..2).all(|axis| (kernel[axis] - 1) * dilation[axis] < size[axis]));
        check(shape, samples, seed);
    }
}
