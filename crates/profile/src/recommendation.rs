//! How to run a model for a purpose, and what to expect of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an engine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// The most samples a second: there is always more waiting than lanes can take.
    Throughput,
    /// Several independent callers, each of which sends its next sample when it has the answer.
    Streams,
    /// One caller at a time, that wants its answer soonest.
    Latency,
}

/// There is no such use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected throughput, streams or latency, got '{got}'")]
pub struct UnknownUse {
    /// What was asked for.
    pub got: String,
}

impl Use {
    /// All.
    pub const ALL: [Use; 3] = [Use::Throughput, Use::Streams, Use::Latency];

    /// As on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Use::Throughput => "throughput",
            Use::Streams => "streams",
            Use::Latency => "latency",
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Use {
    type Err = UnknownUse;

    fn from_str(text: &str) -> Result<Self, UnknownUse> {
        let found = Use::ALL.into_iter().find(|of| of.name() == text);
        found.ok_or_else(|| UnknownUse { got: text.into() })
    }
}

/// What is chosen when an engine is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Configuration {
    /// Processes that execute; 0: this one does.
    pub workers: usize,
    /// Executions at a time in each of them.
    pub lanes: usize,
    /// Idle lanes that may help one execution.
    pub helpers: usize,
    /// The most samples of one execution.
    pub max_batch: usize,
}

impl Configuration {
    /// Executions at a time in all processes together.
    pub fn all_lanes(&self) -> usize {
        self.workers.max(1).saturating_mul(self.lanes)
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Configuration { workers, lanes, helpers, max_batch } = self;
        let s = |count| if count == 1 { "" } else { "s" };
        if workers > 0 {
            write!(f, "{workers} worker{}, each ", s(workers))?;
        }
        write!(f, "{lanes} lane{}, {helpers} helper{}, batches up to {max_batch}", s(lanes), s(helpers))
    }
}

/// What comes of a configuration under a load: the medians of several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were answered in all rounds. Where a round has few, its 99th percentile is its slowest.
    pub requests: u64,
    /// Samples answered a second.
    pub samples_per_s: f64,
    /// Mean time from a request to its answer, in microseconds.
    pub mean_us: f64,
    /// Its median, in microseconds.
    pub p50_us: f64,
    /// Its 99th percentile, in microseconds.
    pub p99_us: f64,
}

/// How to run a model for a purpose, and what to expect of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// For what.
    #[serde(rename = "use")]
    pub purpose: Use,
    /// How.
    pub configuration: Configuration,
    /// Requests of one sample in flight in what was predicted and measured: tickets for [`Use::Throughput`], otherwise callers.
    pub in_flight: usize,
    /// What to expect, as it was measured through an engine while this configuration was compared with others.
    pub predicted: Figures,
    /// Half the width of the interval of the predicted samples per second, as a share of them; see
    /// [`CostRow::uncertainty`](crate::CostRow).
    pub uncertainty: f64,
    /// What an engine that was started from this profile gave afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Figures>,
    /// What an engine without a profile gave under the same load, for comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfigured: Option<Figures>,
    /// Whether the bound that was asked for on the 99th percentile was kept; `None` without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_bound: Option<bool>,
    /// Why this one.
    pub reason: String,
    /// What it was compared with, itself included, in the order in which they were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

/// What came of one of the configurations that were compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Which.
    pub configuration: Configuration,
    /// Requests of one sample in flight.
    pub in_flight: usize,
    /// What it gave.
    pub figures: Figures,
    /// As [`Recommendation::uncertainty`].
    pub uncertainty: f64,
}

impl Tried {
    /// The most that a profile has for one use.
    pub const MOST: usize = 256;
}
