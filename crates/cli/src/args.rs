//! The command line's grammar.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use paceline::cpu::Isa;
use paceline::profile::Use;
use paceline_study::{Arrivals, Suite};
use serde::{Deserialize, Serialize};

use crate::source::Source;

/// Runs neural networks for many callers at once on one device.
#[derive(Debug, Parser)]
#[command(name = "paceline", version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PACELINE_COMMIT"), ")"))]
#[command(
    after_help = "Exit codes: 0, all is well; 1, an answer was wrong or missing; 2, the command could not be carried out."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure models one at a time, from many threads, in batches and through the engine; write a report
    #[command(
        long_about = "Measures models one at a time, from many threads, in batches and through the engine. Every answer is \
        compared, bit for bit, with what the same sample gives alone. Each suite runs in a process of its own: one that crashes or \
        hangs is in the report, and the others go on. Writes report.md and results.json."
    )]
    Bench(Box<Bench>),
    /// Put two runs of bench side by side, and say which differences exceed the noise
    #[command(
        long_about = "Puts two runs of bench side by side, and says which differences exceed the noise: where the intervals of the \
        rounds do not overlap. The exit code does not depend on what differs."
    )]
    Compare(Compare),
    /// Check every operator, layer and model from many threads at once
    #[command(
        long_about = "Calls every operator, layer and model from many threads at once, through the engine. Each answer is \
        compared, bit for bit, with what the same sample gives alone, and that with the reference interpreter within tolerance. \
        Exits with 1 when one differs."
    )]
    Verify(Verify),
    /// Find out how a model is run best on this machine; write a profile that an engine starts from
    #[command(
        long_about = "Measures what executions of a model cost, by samples, lanes and threads; tries the configurations that may \
        be the best in engines, for the most throughput, for several independent streams and for the lowest latency; checks \
        what it predicts of the best. Every answer is compared, bit for bit, with what the same sample gives alone; exits with 1 when \
        one differs. Writes a profile that an engine starts from."
    )]
    Tune(Tune),
    /// Say what a model is, and what it costs: inputs, outputs, operators, memory, time
    #[command(
        long_about = "Says what a model is: its inputs and outputs, parameters, operators before and after fusion, which of them \
        no kernel computes, memory, and what an execution takes on one core."
    )]
    Inspect(Inspect),
    /// Compute a model's outputs for given inputs
    Run(Run),
    /// List the models
    Models(Models),
    /// Measure one suite as standard input says; `bench` starts it
    #[command(hide = true)]
    Suite,
    /// Serve as a worker of the process that started this one
    #[command(hide = true)]
    Worker(Worker),
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Suite to run: ops, layers, stress, threads, workload, batches, compare, workers, mixed, saturation or soak [default: all but
    /// soak, with --model those that measure models]
    #[arg(long = "suite", value_name = "SUITE", value_delimiter = ',')]
    pub suites: Vec<Suite>,
    #[command(flatten)]
    pub what: What,
    /// Numbers of callers of the suites threads, workload and compare, and of tickets of saturation [default: as the study has them]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = callers, allow_hyphen_values = true)]
    pub callers: Option<Vec<usize>>,
    /// Batch sizes of the suite batches [default: 1,2,4,...,256], and of mode threads in the suite threads [default: 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = batch, allow_hyphen_values = true)]
    pub batches: Option<Vec<usize>>,
    /// Lanes of the engine [default: one a core]
    #[arg(long, value_name = "N", value_parser = lanes, allow_hyphen_values = true)]
    pub lanes: Option<usize>,
    /// Time of each measurement, in all of its rounds [default: 0.12, with --quick 0.05]
    #[arg(long, value_name = "S", value_parser = seconds, allow_hyphen_values = true)]
    pub seconds: Option<f64>,
    /// Rounds of each measurement, in turns with those of others: six give an interval of 95 % [default: 6, with --quick 5]
    #[arg(long, value_name = "N", value_parser = rounds, allow_hyphen_values = true)]
    pub rounds: Option<usize>,
    /// Numbers of worker processes of the suite workers [default: 1,2,4]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers, allow_hyphen_values = true)]
    pub workers: Option<Vec<usize>>,
    /// How requests come in the open loops of the suite saturation: poisson, constant or bursts
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_value = "poisson")]
    pub arrivals: Vec<Arrivals>,
    /// Length of the suite soak [default: 1]
    #[arg(long, value_name = "N", value_parser = minutes, allow_hyphen_values = true)]
    pub minutes: Option<f64>,
    /// A suite that tells nothing for so long is ended
    #[arg(long, value_name = "S", default_value_t = 120.0, value_parser = timeout, allow_hyphen_values = true)]
    pub timeout: f64,
    /// Fewer and smaller models, fewer points, less time for each: seconds in all
    #[arg(long)]
    pub quick: bool,
    /// Directory for report.md and results.json; made if need be
    #[arg(long, value_name = "DIR", default_value = "paceline-report")]
    pub out: PathBuf,
    /// Write what the lanes of the engine executed, in Chrome's trace event format, for https://ui.perfetto.dev
    #[arg(
        long,
        value_name = "FILE",
        long_help = "Write what the lanes of the engine executed, in Chrome's trace event format, for \
        https://ui.perfetto.dev: a process for each measurement through the engine, a track for each lane, a slice for each \
        batch and each request. All measurements share room for 200,000 batches and requests; each keeps its latest."
    )]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// The run to compare with: a results.json, or the directory that has it
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The other run
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// List every measurement, not only those that differ
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Threads that call at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = callers, allow_hyphen_values = true)]
    pub callers: usize,
    /// Calls of each thread, for each graph
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = iterations, allow_hyphen_values = true)]
    pub iterations: u64,
    #[command(flatten)]
    pub what: What,
    /// Lanes of the engine [default: one a core]
    #[arg(long, value_name = "N", value_parser = lanes, allow_hyphen_values = true)]
    pub lanes: Option<usize>,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// The standard input is the socket to the parent; nobody but a parent can say so
    #[arg(long, required = true)]
    pub socket_is_stdin: bool,
}

