//! The synchronisation of the engine and of the CPU device's board under the model checker.

use anyhow::Result;

use crate::shell::Command;

pub fn check() -> Result<()> {
    test("paceline-engine", &["--test", "loom_*"])?;
    test("paceline-device-cpu", &["--lib", "board"])
}

fn test(package: &str, scenes: &[&str]) -> Result<()> {
    Command::new("cargo")
        .args(["test", "--package", package, "--release", "--target-dir", "target/loom"])
        .args(scenes.iter().copied())
        .env("RUSTFLAGS", "--cfg loom")
        .run()
}
