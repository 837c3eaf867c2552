//! `paceline compare`

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use paceline_study::{Comparison, Results, report};

use crate::Verdict;
use crate::args::Compare;
use crate::output::print;

/// A larger file was not written by `bench`, whose largest are some hundred KB.
const MOST_BYTES: u64 = 64 << 20;

/// Prints two runs side by side.
pub fn run(arguments: &Compare) -> Result<Verdict> {
    let (first, second) = (read(&arguments.first)?, read(&arguments.second)?);
    let comparison = Comparison::new(&first, &second);
    print(&match arguments.json {
        true => serde_json::to_string_pretty(&comparison).context("the comparison as JSON")? + "\n",
        false => report::comparison(&comparison, arguments.all),
    })?;
    Ok(Verdict::Right)
}

/// What `bench` wrote: a `results.json`, or the directory that has one.
fn read(path: &Path) -> Result<Results> {
    let file = if path.is_dir() { path.join("results.json") } else { path.to_path_buf() };
    let mut text = String::new();
    let opened = File::open(&file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    opened.with_context(|| format!("cannot read '{}'", file.display()))?;
    ensure!(
        text.len() as u64 <= MOST_BYTES,
        "cannot use '{}': expected at most {} MiB, got more",
        file.display(),
        MOST_BYTES >> 20
    );
    Results::from_json(&text).with_context(|| format!("cannot use '{}'", file.display()))
}
