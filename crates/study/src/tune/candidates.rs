//! Which configurations are worth a trial, by the surface: a pure function.
//!
//! The surface is of bare executions. What an engine makes of them depends on callers that share the cores, on hand-overs, and on
//! the batches that form. So it only says what to try; the trials say what is best and what to expect of it. The lanes that an
//! engine has by default are always among what is tried, so that a recommendation is not worse than none.
//!
//! Nor does the surface know of worker processes. Of each number of them the layouts that would be the best in this process are
//! tried, so that every number that was asked for is.

use std::time::Duration;

use paceline_profile::{Configuration, Use};

use super::space::{Row, Space};
use super::surface::Surface;

/// Configurations tried for one use, of the first number of workers: as a rule none.
const MAX_TRIALS: usize = 5;
/// The same of each further number.
const MAX_FURTHER: usize = 2;
/// A batch with this share of the best rate is as good.
const AS_GOOD: f64 = 0.97;
/// What has this share of the best rate by the surface may be the best in an engine.
const MAY_BE_BEST: f64 = 0.8;
/// A batch that takes this much longer than one sample costs a lone caller nothing.
const FREE: f64 = 1.05;

/// A configuration and the load under which it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) configuration: Configuration,
    /// Requests of one sample in flight.
    pub(crate) in_flight: usize,
}

/// What is asked of a recommendation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) purpose: Use,
    /// Callers of [`Use::Streams`].
    pub(crate) callers: usize,
    /// The most that the 99th percentile of requests may be.
    pub(crate) p99: Option<Duration>,
}

/// A plan and what the surface says of it.
#[derive(Clone, Copy, Debug)]
struct Promise {
    plan: Plan,
    /// Samples a second.
    rate: f64,
    /// How long requests take about.
    p99: Duration,
}

/// How many configurations are tried for one use at the most.
pub(crate) fn most_trials(space: &Space) -> usize {
    MAX_TRIALS + MAX_FURTHER * (space.workers.len() - 1)
}

/// What to try; of each number of workers the most promising first, and at least one.
pub(crate) fn candidates(wish: Wish, space: &Space, surface: &Surface) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for (index, &workers) in space.workers.iter().enumerate() {
        let most = plans.len() + if index == 0 { MAX_TRIALS } else { MAX_FURTHER };
        let layouts = layouts(space, surface, workers);
        let ranked = match wish.purpose {
            Use::Throughput => throughput(space, surface, &layouts, wish.p99),
            Use::Streams => streams(space, surface, &layouts, wish.callers),
            Use::Latency => latency(space, surface, workers),
        };
        for plan in ranked {
            let Configuration { lanes, .. } = plan.configuration;
            let is_alike = |earlier: &Plan| {
                // Of the few that are tried of a further number, each has lanes of its own.
                let is_layout = index > 0 && earlier.configuration.lanes == lanes;
                earlier.configuration == plan.configuration
                    || (is_layout && earlier.configuration.workers == workers)
            };
            if !plans.iter().any(is_alike) && plans.len() < most {
                plans.push(plan);
            }
        }
    }
    plans
}

/// Where the lanes of so many workers are: how many execute at a time, and how that is configured. Of what was measured; if of nothing
/// that may be chosen, the fewest lanes.
fn layouts(space: &Space, surface: &Surface, workers: usize) -> Vec<(usize, Configuration)> {
    let helpers = surface.useful_helpers();
    let layout = |&lanes: &usize| {
        let configuration = Configuration { workers, lanes, helpers: helpers.min(lanes - 1), max_batch: 1 };
        (configuration.all_lanes(), configuration)
    };
    let layouts: Vec<_> = space.lanes.iter().map(layout).collect();
    let is_known = |lanes: usize| surface.best(Row { lanes, threads: 1 }).is_some();
    let known: Vec<_> = layouts.iter().copied().filter(|&(lanes, _)| is_known(lanes)).collect();
    if known.is_empty() { layouts.into_iter().take(1).collect() } else { known }
}

/// The row of so many lanes, or the one below that is next to it.
fn row(surface: &Surface, lanes: usize) -> Row {
    let known = surface.by_lanes().into_iter().map(|(known, _)| known);
    let near = known.take_while(|&known| known <= lanes).last();
    Row { lanes: near.unwrap_or(lanes), threads: 1 }
}

