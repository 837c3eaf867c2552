//! Which of the configurations that were tried is recommended: a pure function.

use std::time::Duration;

use paceline_profile::Configuration;

use super::knee::knee;
use super::race::ENOUGH;
use crate::estimate::{Estimate, median};

/// What has this share of the best score is as good, if it needs less.
const AS_GOOD: f64 = 0.97;

/// What a trial came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) configuration: Configuration,
    /// What is ranked, more is better: samples a second, or lone answers a second.
    pub(crate) score: Estimate,
    /// Of requests.
    pub(crate) p99: Duration,
}

impl Outcome {
    /// Lanes of all workers.
    fn lanes(&self) -> usize {
        self.configuration.all_lanes()
    }

    /// Whether 99 of 100 requests take no longer.
    pub(crate) fn keeps(&self, bound: Option<Duration>) -> bool {
        bound.is_none_or(|bound| self.p99 <= bound)
    }

    /// What it needs, in the order in which it is better to need little.
    fn need(&self) -> (usize, usize, usize, usize) {
        let Configuration { workers, helpers, max_batch, .. } = self.configuration;
        (workers, self.lanes(), helpers, max_batch)
    }
}

/// The index of the trial that is recommended: the best in this process, unless workers are better beyond noise. `None` without trials.
pub(crate) fn choose(outcomes: &[Outcome], bound: Option<Duration>) -> Option<usize> {
    let here = choose_in_process(outcomes, bound);
    let there = best_of(outcomes, bound, |outcome| outcome.configuration.workers > 0);
    match (here, there) {
        (Some(here), Some(there)) if !is_better_than_this_process(outcomes, bound, there) => Some(here),
        (here, there) => there.or(here),
    }
}

/// The same of this process alone.
pub(crate) fn choose_in_process(outcomes: &[Outcome], bound: Option<Duration>) -> Option<usize> {
    best_of(outcomes, bound, |outcome| outcome.configuration.workers == 0)
}

/// Whether rounds of workers, each as a multiple of what this process gave beside it, are still an advantage: most of them, and more
/// than it takes to be as good.
pub(crate) fn is_advantage(gains: &[f64]) -> bool {
    let better = gains.iter().filter(|&&gain| gain > 1.0).count();
    4 * better >= 3 * gains.len() && AS_GOOD * median(gains) > 1.0
}

/// Of those that keep the bound, or else the one that is nearest to it: as many lanes as are worth having, and of what is as good
/// as the best with them, the one that needs least.
fn best_of(
    outcomes: &[Outcome],
    bound: Option<Duration>,
    takes_part: impl Fn(&Outcome) -> bool,
) -> Option<usize> {
    let all: Vec<(usize, &Outcome)> =
        outcomes.iter().enumerate().filter(|(_, outcome)| takes_part(outcome)).collect();
    let mut left: Vec<(usize, &Outcome)> =
        all.iter().copied().filter(|(_, outcome)| outcome.keeps(bound)).collect();
    if left.is_empty() {
        return all.into_iter().min_by_key(|(_, outcome)| outcome.p99).map(|(index, _)| index);
    }
    let mut by_lanes: Vec<(usize, f64)> = Vec::new();
    left.sort_by_key(|(_, outcome)| outcome.lanes());
    for (_, outcome) in &left {
        match by_lanes.last_mut() {
            Some((lanes, best)) if *lanes == outcome.lanes() => *best = best.max(outcome.score.median),
            _ => by_lanes.push((outcome.lanes(), outcome.score.median)),
        }
    }
    let worthwhile = knee(&by_lanes);
    left.retain(|(_, outcome)| outcome.lanes() <= worthwhile);
    let best = left.iter().map(|(_, outcome)| outcome.score.median).fold(0.0, f64::max);
    left.retain(|(_, outcome)| outcome.score.median >= AS_GOOD * best);
    left.into_iter().min_by_key(|(_, outcome)| outcome.need()).map(|(index, _)| index)
}

