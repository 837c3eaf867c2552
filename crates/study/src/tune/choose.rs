//! Which of the configurations that were tried is recommended: a pure function.

use std::time::Duration;

use paceline_profile::Configuration;

use super::knee::knee;
use crate::estimate::Estimate;

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
        self.configuration.workers.max(1) * self.configuration.lanes
    }

    /// What it needs, in the order in which it is better to need little.
    fn need(&self) -> (usize, usize, usize, usize) {
        let Configuration { workers, helpers, max_batch, .. } = self.configuration;
        (workers, self.lanes(), helpers, max_batch)
    }
}

/// The index of the trial that is recommended. Of those that keep the bound, or else the one that is nearest to it: as many lanes as
/// are worth having, and of what is as good as the best with them, the one that needs least. `None` without trials.
pub(crate) fn choose(outcomes: &[Outcome], bound: Option<Duration>) -> Option<usize> {
    let keeps = |outcome: &Outcome| bound.is_none_or(|bound| outcome.p99 <= bound);
    let mut left: Vec<(usize, &Outcome)> =
        outcomes.iter().enumerate().filter(|(_, outcome)| keeps(outcome)).collect();
    if left.is_empty() {
        return (0..outcomes.len()).min_by_key(|&index| outcomes[index].p99);
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
        let cases: [(&[Outcome], Option<u64>, Option<usize>); 9] = [
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
            let keeps = |outcome: &&Outcome| bound.is_none_or(|bound| outcome.p99 <= bound);
            if outcomes.iter().any(|outcome| keeps(&outcome)) {
                prop_assert!(keeps(&chosen));
                for other in outcomes.iter().filter(keeps).filter(|other| other.lanes() <= chosen.lanes()) {
                    prop_assert!(chosen.score.median >= 0.92 * other.score.median, "{chosen:?} beside {other:?}");
                }
            } else {
                prop_assert!(outcomes.iter().all(|other| chosen.p99 <= other.p99));
            }
        }
    }
}
