//! `paceline models`

use anyhow::{Context, Result};
use paceline_study::{catalog, report};

use crate::Verdict;
use crate::args::Models;
use crate::output::print;

/// Lists the models.
pub fn run(arguments: &Models) -> Result<Verdict> {
    let entries = catalog()?;
    if arguments.json {
        print(&(serde_json::to_string_pretty(&entries).context("models as JSON")? + "\n"))?;
    } else {
        print(&report::model_list(&entries))?;
    }
    Ok(Verdict::Right)
}
