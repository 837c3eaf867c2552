//! What executions cost, by samples, lanes and threads.

use std::time::Duration;

use paceline_engine::MeasuredCost;
use serde::{Deserialize, Serialize};

/// What one execution takes in one way of executing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// Samples of one execution.
    pub samples: usize,
    /// Executions at a time, each on a lane of its own.
    pub lanes: usize,
    /// Threads of one execution: its lane's, and those that help it.
    pub threads: usize,
    /// Mean time of one execution in a round in the middle, in microseconds.
    pub mean_us: f64,
    /// The 99th percentile of all executions, in microseconds.
    pub p99_us: f64,
    /// Samples a second of all lanes together, in a round in the middle.
    pub samples_per_s: f64,
    /// Half the width of the interval in which the median lies with 95 % (from the least to the most, where there are fewer than six
    /// rounds), as a share of it. Infinite, written `null`, when it was measured too few times to say.
    #[serde(with = "infinite")]
    pub uncertainty: f64,
    /// How many times it was measured.
    pub rounds: usize,
}

impl CostRow {
    /// As an engine takes it. Executions that were helped are no part of an engine's table: whether there is help depends on the load.
    pub fn for_engine(&self) -> Option<MeasuredCost> {
        let time = |us: f64| Duration::from_nanos((us * 1e3) as u64);
        let &CostRow { samples, lanes: busy, mean_us, p99_us, .. } = self;
        (self.threads == 1).then(|| MeasuredCost { samples, busy, mean: time(mean_us), p99: time(p99_us) })
    }
}

/// JSON has no infinity.
mod infinite {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_some(value) } else { serializer.serialize_none() }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }
}
