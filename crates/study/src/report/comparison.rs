//! Two runs side by side, as Markdown that a terminal shows as well.

use std::fmt::Write as _;

use super::table::{Table, number, ratio};
use super::words::spread;
use crate::{Comparison, Difference, LEAST, Run, Verdict};

/// What differs, and how much is the same; with `all`, every measurement.
pub fn comparison(comparison: &Comparison, all: bool) -> String {
    let mut text = String::from("# Two runs\n\n");
    // Writing to a string cannot fail.
    for (name, Run { version, commit, started, machine, isa }) in ["A", "B"].iter().zip(&comparison.runs) {
        let _ = writeln!(
            text,
            "- {name}: {started}, paceline {version} ({commit}), {}, {} cores, {isa}",
            machine.cpu, machine.cores
        );
    }
    for caution in &comparison.cautions {
        let _ = writeln!(text, "- **{caution}**");
    }
    let count = |verdict| comparison.count(verdict);
    let _ = write!(
        text,
        "\nOf {} measurements that both have, B is faster in {} and slower in {}; {} differ by no more than the noise, {} have too \
         few rounds to tell{}. A difference is told where the intervals do not overlap and the medians are more than {:.0} % apart; \
         chance alone would show about {} of them.",
        comparison.rows.len(),
        count(Verdict::Faster),
        count(Verdict::Slower),
        count(Verdict::Same),
        count(Verdict::Unknown),
        match count(Verdict::Wrong) {
            0 => String::new(),
            wrong => format!(", {wrong} have wrong or missing answers"),
        },
        LEAST * 100.0,
        number(comparison.expected_by_chance()),
    );
    match comparison.only {
        [0, 0] => text.push('\n'),
        [a, b] => {
            let _ = writeln!(text, " Only A has {a} more, only B {b}.");
        }
    }
    let mut shown: Vec<&Difference> = comparison.rows.iter().collect();
    if !all {
        shown.retain(|row| !matches!(row.verdict, Verdict::Same | Verdict::Unknown));
        shown.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(change(b).total_cmp(&change(a))));
    }
    if !shown.is_empty() {
        let header = ["suite", "model", "mode", ">n", ">batch", ">A/s", ">±", ">B/s", ">±", ">B/A", "B is"];
        let mut table = Table::new(header);
        for row in shown {
            table.push([
                row.suite.clone(),
                row.model.clone(),
                row.mode.name().to_string(),
                row.callers.to_string(),
                row.batch.to_string(),
                number(row.samples_per_s[0]),
                spread(row.intervals[0].as_ref()),
                number(row.samples_per_s[1]),
                spread(row.intervals[1].as_ref()),
                ratio(row.ratio),
                word(row.verdict).to_string(),
            ]);
        }
        let _ = write!(text, "\n{table}");
    }
    text
}

/// How large a change is, in either direction.
fn change(row: &Difference) -> f64 {
    if row.ratio > 0.0 { row.ratio.ln().abs() } else { f64::INFINITY }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Wrong => "WRONG",
        Verdict::Unknown => "?",
        Verdict::Same => "same",
    }
}
