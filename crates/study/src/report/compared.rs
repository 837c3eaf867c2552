//! Ways of doing the same side by side: threads against batches, larger and larger layers, two models at once.

use super::document::{Block, Section, ceilings, log_plot, models, of, rate_at, series};
use super::plot::{Axis, Ceiling, Plot};
use super::table::{Table, count, number};
use super::words::{call, efficiency, lanes, mode, over, range, spread, status};
use crate::{Mode, Results, Row};

/// Threads, batches and the engine at equal parallelism.
pub(super) fn compared(results: &Results, rows: &[&Row]) -> Section {
    let words = format!(
        "At equal parallelism: n threads with a bare session each; one caller with a batch of n; n callers of one sample each through the engine ({}); \
         n tickets in flight through it. Samples a second, and their ratio to the baseline, `sequential`: one caller, one sample, a \
         bare session. `b/t`: batching over threading.",
        lanes(rows)
    );
    let blocks = models(rows).into_iter().map(|model| {
        let header = [
            ">n", ">threads", ">ratio", ">batch", ">ratio", ">engine", ">ratio", ">tickets", ">b/t", "status",
        ];
        let mut table = Table::new(header);
        for threads in of(rows, model, Mode::Threads) {
            let n = threads.callers;
            let batch = of(rows, model, Mode::Batch).find(|row| row.batch == n);
            let engine = of(rows, model, Mode::Engine).find(|row| row.callers == n);
            let (Some(batch), Some(engine)) = (batch, engine) else { continue };
            let tickets = of(rows, model, Mode::EngineAsync).find(|row| row.callers == n);
            let mut cells = vec![n.to_string()];
            for row in [threads, batch, engine] {
                cells.extend([number(row.samples_per_s), over(row)]);
            }
            cells.push(number(tickets.map_or(f64::NAN, |row| row.samples_per_s)));
            cells.push(number(batch.samples_per_s / threads.samples_per_s));
            let all: Vec<&Row> = [threads, batch, engine].into_iter().chain(tickets).collect();
            cells.push(status(&all));
            table.push(cells);
        }
        let parallelism = |row: &Row| (row.callers * row.batch) as f64;
        let modes = [Mode::Threads, Mode::Batch, Mode::Engine, Mode::EngineAsync];
        let first = || of(rows, model, Mode::Sequential);
        let of_mode = |kind: Mode| {
            // One at a time is where threads and batches begin.
            let begin = first().filter(|_| matches!(kind, Mode::Threads | Mode::Batch));
            series(mode(kind), begin.chain(of(rows, model, kind)), rate_at(parallelism))
        };
        let title = "Threading against batching";
        let all = modes.into_iter().map(of_mode).collect();
        let mut plot =
            log_plot("compare", model, title, "threads, samples a call, callers", "samples/s", all);
        plot.ceilings = ceilings(results, model, &[1, results.machine.cores]);
        let baseline = number(first().next().map_or(f64::NAN, |row| row.samples_per_s));
        let heading = Some(format!("{model}: sequential {baseline} samples/s"));
        Block { heading, ..Block::of(model) }.with_table(table).with_plot(plot)
    });
    Section { id: "compare", title: "Threads against batches".into(), words, blocks: blocks.collect() }
}

