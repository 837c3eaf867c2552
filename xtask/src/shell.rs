//! Runs other programs from the repository's root, and says which.

use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};

/// A program to run.
pub struct Command(process::Command);

impl Command {
    /// A program by name or path.
    pub fn new(program: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut command = process::Command::new(program);
        command.current_dir(root());
        Command(command)
    }

    /// Adds arguments.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it; an error where it fails.
    pub fn run(mut self) -> Result<()> {
        eprintln!("running {:?}", self.0);
        let status =
            self.0.status().with_context(|| format!("could not start {:?}", self.0.get_program()))?;
        if !status.success() {
            bail!("{:?} ended with {status}", self.0.get_program());
        }
        Ok(())
    }

    /// Runs it and returns what it prints.
    pub fn output(mut self) -> Result<String> {
        let output =
            self.0.output().with_context(|| format!("could not start {:?}", self.0.get_program()))?;
        if !output.status.success() {
            bail!("{:?} ended with {}", self.0.get_program(), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the repository")
}

/// Where the Rust compiler in use keeps its libraries.
pub fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(Command::new("rustc").args(["--print", "sysroot"]).output()?.trim()))
}

/// An error that says how to install a program, where it is not on the path.
pub fn require(program: &str, install: &str) -> Result<()> {
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join(program).is_file()));
    if !found {
        bail!("{program} is needed and was not found; install it: {install}");
    }
    Ok(())
}

/// Whether the compiler in use has the standard library's source, so that cargo can build it.
pub fn has_rust_src() -> Result<bool> {
    Ok(sysroot()?.join("lib/rustlib/src/rust/library/std").is_dir())
}
