//! Where throughput flattens, what bounds it, and how long requests take on the way; and long loads.

use super::document::{Block, Section, ceilings, log_plot, models, of, rate_at, series};
use super::plot::{Axis, Ceiling, Plot, Point, Series};
use super::table::{Table, number, percent};
use super::words::{lanes, mode, spread, status};
use crate::{Limit, Mode, Results, Row, SoakSample};

/// More and more tickets in flight, and requests at times of their own.
pub(super) fn saturated(results: &Results, rows: &[&Row]) -> Section {
    let words = format!(
        "One thread keeps n tickets in flight ({}). The knee is the number from which on more add less than 5 %. What bounds the \
         rate there is the ceiling of which it uses the largest share; ceilings were measured in the same run: `compute` is the rate \
         of multiply-adds, `memory` that of reading as many bytes as the weights have (each execution reads them once, at least), \
         `hand-off` the rate of the same requests where there is nothing to compute. Below, requests come at times of their own, \
         at a share of the best rate; their time begins when they are due. `late`: how much later nine of ten were sent at most.",
        lanes(rows)
    );
    let mut bounds = Table::new([
        "model",
        ">knee",
        ">samples/s",
        ">batch",
        ">compute",
        ">memory",
        ">hand-off",
        "bound by",
    ]);
    for bound in &results.bounds {
        bounds.push([
            bound.model.clone(),
            bound.callers.to_string(),
            number(bound.samples_per_s),
            number(bound.mean_batch),
            percent(bound.shares.compute),
            percent(bound.shares.memory),
            percent(bound.shares.hand_off),
            limit(bound.bound).into(),
        ]);
    }
    let mut blocks = vec![Block::default().with_table(bounds).with_table(machine(results))];
    blocks.extend(models(rows).into_iter().map(|model| {
        Block::of(model)
            .with_table(closed(model, rows))
            .with_table(open(model, rows))
            .with_plot(closed_plot(results, model, rows))
            .with_plot(open_plot(model, rows))
    }));
    Section { id: "saturation", title: "Saturation".into(), words, blocks }
}

/// What bounds a rate, in a word.
pub(super) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Compute => "compute",
        Limit::Memory => "memory",
        Limit::HandOff => "hand-off",
        Limit::Unknown => "unknown",
    }
}

fn machine(results: &Results) -> Table {
    let mut table = Table::new(["ceiling of the machine", ">threads", ">rate"]);
    let Some(ceilings) = &results.ceilings else { return table };
    for ceiling in &ceilings.flops {
        let rate = format!("{} GFLOP/s", number(ceiling.flops_per_s / 1e9));
        table.push(["multiply-adds".into(), ceiling.threads.to_string(), rate]);
    }
    for ceiling in &ceilings.read {
        let what = format!("reading {} MB", number(ceiling.bytes as f64 / 1e6));
        table.push([
            what,
            ceiling.threads.to_string(),
            format!("{} GB/s", number(ceiling.bytes_per_s / 1e9)),
        ]);
    }
    table
}

fn closed(model: &str, rows: &[&Row]) -> Table {
    let header = [">tickets", ">samples/s", ">±", ">batch", ">busy", ">p50", ">p99", ">hand-off", "status"];
    let mut table = Table::new(header);
    for row in of(rows, model, Mode::EngineAsync) {
        let idle = of(rows, model, Mode::HandOff).find(|idle| idle.callers == row.callers);
        let engine = row.engine.clone().unwrap_or_default();
        table.push([
            row.callers.to_string(),
            number(row.samples_per_s),
            spread(row.interval.as_ref()),
            number(engine.mean_batch),
            percent(engine.occupancy),
            number(row.latency_us.p50),
            number(row.latency_us.p99),
            number(idle.map_or(f64::NAN, |idle| idle.samples_per_s)),
            status(&[row]),
        ]);
    }
    table
}

fn open(model: &str, rows: &[&Row]) -> Table {
    let header =
        ["arrivals", ">load", ">offered/s", ">p50", ">p90", ">p99", ">p99.9", ">refused", ">late", "status"];
    let mut table = Table::new(header);
    for row in of(rows, model, Mode::EngineOpen) {
        let Some(load) = row.load else { continue };
        table.push([
            load.arrivals.name().to_string(),
            percent(load.share),
            number(load.offered_per_s),
            number(row.latency_us.p50),
            number(row.latency_us.p90),
            number(row.latency_us.p99),
            number(row.latency_us.p99_9),
            load.refused.to_string(),
            number(load.late_p90_us),
            status(&[row]),
        ]);
    }
    table
}

