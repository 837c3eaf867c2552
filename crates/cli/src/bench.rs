//! `paceline bench`

use std::time::Duration;

use anyhow::{Context, Result, bail};
use paceline_study::{Event, Mode, Point, Results, Scale, Study, Suite, report};

use crate::args::Bench;
use crate::output::{Directory, print, tell};
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

/// Measures, writes the report, and prints it.
pub fn run(arguments: &Bench) -> Result<Verdict> {
    let study = study(arguments)?;
    let device = device(&arguments.what)?;
    let directory = Directory::open(&arguments.out)?;
    let info = device.info();
    let mut results = Results::begin(VERSION, COMMIT, command_line(), &info);
    let mut progress = Progress::new(arguments.shown.quiet);
    let measured = study.run(&*device, &mut |event| match event {
        Event::Planned { points } => progress.planned(points),
        Event::Preparing { .. } => {}
        Event::Measuring { name, point } => progress.begins(&heading(name, point), &detail(point)),
        Event::Measured(measurement) => {
            progress.advance(1);
            results.add(measurement);
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
    // Printed even where a file could not be written: what was measured is not lost.
    print(&if arguments.shown.json { json + "\n" } else { text })?;
    let (report_path, results_path) = (report_path?, results_path?);
    if !arguments.shown.quiet {
        tell(format_args!("\nwrote {} and {}", report_path.display(), results_path.display()));
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
    Ok(Study {
        suites,
        subjects: subjects(what, defaults.models)?,
        scale: Scale {
            callers,
            batches: sorted(arguments.batches.clone().unwrap_or_else(|| defaults.batches.to_vec())),
            thread_batches: sorted(arguments.batches.clone().unwrap_or_else(|| vec![1])),
            lanes: lanes(arguments.lanes),
            time: Duration::from_secs_f64(arguments.seconds.unwrap_or(defaults.seconds)),
        },
        seed: what.seed,
    })
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
