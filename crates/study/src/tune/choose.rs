//! Which configurations are worth a trial, by the surface; and which of those that were tried is recommended. Pure functions.
//!
//! The surface is of bare executions. What an engine makes of them depends on callers that share the cores, on hand-overs, and on
//! the batches that form; so the surface only says what to try, and the trials say what is best and what to expect of it.

use std::time::Duration;

use paceline_profile::{Configuration, Use};

use super::knee::knee;
use super::space::{Point, Row, Space};
use super::surface::Surface;
use crate::estimate::Estimate;

/// Configurations tried for one use.
const MAX_TRIALS: usize = 4;
/// What gives this share of the best rate is as good, if it needs less.
const AS_GOOD: f64 = 0.97;
/// By the surface, which is of executions alone, a configuration may still be the best from this share of the best rate on.
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

/// What a trial came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) configuration: Configuration,
    /// What is ranked, more is better: samples a second, or lone answers a second.
    pub(crate) score: Estimate,
    /// Of requests.
    pub(crate) p99: Duration,
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

/// What to try, the most promising first; at least one.
pub(crate) fn candidates(wish: Wish, space: &Space, surface: &Surface) -> Vec<Plan> {
    let ranked = match wish.purpose {
        Use::Throughput => throughput(space, surface, wish.p99),
        Use::Streams => streams(space, surface, wish.callers),
        Use::Latency => latency(space, surface),
    };
    let mut plans: Vec<Plan> = Vec::new();
    for plan in ranked {
        if plans.len() < MAX_TRIALS
            && !plans.iter().any(|earlier| earlier.configuration == plan.configuration)
        {
            plans.push(plan);
        }
    }
    plans
}

/// Lanes in workers: how many execute at a time, and how they are configured.
fn layouts(space: &Space, surface: &Surface) -> Vec<(usize, Configuration)> {
    let helpers = surface.useful_helpers();
    let layout = |workers: usize, lanes: usize| {
        let configuration = Configuration { workers, lanes, helpers: helpers.min(lanes - 1), max_batch: 1 };
        (workers.max(1) * lanes, configuration)
    };
    let all = space
        .workers
        .iter()
        .flat_map(|&workers| space.lanes.iter().map(move |&lanes| layout(workers, lanes)));
    all.filter(|&(executing, _)| surface.best(Row { lanes: executing, threads: 1 }).is_some()).collect()
}

/// Where lanes and batches that were asked for could not be measured, what is there.
fn fallback(space: &Space) -> Configuration {
    let lanes = space.lanes[0].max(1);
    Configuration {
        workers: space.workers[0],
        lanes,
        helpers: lanes - 1,
        max_batch: space.batches[space.batches.len() - 1],
    }
}

/// With as many in flight as each lane executes, and one batch that waits.
fn saturated(configuration: Configuration) -> Plan {
    let lanes = configuration.workers.max(1) * configuration.lanes;
    Plan { configuration, in_flight: (lanes + 1) * configuration.max_batch }
}

fn throughput(space: &Space, surface: &Surface, bound: Option<Duration>) -> Vec<Plan> {
    let mut points: Vec<(f64, Duration, Plan)> = Vec::new();
    for (executing, configuration) in layouts(space, surface) {
        for (point, cell) in surface.row(Row { lanes: executing, threads: 1 }) {
            let plan = saturated(Configuration { max_batch: point.batch, ..configuration });
            // A request waits for a batch before its own.
            points.push((cell.rate(), 2 * cell.p99(), plan));
        }
    }
    let in_time = |waits: Duration| bound.is_none_or(|bound| waits <= bound);
    if points.iter().any(|&(_, waits, _)| in_time(waits)) {
        points.retain(|&(_, waits, _)| in_time(waits));
    } else {
        points.sort_by_key(|&(_, waits, _)| waits);
        points.truncate(1);
    }
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let Some(&(best, _, first)) = points.first() else { return vec![saturated(fallback(space))] };
    let lanes_of = |plan: &Plan| (plan.configuration.workers, plan.configuration.lanes);
    let mut plans = vec![first];
    // The smallest batch that is about as good; then half and a quarter of that.
    let same_lanes = points.iter().filter(|(.., plan)| lanes_of(plan) == lanes_of(&first));
    let mut smaller: Vec<&(f64, Duration, Plan)> = same_lanes
        .filter(|(.., plan)| plan.configuration.max_batch < first.configuration.max_batch)
        .collect();
    smaller.sort_by_key(|(.., plan)| plan.configuration.max_batch);
    plans.extend(smaller.iter().find(|(rate, ..)| *rate >= best * AS_GOOD).map(|(.., plan)| *plan));
    // The best of other lanes: what the engine makes of them may be otherwise.
    let knee_lanes = knee(&surface.by_lanes());
    let others = points.iter().filter(|(rate, _, plan)| {
        lanes_of(plan) != lanes_of(&first)
            && (*rate >= best * MAY_BE_BEST || plan.configuration.lanes == knee_lanes)
    });
    let mut seen = Vec::new();
    for (.., plan) in others {
        if !seen.contains(&lanes_of(plan)) {
            seen.push(lanes_of(plan));
            plans.push(*plan);
        }
    }
    plans.extend(
        smaller.iter().rev().filter(|(rate, ..)| *rate >= best * MAY_BE_BEST).map(|(.., plan)| *plan),
    );
    plans
}

