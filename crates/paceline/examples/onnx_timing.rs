//! Times an ONNX model through the engine, for `benches/onnx/compare.py`: a process that runs slices on request.
//!
//! It loads the model, says how long that took, and then for each line `BATCH SECONDS` on standard input calls the model one call after
//! the other for so long. With `--peak`, all lanes are called at once instead, and the memory that took is printed.

#![allow(clippy::print_stdout, reason = "what it measures is its output")]

use std::io::BufRead;
use std::time::{Duration, Instant};

use clap::Parser;
use paceline::seam::CompileOptions;
use paceline::{Engine, Request, Tensor, nn, onnx};

#[derive(Parser)]
struct Arguments {
    /// ONNX file
    model: String,
    /// Executions that may run at a time; idle lanes help a lone one
    #[arg(long, default_value_t = 1)]
    lanes: usize,
    /// Calls every lane at once, and prints the peak of the process's memory
    #[arg(long)]
    peak: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let model = onnx::Model::from_onnx(&arguments.model)?;
    let graph = model.graph().clone();
    let device = paceline::device("cpu")?;
    drop(device.compile(&graph, &CompileOptions::default())?.open()?);
    let load_s = begun.elapsed().as_secs_f64();
    // Measuring what executions cost takes time and memory that ONNX Runtime does not spend, and is of use for speed only.
    let warm_up = Duration::from_millis(if arguments.peak { 0 } else { 3000 });
    let engine = Engine::builder().with_device(device).lanes(arguments.lanes).warm_up(warm_up).build()?;
    let loaded = engine.load("model", model)?;
    let inputs = |batch: usize| -> anyhow::Result<Vec<(String, Tensor)>> {
        let names = graph.inputs().iter().map(|&value| graph.value(value).name.clone());
        Ok(names.zip(nn::sample_inputs(&graph, batch, 1)?).collect())
    };
    if arguments.peak {
        let inputs = inputs(1)?;
        std::thread::scope(|scope| {
            let call = || (0..4).try_for_each(|_| loaded.infer(request(&inputs)).map(|_| ()));
            let threads: Vec<_> = (0..arguments.lanes).map(|_| scope.spawn(call)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a caller panicked"))
        })?;
        println!("{}", serde_json::json!({ "load_s": load_s, "peak_bytes": peak_bytes()? }));
        return Ok(());
    }
    println!("{}", serde_json::json!({ "load_s": load_s }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (batch, seconds) =
            line.split_once(' ').ok_or_else(|| anyhow::anyhow!("expected BATCH SECONDS"))?;
        let (inputs, seconds): (_, f64) = (inputs(batch.parse()?)?, seconds.parse()?);
        loaded.infer(request(&inputs))?;
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || begun.elapsed().as_secs_f64() < seconds {
            let request = request(&inputs);
            let start = Instant::now();
            loaded.infer(request)?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        println!("{}", serde_json::json!({ "calls": times.len(), "median_s": times[times.len() / 2] }));
    }
    Ok(())
}

fn request(inputs: &[(String, Tensor)]) -> Request<'_> {
    Request::new(inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())))
}

/// The most memory that the process had at a time.
fn peak_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| anyhow::anyhow!("no VmHWM in /proc/self/status"))
}
