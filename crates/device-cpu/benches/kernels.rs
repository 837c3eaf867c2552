//! The products and convolutions of the study's models, as shares of what one core can do: its rate of fused
//! multiply-adds, measured beside every row because it moves with the clock, and its read bandwidth.
//!
//! `cargo bench -p paceline-device-cpu --bench kernels -- [ISA] [NAME]` runs the rows whose name contains NAME; `rates` is in
//! none, and leaves the two rates, which `benches/peers` reads.

#![allow(clippy::print_stdout, reason = "a benchmark reports")]

#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../src/ceilings.rs"]
mod ceilings;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../src/division.rs"]
mod division;
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "kernels are private to the crate, and a benchmark needs but some of them"
)]
#[path = "../src/kernels/mod.rs"]
mod kernels;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../src/memory.rs"]
mod memory;

use ceilings::{CHAINS, multiply_adds, read};
use kernels::conv::{ConvArgs, ConvShape, Convolution, Layout, PackedConv};
use kernels::gemm::{GemmCall, RightPointer, Strides};
use kernels::isa::Isa;
use kernels::pack::PackedMatrix;
use kernels::set::KernelSet;
use memory::Block;
use paceline_graph::Activation;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Zeros that begin on a cache line.
fn zeros(floats: usize) -> Block {
    Block::zeroed(floats * size_of::<f32>()).expect("memory for the operands")
}

/// The shortest time of a run, in seconds, over a twentieth of a second.
fn shortest(mut run: impl FnMut()) -> f64 {
    let begin = Instant::now();
    run();
    let runs = (Duration::from_millis(2).as_nanos() / begin.elapsed().as_nanos().max(1)).max(1) as u32;
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(50) {
        let one = Instant::now();
        (0..runs).for_each(|_| run());
        best = best.min(one.elapsed().as_secs_f64() / f64::from(runs));
    }
    best
}

/// The rate of fused multiply-adds, in FLOP/s.
fn peak(set: &KernelSet) -> f64 {
    let steps = 50_000;
    let seconds = shortest(|| {
        black_box(multiply_adds(set.isa, steps));
    });
    (2 * steps * CHAINS * set.lanes) as f64 / seconds
}

/// Prints a row: the round whose share of the rate, measured just before, is the median of seven.
fn report(set: &KernelSet, name: &str, samples: usize, flop: f64, weight_bytes: f64, mut run: impl FnMut()) {
    run();
    let mut rounds: Vec<(f64, f64)> = (0..7)
        .map(|_| {
            let peak = peak(set);
            let seconds = shortest(&mut run);
            (flop / seconds / peak, seconds)
        })
        .collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (share, seconds) = rounds[rounds.len() / 2];
    println!(
        "{name:<16} {samples:>5} {:>10.2} us {:>7.1} GFLOP/s {:>6.1} % {:>7.1} GB/s of weights",
        seconds * 1e6,
        flop / seconds / 1e9,
        share * 100.0,
        weight_bytes / seconds / 1e9,
    );
}

/// Layers `[inputs, outputs]` one after another, each with bias and ReLU.
fn products(set: &KernelSet, name: &str, layers: &[[usize; 2]], rows: usize) {
    let packed: Vec<(PackedMatrix, Vec<f32>)> = layers
        .iter()
        .map(|&[k, n]| (PackedMatrix::new(set, &vec![0.01; n * k], n, k), vec![0.1; n]))
        .collect();
    let widths = layers.iter().map(|layer| layer[0]).chain(layers.last().map(|layer| layer[1]));
    let mut values: Vec<Block> = widths.map(|width| zeros(rows * width)).collect();
    let weights: f64 = layers.iter().map(|&[k, n]| (n * k) as f64).sum();
    report(set, name, rows, 2.0 * weights * rows as f64, 4.0 * weights, || {
        for (layer, (weight, bias)) in packed.iter().enumerate() {
            let (x, y) = values.split_at_mut(layer + 1);
            let call = GemmCall {
                samples: 1,
                m: rows,
                n: weight.n,
                k: weight.k,
                left: x[layer].floats().as_ptr(),
                left_strides: Strides { sample: 0, row: weight.k, column: 1 },
                left_offsets: std::ptr::null(),
                left_row_floats: weight.k,
                right: RightPointer::Panels(weight.panels().as_ptr()),
                bias: bias.as_ptr(),
                residual: std::ptr::null(),
                residual_strides: Strides { sample: 0, row: 0, column: 1 },
                activation: Some(Activation::Relu),
                out: y[0].floats_mut().as_mut_ptr(),
                out_strides: Strides { sample: 0, row: weight.n, column: 1 },
            };
            // SAFETY: the buffers were made for these sizes.
            unsafe { (set.gemm)(&call) }
        }
    });
}

