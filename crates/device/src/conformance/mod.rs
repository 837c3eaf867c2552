//! What every device must do, as a suite that any device runs.
//!
//! [`cases`] lists graphs: every operator and layer on odd and even sizes, the ways graphs are connected, small models, random
//! graphs. [`run`] compiles each on a device and makes every [`Check`], with the reference interpreter as the oracle.
//!
//! ```no_run
//! use paceline_device::conformance::{self, Options};
//! # fn device() -> impl paceline_device::Device { conformance::ReferenceDevice }
//! conformance::run(&device(), &Options::default()).assert_clean();
//! ```
//!
//! The reference takes most of the time; [`run_cases`] on one list of cases evaluates it once for several devices.
//!
//! **Not here**: how fast a device is, and whether graphs mean what PyTorch means (that is checked where layers are).

mod case;
mod cases;
mod compare;
mod execution;
mod options;
mod reference_device;
mod refusals;
mod report;
mod sketch;
mod trial;
mod values;

#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use case::{Case, Example, Kind};
pub use cases::{cases, random_cases};
pub use compare::{Mismatch, Tolerance};
pub use options::{Ignore, Options};
pub use reference_device::ReferenceDevice;
pub use report::{Check, Outcome, Report, Status};
pub use values::{EXTREMES, Values};

use crate::{BatchSizes, CompileError, CompileOptions, Device, Program, Signature};
use trial::Trial;

/// The largest batch that the suite compiles for.
const MAX_BATCH: usize = 64;

/// Runs the whole suite on a device.
pub fn run(device: &dyn Device, options: &Options) -> Report {
    run_cases(device, &cases(), options, &mut |_| ())
}

/// Runs some cases on a device, telling `progress` of each outcome as it comes.
pub fn run_cases(
    device: &dyn Device,
    cases: &[Case],
    options: &Options,
    progress: &mut dyn FnMut(&Outcome),
) -> Report {
    let info = device.info();
    let mut report = Report {
        device: format!("{} ({})", info.id, info.isa),
        unsupported_is_a_fault: options.unsupported_is_a_fault,
        ..Report::default()
    };
    let mut hides = vec![false; options.ignore.len()];
    for case in cases.iter().filter(|case| options.selects(case)) {
        run_case(device, case, options, &mut |check, status| {
            let ignored = options.ignore.iter().position(|ignore| ignore.covers(case.name(), check));
            let status = match (ignored, status) {
                (Some(index), Status::Failed(message) | Status::Unsupported(message)) => {
                    hides[index] = true;
                    Status::Ignored { reason: options.ignore[index].reason.clone(), message }
                }
                (_, status) => status,
            };
            let outcome = Outcome { case: case.name().to_string(), check, status };
            progress(&outcome);
            report.outcomes.push(outcome);
        });
    }
    let unused = options.ignore.iter().zip(hides).filter(|(_, hides)| !hides);
    report.stale = unused.map(|(ignore, _)| format!("'{}' ({})", ignore.pattern, ignore.reason)).collect();
    report
}

fn run_case(device: &dyn Device, case: &Case, options: &Options, tell: &mut dyn FnMut(Check, Status)) {
    let mut compiled = Err(Status::Passed);
    let status = caught(|| {
        compiled = compile(device, case);
        Ok(())
    });
    let program = match (status, compiled) {
        (Status::Failed(message), _) => return tell(Check::Compile, Status::Failed(message)),
        (_, Err(status)) => return tell(Check::Compile, status),
        (_, Ok(program)) => program,
    };
    tell(Check::Compile, Status::Passed);
    let mut trial = Trial::new(case, program, options);
    let reference = caught(|| trial.reference());
    let right_alone = reference == Status::Passed;
    tell(Check::Reference, reference);
    if !right_alone {
        return;
    }
    tell(Check::Batches, caught(|| trial.batches()));
    tell(Check::Parts, caught(|| trial.parts()));
    tell(Check::Isolation, caught(|| trial.isolation()));
    tell(Check::Reuse, caught(|| trial.reuse()));
    tell(Check::InFlight, caught(|| trial.in_flight()));
    tell(Check::Threads, caught(|| trial.threads()));
    tell(Check::Help, caught(|| trial.help()));
    tell(Check::WrongBatches, caught(|| trial.wrong_batches()));
}

/// Compiles a case and checks what the program says of itself, or says how that ended.
fn compile(device: &dyn Device, case: &Case) -> Result<Arc<dyn Program>, Status> {
    match device.compile(case.graph(), &CompileOptions { max_batch: 0 }) {
        Err(CompileError::Option { .. } | CompileError::Unsupported { .. }) => {}
        Err(other) => {
            return Err(Status::Failed(format!("for batches of 0, expected an option error, got: {other}")));
        }
        Ok(_) => return Err(Status::Failed("the graph compiles for batches of at most 0 samples".into())),
    }
    let options = CompileOptions { max_batch: MAX_BATCH };
    let program = match device.compile(case.graph(), &options) {
        Ok(program) => program,
        Err(error @ CompileError::Unsupported { .. }) => {
            let CompileError::Unsupported { nodes, .. } = &error else { unreachable!("matched above") };
            return Err(match refusals::check_unsupported(device, case.graph(), &options, nodes) {
                Ok(()) => Status::Unsupported(error.to_string()),
                Err(message) => Status::Failed(message),
            });
        }
        Err(error) => return Err(Status::Failed(format!("the graph does not compile: {error}"))),
    };
    let expected = Signature::of(case.graph());
    if *program.signature() != expected {
        let got = program.signature();
        return Err(Status::Failed(format!("expected the signature {expected:?}, got {got:?}")));
    }
    let sizes = program.batch_sizes();
    let limit = if expected.batched { MAX_BATCH } else { 1 };
    let ascending = match sizes {
        BatchSizes::UpTo(_) => true,
        BatchSizes::Buckets(sizes) => sizes.is_sorted_by(|a, b| a < b),
    };
    if !ascending || !(1..=limit).contains(&sizes.max()) {
        return Err(Status::Failed(format!(
            "expected ascending batch sizes, 1 to {limit} at most, got {sizes:?}"
        )));
    }
    Ok(program)
}

/// A check with its panics turned into failures.
fn caught(check: impl FnOnce() -> Result<(), String>) -> Status {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Ok(())) => Status::Passed,
        Ok(Err(message)) => Status::Failed(message),
        Err(panic) => Status::Failed(panic_message(&*panic)),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}
