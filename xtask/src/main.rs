//! Repository chores that are too slow or too particular for `.ci/run`.

mod cross;
mod fuzz;
mod loom;
mod onnx;
mod report_page;
mod sanitize;
mod shell;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  check-aarch64   build and run the CPU device's tests for aarch64 under qemu (NEON kernels)
  loom            model-check the engine's ticket, queue and lane hand-over, and the CPU device's board
  report-page     make a quick report and press everything on its page, in Chromium
  tsan            run the engine's and the CPU device's tests under ThreadSanitizer
  onnx-conformance [--venv DIR]
                  run the official tests of ONNX's operators and write the table in docs/onnx.md
  onnx-export-check [--venv DIR]
                  write models and random graphs as ONNX, check them and run them in ONNX Runtime
  fuzz-onnx --minutes N | --minimise | --seed
                  fuzz the reading and running of ONNX models; keep the smallest models that reach all that was reached; begin
                  anew with models from the official tests
  ci              what .ci/run runs";

fn main() -> Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "check-aarch64" => cross::check_aarch64(),
        "loom" => loom::check(),
        "report-page" => report_page::check(),
        "tsan" => sanitize::tsan(),
        "onnx-conformance" => onnx::conformance(venv()?.as_deref()),
        "onnx-export-check" => onnx::export_check(venv()?.as_deref()),
        "fuzz-onnx" => fuzz::onnx(&fuzzing()?),
        "ci" => shell::Command::new("bash").args([".ci/run"]).run(),
        "" | "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("expected a command, got '{other}'\n\n{USAGE}"),
    }
}

/// What comes after the command.
fn arguments() -> Vec<String> {
    std::env::args().skip(2).collect()
}

fn venv() -> Result<Option<String>> {
    let arguments = arguments();
    match &arguments[..] {
        [] => Ok(None),
        [option, venv] if option == "--venv" => Ok(Some(venv.clone())),
        _ => bail!("expected nothing or --venv DIR, got {arguments:?}"),
    }
}

fn fuzzing() -> Result<fuzz::Task> {
    let arguments = arguments();
    let task = match &arguments[..] {
        [option, minutes] if option == "--minutes" => {
            let minutes = minutes.parse().ok().filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0);
            minutes.map(|minutes| fuzz::Task::Run { minutes })
        }
        [option] if option == "--minimise" => Some(fuzz::Task::Minimise),
        [option] if option == "--seed" => Some(fuzz::Task::Seed),
        _ => None,
    };
    match task {
        Some(task) => Ok(task),
        None => bail!("expected --minutes N, --minimise or --seed, got {arguments:?}"),
    }
}
