//! A section a suite, with its tables.

use std::fmt::Write as _;

use super::table::{Table, count, number, percent, ratio};
use super::{models, over_sequential};
use crate::{CALLERS_BY_ITERATIONS, Mode, Row, Suite};

/// The section of a suite. `rows` are its own.
pub(super) fn section(suite: Suite, rows: &[&Row]) -> String {
    match suite {
        Suite::Ops => checked("Operators", "operator", rows),
        Suite::Layers => checked("Layers", "layer", rows),
        Suite::Threads => scaling(
            "More callers",
            "`threads`: a bare session and a thread for each caller. `engine`: callers that wait for each answer. \
             `engine-async`: one thread with so many tickets in flight.",
            rows,
        ),
        Suite::Batches => scaling("Larger batches", "One caller, one bare session.", rows),
        Suite::Compare => compared(rows),
    }
}

/// One table for all: what eight callers gave next to one.
fn checked(title: &str, what: &str, rows: &[&Row]) -> String {
    let (callers, iterations) = CALLERS_BY_ITERATIONS;
    let lanes = rows.iter().find(|row| row.mode == Mode::Engine).map_or(0, |row| row.lanes);
    let mut table = Table::new([
        what,
        ">results",
        ">sequential ops/s",
        ">engine ops/s",
        ">x sequential",
        ">p50 us",
        ">p99 us",
        "status",
    ]);
    for model in models(rows) {
        let of = |mode: Mode| rows.iter().find(|row| row.model == model && row.mode == mode);
        let (Some(sequential), Some(engine)) = (of(Mode::Sequential), of(Mode::Engine)) else { continue };
        table.push([
            model.to_string(),
            format!("{}/{}", count(engine.completed - engine.wrong), count(engine.expected)),
            number(sequential.samples_per_s),
            number(engine.samples_per_s),
            ratio(over_sequential(engine, rows)),
            number(engine.latency_us.p50),
            number(engine.latency_us.p99),
            status(&[sequential, engine]),
        ]);
    }
    format!(
        "## {title}\n\n{callers} callers by {iterations} iterations, one sample each, through the engine ({lanes} lanes); \
         `sequential` is one caller on a bare session.\n\n{table}"
    )
}

/// A table a model, a line a measurement.
fn scaling(title: &str, words: &str, rows: &[&Row]) -> String {
    let mut text = format!(
        "## {title}\n\n{words} Ratios are to `sequential`: one caller, one sample, a bare session. \
         Share of linear: that ratio over callers times batch.\n"
    );
    for model in models(rows) {
        let mut table = Table::new([
            "mode",
            ">callers",
            ">lanes",
            ">batch",
            ">samples/s",
            ">x sequential",
            ">of linear",
            ">p50 us",
            ">p99 us",
            "status",
        ]);
        for row in rows.iter().filter(|row| row.model == model) {
            let ratio_to_one = over_sequential(row, rows);
            table.push([
                mode(row.mode).to_string(),
                row.callers.to_string(),
                row.lanes.to_string(),
                row.batch.to_string(),
                number(row.samples_per_s),
                ratio(ratio_to_one),
                percent(ratio_to_one / (row.callers * row.batch) as f64),
                number(row.latency_us.p50),
                number(row.latency_us.p99),
                status(&[row]),
            ]);
        }
        let _ = write!(text, "\n### {model}\n\n{table}");
    }
    text
}

/// A table a model, a line a parallelism.
fn compared(rows: &[&Row]) -> String {
    let lanes = rows.iter().find(|row| row.mode == Mode::Engine).map_or(0, |row| row.lanes);
    let mut text = format!(
        "## Threads, batches and the engine at equal parallelism\n\nn threads with a bare session each; one caller with a batch \
         of n; n callers of one sample each through the engine ({lanes} lanes). Samples a second, and their ratio to `sequential`: \
         one caller, one sample, a bare session.\n"
    );
    for model in models(rows) {
        let of_model: Vec<&&Row> = rows.iter().filter(|row| row.model == model).collect();
        let mut table = Table::new([
            ">n",
            ">threads",
            ">x sequential",
            ">batch",
            ">x sequential",
            ">engine",
            ">x sequential",
            "status",
        ]);
        for threads in of_model.iter().filter(|row| row.mode == Mode::Threads) {
            let n = threads.callers;
            let batch = of_model.iter().find(|row| row.mode == Mode::Batch && row.batch == n);
            let engine = of_model.iter().find(|row| row.mode == Mode::Engine && row.callers == n);
            let (Some(batch), Some(engine)) = (batch, engine) else { continue };
            let mut cells = vec![n.to_string()];
            for row in [threads, batch, engine] {
                cells.extend([number(row.samples_per_s), ratio(over_sequential(row, rows))]);
            }
            cells.push(status(&[threads, batch, engine]));
            table.push(cells);
        }
        let baseline = of_model.iter().find(|row| row.mode == Mode::Sequential);
        let baseline = number(baseline.map_or(f64::NAN, |row| row.samples_per_s));
        let _ = write!(text, "\n### {model}: sequential {baseline} samples/s\n\n{table}");
    }
    text
}

/// The mode's name, as `results.json` has it.
fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Sequential => "sequential",
        Mode::Threads => "threads",
        Mode::Batch => "batch",
        Mode::Engine => "engine",
        Mode::EngineAsync => "engine-async",
    }
}

fn status(rows: &[&Row]) -> String {
    let (errors, wrong) = rows.iter().fold((0, 0), |(e, w), row| (e + row.errors, w + row.wrong));
    match (errors, wrong) {
        (0, 0) => "ok".into(),
        (errors, 0) => format!("{} ERRORS", count(errors)),
        (0, wrong) => format!("{} WRONG", count(wrong)),
        (errors, wrong) => format!("{} ERRORS, {} WRONG", count(errors), count(wrong)),
    }
}
