//! The figures of the scheduler: the engine on real and scripted devices, beside other batchers on the same sessions in the same
//! run.
//!
//! `cargo run --release -p paceline --example scheduler -- [--only SUITE]... [--subject NAME]... [--json FILE]` prints a table.
//! Suites: `shapes` (two interleaved shapes against a first-in-first-out-prefix batcher), `low` (latency at 10 % of capacity),
//! `overload` (goodput within deadlines at 1.5 times capacity), `large` (requests of 16 samples among singles), `cost` (CPU time of
//! scheduling), `blocking` (context switches), `predicted` (costs predicted against measured). What each compares is
//! written at its function in `figures` and `cost`.
#![allow(clippy::print_stdout, reason = "a report is what it is for")]

mod bare;
mod batcher;
mod call;
mod cost;
mod figures;
mod load;
mod report;
mod subject;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::figures::Plan;
use crate::report::Figure;
use crate::subject::Subject;

/// Measures the scheduler.
#[derive(Parser)]
struct Args {
    /// Only these suites.
    #[arg(long)]
    only: Vec<String>,
    /// Only these subjects: sleeping, busy, mlp, conv1d, tlayer, speech. Without a choice, the first three.
    #[arg(long)]
    subject: Vec<String>,
    /// Lanes of the subjects that compute on this machine. With fewer than it has cores, the generator of open loops does not sleep:
    /// it has a core to itself. [default: one a core]
    #[arg(long)]
    lanes: Option<usize>,
    /// Alternating rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement in a round.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Where to write the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

type Suite = fn(&Arc<Subject>, Plan) -> Result<Vec<Figure>>;

const SUITES: [(&str, Suite); 7] = [
    ("shapes", figures::two_shapes),
    ("low", figures::low_load),
    ("overload", figures::overload),
    ("large", figures::large_among_singles),
    ("predicted", figures::predicted),
    ("blocking", cost::blocking),
    ("cost", cost::per_ticket),
];

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(name) = args.only.iter().find(|name| SUITES.iter().all(|(suite, _)| suite != name)) {
        bail!("there is no suite '{name}'; the suites are {}", SUITES.map(|(name, _)| name).join(", "));
    }
    let plan = Plan { rounds: args.rounds.max(1), slice: Duration::from_secs_f64(args.seconds) };
    let names = if args.subject.is_empty() {
        subject::NAMES[..3].iter().map(ToString::to_string).collect()
    } else {
        args.subject
    };
    let mut figures = Vec::new();
    for (suite, measure) in SUITES {
        if !args.only.is_empty() && args.only.iter().all(|only| only != suite) {
            continue;
        }
        // What the engine itself costs needs one subject only: its inputs.
        let names = if suite == "cost" { &names[..1] } else { &names[..] };
        for name in names {
            figures.extend(measure(&Arc::new(Subject::new(name, args.lanes)?), plan)?);
        }
    }
    print!("{}", report::table(&figures));
    if let Some(path) = args.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
