//! `paceline bench`

use std::time::Duration;

use anyhow::{Context, Result, bail};
use paceline::{Trace, write_chrome};
use paceline_study::{Event, Mode, Point, Results, Row, Scale, Study, Suite, report};

use crate::args::Bench;
use crate::output::{Directory, Target, print, tell};
use crate::progress::Progress;
use crate::subjects::{device, subjects};
use crate::{COMMIT, VERSION, Verdict, command_line};

/// What is measured without a choice.
struct Defaults {
    models: &'static [&'static str],
    callers: &'static [usize],
    batches: &'static [usize],
    seconds: f64,
}

const FULL: Defaults = Defaults {
    models: &["linear", "linear-2048", "mlp", "conv1d", "tlayer", "t6", "speech", "translation"],
    callers: &[1, 2, 4, 8, 16],
    batches: &[1, 2, 4, 8, 16, 32, 64, 128, 256],
    seconds: 0.15,
};

const QUICK: Defaults = Defaults {
    models: &["linear", "mlp", "tlayer"],
    callers: &[1, 2, 8],
    batches: &[1, 8, 64],
    seconds: 0.05,
};

/// Batches and requests in the trace of all measurements together: some 50 MB of JSON, which viewers still open.
const TRACE_EVENTS: usize = 200_000;

/// Measures, writes the report, and prints it.
pub fn run(arguments: &Bench) -> Result<Verdict> {
    let study = study(arguments)?;
    let device = device(&arguments.what.with)?;
    let target = arguments.trace.as_deref().map(|path| Target::open(path, "--trace")).transpose()?;
    let directory = Directory::open(&arguments.out)?;
    let info = device.info();
    let mut results = Results::begin(VERSION, COMMIT, command_line(), &info);
    let mut traces: Vec<(String, Trace)> = Vec::new();
    let mut progress = Progress::new(arguments.shown.quiet);
    let measured = study.run(&*device, &mut |event| match event {
        Event::Planned { points } => progress.planned(points),
        Event::Preparing { .. } => {}
        Event::Measuring { name, point } => progress.begins(&heading(name, point), &detail(point)),
        Event::Measured(measurement) => {
            progress.advance(1);
            results.add(measurement);
            if !measurement.trace.is_empty() {
                traces.push((title(&measurement.row), measurement.trace.clone()));
            }
        }
        Event::LeftOut { points, error } => {
            progress.advance(points);
            results.problems.push(error.to_string());
        }
    });
    drop(progress);

    let text = report::markdown(&results);
    let json = results.to_json();
    let report_path = directory.write("report.md", &text);
    let results_path = directory.write("results.json", &json);
    let traced = target.map(|target| target.write(|file| write_chrome(named(&traces), file))).transpose();
    // Printed even where a file could not be written: what was measured is not lost.
    print(&if arguments.shown.json { json + "\n" } else { text })?;
    let (report_path, results_path) = (report_path?, results_path?);
    traced?;
    if !arguments.shown.quiet {
        tell(format_args!("\nwrote {} and {}", report_path.display(), results_path.display()));
        if let Some(path) = &arguments.trace {
            tell(format_args!("wrote {}: {}", path.display(), contents(&traces)));
        }
    }
    measured.context("the study ended early; what was measured before is written")?;
    if results.are_right() {
        return Ok(Verdict::Right);
    }
    for problem in &results.problems {
        tell(format_args!("error: {problem}"));
    }
    tell(format_args!("error: some answers are wrong or missing; {} says which", report_path.display()));
    Ok(Verdict::Wrong)
}

fn study(arguments: &Bench) -> Result<Study> {
    let defaults = if arguments.quick { QUICK } else { FULL };
    let what = &arguments.what;
    let mut suites = arguments.suites.clone();
    if suites.is_empty() {
        suites =
            Suite::ALL.into_iter().filter(|suite| what.models.is_empty() || suite.is_of_models()).collect();
    } else if !what.models.is_empty() && !suites.iter().any(|suite| suite.is_of_models()) {
        bail!("--model is for the suites threads, batches and compare; add one of them or leave --model out");
    }
    let callers = sorted(arguments.callers.clone().unwrap_or_else(|| defaults.callers.to_vec()));
    if suites == [Suite::Compare] && callers == [1] {
        bail!("the suite compare needs --callers above 1, got 1");
    }
    let study = Study {
        suites,
        subjects: subjects(what, defaults.models)?,
        scale: Scale {
            callers,
            batches: sorted(arguments.batches.clone().unwrap_or_else(|| defaults.batches.to_vec())),
            thread_batches: sorted(arguments.batches.clone().unwrap_or_else(|| vec![1])),
            lanes: lanes(arguments.lanes),
            time: Duration::from_secs_f64(arguments.seconds.unwrap_or(defaults.seconds)),
        },
        seed: what.with.seed,
        trace: if arguments.trace.is_some() { TRACE_EVENTS } else { 0 },
    };
    if arguments.trace.is_some() && !study.has_engine() {
        bail!(
            "--trace is for measurements through the engine; add the suite ops, layers, threads or compare"
        );
    }
    Ok(study)
}

/// What a measurement is called in the trace.
fn title(row: &Row) -> String {
    let what = if row.mode == Mode::EngineAsync { "tickets" } else { "callers" };
    format!("{}: {}, {} {what}", row.suite, row.model, row.callers)
}

fn named(traces: &[(String, Trace)]) -> impl Iterator<Item = (&str, &Trace)> {
    traces.iter().map(|(title, trace)| (title.as_str(), trace))
}

/// What is in the traces, and what is not.
fn contents(traces: &[(String, Trace)]) -> String {
    let sum = |of: fn(&Trace) -> u64| traces.iter().map(|(_, trace)| of(trace)).sum::<u64>();
    let text = format!(
        "{} batches and {} requests of {} measurements",
        sum(|trace| trace.batches() as u64),
        sum(|trace| trace.requests() as u64),
        traces.len()
    );
    match sum(Trace::dropped) {
        0 => text,
        dropped => {
            format!("{text}; {dropped} earlier ones are left out, fewer measurements leave room for more")
        }
    }
}

/// The lanes asked for, or one a core.
pub fn lanes(chosen: Option<usize>) -> usize {
    chosen.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

fn sorted(mut list: Vec<usize>) -> Vec<usize> {
    list.sort_unstable();
    list.dedup();
    list
}

fn heading(name: &str, point: &Point) -> String {
    match point.suite.is_of_models() {
        true => format!("{} {name}", point.suite),
        false => point.suite.to_string(),
    }
}

fn detail(point: &Point) -> String {
    let Point { callers, batch, .. } = point;
    match point.mode {
        Mode::Sequential => "one at a time".into(),
        Mode::Threads => format!("{callers} threads"),
        Mode::Batch => format!("batch {batch}"),
        Mode::Engine => format!("{callers} callers"),
        Mode::EngineAsync => format!("{callers} tickets"),
    }
}
