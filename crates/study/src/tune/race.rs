//! Which of several alternatives to measure again, until they are ranked: those that cannot be the best any more drop out.
//!
//! Source: Maron and Moore, "Hoeffding Races", 1993; with intervals of ranks in place of Hoeffding's.

use crate::estimate::Estimate;

/// Rounds from which on an interval says something: that all of four rounds are above all of four others happens by chance in 3
/// of 100 cases.
pub(crate) const ENOUGH: usize = 4;
/// Rounds after which an alternative is as well known as it will be.
pub(crate) const MOST: usize = 12;
/// An interval of half this width, as a share of the median, is tight.
pub(crate) const TIGHT: f64 = 0.02;

/// Whether another round could say more of an alternative.
pub(crate) fn is_open(estimate: &Estimate) -> bool {
    estimate.rounds < ENOUGH || (estimate.spread() > TIGHT && estimate.rounds < MOST)
}

/// Which alternative to measure next, of those that have been measured and where more is better; `None` when the best is found, and as
/// tight as it gets.
pub(crate) fn next(estimates: &[Estimate]) -> Option<usize> {
    let best = estimates.iter().max_by(|a, b| a.median.total_cmp(&b.median))?;
    let may_win = |estimate: &Estimate| estimate.rounds < ENOUGH || estimate.high >= best.low;
    let open = estimates.iter().enumerate().filter(|(_, estimate)| is_open(estimate) && may_win(estimate));
    // Those with too few rounds in turn; of the others the least certain one.
    let urgency = |estimate: &Estimate| match estimate.rounds {
        rounds if rounds < ENOUGH => 1e9 - rounds as f64,
        _ => estimate.spread(),
    };
    open.max_by(|(i, a), (j, b)| urgency(a).total_cmp(&urgency(b)).then(j.cmp(i))).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(median: f64, spread: f64, rounds: usize) -> Estimate {
        let (low, high) = (median * (1.0 - spread), median * (1.0 + spread));
        Estimate { median, low, high, coverage: 0.95, rounds }
    }

    #[test]
    fn a_table_of_races() {
        let cases: [(&[Estimate], Option<usize>); 8] = [
            (&[], None),
            (&[estimate(1.0, 0.0, 1)], Some(0)),
            (&[estimate(1.0, 0.0, 2), estimate(9.0, 0.0, 1)], Some(1)),
            (&[estimate(1.0, 0.0, 3), estimate(9.0, 0.01, 4)], Some(0)),
            // The first is out of the race, however wide its interval.
            (&[estimate(1.0, 0.3, 4), estimate(9.0, 0.01, 4)], None),
            (&[estimate(8.8, 0.05, 4), estimate(9.0, 0.03, 4)], Some(0)),
            (&[estimate(8.8, 0.01, 4), estimate(9.0, 0.03, 4)], Some(1)),
            (&[estimate(8.8, 0.05, MOST), estimate(9.0, 0.03, MOST)], None),
        ];
        for (estimates, expected) in cases {
            assert_eq!(next(estimates), expected, "{estimates:?}");
        }
    }

    proptest! {
        /// Alternatives of these true rates, each round off by noise that only ever slows down.
        #[test]
        fn a_race_ends_and_finds_one_that_is_about_the_best(
            rates in prop::collection::vec(1.0..100.0f64, 1..10),
            noise in prop::collection::vec(0.0..1.0f64, 200),
            level in 0.0..0.3f64,
        ) {
            let (mut rounds, mut count) = (vec![Vec::new(); rates.len()], 0);
            let mut measure = |rounds: &mut Vec<Vec<f64>>, index: usize| {
                rounds[index].push(rates[index] * (1.0 - level * noise[count % noise.len()].powi(3)));
                count += 1;
            };
            (0..rates.len()).for_each(|index| measure(&mut rounds, index));
            let estimates =
                |rounds: &[Vec<f64>]| rounds.iter().filter_map(|r| Estimate::of(r)).collect::<Vec<_>>();
            while let Some(index) = next(&estimates(&rounds)) {
                measure(&mut rounds, index);
            }
            prop_assert!(rounds.iter().all(|r| (ENOUGH..=MOST).contains(&r.len())));
            let found = estimates(&rounds);
            let winner = (0..rates.len()).max_by(|&a, &b| found[a].median.total_cmp(&found[b].median)).unwrap();
            let best = rates.iter().copied().fold(0.0, f64::max);
            prop_assert!(rates[winner] >= best * (1.0 - level) * 0.999, "{} of {best}", rates[winner]);
        }
    }
}
