//! Times requests of several lengths to an ONNX model with one free axis: the first of a length, which makes its program, and the next.

#![allow(clippy::print_stdout, reason = "what it measures is its output")]

use std::time::{Duration, Instant};

use clap::Parser;
use paceline::graph::Data;
use paceline::{Engine, LoadOptions, Tensor, onnx::ElasticModel};

#[derive(Parser)]
struct Arguments {
    /// ONNX file
    model: String,
    /// Lengths of the axis, in the order in which they are requested
    #[arg(long, value_delimiter = ',', required = true)]
    lengths: Vec<usize>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let model = ElasticModel::from_onnx(&arguments.model)?;
    let [axis] = model.axes() else { anyhow::bail!("expected one free axis, got {:?}", model.axes()) };
    let axis = axis.clone();
    let most = arguments.lengths.iter().copied().max().unwrap_or(1);
    let model = model.most(&axis.name, most)?;
    let engine = Engine::builder().device("cpu").lanes(1).build()?;
    let options = LoadOptions::new().warm_up(Duration::ZERO);
    let elastic = engine.load_elastic_with("model", model, options)?;
    println!(
        "{}",
        serde_json::json!({ "greatest": most, "load_s": begun.elapsed().as_secs_f64(), "resident_mib": resident_mib()? })
    );
    for length in arguments.lengths {
        let inputs = || -> anyhow::Result<Vec<(&str, Tensor)>> {
            let zeros = elastic.signature().inputs.iter().map(|port| {
                let mut shape: Vec<usize> = std::iter::once(1).chain(port.shape.iter().copied()).collect();
                for (_, index) in axis.places.iter().filter(|(input, _)| *input == port.name) {
                    shape[*index] = length;
                }
                let elements = shape.iter().product();
                Ok((port.name.as_str(), Tensor::new(shape, Data::zeros(port.dtype, elements))?))
            });
            zeros.collect()
        };
        let mut times = Vec::new();
        for _ in 0..4 {
            let inputs = inputs()?;
            let start = Instant::now();
            elastic.infer(inputs)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let next = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{}",
            serde_json::json!({ "length": length, "first_ms": times[0], "next_ms": next, "resident_mib": resident_mib()? })
        );
    }
    Ok(())
}

/// The memory that the process has now.
fn resident_mib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib >> 10).ok_or_else(|| anyhow::anyhow!("no VmRSS in /proc/self/status"))
}