#[derive(Debug, Args)]
pub struct Tune {
    /// ONNX file, or model by short name
    #[arg(value_name = "MODEL")]
    pub model: Source,
    /// What an engine that is given the profile is for: throughput, streams or latency
    #[arg(long, value_name = "USE", default_value_t = Use::Throughput)]
    pub objective: Use,
    /// The most milliseconds that 99 of 100 requests may take
    #[arg(long, value_name = "MS", value_parser = milliseconds, allow_hyphen_values = true)]
    pub p99_ms: Option<f64>,
    /// Largest batches to try; 1 is always tried [default: 1,2,4,...,256]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = batch, allow_hyphen_values = true)]
    pub batches: Option<Vec<usize>>,
    /// Numbers of lanes to try [default: 1,2,4,... to twice the cores]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = lanes, allow_hyphen_values = true)]
    pub lanes: Option<Vec<usize>>,
    /// Threads of a lone execution to try, its lane's and those of idle lanes that help it; 1 is always tried
    /// [default: 1,2,4,... to the cores]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = lanes, allow_hyphen_values = true)]
    pub threads: Option<Vec<usize>>,
    /// Numbers of worker processes to try; 0 is this process [default: 0]. Recommended only where they are better beyond noise
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_or_none, allow_hyphen_values = true)]
    pub workers: Option<Vec<usize>>,
    /// Callers of the use streams
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = callers, allow_hyphen_values = true)]
    pub callers: usize,
    /// Time for all measurements; models whose executions are long may need more
    #[arg(long, visible_alias = "budget", value_name = "S", default_value_t = 30.0, value_parser = seconds, allow_hyphen_values = true)]
    pub seconds: f64,
    /// File for the profile
    #[arg(long, value_name = "FILE", default_value = "profile.json")]
    pub out: PathBuf,
    #[command(flatten)]
    pub with: With,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Debug, Args)]
