//! Where throughput flattens and what bounds it: more and more tickets in flight, next to an engine that has nothing to compute; then
//! requests at times of their own, at shares of the best rate.

use std::time::Duration;

use crate::ceilings::{Bound, Ceilings, Shares};
use crate::estimate::Estimate;
use crate::knee::{WORTHWHILE, knee};
use crate::measure::{Arrivals, Tally, open_loop};
use crate::results::ModelCost;
use crate::row::{Load, Mode, Row};
use crate::runner::{Identity, Measurement, load};
use crate::workload::Workload;
use crate::{Latencies, StudyError, Suite};

/// Rounds of an open loop.
const OPEN_ROUNDS: usize = 3;
/// An open loop needs so many requests for percentiles that mean something, or [`LONGEST`]; and a few in any case, unless these would
/// take longer than [`LONGEST_OF_FEW`].
const REQUESTS: f64 = 400.0;
const LONGEST: Duration = Duration::from_millis(500);
const FEW: f64 = 8.0;
const LONGEST_OF_FEW: Duration = Duration::from_secs(8);

/// What the closed loops say: the knee, and what is exhausted there. `None` where nothing was measured.
pub(crate) fn bound(rows: &[Row], cost: &ModelCost, ceilings: &Ceilings) -> Option<Bound> {
    let mut closed: Vec<&Row> = rows.iter().filter(|row| row.mode == Mode::EngineAsync).collect();
    closed.sort_by_key(|row| row.callers);
    let rates: Vec<f64> = closed.iter().map(|row| row.samples_per_s).collect();
    let row = closed[knee(&rates, WORTHWHILE)?];
    let mean_batch = row.engine.as_ref().map_or(1.0, |engine| engine.mean_batch);
    let idle = rows.iter().find(|other| other.mode == Mode::HandOff && other.callers == row.callers);
    let hand_off = idle.map(|row| row.samples_per_s);
    let shares = Shares::new(cost, ceilings, row.lanes, row.samples_per_s, mean_batch, hand_off);
    Some(Bound {
        model: row.model.clone(),
        callers: row.callers,
        samples_per_s: row.samples_per_s,
        mean_batch,
        bound: shares.bound(),
        shares,
    })
}

/// Sends requests at times of their own, at this share of `best` requests a second.
pub(crate) fn open(
    workload: &Workload,
    lanes: usize,
    arrivals: Arrivals,
    share: f64,
    best: f64,
    time: Duration,
) -> Result<Measurement, StudyError> {
    let offered_per_s = best * share;
    let time_of = |requests: f64, longest: Duration| {
        Duration::from_secs_f64((requests / offered_per_s).min(longest.as_secs_f64()))
    };
    let needed = time_of(REQUESTS, LONGEST).max(time_of(FEW, LONGEST_OF_FEW));
    let (_engine, model) = load(workload, lanes, 0)?;
    let (mut rounds, mut sent, mut all, mut late) =
        (Vec::new(), Vec::new(), Tally::default(), Latencies::new());
    let mut refused = 0;
    for round in 0..OPEN_ROUNDS {
        let due = arrivals.times(offered_per_s, round as u64);
        let opened = open_loop(workload, &model, due, time.max(needed).max(arrivals.least_time()));
        rounds.push(opened.tally.calls_per_s);
        sent.push(opened.sent_per_s);
        refused += opened.refused;
        late.merge(&opened.late);
        all.merge(opened.tally);
    }
    let identity = Identity {
        suite: Suite::Saturation.name(),
        model: workload.name(),
        mode: Mode::EngineOpen,
        callers: 1,
        lanes,
        batch: 1,
    };
    let sent_per_s = Estimate::of(&sent).map_or(0.0, |estimate| estimate.median);
    let late_p90_us = late.quantile(0.9).as_secs_f64() * 1e6;
    let load = Load { arrivals, offered_per_s, sent_per_s, share, refused, late_p90_us };
    Ok(Measurement {
        row: Row { load: Some(load), ..identity.row(&rounds, &all) },
        first_error: all.first_error,
        trace: Default::default(),
    })
}
