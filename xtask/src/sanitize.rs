//! Tests under ThreadSanitizer, with a standard library built for it.

use anyhow::{Result, bail};

use crate::shell::{Command, has_rust_src};

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub fn tsan() -> Result<()> {
    if !has_rust_src()? {
        bail!(
            "the compiler in use has no rust-src, which ThreadSanitizer needs: rustup component add rust-src"
        );
    }
    Command::new("cargo")
        .args(["test", "--package", "paceline-engine", "--package", "paceline-device-cpu", "--tests"])
        .args(["-Zbuild-std=std,panic_abort", "--target", TARGET, "--target-dir", "target/tsan"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=thread")
        .run()
}
