//! Fuzzing of what reads ONNX files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{Command, require, root};

/// Where everything is built and found.
const TARGET: &str = "target/fuzz";
/// Models to begin with, as they are committed: a few that reach all that was reached.
const CORPUS: &str = "fuzz/corpus/onnx";
/// Any bytes; and models that are changed as models, which come further.
const TARGETS: [&str; 2] = ["onnx_bytes", "onnx_model"];
/// The longest model that is tried.
const MOST_BYTES: usize = 8 << 10;
/// A model that takes longer to examine is a finding,
const MOST_SECONDS: usize = 10;
/// as is one after which the process has more memory, of which the sanitizer holds back what was freed,
const MOST_MIB: usize = 2048;
/// or one that takes more at once: what may be made of a model when it is read, its tensors and the values that are executed are
/// below that.
const MOST_MIB_AT_ONCE: usize = 128;

/// What to do.
pub enum Task {
    /// Both targets, so many minutes each; ends at the first finding.
    Run { minutes: f64 },
    /// Keeps of all models found a few that together reach all that was reached.
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
        .args(["-set_cover_merge=1", "-use_counters=0", fresh.as_str(), CORPUS])
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
