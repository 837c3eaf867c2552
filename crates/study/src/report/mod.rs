//! Results as text: Markdown that a terminal shows as well. Every ratio is to `sequential`, measured in the same suite.

mod findings;
mod listed;
mod sections;
pub(crate) mod table;
mod verified;

use std::fmt::Write as _;

pub use listed::models as model_list;
pub use verified::verification;

use crate::{Results, Row, Suite};

/// `report.md`
pub fn markdown(results: &Results) -> String {
    let Results { version, commit, command, started, machine, device, rows, problems, .. } = results;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# Paceline study\n\n\
         - {started}, paceline {version} ({commit}): `{command}`\n\
         - {}, {} cores, {:.1} GiB, {}\n\
         - device {}: {}, {} kernels\n",
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.os,
        device.id,
        device.name,
        device.isa,
    );
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.is_right()).collect();
    let calls: u64 = rows.iter().map(|row| row.expected).sum();
    let _ = match wrong.len() {
        0 => writeln!(
            text,
            "- all {} answers are, bit for bit, what the same sample gives alone",
            table::count(calls)
        ),
        n => writeln!(text, "- **{n} of {} measurements have wrong or missing answers**", rows.len()),
    };
    for problem in problems {
        let _ = writeln!(text, "- **{problem}**");
    }
    let _ = write!(text, "\n{}", findings::findings(rows));
    for suite in Suite::ALL {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.suite == suite.name()).collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n{}", sections::section(suite, &rows));
        }
    }
    text
}

/// Samples a second of this row over those of its baseline: the sequential row of the same suite and model.
fn over_sequential(row: &Row, rows: &[&Row]) -> f64 {
    let same = |other: &&&Row| other.suite == row.suite && other.model == row.model;
    let baseline = rows.iter().filter(same).find(|other| other.mode == crate::Mode::Sequential);
    baseline.map_or(f64::NAN, |baseline| row.samples_per_s / baseline.samples_per_s)
}

/// The models of rows, each once, in their order.
fn models<'r>(rows: &[&'r Row]) -> Vec<&'r str> {
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !models.contains(&row.model.as_str()) {
            models.push(&row.model);
        }
    }
    models
}

#[cfg(test)]
mod tests;
