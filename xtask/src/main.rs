//! Repository chores that are too slow or too particular for `.ci/run`.

mod cross;
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
  ci              what .ci/run runs";

fn main() -> Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "check-aarch64" => cross::check_aarch64(),
        "loom" => loom::check(),
        "report-page" => report_page::check(),
        "tsan" => sanitize::tsan(),
        "onnx-conformance" => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => onnx::conformance(None),
                ["--venv", venv] => onnx::conformance(Some(venv)),
                _ => bail!("expected nothing or --venv DIR, got {arguments:?}"),
            }
        }
        "ci" => shell::Command::new("bash").args([".ci/run"]).run(),
        "" | "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("expected a command, got '{other}'\n\n{USAGE}"),
    }
}
