//! The engine's synchronisation under the model checker.

use anyhow::Result;

use crate::shell::Command;

pub fn check() -> Result<()> {
    Command::new("cargo")
        .args(["test", "--package", "paceline-engine", "--release", "--test", "loom_*"])
        .args(["--target-dir", "target/loom"])
        .env("RUSTFLAGS", "--cfg loom")
        .run()
}
