//! What the rows say, in a line a model: computed, not judged.

use std::fmt::Write as _;

use super::models;
use super::table::{number, percent, ratio};
use crate::{Mode, Row};

/// From which share of the best rate on a batch counts as big enough.
const KNEE: f64 = 0.9;
/// From which ratio on two baselines of one model differ enough to be told.
const NOISE: f64 = 1.1;

/// The section, or nothing when no suite of models was run.
pub(super) fn findings(rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| !matches!(row.suite.as_str(), "ops" | "layers")).collect();
    let mut lines = String::new();
    for model in models(&rows) {
        let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.model == model).collect();
        let found: Vec<String> =
            [batches(&rows), threads(&rows), engine(&rows)].into_iter().flatten().collect();
        if !found.is_empty() {
            let _ = writeln!(lines, "- **{model}**: {}.", found.join("; "));
        }
    }
    lines.extend(noise(&rows));
    if lines.is_empty() { lines } else { format!("## Findings\n\n{lines}") }
}

/// How far apart the baselines are that several suites measured of one model: no ratio can be trusted beyond that.
fn noise(rows: &[&Row]) -> Option<String> {
    let of_model = |model: &'_ str| {
        let baselines = of_mode(rows, Mode::Sequential).filter(|row| row.model == model);
        baselines
            .map(|row| row.samples_per_s)
            .fold((f64::INFINITY, 0.0f64), |(least, most), rate| (least.min(rate), most.max(rate)))
    };
    let (model, (least, most)) = models(rows)
        .into_iter()
        .map(|model| (model, of_model(model)))
        .filter(|(_, (least, most))| most / least >= NOISE)
        .max_by(|(_, a), (_, b)| (a.1 / a.0).total_cmp(&(b.1 / b.0)))?;
    Some(format!(
        "- The machine is not quiet: `sequential` of {model} gave {} samples/s in one suite and {} in another. Ratios, each to the \
         baseline of its own suite, may be as far off.\n",
        number(least),
        number(most)
    ))
}

/// Of one session: the best batch and the smallest that is nearly as good.
fn batches(rows: &[&Row]) -> Option<String> {
    let batches: Vec<&Row> = of_mode(rows, Mode::Batch).filter(|row| row.suite == "batches").collect();
    let best = fastest(batches.iter().copied())?;
    let knee = batches
        .iter()
        .filter(|row| row.samples_per_s >= KNEE * best.samples_per_s)
        .min_by_key(|row| row.batch)?;
    let mut text = format!(
        "one session is fastest at batch {} ({} samples/s, {} sequential)",
        best.batch,
        number(best.samples_per_s),
        over(best, rows)?
    );
    if knee.batch < best.batch {
        let _ = write!(text, ", and within {} of that from batch {} on", percent(1.0 - KNEE), knee.batch);
    }
    Some(text)
}

/// The best number of threads.
fn threads(rows: &[&Row]) -> Option<String> {
    let best = fastest(of_mode(rows, Mode::Threads))?;
    let threads = match best.callers {
        1 => "one thread with a session reaches".into(),
        n => format!("{n} threads with a session each reach"),
    };
    Some(format!("{threads} {} sequential", over(best, rows)?))
}

/// The best of the engine, next to the best batch on one session.
fn engine(rows: &[&Row]) -> Option<String> {
    let engine = of_mode(rows, Mode::Engine).chain(of_mode(rows, Mode::EngineAsync));
    let best = fastest(engine)?;
    let callers = match (best.mode, best.callers) {
        (Mode::EngineAsync, 1) => "ticket in flight",
        (Mode::EngineAsync, _) => "tickets in flight",
        (_, 1) => "waiting caller",
        _ => "waiting callers",
    };
    let mut text = format!(
        "the engine on {} lane{} reaches {} sequential with {} {callers}",
        best.lanes,
        if best.lanes == 1 { "" } else { "s" },
        over(best, rows)?,
        best.callers
    );
    // As above, if that suite was run.
    let batch = fastest(of_mode(rows, Mode::Batch).filter(|row| row.suite == "batches"));
    if let Some(batch) = batch.or_else(|| fastest(of_mode(rows, Mode::Batch))) {
        let share = percent(best.samples_per_s / batch.samples_per_s);
        let _ = write!(text, ", {share} of one session's batch {}", batch.batch);
    }
    Some(text)
}

fn of_mode<'a>(rows: &'a [&'a Row], mode: Mode) -> impl Iterator<Item = &'a Row> {
    rows.iter().copied().filter(move |row| row.mode == mode)
}

fn fastest<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<&'a Row> {
    rows.max_by(|a, b| a.samples_per_s.total_cmp(&b.samples_per_s))
}

fn over(row: &Row, rows: &[&Row]) -> Option<String> {
    let value = super::over_sequential(row, rows);
    value.is_finite().then(|| ratio(value))
}