/// Every batch of every layout, with as many in flight that each lane executes a batch and finds one waiting.
fn throughput(
    space: &Space,
    surface: &Surface,
    layouts: &[(usize, Configuration)],
    bound: Option<Duration>,
) -> Vec<Plan> {
    let mut promises = Vec::new();
    for &(lanes, configuration) in layouts {
        let of_batch = |max_batch: usize, rate: f64, p99: Duration| {
            let configuration = Configuration { max_batch, ..configuration };
            Promise { plan: Plan { configuration, in_flight: 2 * lanes * max_batch }, rate, p99 }
        };
        let cells = surface.row(row(surface, lanes));
        // A request waits for a batch before its own.
        promises.extend(cells.map(|(point, cell)| of_batch(point.batch, cell.rate(), 2 * cell.p99())));
        if promises.is_empty() {
            promises.push(of_batch(1, 0.0, Duration::ZERO));
        }
    }
    let keeps = |promise: &Promise| bound.is_none_or(|bound| promise.p99 <= bound);
    promises.sort_by_key(|promise| promise.p99);
    let keeping = promises.iter().filter(|promise| keeps(promise)).count();
    promises.truncate(keeping.max(1));
    promises.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let best = promises[0];

    let layout = |promise: &Promise| promise.plan.configuration.lanes;
    let batch = |promise: &Promise| promise.plan.configuration.max_batch;
    // The best of each layout, as they come by rate.
    let mut bests: Vec<Promise> = Vec::new();
    for promise in &promises {
        if bests.iter().all(|best| layout(best) != layout(promise)) {
            bests.push(*promise);
        }
    }
    // Batches that are about as good as the best of the same layout; the smallest of these.
    let same = |of: Promise| promises.iter().copied().filter(move |promise| layout(promise) == layout(&of));
    let smallest = |best: &Promise| {
        let as_good = same(*best).filter(|promise| promise.rate >= AS_GOOD * best.rate);
        as_good.min_by_key(batch).unwrap_or(*best)
    };
    let knee = surface.knee_lanes();
    let is_special = |promise: &Promise| {
        let lanes = promise.plan.configuration.all_lanes();
        lanes == space.default_lanes || lanes == knee
    };
    let mut worthy: Vec<Promise> = bests.split_off(1);
    worthy.retain(|promise| is_special(promise) || promise.rate >= MAY_BE_BEST * best.rate);
    worthy.sort_by_key(|promise| !is_special(promise));
    let smaller =
        same(best).filter(|promise| batch(promise) < batch(&best) && promise.rate >= MAY_BE_BEST * best.rate);
    let all = [best, smallest(&best)].into_iter().chain(worthy.iter().map(smallest)).chain(smaller);
    all.map(|promise| promise.plan).collect()
}

/// Of every layout, batches as large as may be, or of one where that is as good in a closed loop of so many callers; the best of
/// them first, but before it what is there by default.
fn streams(
    space: &Space,
    surface: &Surface,
    layouts: &[(usize, Configuration)],
    callers: usize,
) -> Vec<Plan> {
    let largest = *space.batches.last().unwrap_or(&1);
    // No batch has more samples than there are callers.
    let largest = space.batches.iter().copied().find(|&batch| batch >= callers).unwrap_or(largest);
    let plan = |configuration: Configuration, max_batch: usize| {
        let configuration = Configuration { max_batch, ..configuration };
        Plan { configuration, in_flight: callers }
    };
    let mut plans = Vec::new();
    let mut ranked: Vec<(i64, usize, Plan)> = Vec::new();
    for &(lanes, configuration) in layouts {
        let [of_one, of_many] = [1, largest].map(|most| closed_loop(surface, lanes, most, callers));
        let max_batch = if of_one >= AS_GOOD * of_many { 1 } else { largest };
        ranked.push((grade(of_many.max(of_one)), lanes, plan(configuration, max_batch)));
        if lanes == space.default_lanes {
            plans.push(plan(configuration, largest));
        }
    }
    ranked.sort_by_key(|&(grade, lanes, _)| (std::cmp::Reverse(grade), lanes));
    plans.extend(ranked.into_iter().map(|(.., plan)| plan));
    plans
}

/// Rates that are about as good have the same grade, or neighbouring ones.
fn grade(rate: f64) -> i64 {
    (rate.max(1e-9).ln() / -AS_GOOD.ln()).round() as i64
}

/// Samples a second that so many callers get, each of which waits for its answer: a lane takes its share of what there is, and of
/// the batches up to there the one with the best rate.
fn closed_loop(surface: &Surface, lanes: usize, max_batch: usize, callers: usize) -> f64 {
    let share = callers.div_ceil(lanes + 1).min(max_batch).max(1);
    let known = surface.by_lanes();
    let of_batch = |batch: usize| {
        let busy = lanes.min(callers.div_ceil(batch));
        let near = known.iter().rev().map(|&(lanes, _)| lanes).find(|&lanes| lanes <= busy)?;
        surface.rate(Row { lanes: near, threads: 1 }.at(batch))
    };
    let sizes = surface.row(row(surface, lanes)).map(|(point, _)| point.batch);
    sizes.filter(|&batch| batch <= share).filter_map(of_batch).fold(0.0, f64::max)
}

/// The helpers that are worth having, none, and as many as there are; with batches whose company costs a lone caller nothing.
fn latency(space: &Space, surface: &Surface, workers: usize) -> Vec<Plan> {
    let alone = Row { lanes: 1, threads: 1 };
    let time = |batch: usize| surface.cell(alone.at(batch)).map(|cell| cell.time(alone.at(batch)));
    let limit = time(1).map_or(Duration::ZERO, |time| time.mul_f64(FREE));
    let is_free = |batch: &usize| time(*batch).is_some_and(|time| time <= limit);
    let max_batch = space.batches.iter().copied().take_while(is_free).last().unwrap_or(1);
    let most_lanes = *space.lanes.last().unwrap_or(&1);
    let lanes_for =
        |helpers: usize| space.lanes.iter().copied().find(|&lanes| lanes > helpers).unwrap_or(most_lanes);
    let plan = |helpers: usize| {
        let lanes = lanes_for(helpers);
        let configuration = Configuration { workers, lanes, helpers: helpers.min(lanes - 1), max_batch };
        Plan { configuration, in_flight: 1 }
    };
    let most = surface.by_threads().last().map_or(0, |&(threads, _)| threads - 1);
    [surface.useful_helpers(), 0, most].map(plan).into()
}
