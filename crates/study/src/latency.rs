//! Times of calls, recorded without allocation and summarised as percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::row::LatencyUs;

/// Times of calls, from a nanosecond to minutes, to three significant digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// No calls yet.
    pub fn new() -> Self {
        Latencies(Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are valid"))
    }

    /// Adds one call. A time beyond ten minutes counts as ten minutes.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// Adds the calls of another thread.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// The arithmetic mean; zero without calls.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }

    /// The least time within which this share of the calls lies.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// How many calls.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Mean, median and higher percentiles.
    pub fn summary(&self) -> LatencyUs {
        let us = |ns: u64| ns as f64 / 1e3;
        LatencyUs {
            mean: self.0.mean() / 1e3,
            p50: us(self.0.value_at_quantile(0.5)),
            p99: us(self.0.value_at_quantile(0.99)),
            p90: us(self.0.value_at_quantile(0.9)),
            p99_9: us(self.0.value_at_quantile(0.999)),
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let (mut a, mut b) = (Latencies::new(), Latencies::new());
        (1..=50).for_each(|us| a.record(Duration::from_micros(us)));
        (51..=100).for_each(|us| b.record(Duration::from_micros(us)));
        a.merge(&b);
        let LatencyUs { mean, p50, p90, p99, p99_9 } = a.summary();
        assert!((mean - 50.5).abs() < 0.1 && (p50 - 50.0).abs() < 0.1 && (p99 - 99.0).abs() < 0.1);
        assert!((p90 - 90.0).abs() < 0.1 && (p99_9 - 100.0).abs() < 0.1);
    }

    #[test]
    fn no_calls_and_endless_calls_are_no_panic() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.summary(), LatencyUs::default());
        latencies.record(Duration::MAX);
        latencies.record(Duration::ZERO);
        assert!(latencies.summary().p99 > 5e8);
    }
}
