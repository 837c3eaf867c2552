//! Writes models as ONNX, each with inputs and what the reference computes, for `cargo xtask onnx-export-check`.
//!
//! Before that each is read back: it must be written the same again, and compute the same on the CPU, bit for bit.

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

/// Samples of each model.
const SAMPLES: usize = 2;
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
    let (mut written, mut wrong) = (0, 0);
    let mut check = |name: &str, graph: &Graph, inputs: &[Tensor]| {
        written += 1;
        if let Err(error) = check(name, graph, inputs, &*device, &arguments.to) {
            wrong += 1;
            eprintln!("WRONG {name}: {error:#}");
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
        check(&format!("random-{seed}"), &graph, &inputs);
    }
    eprintln!("{written} written, {wrong} of them wrong; graphs not written, by operator: {without_words:?}");
    ensure!(wrong == 0, "some models do not come back as they were");
    Ok(())
}

/// Writes a model, reads it back, and leaves it with its inputs and outputs for others.
fn check(name: &str, graph: &Graph, inputs: &[Tensor], device: &dyn Device, to: &Path) -> Result<()> {
    let model = to_bytes(graph).context("as it is")?;
    let back = read_bytes(model.clone(), &options(graph))?;
    let again = to_bytes(&back.graph).context("as it was read")?;
    let twice = read_bytes(again.clone(), &options(graph))?;
    ensure!(to_bytes(&twice.graph)? == again, "what is read is not written as it was");
    let (own, others) = (outputs(graph, inputs, device)?, outputs(&back.graph, inputs, device)?);
    for (own, other) in own.iter().zip(&others) {
        ensure!(same(own, other), "what comes back computes something else");
    }
    let expected = reference::evaluate(graph, inputs)?;
    let directory = to.join(name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("model.onnx"), model)?;
    let names = graph.inputs().iter().map(|&value| graph.value(value).name.as_str());
    let inputs = saved(&directory, "input", names.zip(inputs))?;
    let outputs =
        saved(&directory, "output", graph.outputs().iter().map(|o| o.name.as_str()).zip(&expected))?;
    fs::write(directory.join("case.json"), json!({ "inputs": inputs, "outputs": outputs }).to_string())?;
    Ok(())
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

/// Bit for bit, but for the bits of NaN.
fn same(a: &Tensor, b: &Tensor) -> bool {
    fn bits<T: Element>(values: &[T]) -> Vec<u64> {
        values.iter().map(|value| if value.to_f64().is_nan() { u64::MAX } else { value.bits() }).collect()
    }
    let of = |tensor: &Tensor| by_type!(Data, tensor.data(), values => bits(values));
    (a.dtype(), a.shape()) == (b.dtype(), b.shape()) && of(a) == of(b)
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
