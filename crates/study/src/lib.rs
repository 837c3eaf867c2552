//! Load generators, the scaling study, the check of every operator and layer, and reports.
//!
//! A [`Study`] measures [`Suite`]s of [`Point`]s: a workload called in one [`Mode`]. [`verify`](verify::Verification) calls every
//! operator, layer and model from many threads through the engine. Both compare every answer, bit for bit, with what the
//! same sample gives alone. [`Results`] are what `results.json` holds; [`report`] makes them readable.
//!
//! **Not here**: devices, which the caller brings, and the command line.

mod answers;
mod catalog;
mod ceilings;
mod comparison;
mod error;
mod estimate;
pub mod isolation;
mod knee;
mod latency;
mod machine;
mod measure;
mod message;
mod mixed;
mod noise;
mod point;
pub mod report;
mod results;
mod row;
mod runner;
mod saturation;
mod soak;
mod study;
mod subject;
mod suite;
pub mod tune;
pub mod verify;
mod workers;
mod workload;

pub use catalog::{ModelEntry, PortEntry, catalog};
pub use ceilings::{Bound, Ceilings, FlopsCeiling, Limit, Limits, ReadCeiling, Shares};
pub use comparison::{COMPARISON_SCHEMA, Comparison, Difference, LEAST, Run, Verdict};
pub use error::StudyError;
pub use estimate::{Estimate, chance_of_separation, median};
pub use knee::{WORTHWHILE, knee};
pub use latency::Latencies;
pub use measure::{Arrivals, UnknownArrivals};
pub use message::Message;
pub use mixed::MODELS as MIXED_MODELS;
pub use noise::{MUCH_FOREIGN, MUCH_STOLEN, Noise, Watch};
pub use point::Point;
pub use results::{DeviceRow, Ended, Machine, ModelCost, ParseError, Results, SCHEMA, SuiteRun};
pub use row::{EngineRow, LatencyUs, Load, Mode, Over, Row};
pub use runner::Measurement;
pub use soak::{SoakSample, growth};
pub use study::{Event, Host, Problem, Study};
pub use subject::{Subject, Weights};
pub use suite::{CALLERS_BY_ITERATIONS, STRESS, Scale, Suite, UnknownSuite};
pub use workers::WorkerSetup;
pub use workload::Workload;
