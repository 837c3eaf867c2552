//! What a study measured, as `results.json` has it: schema `paceline.study/1`.

use std::time::SystemTime;

use paceline_device::DeviceInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ceilings::{Bound, Ceilings};
use crate::noise::Noise;
use crate::row::Row;
use crate::soak::SoakSample;
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
    /// How each suite went, in a process of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<SuiteRun>,
    /// What the measured models cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelCost>,
    /// What the machine can do at most, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,
    /// What bounds each model where its throughput flattens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Bound>,
    /// What the long load gave over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soak: Vec<SoakSample>,
}

/// How a suite went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteRun {
    /// Its name.
    pub suite: String,
    /// From the start of its process to the end.
    pub seconds: f64,
    /// `done`, `failed`, `crashed`, `timed-out`
    pub ended: Ended,
    /// What else happened on the machine meanwhile; left out where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
}

impl SuiteRun {
    /// Whether too much else happened on the machine; of what was over at once, the system's clock cannot tell.
    pub fn is_noisy(&self) -> bool {
        self.seconds >= 1.0 && self.noise.is_some_and(|noise| noise.is_much())
    }
}

/// How a suite's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It measured everything.
    Done,
    /// It said why it could not go on.
    Failed,
    /// It ended without a word.
    Crashed,
    /// It said nothing for too long, and was ended.
    TimedOut,
}

/// What one sample of a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCost {
    /// Its short name.
    pub model: String,
    /// Floating-point operations of one sample.
    pub flops_per_sample: u64,
    /// Bytes of its weights: what every execution reads at least once.
    pub weight_bytes: u64,
    /// Bytes of inputs and outputs of one sample.
    pub sample_bytes: u64,
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
            suites: Vec::new(),
            models: Vec::new(),
            ceilings: None,
            bounds: Vec::new(),
            soak: Vec::new(),
        }
    }

    /// What this text has, which must be of this schema and have every field.
    pub fn from_json(text: &str) -> Result<Self, ParseError> {
        #[derive(Deserialize)]
        struct Head {
            schema: Option<String>,
        }
        let head: Head = serde_json::from_str(text).map_err(ParseError::Json)?;
        match head.schema {
            Some(schema) if schema == SCHEMA => serde_json::from_str(text).map_err(ParseError::Json),
            schema => Err(ParseError::Schema(schema)),
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

    /// Adds what a model costs, unless that is known.
    pub(crate) fn add_cost(&mut self, cost: ModelCost) {
        if !self.models.contains(&cost) {
            self.models.push(cost);
        }
    }

    /// Whether everything was measured, and every call answered rightly.
    pub fn are_right(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(Row::is_right)
    }

    /// The content of `results.json`: a line for each row, numbers to seven digits.
    pub fn to_json(&self) -> String {
        let value = serde_json::to_value(self).expect("results have names as keys and no foreign types");
        let fields = value.as_object().into_iter().flatten();
        let fields =
            fields.map(|(name, value)| format!("  {}: {}", Value::from(name.as_str()), lines(value)));
        format!("{{\n{}\n}}", fields.collect::<Vec<_>>().join(",\n"))
    }
}

/// A list of objects in a line each; everything else in one.
fn lines(value: &Value) -> String {
    match value.as_array() {
        Some(items) if items.iter().any(Value::is_object) => {
            let items = items.iter().map(|item| format!("    {}", rounded(item.clone())));
            format!("[\n{}\n  ]", items.collect::<Vec<_>>().join(",\n"))
        }
        _ => rounded(value.clone()).to_string(),
    }
}

/// With seven significant digits: what is measured has fewer.
fn rounded(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = rounded(item.take())),
        Value::Object(fields) => fields.values_mut().for_each(|field| *field = rounded(field.take())),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or(0.0);
            value = format!("{exact:.6e}").parse::<f64>().unwrap_or(exact).into();
        }
        _ => {}
    }
    value
}

/// Why a text is not the content of a `results.json`.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is truncated, no JSON, or lacks a field.
    #[error("expected the JSON that paceline bench writes as results.json, got: {0}")]
    Json(serde_json::Error),
    /// It has another schema, or none.
    #[error("expected the schema {SCHEMA}, got {}", .0.as_deref().unwrap_or("none"))]
    Schema(Option<String>),
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
