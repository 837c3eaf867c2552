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
            &format!(
                "`threads`: n callers, each with a bare session and a thread. `engine`: n callers that wait for each answer \
                 ({0}). `engine-async`: one thread with n tickets in flight ({0}). The second table is what \
                 the engine counted, its warm-up included. `batch`: samples of an average execution. `inline`: executions in \
                 the thread of their caller. `busy`: time that the lanes were executing. `queue`, `p99`: median and 99th \
                 percentile of the time from acceptance to execution; `execute`: median time of an execution; in microseconds.",
                lanes(rows)
            ),
            rows,
        ),
        Suite::Batches => scaling("Larger batches", "One caller, one bare session.", rows),
        Suite::Compare => compared(rows),
    }
}

/// One table for all: what eight callers gave next to one.
fn checked(title: &str, what: &str, rows: &[&Row]) -> String {
    let (callers, iterations) = CALLERS_BY_ITERATIONS;
    let mut table = Table::new([what, ">results", ">alone", ">engine", ">ops/s", "status"]);
    for model in models(rows) {
        let of = |mode: Mode| rows.iter().find(|row| row.model == model && row.mode == mode);
        let (Some(sequential), Some(engine)) = (of(Mode::Sequential), of(Mode::Engine)) else { continue };
        table.push([
            model.to_string(),
            format!("{}/{}", count(engine.completed - engine.wrong), count(engine.expected)),
            number(sequential.latency_us.p50),
            number(engine.latency_us.p50),
            number(engine.samples_per_s),
            status(&[sequential, engine]),
        ]);
    }
    format!(
        "## {title}\n\n{callers} callers by {iterations} iterations, one sample each, through the engine ({}). \
         `alone`, `engine`: median time of a call in microseconds, of one caller on a bare session and of these callers. \
         `ops/s`: their calls over the time from the first to the last, most of which, where calls are so short, is spent \
         on waking the callers' threads.\n\n{table}",
        lanes(rows)
    )
}

/// A table a model, a line a measurement.
fn scaling(title: &str, words: &str, rows: &[&Row]) -> String {
    let mut text = format!(
        "## {title}\n\n{words} `ratio`: to the samples/s of `sequential`, which is one caller, one sample, a bare session. \
         `linear`: that ratio over n times batch. `p50`, `p99`: time of a call in microseconds.\n"
    );
    for model in models(rows) {
        let mut table =
            Table::new(["mode", ">n", ">batch", ">samples/s", ">ratio", ">linear", ">p50", ">p99"]);
        for row in rows.iter().filter(|row| row.model == model) {
            let ratio_to_one = over_sequential(row, rows);
            table.push([
                mode(row.mode).to_string(),
                row.callers.to_string(),
                row.batch.to_string(),
                number(row.samples_per_s),
                ratio(ratio_to_one),
                percent(ratio_to_one / (row.callers * row.batch) as f64),
                number(row.latency_us.p50),
                number(row.latency_us.p99),
            ]);
        }
        let _ = write!(text, "\n### {model}\n\n{table}{}", in_the_engine(model, rows));
        for row in rows.iter().filter(|row| row.model == model && !row.is_right()) {
            let _ = write!(
                text,
                "\n**{}, n {}, batch {}: {}**\n",
                mode(row.mode),
                row.callers,
                row.batch,
                status(&[row])
            );
        }
    }
    text
}

/// What the engine did with one model's requests, a line a measurement; nothing without an engine.
fn in_the_engine(model: &str, rows: &[&Row]) -> String {
    let mut table = Table::new(["mode", ">n", ">batch", ">inline", ">busy", ">queue", ">p99", ">execute"]);
    for row in rows.iter().filter(|row| row.model == model) {
        let Some(engine) = &row.engine else { continue };
        table.push([
            mode(row.mode).to_string(),
            row.callers.to_string(),
            number(engine.mean_batch),
            percent(engine.inline()),
            percent(engine.occupancy),
            number(engine.queue_us.p50),
            number(engine.queue_us.p99),
            number(engine.execute_us.p50),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("\n{table}") }
}

/// A table a model, a line a parallelism.
fn compared(rows: &[&Row]) -> String {
    let mut text = format!(
        "## Threads, batches and the engine at equal parallelism\n\nn threads with a bare session each; one caller with a batch \
         of n; n callers of one sample each through the engine ({}). Samples a second, and their ratio to `sequential`: \
         one caller, one sample, a bare session.\n",
        lanes(rows)
    );
    for model in models(rows) {
        let of_model: Vec<&&Row> = rows.iter().filter(|row| row.model == model).collect();
        let mut table =
            Table::new([">n", ">threads", ">ratio", ">batch", ">ratio", ">engine", ">ratio", "status"]);
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

/// The engine's lanes, in words.
fn lanes(rows: &[&Row]) -> String {
    let engine = rows.iter().find(|row| matches!(row.mode, Mode::Engine | Mode::EngineAsync));
    match engine.map_or(0, |row| row.lanes) {
        1 => "1 lane".into(),
        lanes => format!("{lanes} lanes"),
    }
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
