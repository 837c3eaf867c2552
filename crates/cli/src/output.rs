//! Where results go: files that appear whole or not at all, standard output, and standard error.

use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A directory that results will be written to, and that could be written to when it was opened.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes the directory where it is missing, and tries to write to it: better now than after the measurements.
    pub fn open(path: &Path) -> Result<Self> {
        let what = || format!("cannot write to '{}'; choose a writable directory with --out", path.display());
        fs::create_dir_all(path).with_context(what)?;
        let trial = path.join(format!(".paceline-{}", std::process::id()));
        fs::write(&trial, b"").with_context(what)?;
        fs::remove_file(&trial).with_context(what)?;
        for name in ["report.md", "results.json"] {
            if path.join(name).is_dir() {
                anyhow::bail!("'{}' is a directory; choose another with --out", path.join(name).display());
            }
        }
        Ok(Directory(path.into()))
    }

    /// Writes a file beside its name, then gives it that name.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let unfinished = self.0.join(format!(".{name}-{}", std::process::id()));
        let written = fs::write(&unfinished, content).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.with_context(|| format!("cannot write '{}'", path.display()))?;
        Ok(path)
    }
}

/// Says a line on standard error. Nothing depends on whether anybody can read it.
pub fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to standard output. A reader that has gone away is no error.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
