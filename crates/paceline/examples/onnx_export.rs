//! Writes models as ONNX, each with inputs and what the reference computes, for `cargo xtask onnx-export-check`.
//!
//! Each is also read back, and must compute the same on the CPU: models of ours bit for bit; random graphs within rounding, as some of
//! their pieces come back as others, and how many do so bit for bit is told. What is read back is written, read and written again,
//! until that gives the same file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use paceline::graph::testing::{random_graph, random_inputs};
use paceline::graph::{Data, Element, by_type, reference};
use paceline::nn::{models, sample_inputs};
use paceline::onnx::{BatchAxis, ExportError, ImportOptions, read_bytes, to_bytes};
use paceline::seam::{Batch, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline::{Graph, Tensor};
use serde_json::{Value, json};

/// What names of random graphs begin with.
const RANDOM: &str = "random-";
/// Samples of each model.
const SAMPLES: usize = 2;
/// How far what comes back may be off, relative to the largest element of an output: rounding, in another order.
const TOLERANCE: f64 = 1e-5;
/// Times that what was read is written again until it stays the same: reading folds what has become known.
const MOST_ROUNDS: usize = 3;
/// Random graphs have up to so many nodes.
const MOST_NODES: u64 = 16;

#[derive(Parser)]
struct Arguments {
    /// Directory that a directory for each model is made in
    to: PathBuf,
    /// Random graphs beside the models
    #[arg(long, default_value_t = 300)]
    random: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = paceline::device("cpu")?;
    let mut without_words = BTreeMap::<String, usize>::new();
    let (mut written, mut wrong, mut exact) = (0, 0, 0);
    let mut check = |name: &str, graph: &Graph, inputs: &[Tensor]| {
        written += 1;
        match check(name, graph, inputs, &*device, &arguments.to) {
            Ok(0.0) => exact += 1,
            Ok(error) if error <= TOLERANCE && name.starts_with(RANDOM) => {
                eprintln!("{name}: comes back with an error of {error:.1e}");
            }
            Ok(error) => {
                wrong += 1;
                eprintln!("WRONG {name}: comes back with an error of {error:.1e}");
            }
            Err(error) => {
                wrong += 1;
                eprintln!("WRONG {name}: {error:#}");
            }
        }
    };
    for model in models() {
        let graph = model.graph(1)?;
        let inputs = sample_inputs(&graph, SAMPLES, 3)?;
        check(model.name(), &graph, &inputs);
    }
    for seed in 0..arguments.random {
        let graph = random_graph(seed, 1 + (seed % MOST_NODES) as usize);
        match to_bytes(&graph) {
            Err(ExportError::Node { operator, .. }) => {
                *without_words.entry(operator.into()).or_default() += 1;
                continue;
            }
            other => other?,
        };
        let mut inputs = random_inputs(&graph, SAMPLES, seed);
        // An index below zero counts from the end in ONNX; ours names nothing.
        for input in &mut inputs {
            if let Data::I64(indices) = input.data_mut() {
                indices.iter_mut().for_each(|index| *index = (*index).max(0));
            }
        }
        check(&format!("{RANDOM}{seed}"), &graph, &inputs);
    }
    eprintln!(
        "{written} written, {exact} come back bit for bit, {wrong} are wrong; graphs not written, by operator: {without_words:?}"
    );
    ensure!(wrong == 0, "some models do not come back as they were");
    Ok(())
}

/// Writes a model, with its inputs and outputs for others, and reads it back: how far off is what comes back?
fn check(name: &str, graph: &Graph, inputs: &[Tensor], device: &dyn Device, to: &Path) -> Result<f64> {
    let model = to_bytes(graph).context("as it is")?;
    let expected = reference::evaluate(graph, inputs)?;
    let directory = to.join(name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("model.onnx"), &model)?;
    let names = graph.inputs().iter().map(|&value| graph.value(value).name.as_str());
    let given = saved(&directory, "input", names.zip(inputs))?;
    let computed =
        saved(&directory, "output", graph.outputs().iter().map(|o| o.name.as_str()).zip(&expected))?;
    fs::write(directory.join("case.json"), json!({ "inputs": given, "outputs": computed }).to_string())?;

    let back = read_bytes(model, &options(graph))?;
    let mut written = to_bytes(&back.graph).context("as it was read")?;
    let settles = (0..MOST_ROUNDS).any(|_| {
        let again =
            read_bytes(written.clone(), &options(graph)).ok().and_then(|back| to_bytes(&back.graph).ok());
        let settled = again.as_ref() == Some(&written);
        written = again.unwrap_or_default();
        settled
    });
    ensure!(settles, "what is read is not written as it was");
    let (own, others) = (outputs(graph, inputs, device)?, outputs(&back.graph, inputs, device)?);
    Ok(own.iter().zip(&others).map(|(own, other)| error(own, other)).fold(0.0, f64::max))
}

fn options(graph: &Graph) -> ImportOptions {
    ImportOptions::default().batch(if graph.is_batched() { BatchAxis::Auto } else { BatchAxis::None })
}

fn outputs(graph: &Graph, inputs: &[Tensor], device: &dyn Device) -> Result<Vec<Tensor>> {
    let program = device.compile(graph, &CompileOptions::default())?;
    let samples = if graph.is_batched() { SAMPLES } else { 1 };
    let ports = program.signature().outputs.iter();
    let mut outputs: Vec<Tensor> = ports
        .map(|port| {
            let batch = if graph.is_batched() { vec![samples] } else { Vec::new() };
            Tensor::zeros(port.dtype, [&batch, &port.shape[..]].concat())
        })
        .collect::<Result<_, _>>()?;
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    execute(&mut *program.open()?, &mut Batch::of(part))?;
    Ok(outputs)
}

/// The largest difference, relative to the largest element; 0 where all bits are the same, but for those of NaN.
fn error(a: &Tensor, b: &Tensor) -> f64 {
    fn numbers<T: Element>(values: &[T]) -> Vec<(f64, u64)> {
        values.iter().map(|value| (value.to_f64(), value.bits())).collect()
    }
    if (a.dtype(), a.shape()) != (b.dtype(), b.shape()) {
        return f64::INFINITY;
    }
    let of = |tensor: &Tensor| by_type!(Data, tensor.data(), values => numbers(values));
    let (a, b) = (of(a), of(b));
    let largest = a.iter().map(|(a, _)| a.abs()).filter(|a| a.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    let difference = |(&(a, a_bits), &(b, b_bits)): (&(f64, u64), &(f64, u64))| match (a - b).abs() {
        _ if a_bits == b_bits || a.is_nan() && b.is_nan() => 0.0,
        difference if difference.is_finite() => (difference / largest).max(f64::MIN_POSITIVE),
        _ => f64::INFINITY,
    };
    a.iter().zip(&b).map(difference).fold(0.0, f64::max)
}

/// Writes tensors as their bytes, and says what they are.
fn saved<'a>(
    directory: &Path,
    kind: &str,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<Vec<Value>> {
    fn bytes<T: Element>(values: &[T]) -> Vec<u8> {
        values.iter().flat_map(|value| value.bits().to_le_bytes()[..size_of::<T>()].to_vec()).collect()
    }
    let mut all = Vec::new();
    for (index, (name, tensor)) in tensors.enumerate() {
        let file = format!("{kind}_{index}.bin");
        fs::write(directory.join(&file), by_type!(Data, tensor.data(), values => bytes(values)))?;
        all.push(json!({ "name": name, "file": file, "dtype": tensor.dtype().to_string(), "shape": tensor.shape() }));
    }
    Ok(all)
}
