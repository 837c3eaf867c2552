//! What a study measured, as `results.json` has it: schema `paceline.study/1`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use paceline_device::DeviceInfo;
use paceline_engine::{Distribution, EngineStatistics, ModelStatistics, Release};
use serde::{Deserialize, Serialize};

use crate::{Measurement, Suite};

/// The schema that this version writes.
pub const SCHEMA: &str = "paceline.study/1";

/// Everything a run measured, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of Paceline.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub commit: String,
    /// The command line.
    pub command: String,
    /// When it started: UTC, RFC 3339.
    pub started: String,
    /// The machine.
    pub machine: Machine,
    /// The device.
    pub device: DeviceRow,
    /// One a measurement.
    pub rows: Vec<Row>,
    /// What could not be measured, and the first error of what failed; left out when there is nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Results {
    /// Results without rows, of a study that begins now on this machine.
    pub fn begin(version: &str, commit: &str, command: String, device: &DeviceInfo) -> Self {
        let DeviceInfo { id, name, isa, .. } = device.clone();
        Results {
            schema: SCHEMA.into(),
            version: version.into(),
            commit: commit.into(),
            command,
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            machine: Machine::here(),
            device: DeviceRow { id, name, isa },
            rows: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds a measurement. Rows stand by suite, within a suite in the order in which they were measured.
    pub fn add(&mut self, measurement: &Measurement) {
        let Measurement { row, first_error, .. } = measurement;
        let order = |row: &Row| Suite::ALL.iter().position(|suite| suite.name() == row.suite);
        let place = self.rows.partition_point(|earlier| order(earlier) <= order(row));
        self.rows.insert(place, row.clone());
        if let Some(error) = first_error {
            self.problems
                .push(format!("'{}' failed {} of {} calls: {error}", row.model, row.errors, row.expected));
        }
    }

    /// Whether everything was measured, and every call answered rightly.
    pub fn are_right(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(Row::is_right)
    }

    /// The content of `results.json`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("results have names as keys and no foreign types")
    }
}

/// The machine that a run was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Physical memory, in bytes.
    pub memory_bytes: u64,
    /// Operating system and its version.
    pub os: String,
}

/// The device that a run was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// `cpu`
    pub id: String,
    /// The device's name for people.
    pub name: String,
    /// The instruction set of its kernels.
    pub isa: String,
}

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
    /// The measured time.
    pub seconds: f64,
    /// `samples / seconds`.
    pub samples_per_s: f64,
    /// Time of one call, in microseconds.
    pub latency_us: LatencyUs,
    /// Calls made.
    pub expected: u64,
    /// Calls answered.
    pub completed: u64,
    /// Calls answered with an error.
    pub errors: u64,
    /// Calls answered with another result than the same sample gives alone.
    pub wrong: u64,
    /// What the engine counted, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineRow>,
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
    /// The share of the engine's life that its lanes were executing, from 0 to 1.
    pub occupancy: f64,
}

impl EngineRow {
    /// Of the only model of an engine.
    pub(crate) fn new(model: &ModelStatistics, engine: &EngineStatistics) -> Self {
        let released = model.released.iter().filter(|(_, count)| *count > 0);
        let occupancies = engine.by_lane.iter().map(|lane| lane.occupancy());
        EngineRow {
            mean_batch: model.mean_batch(),
            executions: model.released.total(),
            released: released.map(|(release, count)| (release.to_string(), count)).collect(),
            queue_us: (&model.queue_time).into(),
            execute_us: (&model.execute_time).into(),
            padding: model.padding,
            occupancy: occupancies.sum::<f64>() / engine.by_lane.len().max(1) as f64,
        }
    }

    /// The share of executions that ran in their caller's thread, from 0 to 1.
    pub fn inline(&self) -> f64 {
        self.released.get(Release::Inline.name()).copied().unwrap_or(0) as f64 / self.executions.max(1) as f64
    }
}

/// How a model is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One caller, one sample a call, a bare session: the baseline of every ratio.
    Sequential,
    /// N callers, each with a session of its own, one sample a call.
    Threads,
    /// One caller, a bare session, n samples a call.
    Batch,
    /// N callers, one sample a call, through the engine.
    Engine,
    /// One thread that keeps N tickets in flight.
    EngineAsync,
}

/// Time of one call, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyUs {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl From<&Distribution> for LatencyUs {
    fn from(times: &Distribution) -> Self {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        LatencyUs { mean: us(times.mean()), p50: us(times.p50()), p99: us(times.p99()) }
    }
}

impl Row {
    /// Whether every call was answered, and rightly.
    pub fn is_right(&self) -> bool {
        self.completed == self.expected && self.errors == 0 && self.wrong == 0
    }
}