/// Callers next to one, on larger and larger layers.
pub(super) fn sized(results: &Results, rows: &[&Row]) -> Section {
    let words = format!(
        "n callers with a session each, and n callers through the engine ({}), over the baseline: one caller with one session, \
         `sequential`. The interval is that of the ratios of the rounds. `FLOP`: operations of one sample.",
        lanes(rows)
    );
    let flops = |model: &str| {
        results
            .models
            .iter()
            .find(|cost| cost.model == model)
            .map_or(f64::NAN, |cost| cost.flops_per_sample as f64)
    };
    let mut table = Table::new(["model", ">FLOP", "called", ">samples/s", ">ratio", ">interval", "status"]);
    for row in rows {
        let of_ratio = row.over.as_ref().map(|over| range(&over.ratio));
        table.push([
            row.model.clone(),
            number(flops(&row.model)),
            format!("{} {}", row.mode.name(), row.callers),
            number(row.samples_per_s),
            over(row),
            of_ratio.unwrap_or_else(|| "-".into()),
            status(&[row]),
        ]);
    }
    let mut callers: Vec<usize> = rows.iter().map(|row| row.callers).filter(|&n| n > 1).collect();
    callers.sort_unstable();
    callers.dedup();
    let mut all = Vec::new();
    for (kind, &n) in
        [Mode::Threads, Mode::Engine].iter().flat_map(|kind| callers.iter().map(move |n| (*kind, n)))
    {
        let those = rows.iter().copied().filter(move |row| row.mode == kind && row.callers == n);
        let name =
            if kind == Mode::Threads { format!("{n} threads") } else { format!("engine, {n} callers") };
        all.push(series(name, those, |row| {
            let ratio = row.over.as_ref().map(|over| over.ratio);
            (flops(&row.model), ratio.map_or(f64::NAN, |r| r.median), ratio.map(|r| (r.low, r.high)))
        }));
    }
    let plot = Plot {
        id: "workload".into(),
        title: "What more callers gain on larger layers".into(),
        model: None,
        x: Axis::log("operations of one sample"),
        y: Axis::linear("times the rate of one caller"),
        series: all,
        ceilings: Vec::new(),
    };
    let block = Block::default().with_table(table).with_plot(plot);
    Section { id: "workload", title: "Larger layers".into(), words, blocks: vec![block] }
}

/// An engine in this process, and in processes of their own.
pub(super) fn workers(rows: &[&Row]) -> Section {
    let words = "Requests of 64 samples, two in flight for each lane, to the engine of this process (`workers` 0) and to worker processes, \
                 which share the cores among them; then one caller that waits for one sample at a time. The baseline of workers is \
                 the engine of this process, with the same requests; that of its large requests is one bare session. `lanes`: of all \
                 processes together. `eff.`: the ratio over that of the lanes. `p50`, `p99`: time of a call in microseconds."
        .to_string();
    let block = |model: &str| {
        let header = [
            "mode",
            ">workers",
            ">lanes",
            ">batch",
            ">samples/s",
            ">±",
            ">ratio",
            ">eff.",
            ">p50",
            ">p99",
            "status",
        ];
        let mut table = Table::new(header);
        for row in rows.iter().filter(|row| row.model == model) {
            table.push([
                row.mode.name().to_string(),
                row.workers.to_string(),
                row.lanes.to_string(),
                row.batch.to_string(),
                number(row.samples_per_s),
                spread(row.interval.as_ref()),
                over(row),
                efficiency(row),
                number(row.latency_us.p50),
                number(row.latency_us.p99),
                status(&[row]),
            ]);
        }
        let large = of(rows, model, Mode::EngineAsync);
        let rate = series("workers", large.filter(|row| row.workers > 0), rate_at(|row| row.workers as f64));
        let title = "Throughput against workers";
        let mut plot = log_plot("workers", model, title, "worker processes", "samples/s", vec![rate]);
        let own = of(rows, model, Mode::EngineAsync).find(|row| row.workers == 0);
        plot.ceilings
            .extend(own.map(|row| Ceiling { name: "engine of this process".into(), y: row.samples_per_s }));
        Block::of(model).with_table(table).with_plot(plot)
    };
    let blocks = models(rows).into_iter().map(block).collect();
    Section { id: "workers", title: "Worker processes".into(), words, blocks }
}

/// Two models at once.
pub(super) fn mixed(rows: &[&Row]) -> Section {
    let mut table = Table::new(["models", "called", ">results", ">ops/s", ">±", ">ratio", ">p50", ">p99"]);
    for row in rows {
        table.push([
            row.model.clone(),
            call(row),
            format!("{}/{}", count(row.completed - row.wrong), count(row.expected)),
            number(row.samples_per_s),
            spread(row.interval.as_ref()),
            over(row),
            number(row.latency_us.p50),
            number(row.latency_us.p99),
        ]);
    }
    let words = "Four callers of each model at once, thirty iterations each, in rounds, through one engine. The baseline makes the same \
                 calls one after another on a bare session of each model. Every model's own lines are measured while the other is \
                 called. `p50`, `p99`: time of a call in microseconds."
        .to_string();
    let blocks = vec![Block::default().with_table(table)];
    Section { id: "mixed", title: "Two models at once".into(), words, blocks }
}
