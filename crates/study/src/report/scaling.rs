//! More callers, and larger batches.

use super::document::{
    Block, Coordinates, Section, ceilings, efficiency_at, log_plot, models, of, rate_at, series,
};
use super::plot::{Axis, Plot, Series};
use super::table::{Table, number, percent};
use super::words::{efficiency, lanes, mode, over, spread, status};
use crate::{Mode, Results, Row};

const ALL: &str = "`±`: half the interval that has the median of the rounds. `ratio`: to the baseline, round by round. `eff.`: that \
                   ratio over n times batch. `p50`, `p99`: time of a call in microseconds.";

/// More and more callers.
pub(super) fn threads(results: &Results, rows: &[&Row]) -> Section {
    let words = format!(
        "`threads`: n callers, each with a bare session and a thread. `engine`: n callers that wait for each answer \
         ({0}). `engine-async`: one thread with n tickets in flight ({0}). The baseline is `sequential`, which is one caller, one \
         sample, a bare session; of `threads` with a batch, it is one caller with that batch. {ALL} The second table is what \
         the engine counted, its warm-up included. `batch`: samples of an average execution. `inline`: executions in \
         the thread of their caller. `busy`: time that the lanes were executing. `queue`, `p99`: median and 99th \
         percentile of the time from acceptance to execution; `execute`: median time of an execution; in microseconds.",
        lanes(rows)
    );
    let block = |model: &str| {
        let by_callers = |mode: Mode| of(rows, model, mode);
        let name = |kind: Mode| match by_callers(kind).map(|row| row.batch).max() {
            Some(batch) if batch > 1 => format!("{}, batch {batch}", mode(kind)),
            _ => mode(kind).to_string(),
        };
        let modes = [Mode::Threads, Mode::Engine, Mode::EngineAsync];
        let callers = |row: &Row| row.callers as f64;
        let of_each = |at: &dyn Fn(&Row) -> Coordinates| -> Vec<Series> {
            modes.iter().map(|&kind| series(name(kind), by_callers(kind), at)).collect()
        };
        let title = "Throughput against callers";
        let mut rate = log_plot("threads", model, title, "callers", "samples/s", of_each(&rate_at(callers)));
        rate.ceilings = ceilings(results, model, &[1, results.machine.cores]);
        let title = "Efficiency against callers";
        let share = log_plot(
            "threads-efficiency",
            model,
            title,
            "callers",
            "efficiency, %",
            of_each(&efficiency_at(callers)),
        );
        let latency = latency_plot("threads-latency", model, rows);
        Block::of(model)
            .with_table(table(model, rows))
            .with_table(in_the_engine(model, rows))
            .with_plot(rate)
            .with_plot(share)
            .with_plot(latency)
    };
    let blocks = models(rows).into_iter().map(|model| noted(block(model), rows)).collect();
    Section { id: "threads", title: "More callers".into(), words, blocks }
}

/// Larger and larger batches.
pub(super) fn batches(results: &Results, rows: &[&Row]) -> Section {
    let words = format!(
        "One caller, one bare session. The baseline is `sequential`: the same caller with one sample a call. {ALL}"
    );
    let batch = |row: &Row| row.batch as f64;
    let block = |model: &str| {
        let rate = |kind: Mode| series(mode(kind), of(rows, model, kind), rate_at(batch));
        let mut plot = log_plot(
            "batches",
            model,
            "Throughput against batch",
            "samples a call",
            "samples/s",
            vec![rate(Mode::Batch)],
        );
        plot.ceilings = ceilings(results, model, &[1]);
        let share = series(mode(Mode::Batch), of(rows, model, Mode::Batch), efficiency_at(batch));
        let title = "Efficiency against batch";
        let share =
            log_plot("batches-efficiency", model, title, "samples a call", "efficiency, %", vec![share]);
        Block::of(model).with_table(table(model, rows)).with_plot(plot).with_plot(share)
    };
    let ratio = |row: &Row| {
        let over = row.over.as_ref().map(|over| over.ratio);
        (row.batch as f64, over.map_or(f64::NAN, |o| o.median), over.map(|o| (o.low, o.high)))
    };
    let all = models(rows).into_iter().map(|model| series(model, of(rows, model, Mode::Batch), ratio));
    let all = Plot {
        id: "batches-all".into(),
        title: "What a batch gains on one sample at a time".into(),
        model: None,
        x: Axis::log("samples a call"),
        y: Axis::log("times the rate of one at a time"),
        series: all.collect(),
        ceilings: Vec::new(),
    };
    let mut blocks = vec![Block::default().with_plot(all)];
    blocks.extend(models(rows).into_iter().map(|model| noted(block(model), rows)));
    Section { id: "batches", title: "Larger batches".into(), words, blocks }
}

/// Median and 99th percentile of a call against callers.
fn latency_plot(id: &str, model: &str, rows: &[&Row]) -> Plot {
    let mut all = Vec::new();
    for kind in [Mode::Threads, Mode::Engine] {
        let percentile = |name: &str, value: fn(&Row) -> f64| {
            series(format!("{}, {name}", kind.name()), of(rows, model, kind), move |row| {
                (row.callers as f64, value(row), None)
            })
        };
        all.push(percentile("p50", |row| row.latency_us.p50));
        all.push(percentile("p99", |row| row.latency_us.p99));
    }
    log_plot(id, model, "Time of a call", "callers", "microseconds", all)
}

/// A line a measurement.
fn table(model: &str, rows: &[&Row]) -> Table {
    let header = ["mode", ">n", ">batch", ">samples/s", ">±", ">ratio", ">eff.", ">p50", ">p99"];
    let mut table = Table::new(header);
    for row in rows.iter().filter(|row| row.model == model) {
        table.push([
            row.mode.name().to_string(),
            row.callers.to_string(),
            row.batch.to_string(),
            number(row.samples_per_s),
            spread(row.interval.as_ref()),
            over(row),
            efficiency(row),
            number(row.latency_us.p50),
            number(row.latency_us.p99),
        ]);
    }
    table
}

/// What the engine did with one model's requests, a line a measurement; nothing without an engine.
fn in_the_engine(model: &str, rows: &[&Row]) -> Table {
    let mut table = Table::new(["mode", ">n", ">batch", ">inline", ">busy", ">queue", ">p99", ">execute"]);
    for row in rows.iter().filter(|row| row.model == model) {
        let Some(engine) = &row.engine else { continue };
        table.push([
            row.mode.name().to_string(),
            row.callers.to_string(),
            number(engine.mean_batch),
            percent(engine.inline()),
            percent(engine.occupancy),
            number(engine.queue_us.p50),
            number(engine.queue_us.p99),
            number(engine.execute_us.p50),
        ]);
    }
    table
}

/// With a note for each row of its model that is not right.
fn noted(mut block: Block, rows: &[&Row]) -> Block {
    let own = rows.iter().filter(|row| Some(&row.model) == block.model.as_ref() && !row.is_right());
    let note = |row: &&Row| {
        format!("**{}, n {}, batch {}: {}**", row.mode.name(), row.callers, row.batch, status(&[row]))
    };
    block.notes = own.map(note).collect();
    block
}
