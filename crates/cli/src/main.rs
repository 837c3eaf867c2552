//! The `paceline` command.
//!
//! Exit codes: 0, all is well; 1, an answer was wrong or missing; 2, the command could not be carried out.

mod args;
mod arrays;
mod assignment;
mod bench;
mod compare;
mod defaults;
mod execution;
mod inspect;
mod models;
mod output;
mod progress;
mod run;
mod source;
mod subjects;
mod trace;
mod tune;
mod verify;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use output::tell;

/// Version and commit of this binary.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, or `unknown`.
const COMMIT: &str = env!("PACELINE_COMMIT");

/// Whether every answer was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Models(arguments) => models::run(&arguments),
        Command::Suite => assignment::run(),
        Command::Worker(_) => worker::run(),
    };
    match result {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(1),
        Err(error) => {
            tell(format_args!("error: {}", message(&error)));
            ExitCode::from(2)
        }
    }
}

/// An error and its causes, but not a cause that the error above it has already told.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |message, cause| match message.as_str() {
        "" => cause,
        told if told.ends_with(&cause) => message,
        told => format!("{told}: {cause}"),
    })
}

/// The command line as it was typed.
fn command_line() -> String {
    let quoted = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,/:+".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    let arguments =
        std::env::args_os().skip(1).map(|argument| quoted(argument.to_string_lossy().into_owned()));
    std::iter::once("paceline".to_string()).chain(arguments).collect::<Vec<_>>().join(" ")
}
