//! What several rounds of one measurement say: a median, and an interval that it lies in.
//!
//! The interval is between two of the measured values, chosen by their rank alone, so that it holds for any distribution: of n
//! independent rounds, the k smallest and the k largest are left out, with the largest k for which it still holds with 95 %.
//! Noise on a computer is one-sided and heavy-tailed; an interval that assumes a normal distribution would be wrong about it. Fewer
//! than six rounds cannot give 95 %: their interval goes from the least to the most, and `coverage` says what it is worth.
//!
//! Source: David and Nagaraja, "Order Statistics", 3rd edition, 7.1.

use serde::{Deserialize, Serialize};

/// The coverage that is aimed at.
pub const COVERAGE: f64 = 0.95;

/// A median and the interval that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median of the rounds.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// How probable it is that the interval has the true median, from 0 to 1.
    pub coverage: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Estimate {
    /// Of these rounds; `None` where there is none, or one is not a number.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.is_empty() || rounds.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let left_out = (0..n.div_ceil(2)).rev().find(|&k| coverage(n, k) >= COVERAGE).unwrap_or(0);
        Some(Estimate {
            median: median_of_sorted(&sorted),
            low: sorted[left_out],
            high: sorted[n - 1 - left_out],
            coverage: coverage(n, left_out),
            rounds: n,
        })
    }

    /// Of the ratios of rounds that were measured side by side: the i-th of `these` over the i-th of `those`. Noise that lasts
    /// longer than a round is in both, and cancels.
    pub fn of_ratios(these: &[f64], those: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = these.iter().zip(those).map(|(this, that)| this / that).collect();
        Self::of(&ratios)
    }

    /// Half the width of the interval over the median.
    pub fn spread(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median.abs().max(f64::MIN_POSITIVE)
    }

    /// Whether the intervals have no value in common.
    pub fn is_apart_from(&self, other: &Estimate) -> bool {
        self.high < other.low || other.high < self.low
    }
}

/// The median; the mean of the middle two where their number is even. 0 without values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() { 0.0 } else { median_of_sorted(&sorted) }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

/// How probable it is that the median lies between the (k+1)-th smallest and the (k+1)-th largest of n: that neither at most k
/// of n tosses of a coin show heads, nor at most k tails.
fn coverage(n: usize, k: usize) -> f64 {
    let mut term = 0.5f64.powi(n as i32);
    let mut tail = 0.0;
    for i in 0..=k {
        tail += term;
        term *= (n - i) as f64 / (i + 1) as f64;
    }
    (1.0 - 2.0 * tail).max(0.0)
}

/// How probable it would be, by chance alone, that all of n rounds are above all of m others, or all below: 2 n! m! / (n + m)!
pub fn chance_of_separation(n: usize, m: usize) -> f64 {
    let arrangements: f64 = (1..=m).map(|i| (n + i) as f64 / i as f64).product();
    (2.0 / arrangements).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        // Tables of the sign test: n, values left out at each end, coverage in %.
        for (n, left_out, percent) in [
            (1, 0, 0.0),
            (2, 0, 50.0),
            (5, 0, 93.75),
            (6, 0, 96.875),
            (8, 0, 99.2),
            (9, 1, 96.1),
            (12, 2, 96.1),
            (20, 5, 95.9),
        ] {
            let rounds: Vec<f64> = (0..n).map(f64::from).collect();
            let estimate = Estimate::of(&rounds).unwrap();
            assert_eq!((estimate.low, estimate.high), (left_out as f64, f64::from(n - 1 - left_out)), "{n}");
            assert!((estimate.coverage * 100.0 - percent).abs() < 0.06, "{n}: {}", estimate.coverage);
            assert_eq!(estimate.median, f64::from(n - 1) / 2.0);
        }
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn intervals_cover_the_median_as_often_as_they_say() {
        // One-sided and heavy-tailed, as times are.
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let truth = 2f64.powf(2.0);
        let trials = 20_000;
        for n in [5, 6, 9] {
            let mut covered = 0;
            let mut coverage = 0.0;
            for _ in 0..trials {
                let rounds: Vec<f64> =
                    (0..n).map(|_| (1.0 / (1.0 - random.random::<f64>())).powi(2)).collect();
                let estimate = Estimate::of(&rounds).unwrap();
                covered += usize::from(estimate.low <= truth && truth <= estimate.high);
                coverage = estimate.coverage;
            }
            let share = covered as f64 / trials as f64;
            assert!((share - coverage).abs() < 0.01, "{n} rounds: {share}, not {coverage}");
        }
    }

    #[test]
    fn ratios_are_of_rounds_side_by_side() {
        // The machine slows down to half in the middle; the ratio does not.
        let estimate = Estimate::of_ratios(&[20.0, 20.0, 10.0, 10.0], &[10.0, 10.0, 5.0, 5.0]).unwrap();
        assert_eq!((estimate.low, estimate.median, estimate.high), (2.0, 2.0, 2.0));
        assert_eq!(Estimate::of_ratios(&[1.0], &[0.0]), None);
    }

    #[test]
    fn separation_by_chance() {
        for (n, m, ways) in [(1, 1, 2.0), (3, 3, 20.0), (5, 5, 252.0), (6, 6, 924.0), (6, 3, 84.0)] {
            assert!((chance_of_separation(n, m) - (2.0 / ways)).abs() < 1e-12, "{n} and {m}");
        }
        let estimate = |low, high| Estimate { median: 1.0, low, high, coverage: 0.95, rounds: 6 };
        assert!(estimate(1.0, 2.0).is_apart_from(&estimate(2.5, 3.0)));
        assert!(estimate(2.5, 3.0).is_apart_from(&estimate(1.0, 2.0)));
        assert!(!estimate(1.0, 2.0).is_apart_from(&estimate(2.0, 3.0)));
        assert!((Estimate { median: 2.0, ..estimate(1.8, 2.2) }.spread() - 0.1).abs() < 1e-12);
    }
}
