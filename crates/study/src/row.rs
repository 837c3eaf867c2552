//! One measurement, as a row of `results.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use paceline_engine::{Distribution, ModelStatistics, Release};
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::measure::Arrivals;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which suite it belongs to.
    pub suite: String,
    /// Short name of the model, operator or layer.
    pub model: String,
    /// How it was called.
    pub mode: Mode,
    /// Threads that call, or tickets in flight for [`Mode::EngineAsync`].
    pub callers: usize,
    /// Lanes that execute.
    pub lanes: usize,
    /// Processes that execute; 0 where it is this one.
    pub workers: usize,
    /// Samples a call.
    pub batch: usize,
    /// Samples answered in the measured time.
    pub samples: u64,
    /// `samples / samples_per_s`.
    pub seconds: f64,
    /// The median of the rounds.
    pub samples_per_s: f64,
    /// Time of one call, in microseconds, of all rounds together.
    pub latency_us: LatencyUs,
    /// Calls made.
    pub expected: u64,
    /// Calls answered.
    pub completed: u64,
    /// Calls answered with an error.
    pub errors: u64,
    /// Calls answered with another result than the same sample gives alone.
    pub wrong: u64,
    /// Samples a second of each round, in the order in which they were measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<f64>,
    /// What the rounds say about the rate; left out where there was but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Estimate>,
    /// The rate next to that of a baseline, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// The load, where requests came at times of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// What the engine counted, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineRow>,
}

impl Row {
    /// Whether every call was answered, and rightly.
    pub fn is_right(&self) -> bool {
        self.completed == self.expected && self.errors == 0 && self.wrong == 0
    }
}

/// How a model is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One caller, one sample a call, a bare session: the baseline of most ratios.
    Sequential,
    /// N callers, each with a session of its own, one sample a call.
    Threads,
    /// One caller, a bare session, n samples a call.
    Batch,
    /// N callers, one sample a call, through the engine.
    Engine,
    /// One thread that keeps N tickets in flight.
    EngineAsync,
    /// Requests that come at times of their own, through the engine.
    EngineOpen,
    /// A program that computes next to nothing, called as [`Mode::EngineAsync`]: what is left is the engine.
    HandOff,
}

impl Mode {
    /// The name used in `results.json` and reports.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Sequential => "sequential",
            Mode::Threads => "threads",
            Mode::Batch => "batch",
            Mode::Engine => "engine",
            Mode::EngineAsync => "engine-async",
            Mode::EngineOpen => "engine-open",
            Mode::HandOff => "hand-off",
        }
    }
}

/// A rate next to that of a baseline, which was measured in the same rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// What the baseline is: `sequential`, `batch 32`.
    pub baseline: String,
    /// Samples a second over those of the baseline, round by round.
    pub ratio: Estimate,
    /// Callers times batch, over those of the baseline: the ratio if all of it helped.
    pub parallelism: f64,
    /// `ratio / parallelism`
    pub efficiency: f64,
}

impl Over {
    /// Of rounds next to the baseline's; `None` where one of them failed.
    pub(crate) fn new(
        baseline: String,
        rounds: &[f64],
        of_baseline: &[f64],
        parallelism: f64,
    ) -> Option<Self> {
        let ratio = Estimate::of_ratios(rounds, of_baseline)?;
        Some(Over { baseline, ratio, parallelism, efficiency: ratio.median / parallelism })
    }
}

/// Requests that come at times of their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// How they are spread over time.
    pub arrivals: Arrivals,
    /// Samples a second that were asked for.
    pub offered_per_s: f64,
    /// Samples a second that were sent; less where the generator could not keep up.
    pub sent_per_s: f64,
    /// The offered rate over the best of a closed loop.
    pub share: f64,
    /// Requests refused because too much waited; they are not among the calls.
    pub refused: u64,
    /// How much later than due nine of ten requests were sent at most, in microseconds.
    pub late_p90_us: f64,
}

/// What an engine counted while it was measured, its warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineRow {
    /// Samples of an average execution.
    pub mean_batch: f64,
    /// Executions.
    pub executions: u64,
    /// Executions by why their batch was released; reasons that did not occur are left out.
    pub released: BTreeMap<String, u64>,
    /// Time from acceptance to the start of execution, in microseconds: 0 for calls that ran in their caller's thread.
    pub queue_us: LatencyUs,
    /// Time of an execution, in microseconds.
    pub execute_us: LatencyUs,
    /// Samples that the device computed and nobody asked for.
    pub padding: u64,
    /// The share of the time of all rounds that its lanes were executing, from 0 to 1.
    pub occupancy: f64,
}

impl EngineRow {
    /// Of the only model of an engine.
    pub(crate) fn new(model: &ModelStatistics, occupancy: f64) -> Self {
        let released = model.released.iter().filter(|(_, count)| *count > 0);
        EngineRow {
            mean_batch: model.mean_batch(),
            executions: model.released.total(),
            released: released.map(|(release, count)| (release.to_string(), count)).collect(),
            queue_us: (&model.queue_time).into(),
            execute_us: (&model.execute_time).into(),
            padding: model.padding,
            occupancy,
        }
    }

    /// The share of executions that ran in their caller's thread, from 0 to 1.
    pub fn inline(&self) -> f64 {
        self.released.get(Release::Inline.name()).copied().unwrap_or(0) as f64 / self.executions.max(1) as f64
    }
}

/// Time of one call, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyUs {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile; 0 in results of versions that did not record it.
    #[serde(default)]
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile; 0 in results of versions that did not record it.
    #[serde(default)]
    pub p99_9: f64,
}

impl From<&Distribution> for LatencyUs {
    fn from(times: &Distribution) -> Self {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        LatencyUs {
            mean: us(times.mean()),
            p50: us(times.p50()),
            p90: us(times.p90()),
            p99: us(times.p99()),
            p99_9: us(times.p99_9()),
        }
    }
}
