//! `paceline verify`

use anyhow::{Context, Result};
use paceline_study::verify::{Findings, Progress as Step, SCHEMA, Verification};
use paceline_study::{Results, report};

use crate::args::Verify;
use crate::bench::lanes;
use crate::output::print;
use crate::progress::Progress;
use crate::subjects::{device, subjects};
use crate::{COMMIT, VERSION, Verdict, command_line};

/// Checks, and prints the table.
pub fn run(arguments: &Verify) -> Result<Verdict> {
    let models = paceline::nn::models();
    let all: Vec<&str> = models.iter().map(|model| model.name()).collect();
    let verification = Verification {
        cases: arguments.what.models.is_empty(),
        subjects: subjects(&arguments.what, &all)?,
        callers: arguments.callers,
        iterations: arguments.iterations,
        lanes: lanes(arguments.lanes),
        seed: arguments.what.with.seed,
    };
    let device = device(&arguments.what.with)?;
    let mut progress = Progress::new(arguments.shown.quiet);
    let checks = verification.run(&*device, &mut |step| match step {
        Step::Planned { checks } => progress.planned(checks),
        Step::Checking { name } => progress.begins(name, ""),
        Step::Checked(_) => progress.advance(1),
    })?;
    drop(progress);

    let right = checks.iter().all(|check| check.is_right());
    if arguments.shown.json {
        let Results { version, commit, command, machine, device, .. } =
            Results::begin(VERSION, COMMIT, command_line(), &device.info());
        let findings = Findings { schema: SCHEMA.into(), version, commit, command, machine, device, checks };
        print(&(serde_json::to_string_pretty(&findings).context("findings as JSON")? + "\n"))?;
    } else {
        print(&report::verification(&checks))?;
    }
    Ok(if right { Verdict::Right } else { Verdict::Wrong })
}
