//! Words that several sections have.

use super::table::{count, number, percent, ratio};
use crate::{Estimate, Mode, Row};

/// The engine's lanes.
pub(super) fn lanes(rows: &[&Row]) -> String {
    let is_of_engine = |row: &&&Row| !matches!(row.mode, Mode::Sequential | Mode::Threads | Mode::Batch);
    match rows.iter().find(is_of_engine).map_or(0, |row| row.lanes) {
        1 => "1 lane".into(),
        lanes => format!("{lanes} lanes"),
    }
}

/// Whether these rows are right.
pub(super) fn status(rows: &[&Row]) -> String {
    let (errors, wrong) = rows.iter().fold((0, 0), |(e, w), row| (e + row.errors, w + row.wrong));
    match (errors, wrong) {
        (0, 0) => "ok".into(),
        (errors, 0) => format!("{} ERRORS", count(errors)),
        (0, wrong) => format!("{} WRONG", count(wrong)),
        (errors, wrong) => format!("{} ERRORS, {} WRONG", count(errors), count(wrong)),
    }
}

/// `2.07x`, next to the baseline; `-` without one.
pub(super) fn over(row: &Row) -> String {
    row.over.as_ref().map_or_else(|| "-".into(), |over| ratio(over.ratio.median))
}

/// `86 %`, of what the baseline promises.
pub(super) fn efficiency(row: &Row) -> String {
    row.over.as_ref().map_or_else(|| "-".into(), |over| percent(over.efficiency))
}

/// Half the width of an interval: `3 %`; `-` where there was but one round.
pub(super) fn spread(interval: Option<&Estimate>) -> String {
    interval.map_or_else(|| "-".into(), |interval| percent(interval.spread()))
}

/// How a row was called, in words.
pub(super) fn call(row: &Row) -> String {
    let Row { callers: n, batch, lanes, .. } = row;
    let on = if *lanes == 1 { "1 lane".into() } else { format!("{lanes} lanes") };
    match row.mode {
        Mode::Sequential => "one sample at a time".into(),
        Mode::Threads if *batch > 1 => format!("{n} threads, batch {batch}"),
        Mode::Threads => format!("{n} thread{}, a session each", if *n == 1 { "" } else { "s" }),
        Mode::Batch => format!("batch {batch}, one session"),
        Mode::Engine => format!("engine, {n} caller{}, {on}", if *n == 1 { "" } else { "s" }),
        Mode::EngineAsync => format!("engine, {n} ticket{}, {on}", if *n == 1 { "" } else { "s" }),
        Mode::EngineOpen => {
            format!("engine, {} load, {on}", row.load.map_or("open", |load| load.arrivals.name()))
        }
        Mode::HandOff => format!("nothing to compute, {n} tickets"),
    }
}

/// What a row's mode is called in plots.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Sequential => "one at a time",
        Mode::Threads => "threads, a session each",
        Mode::Batch => "batch, one session",
        Mode::Engine => "engine, callers",
        Mode::EngineAsync => "engine, tickets",
        Mode::EngineOpen => "engine, open load",
        Mode::HandOff => "engine, nothing to compute",
    }
}

/// `1,234 to 1,300`
pub(super) fn range(estimate: &Estimate) -> String {
    format!("{} to {}", number(estimate.low), number(estimate.high))
}
