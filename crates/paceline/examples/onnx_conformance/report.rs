//! The table by operator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::case::{Case, Outcome};

/// What is not supported of each operator.
type Reasons<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Reasons that are listed for an operator before they are only counted.
const MOST_REASONS: usize = 3;

#[derive(Default)]
struct Row<'a> {
    pass: usize,
    unsupported: usize,
    reasons: Reasons<'a>,
    fail: usize,
}

/// The table by operator, and what is not supported.
pub fn markdown(results: &[(Case, Outcome)], onnx: &str) -> String {
    let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for (case, outcome) in results {
        let row = rows.entry(&case.operator).or_default();
        match outcome {
            Outcome::Pass => row.pass += 1,
            Outcome::Unsupported(why) => {
                row.unsupported += 1;
                why.iter().for_each(|(of, what)| {
                    row.reasons.entry(of).or_default().insert(what);
                });
            }
            Outcome::Fail(_) => row.fail += 1,
        }
    }
    let total = |of: fn(&Row<'_>) -> usize| rows.values().map(of).sum::<usize>();
    let mut text = format!(
        "The official node tests of onnx {onnx}: {} cases, {} pass, {} unsupported, {} fail.\n\n\
         | operator | pass | unsupported | fail | what is not supported |\n|---|---|---|---|---|\n",
        results.len(),
        total(|row| row.pass),
        total(|row| row.unsupported),
        total(|row| row.fail),
    );
    for (operator, row) in &rows {
        let reasons = shown(&row.reasons).replace('|', "\\|");
        let _ =
            writeln!(text, "| {operator} | {} | {} | {} | {reasons} |", row.pass, row.unsupported, row.fail);
    }
    text
}

/// `Cast: conversion to int4, conversion to uint4; Loop`.
fn shown(reasons: &Reasons<'_>) -> String {
    let of = |(operator, what): (&&str, &BTreeSet<&str>)| {
        let listed: Vec<&str> =
            what.iter().copied().filter(|what| !what.is_empty()).take(MOST_REASONS).collect();
        let more = match what.len().saturating_sub(MOST_REASONS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match listed[..] {
            [] => operator.to_string(),
            _ => format!("{operator}: {}{more}", listed.join(", ")),
        }
    };
    reasons.iter().map(of).collect::<Vec<_>>().join("; ")
}
