//! `paceline tune`

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use paceline_study::StudyError;
use paceline_study::tune::{Axes, Doing, Origin, Step, Tuning, markdown};

use crate::args::Tune;
use crate::output::{Target, is_none_of, print, tell};
use crate::progress::Progress;
use crate::subjects::{device, subject, what_is_read, workers};
use crate::{COMMIT, Verdict, command_line};

/// The bar has so many steps.
const STEPS: usize = 100;

/// Tunes, writes the profile, and prints the report.
pub fn run(arguments: &Tune) -> Result<Verdict> {
    let tuning = Tuning {
        axes: Axes {
            batches: arguments.batches.clone(),
            lanes: arguments.lanes.clone(),
            threads: arguments.threads.clone(),
            workers: arguments.workers.clone(),
        },
        chosen: arguments.objective,
        p99: arguments.p99_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)),
        callers: arguments.callers,
        time: Duration::from_secs_f64(arguments.seconds),
    };
    if !arguments.with.file.are_default() && !arguments.model.is_file() {
        bail!(
            "--dim, --bind and --batch-axis are for ONNX files, got the model '{}'",
            arguments.model.name()
        );
    }
    let (device, subject) = (device(&arguments.with)?, subject(&arguments.model, &arguments.with)?);
    let Tune { with, model, .. } = arguments;
    let workers = workers([model], &with.file, with.weights.as_deref(), with.isa)?;
    is_none_of(&arguments.out, "--out", &what_is_read([model], with))?;
    let target = Target::open(&arguments.out, "--out")?;
    let origin = Origin { commit: COMMIT.into(), command: command_line() };
    let mut progress = Progress::new(arguments.shown.quiet);
    progress.planned(STEPS);
    let mut done = 0;
    let tuned = tuning.run(
        &*device,
        Some(&workers),
        &subject,
        with.seed,
        origin,
        &mut |Step { doing, detail, spent }| {
            let now = (spent * STEPS as f64) as usize;
            progress.advance(now.saturating_sub(done));
            done = done.max(now);
            progress.begins(&heading(doing), &detail);
        },
    );
    drop(progress);
    let profile = match tuned {
        Err(error @ StudyError::Answers { .. }) => {
            tell(format_args!("error: {error}"));
            return Ok(Verdict::Wrong);
        }
        tuned => tuned?,
    };
    let json = profile.to_json();
    let written = target.write(|file| file.write_all(json.as_bytes()));
    // Printed even where the file could not be written: what was measured is not lost.
    print(&if arguments.shown.json { json } else { markdown(&profile) })?;
    written?;
    if !arguments.shown.quiet {
        tell(format_args!("\nwrote {}", arguments.out.display()));
    }
    Ok(Verdict::Right)
}

fn heading(doing: Doing) -> String {
    match doing {
        Doing::Preparing => "preparing".into(),
        Doing::Executions => "measuring executions".into(),
        Doing::Trials(purpose) => format!("trying for {purpose}"),
        Doing::Checking(purpose) => format!("checking for {purpose}"),
    }
}
