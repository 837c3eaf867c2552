//! How long something took, over many times: a histogram that is no longer written.

use std::time::Duration;

use super::buckets::Totals;

/// Times of many events: how many, their mean, any quantile, the longest. Recorded in nanoseconds; quantiles are at most 1/32 too
/// long and never too short, and times beyond 18 minutes are only told apart by [`max`](Self::max).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    count: u64,
    sum_ns: u64,
    max_ns: u64,
    /// The largest value of a bucket in nanoseconds, and its count; ascending, none empty.
    buckets: Vec<(u64, u64)>,
}

impl Distribution {
    pub(super) fn new(totals: &Totals) -> Self {
        let buckets = totals.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Distribution { count, sum_ns: totals.sum, max_ns: totals.max, buckets }
    }

    /// How many events.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The times of all, added up.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The arithmetic mean; zero without events.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns / self.count.max(1))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The least time within which this share of the events lies: `quantile(0.5)` is the median. Shares below 0 and above 1 count
    /// as those; zero without events.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            below += count;
            below >= rank
        });
        Duration::from_nanos(bucket.map_or(0, |&(upper, _)| upper))
    }

    /// The median.
    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The 90th percentile.
    pub fn p90(&self) -> Duration {
        self.quantile(0.9)
    }

    /// The 99th percentile.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The 99.9th percentile.
    pub fn p99_9(&self) -> Duration {
        self.quantile(0.999)
    }

    /// The histogram: `(time, count)` counts the events of at most this time and more than the time before. Ascending, without
    /// empty buckets.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Duration, u64)> + '_ {
        self.buckets.iter().map(|&(upper, count)| (Duration::from_nanos(upper), count))
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::super::buckets::{Recorder, buckets_below};
    use super::*;

    fn distribution(parts: &[&[u64]]) -> Distribution {
        let mut totals = Totals::ZERO;
        for part in parts {
            let recorder = Recorder::<{ buckets_below(40) }>::new();
            part.iter().for_each(|&value| recorder.record(value));
            totals.add(&recorder);
        }
        Distribution::new(&totals)
    }

    #[test]
    fn nothing_recorded_is_zero_everywhere() {
        for empty in [Distribution::default(), distribution(&[&[]])] {
            assert_eq!((empty.count(), empty.mean(), empty.max()), (0, Duration::ZERO, Duration::ZERO));
            assert_eq!(
                (empty.p50(), empty.p99_9(), empty.buckets().len()),
                (Duration::ZERO, Duration::ZERO, 0)
            );
        }
    }

    #[test]
    fn quantiles_of_small_numbers_are_exact() {
        let all: Vec<u64> = (1..=60).collect();
        let got = distribution(&[&all]);
        for (share, expected) in
            [(-1.0, 1), (0.0, 1), (0.5, 30), (0.9, 54), (0.99, 60), (2.0, 60), (f64::NAN, 1)]
        {
            assert_eq!(got.quantile(share).as_nanos(), expected, "{share}");
        }
        assert_eq!((got.p50(), got.p90()), (Duration::from_nanos(30), Duration::from_nanos(54)));
        assert_eq!((got.mean(), got.sum()), (Duration::from_nanos(30), Duration::from_nanos(1830)));
    }

    proptest! {
        /// Against the crate, at its finest, on times from nanoseconds to minutes in any mixture.
        #[test]
        fn agrees_with_hdrhistogram(
            values in prop::collection::vec((0..38u32, 0..1u64 << 38).prop_map(|(shift, v)| v >> shift), 1..400),
            cut in any::<prop::sample::Index>(),
            shares in prop::collection::vec(0.0..=1.0f64, 8),
        ) {
            let (first, second) = values.split_at(cut.index(values.len()));
            let got = distribution(&[first, second]);
            let mut expected = Histogram::<u64>::new_with_bounds(1, 1 << 40, 5).unwrap();
            values.iter().for_each(|&value| expected.record(value).unwrap());
            prop_assert_eq!(got.count(), expected.len());
            prop_assert_eq!(got.max().as_nanos() as u64, values.iter().copied().max().unwrap());
            let mean = values.iter().sum::<u64>() / values.len() as u64;
            prop_assert_eq!(got.mean().as_nanos() as u64, mean);
            for share in shares {
                let (got, expected) = (got.quantile(share).as_nanos() as f64, expected.value_at_quantile(share) as f64);
                // Theirs is up to 1e-5 too long itself.
                prop_assert!(got >= expected * (1.0 - 1e-5) && got <= expected * (1.0 + 1.0 / 32.0), "{share}: {got} for {expected}");
            }
            prop_assert_eq!(got.buckets().map(|(_, count)| count).sum::<u64>(), got.count());
        }
    }
}