/// Whether this trial of workers is better than all in this process: enough rounds of both say so, their intervals have nothing in
/// common, and it is worth the memory that workers take. Where only workers keep the bound, their times must be that much shorter.
fn is_better_than_this_process(outcomes: &[Outcome], bound: Option<Duration>, workers: usize) -> bool {
    let workers = &outcomes[workers];
    let in_process = || outcomes.iter().filter(|outcome| outcome.configuration.workers == 0);
    let is_known = |outcome: &Outcome| outcome.score.rounds >= ENOUGH;
    if !workers.keeps(bound) || !is_known(workers) {
        return false;
    }
    if !in_process().any(|outcome| outcome.keeps(bound)) {
        return in_process().all(|outcome| is_known(outcome) && workers.p99 <= outcome.p99.mul_f64(AS_GOOD));
    }
    in_process().filter(|outcome| outcome.keeps(bound)).all(|outcome| {
        let (score, other) = (workers.score, outcome.score);
        is_known(outcome) && score.low > other.high && AS_GOOD * score.median > other.median
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(workers: usize, lanes: usize, max_batch: usize, score: f64, p99_ms: u64) -> Outcome {
        let configuration = Configuration { workers, lanes, helpers: 0, max_batch };
        let score = Estimate { median: score, low: score, high: score, coverage: 0.95, rounds: 4 };
        Outcome { configuration, score, p99: Duration::from_millis(p99_ms) }
    }

    #[test]
    fn a_table_of_choices() {
        let noisy = |workers: usize, score: f64, spread: f64, rounds: usize| {
            let Outcome { configuration, p99, .. } = outcome(workers, 1, 8, score, 9);
            let (low, high) = (score * (1.0 - spread), score * (1.0 + spread));
            Outcome {
                configuration,
                score: Estimate { median: score, low, high, coverage: 0.9, rounds },
                p99,
            }
        };
        let cases: [(&[Outcome], Option<u64>, Option<usize>); 18] = [
            (&[], None, None),
            (&[outcome(0, 2, 8, 100.0, 9)], Some(1), Some(0)),
            (&[outcome(0, 1, 8, 100.0, 9), outcome(0, 2, 8, 190.0, 9)], None, Some(1)),
            // Another lane adds less than 5 %.
            (&[outcome(0, 2, 8, 104.0, 9), outcome(0, 1, 8, 100.0, 9)], None, Some(1)),
            // A smaller batch is as good.
            (
                &[outcome(0, 2, 64, 100.0, 9), outcome(0, 2, 8, 98.0, 9), outcome(0, 2, 1, 90.0, 9)],
                None,
                Some(1),
            ),
            // So is this process.
            (&[outcome(2, 1, 8, 101.0, 9), outcome(0, 2, 8, 100.0, 9)], None, Some(1)),
            (&[outcome(2, 1, 8, 120.0, 9), outcome(0, 2, 8, 100.0, 9)], None, Some(0)),
            // No better than another lane of this process, which is not worth it either.
            (
                &[outcome(0, 1, 8, 100.0, 9), outcome(0, 2, 8, 104.0, 9), outcome(2, 1, 8, 106.0, 9)],
                None,
                Some(0),
            ),
            (&[noisy(0, 100.0, 0.08, 4), noisy(2, 120.0, 0.08, 4)], None, Some(1)),
            // It may be noise, or too early to say.
            (&[noisy(0, 100.0, 0.12, 4), noisy(2, 120.0, 0.08, 4)], None, Some(0)),
            (&[noisy(0, 100.0, 0.01, 4), noisy(2, 120.0, 0.01, 3)], None, Some(0)),
            (&[noisy(0, 100.0, 0.01, 3), noisy(2, 120.0, 0.01, 4)], None, Some(0)),
            (&[outcome(2, 1, 8, 90.0, 9), outcome(1, 2, 8, 120.0, 9)], None, Some(1)),
            // Only workers keep the bound, or hardly.
            (&[outcome(0, 1, 8, 100.0, 9), outcome(2, 1, 8, 70.0, 4)], Some(5), Some(1)),
            (&[outcome(0, 1, 8, 100.0, 101), outcome(2, 1, 8, 70.0, 100)], Some(100), Some(0)),
            // Nothing keeps it.
            (&[outcome(0, 1, 8, 100.0, 9), outcome(2, 1, 8, 70.0, 8)], Some(5), Some(0)),
            // Only what keeps the bound counts; if nothing does, what is nearest.
            (&[outcome(0, 2, 64, 100.0, 9), outcome(0, 2, 8, 70.0, 4)], Some(5), Some(1)),
            (&[outcome(0, 2, 64, 100.0, 9), outcome(0, 2, 8, 70.0, 6)], Some(5), Some(1)),
        ];
        for (outcomes, bound_ms, expected) in cases {
            assert_eq!(choose(outcomes, bound_ms.map(Duration::from_millis)), expected, "{outcomes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_chosen_keeps_the_bound_and_is_about_the_best_of_its_lanes(
            trials in prop::collection::vec((0usize..3, 1usize..9, 1usize..300, 1.0..1e6f64, 1u64..50), 1..8),
            bound in prop::option::of(1u64..50),
        ) {
            let outcomes: Vec<Outcome> =
                trials.iter().map(|&(workers, lanes, batch, score, p99)| outcome(workers, lanes, batch, score, p99)).collect();
            let bound = bound.map(Duration::from_millis);
            let chosen = &outcomes[choose(&outcomes, bound).unwrap()];
            let in_process = |outcome: &&Outcome| outcome.configuration.workers == 0;
            let alike = |other: &&Outcome| in_process(other) == in_process(&chosen);
            let keeping = || outcomes.iter().filter(|outcome| outcome.keeps(bound));
            if !chosen.keeps(bound) {
                prop_assert!(outcomes.iter().filter(alike).all(|other| chosen.p99 <= other.p99));
            }
            if chosen.configuration.workers > 0 {
                let here = keeping().filter(in_process).map(|other| other.score.median).fold(0.0, f64::max);
                prop_assert!(chosen.score.median > here, "{chosen:?} beside {here}");
            }
            for other in keeping().filter(alike).filter(|other| other.lanes() <= chosen.lanes()) {
                prop_assert!(chosen.keeps(bound), "{chosen:?} beside {other:?}");
                prop_assert!(chosen.score.median >= 0.92 * other.score.median, "{chosen:?} beside {other:?}");
            }
        }
    }
}
