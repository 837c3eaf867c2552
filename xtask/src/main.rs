//! Repository chores that are too slow or too particular for `.ci/run`.

mod cross;
mod loom;
mod report_page;
mod sanitize;
mod shell;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  check-aarch64   build and run the CPU device's tests for aarch64 under qemu (NEON kernels)
  loom            model-check the engine's ticket, queue and lane hand-over, and the CPU device's board
  report-page     make a quick report and press everything on its page, in Chromium
  tsan            run the engine's and the CPU device's tests under ThreadSanitizer
  ci              what .ci/run runs";

fn main() -> Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "check-aarch64" => cross::check_aarch64(),
        "loom" => loom::check(),
        "report-page" => report_page::check(),
        "tsan" => sanitize::tsan(),
        "ci" => shell::Command::new("bash").args([".ci/run"]).run(),
        "" | "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("expected a command, got '{other}'\n\n{USAGE}"),
    }
}
