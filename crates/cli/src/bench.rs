//! `paceline bench`

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use paceline_study::report::Report;
use paceline_study::{MIXED_MODELS, Message, Results, Scale, Suite, Watch, isolation};

use crate::args::Bench;
use crate::assignment::Assignment;
use crate::defaults::{self, TIMES};
use crate::output::{Directory, Target, is_none_of, print, tell};
use crate::progress::Progress;
use crate::source::Source;
use crate::subjects::{device, sources, subjects, what_is_read};
use crate::trace;
use crate::{COMMIT, VERSION, Verdict, command_line};

/// Batches and requests in the trace of all measurements together: some 50 MB of JSON, which viewers still open.
const TRACE_EVENTS: usize = 200_000;

/// The forms of the report. The text first: where the disk is full, it is the most useful.
const FILES: [&str; 3] = ["report.md", "results.json", "index.html"];
/// The directory of the report's plots.
const PLOTS: &str = "plots";

/// Measures, each suite in a process of its own, writes the report, and prints it.
pub fn run(arguments: &Bench) -> Result<Verdict> {
    let assignments = assignments(arguments)?;
    let device = device(&arguments.what.with)?;
    if let Some(path) = &arguments.trace {
        let read = what_is_read(&arguments.what.models, &arguments.what.with);
        let own = FILES.iter().map(|name| arguments.out.join(name));
        is_none_of(path, "--trace", &own.chain(read).collect::<Vec<_>>())?;
    }
    let target = arguments.trace.as_deref().map(|path| Target::open(path, "--trace")).transpose()?;
    let directory = Directory::open(&arguments.out, "--out", &FILES, &[PLOTS])?;
    let mut results = Results::begin(VERSION, COMMIT, command_line(), &device.info());
    let silence = Duration::from_secs_f64(arguments.timeout);
    let mut progress = Progress::new(arguments.shown.quiet);
    progress.suites(assignments.len());
    let mut traces = Vec::new();
    let start = Instant::now();
    for mut assignment in assignments {
        if target.is_some() {
            let file = inherited_file(&arguments.out).context("cannot keep what a suite traces")?;
            assignment.trace = Some(format!("/dev/fd/{}", file.as_raw_fd()).into());
            traces.push((file, start.elapsed()));
        }
        measure(&assignment, silence, &mut results, &mut progress)?;
    }
    drop(progress);

    let report = Report::new(&results);
    let json = results.to_json();
    let written = write(&directory, &report, &json);
    let traced = target.map(|target| merge(traces, &target)).transpose();
    // Printed even where a file could not be written: what was measured is not lost.
    print(&if arguments.shown.json { json + "\n" } else { report.markdown })?;
    written?;
    let traced = traced?;
    let path = |name: &str| directory.path(name).display().to_string();
    if !arguments.shown.quiet {
        tell(format_args!(
            "\nwrote {}, {} and {}",
            path("index.html"),
            path("report.md"),
            path("results.json")
        ));
        if let (Some(path), Some(contents)) = (&arguments.trace, traced) {
            tell(format_args!("wrote {}: {}", path.display(), words(contents)));
        }
    }
    if results.are_right() {
        return Ok(Verdict::Right);
    }
    for problem in &results.problems {
        tell(format_args!("error: {problem}"));
    }
    tell(format_args!("error: not all is right; {} says what is not", path("report.md")));
    Ok(Verdict::Wrong)
}

/// Writes every form of the report.
fn write(directory: &Directory, report: &Report, json: &str) -> Result<()> {
    for (name, content) in FILES.iter().zip([&*report.markdown, json, &*report.html]) {
        directory.write(name, content)?;
    }
    let plots = directory.inner(PLOTS)?;
    for (name, svg) in &report.plots {
        plots.write(&format!("{name}.svg"), svg)?;
    }
    Ok(())
}

/// Lets a process of its own measure a suite.
fn measure(
    assignment: &Assignment,
    silence: Duration,
    results: &mut Results,
    progress: &mut Progress,
) -> Result<()> {
    let suite = assignment.suite;
    let line = serde_json::to_string(assignment).context("an assignment as JSON")?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.arg("suite");
    let (watch, mut last) = (Watch::begin(), None);
    progress.suite(suite.name());
    let ending = isolation::run(command, &line, silence, &mut |line| match Message::from_line(line) {
        Some(Message::Planned { steps }) => progress.planned(steps),
        Some(Message::Measuring { name, how }) => progress.begins(&name, &how),
        Some(Message::Stepped { steps }) => progress.advance(steps),
        Some(message @ (Message::Failed { .. } | Message::Done)) => last = Some(message),
        Some(message) => results.hear(message),
        None => {}
    });
    let ending = ending.with_context(|| format!("the suite '{suite}' cannot be started"))?;
    results.ended(suite, &ending, last.as_ref(), silence, watch.and_then(Watch::end));
    Ok(())
}