fn streams(space: &Space, surface: &Surface, callers: usize) -> Vec<Plan> {
    let mut plans: Vec<(f64, Plan)> = Vec::new();
    for (executing, configuration) in layouts(space, surface) {
        // No batch has more samples than there are callers.
        let largest = space.batches.iter().copied().find(|&batch| batch >= callers);
        let largest = largest.unwrap_or(space.batches[space.batches.len() - 1]);
        for max_batch in [1, largest] {
            let configuration = Configuration { max_batch, ..configuration };
            let rate = closed_loop(surface, executing, max_batch, callers);
            plans.push((rate, Plan { configuration, in_flight: callers }));
        }
    }
    plans.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = plans.first().map_or(0.0, |(rate, _)| *rate);
    // Small executions lose most in an engine: the order by the surface is rough.
    plans.retain(|(rate, _)| *rate >= 0.6 * best);
    if plans.is_empty() {
        return vec![Plan { configuration: fallback(space), in_flight: callers }];
    }
    plans.into_iter().map(|(_, plan)| plan).collect()
}

/// Samples a second that so many callers get, each of which waits for its answer: a lane takes its share of what there is.
fn closed_loop(surface: &Surface, lanes: usize, max_batch: usize, callers: usize) -> f64 {
    let share = callers.div_ceil(lanes + 1).min(max_batch).max(1);
    let busy = |batch: usize| lanes.min(callers.div_ceil(batch));
    let rate = |(point, _): (Point, _)| {
        let rows = surface.by_lanes();
        let near = rows.iter().rev().find(|&&(known, _)| known <= busy(point.batch))?.0;
        let rate = surface.rate(Row { lanes: near, threads: 1 }.at(point.batch))?;
        Some(rate * (busy(point.batch) as f64 / near as f64).min(1.0))
    };
    let sizes = surface.row(Row { lanes, threads: 1 }).filter(|(point, _)| point.batch <= share);
    sizes.filter_map(rate).fold(0.0, f64::max)
}

fn latency(space: &Space, surface: &Surface) -> Vec<Plan> {
    let lone = |batch: usize| {
        surface
            .cell(Row { lanes: 1, threads: 1 }.at(batch))
            .map(|cell| cell.time(Row { lanes: 1, threads: 1 }.at(batch)))
    };
    // Company that costs no time is welcome.
    let limit = lone(1).map_or(Duration::ZERO, |time| time.mul_f64(FREE));
    let free = space
        .batches
        .iter()
        .copied()
        .take_while(|&batch| lone(batch).is_some_and(|time| time <= limit))
        .last();
    let max_batch = free.unwrap_or(1);
    let plan = |lanes: usize, helpers: usize, workers: usize| {
        let configuration = Configuration { workers, lanes, helpers: helpers.min(lanes - 1), max_batch };
        Plan { configuration, in_flight: 1 }
    };
    let lanes_for = |helpers: usize| {
        let enough = space.lanes.iter().copied().find(|&lanes| lanes > helpers);
        enough.unwrap_or(space.lanes[space.lanes.len() - 1]).max(1)
    };
    let mut plans = Vec::new();
    for &workers in &space.workers {
        let (useful, most) =
            (surface.useful_helpers(), surface.by_threads().last().map_or(1, |&(threads, _)| threads) - 1);
        plans.extend([useful, most, 0].map(|helpers| plan(lanes_for(helpers), helpers, workers)));
    }
    plans
}

/// Which of the trials is recommended: of those that keep the bound (or of the one that is nearest to it), the best; or one
/// that is as good and needs less. `None` without trials.
pub(crate) fn choose(outcomes: &[Outcome], bound: Option<Duration>) -> Option<usize> {
    let mut left: Vec<usize> = (0..outcomes.len()).collect();
    if let Some(bound) = bound {
        let nearest = left.iter().copied().min_by_key(|&index| outcomes[index].p99)?;
        left.retain(|&index| outcomes[index].p99 <= bound);
        if left.is_empty() {
            return Some(nearest);
        }
    }
    let score = |index: usize| outcomes[index].score.median;
    let threads = |index: usize| {
        let Configuration { workers, lanes, .. } = outcomes[index].configuration;
        workers.max(1) * lanes
    };
    let mut by_threads: Vec<(usize, f64)> = Vec::new();
    left.sort_by(|&a, &b| threads(a).cmp(&threads(b)).then(score(b).total_cmp(&score(a))));
    for &index in &left {
        if by_threads.last().is_none_or(|&(known, _)| known != threads(index)) {
            by_threads.push((threads(index), score(index)));
        }
    }
    let knee = knee(&by_threads);
    left.retain(|&index| threads(index) <= knee);
    let best = left.iter().map(|&index| score(index)).fold(0.0, f64::max);
    left.retain(|&index| score(index) >= best * AS_GOOD);
    left.into_iter().min_by(|&a, &b| {
        let need = |index: usize| {
            let Configuration { workers, helpers, max_batch, .. } = outcomes[index].configuration;
            (workers, threads(index), helpers, max_batch)
        };
        need(a).cmp(&need(b)).then(score(b).total_cmp(&score(a)))
    })
}
