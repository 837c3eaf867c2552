//! The CPU device on aarch64 Linux, under qemu: its NEON kernels pass what the others pass.

use anyhow::{Result, bail};

use crate::shell::{Command, has_rust_src, require, sysroot};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const DEBIAN: &str = "apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross";

pub fn check_aarch64() -> Result<()> {
    require("qemu-aarch64", DEBIAN)?;
    require("aarch64-linux-gnu-gcc", DEBIAN)?;
    let installed = sysroot()?.join("lib/rustlib").join(TARGET).is_dir();
    // What measures memory or counts allocations says nothing under an emulator.
    let tests = ["--lib", "--test", "conformance", "--test", "golden"];
    let mut args = vec!["test", "--package", "paceline-device-cpu", "--target", TARGET];
    args.extend(tests);
    if !installed {
        if !has_rust_src()? {
            bail!("the compiler in use has neither {TARGET} nor rust-src: rustup target add {TARGET}");
        }
        args.push("-Zbuild-std=std,panic_abort");
    }
    let command = Command::new("cargo")
        .args(args)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu");
    if installed { command.run() } else { command.env("RUSTC_BOOTSTRAP", "1").run() }
}
