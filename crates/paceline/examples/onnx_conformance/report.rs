//! The table by operator.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::case::{Case, Outcome};

#[derive(Default)]
struct Row<'a> {
    pass: usize,
    unsupported: Vec<(&'a str, &'a str)>,
    fail: usize,
}

/// The table by operator, and what is not supported.
pub fn markdown(results: &[(Case, Outcome)], onnx: &str) -> String {
    let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for (case, outcome) in results {
        let row = rows.entry(&case.operator).or_default();
        match outcome {
            Outcome::Pass => row.pass += 1,
            Outcome::Unsupported(why) => row.unsupported.push((&case.name, why)),
            Outcome::Fail(_) => row.fail += 1,
        }
    }
    let total = |of: fn(&Row<'_>) -> usize| rows.values().map(of).sum::<usize>();
    let mut text = format!(
        "The official node tests of onnx {onnx}: {} cases, {} pass, {} unsupported, {} fail.\n\n\
         | operator | pass | unsupported | fail | what is not supported |\n|---|---|---|---|---|\n",
        results.len(),
        total(|row| row.pass),
        total(|row| row.unsupported.len()),
        total(|row| row.fail),
    );
    for (operator, row) in &rows {
        let mut reasons: Vec<String> = row.unsupported.iter().map(|(_, why)| reason(why)).collect();
        reasons.sort();
        reasons.dedup();
        let reasons = reasons.join("; ").replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {operator} | {} | {} | {} | {reasons} |",
            row.pass,
            row.unsupported.len(),
            row.fail
        );
    }
    text
}

/// A reason without the names of nodes.
fn reason(why: &str) -> String {
    let why = why.strip_prefix("the model uses what is not supported: ").unwrap_or(why);
    let mut reason = String::new();
    for part in why.split(", in '") {
        let rest = if reason.is_empty() { part } else { part.split_once("' ").map_or("", |(_, rest)| rest) };
        if !reason.is_empty() && !rest.is_empty() {
            reason.push_str(", ");
        }
        reason.push_str(rest);
    }
    reason
}
