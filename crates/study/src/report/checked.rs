//! Operators, layers and models that many callers call at once: whether every answer is right.

use super::document::{Block, Section, models, of};
use super::table::{Table, count, number};
use super::words::{lanes, status};
use crate::{CALLERS_BY_ITERATIONS, Mode, Row, STRESS};

/// One table for all: what eight callers gave next to one.
pub(super) fn checked(id: &'static str, title: &str, what: &str, rows: &[&Row]) -> Section {
    let (callers, iterations) = CALLERS_BY_ITERATIONS;
    let mut table = Table::new([what, ">results", ">alone", ">engine", ">ops/s", "status"]);
    for model in models(rows) {
        let one = |mode: Mode| of(rows, model, mode).next();
        let (Some(sequential), Some(engine)) = (one(Mode::Sequential), one(Mode::Engine)) else { continue };
        table.push([
            model.to_string(),
            results(engine),
            number(sequential.latency_us.p50),
            number(engine.latency_us.p50),
            number(engine.samples_per_s),
            status(&[sequential, engine]),
        ]);
    }
    let words = format!(
        "{callers} callers by {iterations} iterations, one sample each, through the engine ({}). \
         `alone`, `engine`: median time of a call in microseconds, of one caller on a bare session and of these callers. \
         `ops/s`: their calls over the time from the first to the last, most of which, where calls are so short, is spent \
         on waking the callers' threads.",
        lanes(rows)
    );
    Section { id, title: title.into(), words, blocks: vec![Block::default().with_table(table)] }
}

/// A line for each model and number of callers.
pub(super) fn stressed(rows: &[&Row]) -> Section {
    let mut table = Table::new(["model", ">callers", ">results", ">ops/s", ">p50", ">p99", "status"]);
    for row in rows {
        table.push([
            row.model.clone(),
            row.callers.to_string(),
            results(row),
            number(row.samples_per_s),
            number(row.latency_us.p50),
            number(row.latency_us.p99),
            status(&[row]),
        ]);
    }
    let loads = STRESS.map(|(callers, iterations)| format!("{callers} callers by {iterations} iterations"));
    let words = format!(
        "{}, one sample each, every second by ticket, through the engine ({}). `p50`, `p99`: time of a call in microseconds.",
        loads.join(", then "),
        lanes(rows)
    );
    Section { id: "stress", title: "Stress".into(), words, blocks: vec![Block::default().with_table(table)] }
}

fn results(row: &Row) -> String {
    format!("{}/{}", count(row.completed - row.wrong), count(row.expected))
}