pub struct Models {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// ONNX file, or model by short name
    #[arg(value_name = "MODEL")]
    pub model: Source,
    #[command(flatten)]
    pub file: FileOptions,
    /// Draws weights and samples [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = seed, allow_hyphen_values = true)]
    pub seed: u64,
    /// Instruction set of the kernels: avx512, avx2, neon or portable [default: the best of this machine]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<Isa>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Run {
    /// ONNX file, or model by short name
    #[arg(value_name = "MODEL")]
    pub model: Source,
    /// NAME=FILE.npy, FILE.npz or NAME=NUMBER,NUMBER,...; the name may be left out where there is one input
    #[arg(long = "input", short, value_name = "INPUT", allow_hyphen_values = true)]
    pub inputs: Vec<String>,
    /// Directory for an .npy file for each output, or FILE.npz [default: print the first elements of each]
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub file: FileOptions,
    /// Draws weights of a model by name [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = seed, allow_hyphen_values = true)]
    pub seed: u64,
    /// Instruction set of the kernels: avx512, avx2, neon or portable [default: the best of this machine]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<Isa>,
}

/// How an ONNX file is read.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct FileOptions {
    /// Length of an axis that has a name in the file; may be repeated
    #[arg(long = "dim", value_name = "NAME=LENGTH", value_parser = dim)]
    pub dims: Vec<(String, usize)>,
    /// Value of an input that is the same in every request and says how to compute: NAME=FILE.npy; may be repeated
    #[arg(long = "bind", value_name = "NAME=FILE")]
    pub bound: Vec<String>,
    /// Name of the axis that is the batch, or `none` [default: axis 0, where every input has a name there]
    #[arg(long, value_name = "NAME")]
    pub batch_axis: Option<String>,
}

/// What runs, on which kernels.
#[derive(Debug, Args)]
pub struct What {
    /// Model by short name, as `paceline models` lists them, or ONNX file; may be repeated
    #[arg(long = "model", value_name = "MODEL", value_delimiter = ',')]
    pub models: Vec<Source>,
    #[command(flatten)]
    pub with: With,
}

/// With which weights, on which kernels.
#[derive(Debug, Args)]
pub struct With {
    #[command(flatten)]
    pub file: FileOptions,
    /// Weights: a safetensors file with the names of PyTorch's state_dict, for exactly one model
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Draws weights and samples [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = seed, allow_hyphen_values = true)]
    pub seed: u64,
    /// Instruction set of the kernels: avx512, avx2, neon or portable [default: the best of this machine]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<Isa>,
}

/// What is printed.
#[derive(Debug, Args)]
pub struct Shown {
    /// Print JSON, and nothing else, to standard output
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn dim(text: &str) -> Result<(String, usize), String> {
    let parsed =
        text.rsplit_once('=').and_then(|(name, length)| Some((name.to_string(), length.parse().ok()?)));
    parsed.ok_or_else(|| format!("expected NAME=LENGTH, such as sequence=128, got '{text}'"))
}

fn callers(text: &str) -> Result<usize, String> {
    whole(text, 1..=1024)
}

fn batch(text: &str) -> Result<usize, String> {
    whole(text, 1..=4096)
}

fn workers(text: &str) -> Result<usize, String> {
    whole(text, 1..=64)
}

fn workers_or_none(text: &str) -> Result<usize, String> {
    whole(text, 0..=256)
}

fn lanes(text: &str) -> Result<usize, String> {
    whole(text, 1..=1024)
}

fn iterations(text: &str) -> Result<u64, String> {
    whole(text, 1..=1_000_000)
}

fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

fn whole<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    text: &str,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!("expected a whole number from {} to {}, got '{text}'", range.start(), range.end())
    })
}

fn rounds(text: &str) -> Result<usize, String> {
    whole(text, 1..=1000)
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, "seconds", 0.001..=3600.0)
}

fn timeout(text: &str) -> Result<f64, String> {
    number(text, "seconds", 0.1..=86_400.0)
}

fn minutes(text: &str) -> Result<f64, String> {
    number(text, "minutes", 0.01..=10_000.0)
}

fn number(text: &str, unit: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {unit} from {} to {}, got '{text}'", range.start(), range.end()))
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|ms| (0.001..=3_600_000.0).contains(ms));
    number.ok_or_else(|| format!("expected milliseconds from 0.001 to 3600000, got '{text}'"))
}
