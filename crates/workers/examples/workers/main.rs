//! The figures of worker processes, beside an engine in this process in the same run.
//!
//! `cargo run --release -p paceline-workers --example workers -- [--only SUITE]... [--kills N] [--rounds N] [--json FILE]` prints a
//! table. Suites: `round-trip` (one `linear` sample at a time), `throughput` (`mlp` requests of 64 samples), `kills` (workers killed
//! at random under load). What each measures is written at its function. Ends with 1 when an answer was lost or wrong.
#![allow(clippy::print_stdout, reason = "a table is what it is for")]

mod kills;
mod round_trip;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use paceline_device::{CompileOptions, Device, Program};
use paceline_device_cpu::CpuDevice;
use paceline_engine::Engine;
use paceline_graph::Tensor;
use paceline_workers::{Assignment, LoadFailure, ModelSpec, become_worker_if_started_as_one};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Draws weights and inputs.
const SEED: u64 = 1;

/// Measures worker processes.
#[derive(Parser)]
struct Args {
    /// Only these suites.
    #[arg(long)]
    only: Vec<String>,
    /// Workers to kill, for each number of workers.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Alternating rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of one measurement in a round.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Where to write the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One number and what it says.
#[derive(Serialize)]
struct Figure {
    suite: &'static str,
    what: String,
    unit: &'static str,
    value: f64,
    /// Least and greatest, where there were rounds.
    range: Option<(f64, f64)>,
}

const SUITES: [&str; 3] = ["round-trip", "throughput", "kills"];

fn main() -> Result<ExitCode> {
    become_worker_if_started_as_one(load);
    let args = Args::parse();
    if let Some(name) = args.only.iter().find(|name| !SUITES.contains(&name.as_str())) {
        bail!("there is no suite '{name}'; the suites are {}", SUITES.join(", "));
    }
    let wanted = |suite: &str| args.only.is_empty() || args.only.iter().any(|only| only == suite);
    let mut figures = Vec::new();
    if wanted("round-trip") {
        round_trip::measure(args.rounds, args.seconds, &mut figures)?;
    }
    if wanted("throughput") {
        throughput::measure(args.rounds, args.seconds, &mut figures)?;
    }
    let mut is_right = true;
    if wanted("kills") {
        for workers in [2, 1] {
            is_right &= kills::measure(workers, args.kills, &mut figures)?;
        }
    }
    println!("| suite | what | value | range |\n|---|---|--:|---|");
    for Figure { suite, what, unit, value, range } in &figures {
        let range = range.map_or(String::new(), |(least, greatest)| format!("{least:.1} to {greatest:.1}"));
        println!("| {suite} | {what} | {value:.1} {unit} | {range} |");
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(assignment: &Assignment<'_>) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
    assignment.compile(&CpuDevice::new())
}

/// An engine in this process with the same models.
fn engine(lanes: usize, specs: &[ModelSpec]) -> Result<Engine> {
    let engine = Engine::builder().lanes(lanes).build()?;
    for spec in specs {
        let graph = spec.graph().map_err(|error| anyhow::anyhow!(error))?;
        engine.load(&*spec.name, CpuDevice::new().compile(&graph, &CompileOptions::default())?)?;
    }
    Ok(engine)
}

/// Random rows of a model's one input.
fn input(rng: &mut ChaCha8Rng, samples: usize, width: usize) -> Tensor {
    let elements: Vec<f32> = (0..samples * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::new([samples, width], elements).expect("as many elements as the shape has")
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(SEED)
}

/// The value at a share of the sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// A figure from one value for each round: their median, and how far they lie apart.
fn of_rounds(suite: &'static str, what: String, unit: &'static str, mut values: Vec<f64>) -> Figure {
    values.sort_by(f64::total_cmp);
    let range = Some((values[0], values[values.len() - 1]));
    Figure { suite, what, unit, value: quantile(&values, 0.5), range }
}
