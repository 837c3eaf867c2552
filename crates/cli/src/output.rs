//! Where results go: files that appear whole or not at all, standard output, and standard error.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A directory that results will be written to, and that could be written to when it was opened.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes the directory where it is missing, and tries to write to it: better now than after the measurements. `option` is what
    /// names another on the command line; `files` and `directories` are what will be written.
    pub fn open(path: &Path, option: &str, files: &[&str], directories: &[&str]) -> Result<Self> {
        let what =
            || format!("cannot write to '{}'; choose a writable directory with {option}", path.display());
        ensure!(!path.exists() || path.is_dir(), "{}: it is a file", what());
        fs::create_dir_all(path).with_context(what)?;
        let trial = path.join(format!(".paceline-{}", std::process::id()));
        fs::write(&trial, b"").with_context(what)?;
        fs::remove_file(&trial).with_context(what)?;
        for (names, is_directory) in [(files, false), (directories, true)] {
            for own in names.iter().map(|name| path.join(name)) {
                ensure!(
                    !own.exists() || own.is_dir() == is_directory,
                    "'{}' is {}; choose another directory with {option}",
                    own.display(),
                    if is_directory { "no directory" } else { "a directory" }
                );
            }
        }
        Ok(Directory(path.into()))
    }

    /// The directory of this name inside, made where it is missing.
    pub fn inner(&self, name: &str) -> Result<Directory> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot write to '{}'", path.display()))?;
        Ok(Directory(path))
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file of this name.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.join(name);
        write_whole(&path, |file| file.write_all(content.as_ref()))?;
        Ok(path)
    }
}

/// A file that results will be written to, and that could be written to when it was opened.
pub struct Target(PathBuf);

impl Target {
    /// Makes the directory where it is missing, and tries to write: better now than after the measurements. `option` is what
    /// names another file on the command line.
    pub fn open(path: &Path, option: &str) -> Result<Self> {
        let what = || format!("cannot write to '{}'; choose a writable file with {option}", path.display());
        if path.exists() {
            File::options().write(true).open(path).with_context(what)?;
        }
        if !is_special(path) {
            fs::create_dir_all(directory(path)).with_context(what)?;
            let trial = unfinished(&resolved(path)).with_context(what)?;
            fs::write(&trial, b"").with_context(what)?;
            fs::remove_file(&trial).with_context(what)?;
        }
        Ok(Target(path.into()))
    }

    /// Writes the file.
    pub fn write(&self, content: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        write_whole(&self.0, content)
    }
}

/// Fails where `path` is one of `others`, files that the command reads or writes itself.
pub fn is_none_of(path: &Path, option: &str, others: &[PathBuf]) -> Result<()> {
    let same = others.iter().find(|other| *other == path || is_same(path, other));
    match same {
        Some(other) => bail!(
            "'{}' is what this command reads or writes itself; choose another file with {option}",
            other.display()
        ),
        None => Ok(()),
    }
}

/// Whether both are one file that there is.
pub fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Writes a file beside its name, then gives it that name. What is no ordinary file, such as `/dev/null`, is written in place; of a
/// link, the file that it leads to is replaced.
fn write_whole(path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let what = || format!("cannot write '{}'", path.display());
    if is_special(path) {
        return File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| content(&mut file))
            .with_context(what);
    }
    let path = &resolved(path);
    let unfinished = unfinished(path).with_context(what)?;
    let written = File::create(&unfinished).and_then(|mut file| content(&mut file));
    let written = written.and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written.with_context(what)
}

/// What links lead to, where there is something.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.into())
}

/// Whether there is something at this path that is neither an ordinary file nor a directory.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Where a file is written before it is whole.
fn unfinished(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it names no file"))?;
    Ok(directory(path).join(format!(".{}-{}", name.to_string_lossy(), std::process::id())))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
