//! The table of a verification.

use std::fmt::Write as _;

use super::table::{Table, count, number};
use crate::verify::Checked;

/// The study's table (results n/n, ops/s, status), the totals, and every problem.
pub fn verification(checked: &[Checked]) -> String {
    let mut table = Table::new(["kind", "name", ">graphs", ">results", ">ops/s", "status"]);
    for one in checked {
        table.push([
            one.kind.clone(),
            one.name.clone(),
            one.cases.to_string(),
            format!("{}/{}", count(one.right), count(one.expected)),
            number(one.ops_per_s),
            if one.is_right() { "ok" } else { "WRONG" }.to_string(),
        ]);
    }
    let (right, expected) =
        checked.iter().fold((0, 0), |(right, expected), one| (right + one.right, expected + one.expected));
    let mut text = format!("{table}\n{} of {} answers right, bit for bit", count(right), count(expected));
    let bad = checked.iter().filter(|one| !one.is_right()).count();
    // Writing to a string cannot fail.
    let _ = match bad {
        0 => writeln!(text, "; all {} operators, layers and models agree with the reference.", checked.len()),
        _ => writeln!(text, "; {bad} of {} operators, layers and models are WRONG:", checked.len()),
    };
    for problem in checked.iter().flat_map(|one| &one.problems) {
        let _ = writeln!(text, "- {problem}");
    }
    text
}