/// Convolutions `[channels in, channels out, height, width, taps an axis]` one after another, each with bias and ReLU.
fn convolutions(set: &'static KernelSet, name: &str, layers: &[[usize; 5]], samples: usize) {
    let mut flop = 0.0;
    let packed: Vec<(PackedConv, Vec<f32>)> = layers
        .iter()
        .map(|&[channels_in, channels_out, height, width, taps]| {
            let kernel = [taps.min(height), taps];
            let shape = ConvShape {
                channels_in,
                channels_out,
                groups: 1,
                input: [height, width],
                kernel,
                stride: [1, 1],
                padding: kernel.map(|taps| (taps / 2, taps / 2)),
                dilation: [1, 1],
                layouts: [if height == 1 { Layout::ChannelsFirst } else { Layout::ChannelsLast }; 2],
            };
            let weights = channels_in * channels_out * kernel[0] * kernel[1];
            flop += (2 * weights * height * width * samples) as f64;
            (PackedConv::new(set, shape, &vec![0.01; weights]), vec![0.1; channels_out])
        })
        .collect();
    let planes = layers.iter().map(|layer| layer[0]).chain(layers.last().map(|layer| layer[1]));
    let mut images: Vec<Block> =
        planes.map(|channels| zeros(samples * channels * layers[0][2] * layers[0][3])).collect();
    let scratch = packed.iter().map(|(conv, _)| conv.scratch_floats()).max().unwrap_or(0);
    let mut scratch = zeros(scratch);
    report(set, name, samples, flop, 0.0, || {
        for (layer, (conv, bias)) in packed.iter().enumerate() {
            let (x, y) = images.split_at_mut(layer + 1);
            let args = ConvArgs {
                samples,
                input: x[layer].floats(),
                bias: Some(bias),
                residual: None,
                activation: Some(Activation::Relu),
                out: y[0].floats_mut(),
                shared: scratch.floats_mut(),
                scratch: scratch.floats_mut(),
            };
            // SAFETY: output and scratch are borrowed here alone.
            unsafe { conv.run(args) }
        }
    });
}

/// A name, layers, and how many rows or samples to run them on.
type Row<const SIZES: usize> = (&'static str, &'static [[usize; SIZES]], &'static [usize]);

fn main() {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let isa = words.first().and_then(|word| word.parse().ok()).unwrap_or_else(Isa::best);
    let name = words.last().filter(|word| word.parse::<Isa>().is_err()).map_or("", String::as_str);
    let set = KernelSet::of(isa).expect("an instruction set of this machine");
    println!("{isa}: {:.1} GFLOP/s", peak(set) / 1e9);
    for kilobytes in [32, 1024, 8192, 65536] {
        let mut buffer = zeros(kilobytes * 256);
        // Pages that were never written are all the same page.
        buffer.floats_mut().fill(1.0);
        let seconds = shortest(|| {
            black_box(read(isa, buffer.floats()));
        });
        println!("reading {kilobytes} KB: {:.1} GB/s", (kilobytes * 1024) as f64 / seconds / 1e9);
    }
    let linear: [Row<2>; 11] = [
        ("linear", &[[256, 128]], &[1, 8, 64]),
        ("linear-2048", &[[2048, 1024]], &[1, 32]),
        ("mlp", &[[512, 1024], [1024, 1024], [1024, 512]], &[1, 2, 4, 8, 14, 16, 20, 24, 32, 64]),
        ("tlayer in", &[[256, 768]], &[32, 256]),
        ("tlayer out", &[[256, 256]], &[32, 256]),
        ("tlayer up", &[[256, 1024]], &[32, 256]),
        ("tlayer down", &[[1024, 256]], &[32, 256]),
        ("t6 in", &[[512, 1536]], &[32, 256, 1024]),
        ("t6 out", &[[512, 512]], &[32, 256, 1024]),
        ("t6 up", &[[512, 2048]], &[32, 256, 1024]),
        ("t6 down", &[[2048, 512]], &[32, 256, 1024]),
    ];
    for (row, layers, counts) in linear.into_iter().filter(|row| row.0.contains(name)) {
        counts.iter().for_each(|&rows| products(set, row, layers, rows));
    }
    let conv: [Row<5>; 5] = [
        ("conv1d", &[[80, 128, 1, 100, 3], [128, 128, 1, 100, 3], [128, 128, 1, 100, 3]], &[1, 8, 64]),
        ("conv1d long", &[[128, 128, 1, 1000, 3]], &[1, 8]),
        ("conv1d pointwise", &[[256, 256, 1, 200, 1]], &[1, 8]),
        ("conv2d 56", &[[64, 64, 56, 56, 3]], &[1, 8]),
        ("conv2d 14", &[[256, 256, 14, 14, 3]], &[1, 8]),
    ];
    for (row, layers, counts) in conv.into_iter().filter(|row| row.0.contains(name)) {
        counts.iter().for_each(|&samples| convolutions(set, row, layers, samples));
    }
}
