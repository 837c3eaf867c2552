//! Runs the official tests of ONNX's operators: each model is read, compiled for the CPU, executed, and compared with what ONNX says.
//!
//! `cargo xtask onnx-conformance` fetches the tests and runs this.

mod case;
mod report;

use std::path::PathBuf;

use clap::Parser;

use case::{Case, Outcome};

#[derive(Parser)]
struct Arguments {
    /// Directory with a directory for each case: model.onnx, test_data_set_N, case.json
    cases: PathBuf,
    /// Version of ONNX that the cases come from
    #[arg(long)]
    onnx: String,
    /// Runs only cases whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Writes the table here
    #[arg(long)]
    report: Option<PathBuf>,
    /// Lists every case that does not pass
    #[arg(long)]
    verbose: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let device = paceline::device("cpu")?;
    let mut results = Vec::new();
    for case in Case::all(&arguments.cases)? {
        if arguments.only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
            continue;
        }
        let outcome = case.run(&*device)?;
        let shown = match &outcome {
            Outcome::Pass => None,
            Outcome::Unsupported(why) => arguments.verbose.then(|| ("unsupported", format!("{why:?}"))),
            Outcome::Fail(why) => Some(("FAIL", why.clone())),
        };
        if let Some((kind, why)) = shown {
            eprintln!("{kind} {}: {why}", case.name);
        }
        results.push((case, outcome));
    }
    let count = |wanted: fn(&Outcome) -> bool| results.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Fail(_)));
    eprintln!(
        "{} cases: {} pass, {} unsupported, {failed} fail",
        results.len(),
        count(|outcome| matches!(outcome, Outcome::Pass)),
        count(|outcome| matches!(outcome, Outcome::Unsupported(_))),
    );
    if let Some(path) = &arguments.report {
        std::fs::write(path, report::markdown(&results, &arguments.onnx))?;
    }
    std::process::exit(i32::from(failed > 0));
}