/// What each suite is to measure.
fn assignments(arguments: &Bench) -> Result<Vec<Assignment>> {
    let suites = suites(arguments)?;
    let callers = arguments.callers.clone().map(sorted);
    if suites == [Suite::Compare] && callers.as_deref() == Some(&[1]) {
        bail!("the suite compare needs --callers above 1, got 1");
    }
    // Weights from a file are known to fit when this returns.
    subjects(&arguments.what, &[])?;
    let chosen: Vec<String> = sources(&arguments.what)?.into_iter().map(Source::text).collect();
    let traced = suites.iter().filter(|suite| suite.is_traced()).count();
    if arguments.trace.is_some() && traced == 0 {
        bail!("--trace is for measurements through the engine; add the suite {}", names(Suite::is_traced));
    }
    let assignment = |suite: Suite| {
        let models = match suite.is_of_models() && !chosen.is_empty() {
            true => chosen.clone(),
            false => {
                defaults::of(suite, arguments.quick).models.iter().map(|name| name.to_string()).collect()
            }
        };
        Assignment {
            suite,
            models,
            file: arguments.what.with.file.clone(),
            weights: arguments.what.with.weights.clone().filter(|_| suite.is_of_models()),
            seed: arguments.what.with.seed,
            isa: arguments.what.with.isa.map(|isa| isa.name().into()),
            scale: scale(suite, arguments, callers.clone()),
            trace: None,
            trace_events: if arguments.trace.is_some() { TRACE_EVENTS / traced } else { 0 },
        }
    };
    Ok(suites.into_iter().map(assignment).collect())
}

fn suites(arguments: &Bench) -> Result<Vec<Suite>> {
    let mut suites = arguments.suites.clone();
    let has_models = !arguments.what.models.is_empty();
    if suites.is_empty() {
        let wanted = |suite: &Suite| suite.is_default() && (!has_models || suite.is_of_models());
        suites = Suite::ALL.into_iter().filter(wanted).collect();
    } else if has_models && !suites.iter().any(|suite| suite.is_of_models()) {
        bail!(
            "--model is for the suites {}; add one of them or leave --model out (workload has layers of growing size, mixed has {})",
            names(Suite::is_of_models),
            MIXED_MODELS.join(" and ")
        );
    }
    if arguments.minutes.is_some() && !suites.contains(&Suite::Soak) {
        bail!("--minutes is for the suite soak; add --suite soak");
    }
    suites.sort();
    suites.dedup();
    Ok(suites)
}

/// The suites of a kind, in words.
fn names(of: fn(Suite) -> bool) -> String {
    let mut names: Vec<&str> = Suite::ALL.into_iter().filter(|suite| of(*suite)).map(Suite::name).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last.into() } else { format!("{} or {last}", names.join(", ")) }
}

fn scale(suite: Suite, arguments: &Bench, callers: Option<Vec<usize>>) -> Scale {
    let defaults = defaults::of(suite, arguments.quick);
    let (seconds, rounds) = TIMES[usize::from(arguments.quick)];
    let batches = arguments.batches.clone().map(sorted);
    let of_models = defaults.thread_batches_of.iter().map(|&(name, batch)| (name.into(), vec![batch]));
    Scale {
        callers: callers.unwrap_or_else(|| defaults.callers.to_vec()),
        thread_batches: batches.clone().unwrap_or_else(|| vec![1]),
        thread_batches_of: if batches.is_some() { Default::default() } else { of_models.collect() },
        batches: batches.unwrap_or_else(|| defaults.batches.to_vec()),
        lanes: lanes(arguments.lanes),
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(seconds)),
        rounds: arguments.rounds.unwrap_or(rounds),
        arrivals: arguments.arrivals.clone(),
        shares: defaults.shares.to_vec(),
        workers: arguments.workers.clone().map(sorted).unwrap_or_else(|| vec![1, 2, 4]),
        soak: Duration::from_secs_f64(arguments.minutes.unwrap_or(1.0) * 60.0),
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

/// A file without a name, so that nothing is left of it however this process ends, which processes that it starts have open too.
fn inherited_file(directory: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(directory)?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    Ok(file)
}

/// Writes what the suites traced as one trace. A suite that crashed wrote nothing.
fn merge(traces: Vec<(File, Duration)>, target: &Target) -> Result<trace::Contents> {
    let mut contents = trace::Contents::default();
    target.write(|file| {
        contents = trace::merge(traces, file)?;
        Ok(())
    })?;
    Ok(contents)
}

/// What is in the trace, and what is not.
fn words(contents: trace::Contents) -> String {
    let trace::Contents { measurements, batches, requests, dropped } = contents;
    let text = format!("{batches} batches and {requests} requests of {measurements} measurements");
    match dropped {
        0 => text,
        dropped => {
            format!("{text}; {dropped} earlier ones are left out, fewer measurements leave room for more")
        }
    }
}
