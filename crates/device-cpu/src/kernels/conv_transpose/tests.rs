//! Transposed convolutions against their definition in `f64`, and samples against the same sample alone.

use super::*;
use crate::kernels::test_values::values;
use paceline_graph::Activation;
use proptest::prelude::*;

/// The definition: every input adds to the outputs under its taps.
fn naive(shape: &ConvTransposeShape, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let &ConvTransposeShape { channels_in, channels_out, groups, length, kernel, .. } = shape;
    let (inner, outer, output) = (channels_in / groups, channels_out / groups, shape.output());
    let samples = input.len() / (channels_in * length);
    let mut out: Vec<f64> = (0..samples * channels_out * output)
        .map(|index| f64::from(bias[index / output % channels_out]))
        .collect();
    for plane in 0..samples * channels_in {
        let (n, c) = (plane / channels_in, plane % channels_in);
        for i in 0..length {
            for m in 0..outer {
                for tap in 0..kernel {
                    let at = i * shape.stride + tap * shape.dilation;
                    if at < shape.padding.0 || at - shape.padding.0 >= output {
                        continue;
                    }
                    let channel = n * channels_out + c / inner * outer + m;
                    out[channel * output + at - shape.padding.0] += f64::from(input[plane * length + i])
                        * f64::from(weight[(c * outer + m) * kernel + tap]);
                }
            }
        }
    }
    out.into_iter().map(f64::tanh).collect()
}

/// Runs `samples` samples and compares them with the definition, and each with itself alone.
fn check(shape: ConvTransposeShape, samples: usize, seed: u64) {
    let (input_floats, output_floats) =
        (shape.channels_in * shape.length, shape.channels_out * shape.output());
    let input = values(samples * input_floats, seed);
    let weight = values(shape.channels_in * (shape.channels_out / shape.groups) * shape.kernel, seed + 1);
    let bias = values(shape.channels_out, seed + 2);
    let expected = naive(&shape, &input, &weight, &bias);
    for set in KernelSet::all() {
        let conv = PackedConvTranspose::new(set, shape, &weight);
        let run = |samples: std::ops::Range<usize>| {
            let mut out = vec![f32::NAN; samples.len() * output_floats];
            let mut scratch = vec![f32::NAN; conv.scratch_floats()];
            let args = ConvArgs {
                samples: samples.len(),
                input: &input[samples.start * input_floats..samples.end * input_floats],
                bias: Some(&bias),
                residual: None,
                activation: Some(Activation::Tanh),
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
            let error = (f64::from(y) - expected).abs();
            assert!(error <= 2e-5, "{} {shape:?} at {index}: {y}, not {expected}", set.isa);
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

#[test]
fn a_stride_far_beyond_the_output_costs_nothing() {
    const STRIDE: usize = 1 << 40;
    let one = ConvTransposeShape {
        channels_in: 2,
        channels_out: 3,
        groups: 1,
        length: 1,
        kernel: 3,
        stride: STRIDE,
        padding: (1, 0),
        output_padding: 2,
        dilation: 2,
    };
    // Of two inputs that far apart, the padding leaves only the second one's outputs.
    for shape in [one, ConvTransposeShape { length: 2, padding: (STRIDE - 1, 0), ..one }] {
        check(shape, 2, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_sample_is_right_and_the_same_bits_in_any_company(
        (groups, inner, outer) in (1usize..4, 1usize..5, 1usize..40),
        (length, kernel) in (1usize..40, 1usize..7),
        (stride, dilation, output_padding) in (1usize..5, 1usize..4, 0usize..4),
        padding in (0usize..5, 0usize..5),
        (samples, seed) in (1usize..20, 0u64..1000),
    ) {
        let shape = ConvTransposeShape {
            channels_in: groups * inner, channels_out: groups * outer, groups, length, kernel, stride, padding,
            output_padding: output_padding.min(stride.max(dilation) - 1), dilation,
        };
        let whole = (length - 1) * stride + (kernel - 1) * dilation + 1 + shape.output_padding;
        prop_assume!(padding.0 + padding.1 < whole);
        check(shape, samples, seed);
    }
}