fn closed_plot(results: &Results, model: &str, rows: &[&Row]) -> Plot {
    let rate = |kind: Mode| series(mode(kind), of(rows, model, kind), rate_at(|row| row.callers as f64));
    let all = vec![rate(Mode::EngineAsync), rate(Mode::HandOff)];
    let mut plot = log_plot("saturation", model, "Saturation", "tickets in flight", "samples/s", all);
    plot.ceilings = ceilings(results, model, &[1, results.machine.cores]);
    if let Some(bound) = results.bounds.iter().find(|bound| bound.model == model && bound.shares.memory > 0.0)
    {
        let y = bound.samples_per_s / bound.shares.memory;
        plot.ceilings.push(Ceiling { name: format!("memory, batch {}", number(bound.mean_batch)), y });
    }
    plot
}

fn open_plot(model: &str, rows: &[&Row]) -> Plot {
    let mut kinds: Vec<&str> = Vec::new();
    for load in of(rows, model, Mode::EngineOpen).filter_map(|row| row.load) {
        if !kinds.contains(&load.arrivals.name()) {
            kinds.push(load.arrivals.name());
        }
    }
    let mut all = Vec::new();
    for kind in kinds {
        let those = || {
            of(rows, model, Mode::EngineOpen)
                .filter(move |row| row.load.is_some_and(|load| load.arrivals.name() == kind))
        };
        let at = |value: fn(&Row) -> f64| {
            move |row: &Row| (row.load.map_or(f64::NAN, |load| load.share * 100.0), value(row), None)
        };
        all.push(series(format!("{kind}, p50"), those(), at(|row| row.latency_us.p50)));
        all.push(series(format!("{kind}, p90"), those(), at(|row| row.latency_us.p90)));
        all.push(series(format!("{kind}, p99"), those(), at(|row| row.latency_us.p99)));
    }
    let title = "Time of a request against load";
    let plot = log_plot("saturation-latency", model, title, "load, % of the best rate", "microseconds", all);
    Plot { x: Axis::linear(&plot.x.label), ..plot }
}

/// A long load over time.
pub(super) fn soaked(samples: &[SoakSample], rows: &[&Row]) -> Section {
    let mut table = Table::new([">seconds", ">samples/s", ">memory, MiB", ">descriptors", ">threads"]);
    let every = samples.len().div_ceil(12).max(1);
    let last = samples.len().saturating_sub(1);
    for (_, sample) in samples.iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last) {
        table.push([
            number(sample.seconds),
            number(sample.samples_per_s),
            number(mib(sample)),
            sample.descriptors.to_string(),
            sample.threads.to_string(),
        ]);
    }
    let over_time = |id: &str, title: &str, y: &str, value: fn(&SoakSample) -> f64| {
        let point = |sample: &SoakSample| Point { x: sample.seconds, y: value(sample), interval: None };
        Plot {
            id: id.into(),
            title: title.into(),
            model: None,
            x: Axis::linear("seconds"),
            y: Axis::linear(y),
            series: vec![Series { name: y.into(), points: samples.iter().map(point).collect() }],
            ceilings: Vec::new(),
        }
    };
    let words = format!(
        "One engine ({}) under load: callers that wait, tickets in flight of which every eighth is dropped, and a model that is \
         replaced at every look. Memory, descriptors and threads may not grow from the first third to the last. Status: {}.",
        lanes(rows),
        status(rows)
    );
    let block = Block::default()
        .with_table(table)
        .with_plot(over_time("soak-rate", "Rate over time", "samples/s", |sample| sample.samples_per_s))
        .with_plot(over_time("soak-memory", "Memory over time", "MiB", mib))
        .with_plot(over_time("soak-descriptors", "Descriptors over time", "descriptors", |s| {
            s.descriptors as f64
        }))
        .with_plot(over_time("soak-threads", "Threads over time", "threads", |s| s.threads as f64));
    Section { id: "soak", title: "Long load".into(), words, blocks: vec![block] }
}

fn mib(sample: &SoakSample) -> f64 {
    sample.memory_bytes as f64 / f64::from(1 << 20)
}
