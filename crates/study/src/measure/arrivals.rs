//! When requests come in an open loop: by a clock or by chance, but never because an answer came.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How requests are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independent of each other, as of many users: exponential gaps.
    Poisson,
    /// Equal gaps, as of a sensor.
    Constant,
    /// A Poisson process that runs for 10 ms of every 50 ms, at five times the mean rate.
    Bursts,
}

/// How long a burst lasts.
const ON: f64 = 0.01;
/// From the begin of one burst to the begin of the next.
const PERIOD: f64 = 0.05;

/// No arrivals have this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no arrivals '{0}'; there are poisson, constant, bursts")]
pub struct UnknownArrivals(pub String);

impl Arrivals {
    /// Every kind.
    pub const ALL: [Arrivals; 3] = [Arrivals::Poisson, Arrivals::Constant, Arrivals::Bursts];

    /// The name used on command lines and in `results.json`.
    pub fn name(self) -> &'static str {
        match self {
            Arrivals::Poisson => "poisson",
            Arrivals::Constant => "constant",
            Arrivals::Bursts => "bursts",
        }
    }

    /// A load should last so long to be of this kind: some bursts.
    pub(crate) fn least_time(self) -> Duration {
        match self {
            Arrivals::Poisson | Arrivals::Constant => Duration::ZERO,
            Arrivals::Bursts => Duration::from_secs_f64(5.0 * PERIOD),
        }
    }

    /// The times of arrival, without end, ascending from the begin of the load, `per_second` a second on average.
    pub fn times(self, per_second: f64, seed: u64) -> impl Iterator<Item = Duration> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // For bursts, seconds of the time that counts: the one inside bursts.
        let mut at = 0.0;
        let mut exponential = move |mean: f64| -(1.0 - random.random::<f64>()).ln() * mean;
        std::iter::from_fn(move || {
            let seconds = match self {
                Arrivals::Poisson => {
                    at += exponential(1.0 / per_second);
                    at
                }
                Arrivals::Constant => {
                    at += 1.0 / per_second;
                    at
                }
                Arrivals::Bursts => {
                    at += exponential(ON / PERIOD / per_second);
                    (at / ON).floor() * PERIOD + at % ON
                }
            };
            Some(Duration::from_secs_f64(seconds.min(1e9)))
        })
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arrivals {
    type Err = UnknownArrivals;

    fn from_str(name: &str) -> Result<Self, UnknownArrivals> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownArrivals(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_ten_seconds(arrivals: Arrivals, per_second: f64) -> Vec<f64> {
        let times = arrivals.times(per_second, 3).take_while(|at| at.as_secs() < 10);
        times.map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn every_kind_has_its_rate_and_its_order() {
        for arrivals in Arrivals::ALL {
            let times = first_ten_seconds(arrivals, 2000.0);
            assert!((times.len() as f64 / 20_000.0 - 1.0).abs() < 0.03, "{arrivals}: {}", times.len());
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{arrivals}");
            assert_eq!(arrivals.to_string().parse(), Ok(arrivals));
        }
        assert!("random".parse::<Arrivals>().is_err());
    }

    #[test]
    fn gaps_are_those_of_the_kind() {
        // Standard deviation of the gaps over their mean: 1 for exponential ones, 0 for equal ones, more for bursts.
        for (arrivals, low, high) in
            [(Arrivals::Poisson, 0.95, 1.05), (Arrivals::Constant, 0.0, 1e-3), (Arrivals::Bursts, 2.0, 20.0)]
        {
            let times = first_ten_seconds(arrivals, 2000.0);
            let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let variation = variance.sqrt() / mean;
            assert!((low..=high).contains(&variation), "{arrivals}: {variation}");
        }
        let inside = first_ten_seconds(Arrivals::Bursts, 500.0).iter().all(|at| at % PERIOD < ON + 1e-6);
        assert!(inside, "nothing comes between bursts");
    }
}
