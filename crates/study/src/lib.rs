//! Load generators, the scaling study, the check of every operator and layer, and reports.
//!
//! A [`Study`] measures [`Suite`]s of [`Point`]s: a workload called in one [`Mode`]. [`verify`](verify::Verification) calls every
//! operator, layer and model from many threads through the engine. Both compare every answer, bit for bit, with what the
//! same sample gives alone. [`Results`] are what `results.json` holds; [`report`] makes them readable.
//!
//! **Not here**: devices, which the caller brings, and the command line.

mod answers;
mod catalog;
mod error;
mod estimate;
mod latency;
mod machine;
mod measure;
mod modes;
mod noise;
pub mod report;
mod results;
mod study;
mod subject;
mod suite;
pub mod tune;
pub mod verify;
mod workload;

pub use catalog::{ModelEntry, PortEntry, catalog};
pub use error::StudyError;
pub use estimate::{Estimate, chance_of_separation, median};
pub use latency::Latencies;
pub use modes::{Measurement, Point};
pub use noise::{MUCH_FOREIGN, MUCH_STOLEN, Noise, Watch};
pub use results::{DeviceRow, EngineRow, LatencyUs, Machine, Mode, Results, Row, SCHEMA};
pub use study::{Event, Study};
pub use subject::{Subject, Weights};
pub use suite::{CALLERS_BY_ITERATIONS, Scale, Suite, UnknownSuite};
pub use workload::Workload;
