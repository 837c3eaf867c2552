//! What to do with each model, for the three uses of the study: most throughput, several independent streams, lowest latency. Chosen
//! from what was measured, and of what is as good within the noise, the least.

use super::document::{Block, Section, models};
use super::table::{Table, number};
use super::words::{call, spread};
use crate::{Mode, Row};

/// Rates as near as this are equal where there is no interval to tell.
const EQUAL: f64 = 0.97;
/// Independent streams: the number of callers nearest to this.
const STREAMS: usize = 8;

/// For one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recommendation<'r> {
    pub(super) model: &'r str,
    /// The most samples a second.
    pub(super) throughput: &'r Row,
    /// The most samples a second of callers that each wait for their own answer.
    pub(super) streams: Option<&'r Row>,
    /// The least time for one sample, alone.
    pub(super) latency: Option<&'r Row>,
}

/// For every model that was measured through the engine too.
pub(super) fn recommendations<'r>(rows: &[&'r Row]) -> Vec<Recommendation<'r>> {
    let usable: Vec<&Row> = rows.iter().copied().filter(|row| is_usable(row)).collect();
    let of_model = |model: &'r str| {
        let rows: Vec<&'r Row> = usable.iter().copied().filter(|row| row.model == model).collect();
        // What one session does says nothing of a machine with several cores.
        if !rows.iter().any(|row| matches!(row.mode, Mode::Engine | Mode::EngineAsync)) {
            return None;
        }
        let waiting = |row: &&&Row| matches!(row.mode, Mode::Threads | Mode::Engine) && row.batch == 1;
        let counts = rows.iter().filter(waiting).filter(|row| row.callers > 1).map(|row| row.callers);
        let streams = counts.min_by_key(|&n| (n.abs_diff(STREAMS), n));
        let streams: Vec<&Row> =
            rows.iter().filter(waiting).filter(|row| Some(row.callers) == streams).copied().collect();
        let alone =
            rows.iter().copied().filter(|row| row.callers * row.batch == 1 && row.mode != Mode::EngineAsync);
        Some(Recommendation {
            model,
            throughput: most(&rows)?,
            streams: most(&streams),
            latency: alone.min_by(|a, b| a.latency_us.p50.total_cmp(&b.latency_us.p50)),
        })
    };
    models(&usable).into_iter().filter_map(of_model).collect()
}

/// Rows of models that can be chosen; what is stressed, mixed or sent at times of its own is no choice.
fn is_usable(row: &Row) -> bool {
    let is_way = match row.mode {
        Mode::Sequential | Mode::Engine | Mode::EngineAsync => true,
        // One thread, or a batch of one, is what `sequential` is.
        Mode::Threads | Mode::Batch => row.callers * row.batch > 1,
        Mode::EngineOpen | Mode::HandOff => false,
    };
    is_way && row.is_right() && matches!(row.suite.as_str(), "threads" | "batches" | "compare" | "saturation")
}

/// Of the rows whose rates are as good as the best within the noise, the one with the fewest samples under way; of these, the
/// fastest.
fn most<'r>(rows: &[&'r Row]) -> Option<&'r Row> {
    let best = rows.iter().copied().max_by(|a, b| a.samples_per_s.total_cmp(&b.samples_per_s))?;
    let as_good = |row: &&&Row| match (&row.interval, &best.interval) {
        (Some(this), Some(that)) => !this.is_apart_from(that) && this.median >= that.median * EQUAL,
        _ => row.samples_per_s >= best.samples_per_s * EQUAL,
    };
    let under_way = |row: &Row| row.callers * row.batch;
    let candidates = rows.iter().filter(as_good).copied();
    candidates
        .min_by(|a, b| under_way(a).cmp(&under_way(b)).then(b.samples_per_s.total_cmp(&a.samples_per_s)))
}

/// The section; `None` where nothing can be recommended.
pub(super) fn section(rows: &[&Row]) -> Option<Section> {
    let recommendations = recommendations(rows);
    if recommendations.is_empty() {
        return None;
    }
    let mut table = Table::new(["model", "for", "call it as", ">samples/s", ">±", ">p50", ">p99"]);
    for recommendation in &recommendations {
        let uses = [
            ("throughput", Some(recommendation.throughput)),
            ("streams", recommendation.streams),
            ("latency", recommendation.latency),
        ];
        for (purpose, row) in uses {
            let Some(row) = row else { continue };
            table.push([
                recommendation.model.to_string(),
                purpose.to_string(),
                call(row),
                number(row.samples_per_s),
                spread(row.interval.as_ref()),
                number(row.latency_us.p50),
                number(row.latency_us.p99),
            ]);
        }
    }
    let words = "What was best here. `throughput`: the most samples a second, however they come. `streams`: several callers that each \
                 wait for their own answer. `latency`: one sample as soon as possible, and nothing else to do. Of what is as good \
                 within the noise, the one with the fewest samples under way. `p50`, `p99`: time of a call in microseconds."
        .to_string();
    let blocks = vec![Block::default().with_table(table)];
    Some(Section { id: "recommendation", title: "Recommendation".into(), words, blocks })
}
