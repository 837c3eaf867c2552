//! `paceline compare`

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use paceline_study::{Comparison, Results, report};

use crate::Verdict;
use crate::args::Compare;
use crate::output::print;

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
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read '{}'", file.display()))?;
    Results::from_json(&text).with_context(|| format!("cannot use '{}'", file.display()))
}
