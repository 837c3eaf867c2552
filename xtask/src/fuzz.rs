//! Fuzzing of what reads ONNX files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{Command, require, root};

/// Where everything is built and found.
const TARGET: &str = "target/fuzz";
/// Models to begin with, as they are committed: the smallest ones that reach what was reached.
const CORPUS: &str = "fuzz/corpus/onnx";
/// Any bytes; and models that are changed as models, which come further.
const TARGETS: [&str; 2] = ["onnx_bytes", "onnx_model"];
/// The longest model that is tried.
const MOST_BYTES: usize = 8 << 10;
/// A model that takes longer to examine is a finding,
const MOST_SECONDS: usize = 10;
/// as is one that takes more memory in all,
const MOST_MIB: usize = 2048;
/// or at once: the bound of what is made when a model is read, of a value that is executed and of a file's tensors are below it.
const MOST_MIB_AT_ONCE: usize = 128;

/// What to do.
pub enum Task {
    /// Both targets, so many minutes each; ends at the first finding.
    Run { minutes: f64 },
    /// Keeps of all models found those that reach something more than the others, the smallest first.
    Minimise,
    /// Models to begin with from the official tests and of our own.
    Seed,
}

/// Carries out a task.
pub fn onnx(task: &Task) -> Result<()> {
    require("cargo-fuzz", "cargo install cargo-fuzz")?;
    build()?;
    match task {
        Task::Run { minutes } => TARGETS.iter().try_for_each(|target| run(target, minutes * 60.0)),
        Task::Minimise => minimise(),
        Task::Seed => seed(),
    }
}

fn build() -> Result<()> {
    // The flags that instrument code are not stable.
    Command::new("cargo")
        .args(["fuzz", "build", "--fuzz-dir", "fuzz", "--target-dir", TARGET])
        .env("RUSTC_BOOTSTRAP", "1")
        .run()
}

fn binary(name: &str) -> Result<String> {
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output()?;
    Ok(root().join(TARGET).join(host.trim()).join("release").join(name).display().to_string())
}

/// A directory for what is found, which is not committed.
fn found(target: &str) -> Result<String> {
    let directory = format!("{TARGET}/found/{target}");
    fs::create_dir_all(root().join(&directory)).with_context(|| format!("cannot make '{directory}'"))?;
    Ok(directory)
}

fn limits() -> [String; 4] {
    [
        format!("-timeout={MOST_SECONDS}"),
        format!("-rss_limit_mb={MOST_MIB}"),
        format!("-malloc_limit_mb={MOST_MIB_AT_ONCE}"),
        format!("-max_len={MOST_BYTES}"),
    ]
}

fn run(target: &str, seconds: f64) -> Result<()> {
    let time = format!("-max_total_time={}", seconds.ceil() as u64);
    let artifacts = format!("-artifact_prefix={TARGET}/found/{target}-");
    let limits = limits();
    let options = [time.as_str(), &artifacts, "-print_final_stats=1", "-dict=fuzz/onnx.dict"];
    Command::new(binary(target)?)
        .args([found(target)?.as_str(), CORPUS])
        .args(options.into_iter().chain(limits.iter().map(String::as_str)))
        .run()
        .with_context(|| {
            format!("what was found is in {TARGET}/found; run it again with the binary of '{target}'")
        })
}

fn minimise() -> Result<()> {
    let fresh = format!("{TARGET}/minimised");
    let path = root().join(&fresh);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    let limits = limits();
    let found: Vec<String> = TARGETS.iter().map(|target| found(target)).collect::<Result<_>>()?;
    Command::new(binary("onnx_model")?)
        .args(["-merge=1", "-use_value_profile=0", fresh.as_str(), CORPUS])
        .args(found.iter().map(String::as_str))
        .args(limits.iter().map(String::as_str))
        .run()?;
    let corpus = root().join(CORPUS);
    if corpus.exists() {
        fs::remove_dir_all(&corpus)?;
    }
    copy(&path, &corpus)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn seed() -> Result<()> {
    let cases = "target/onnx-cases";
    if !root().join(cases).is_dir() {
        bail!(
            "expected the official tests in '{cases}', got nothing; cargo xtask onnx-conformance fetches them"
        );
    }
    Command::new(binary("onnx_seeds")?).args([cases, found("onnx_model")?.as_str()]).run()
}
