//! Profiles: what tuning a model on a machine found out, as a file, so that an engine need not find it out again.
//!
//! A [`Profile`] holds a cost table, the configuration recommended for each [`Use`], what was predicted and measured of it, and the
//! fingerprints of the [`Machine`] and [`ModelPrint`] that all of it is true of. On another machine, or for another model, it is
//! worth nothing; [`Mismatch::of`] says why.
//!
//! A file is JSON of schema [`SCHEMA`]. It is read with bounds on its size, on every list and on every number: a file that is
//! truncated or hostile is a [`ProfileError`].
//!
//! ```
//! use paceline_profile::{Profile, Use};
//!
//! let profile = Profile::from_json(br#"{
//!     "schema": "paceline.profile/1",
//!     "commit": "unknown", "command": "paceline tune mlp", "created": "2026-11-27T18:00:00Z",
//!     "machine": { "device": "cpu", "hardware": "A Processor", "isa": "avx512", "cores": 2, "paceline": "0.1.0" },
//!     "model": { "name": "mlp", "fingerprint": "fnv1a-64:0123456789abcdef" },
//!     "chosen": "latency",
//!     "recommendations": [{
//!         "use": "latency",
//!         "configuration": { "workers": 0, "lanes": 2, "helpers": 1, "max_batch": 4 },
//!         "in_flight": 1,
//!         "predicted": { "requests": 9000, "samples_per_s": 11400.0, "mean_us": 87.0, "p50_us": 86.5, "p99_us": 112.0 },
//!         "uncertainty": 0.01,
//!         "reason": "0.87 times the time of a bare execution of one sample in one thread"
//!     }],
//!     "costs": [
//!         { "samples": 1, "lanes": 1, "threads": 1, "mean_us": 100.0, "p99_us": 131.0, "samples_per_s": 10000.0,
//!           "uncertainty": 0.02, "rounds": 4 }
//!     ],
//!     "knee_lanes": 2
//! }"#)?;
//! assert_eq!(profile.chosen, Use::Latency);
//! assert_eq!(profile.engine_costs().len(), 1);
//! # Ok::<(), paceline_profile::ProfileError>(())
//! ```
//!
//! Fields that a reader does not know are passed over, and those that were added to the schema may be missing.
//!
//! **Not here**: measuring and choosing (`paceline-study`), and starting an engine (`paceline`) or workers (`paceline-workers`) from a
//! profile.

mod cost;
mod error;
mod fingerprint;
mod mismatch;
mod profile;
mod read;
mod recommendation;

pub use cost::CostRow;
pub use error::ProfileError;
pub use fingerprint::{Difference, Machine, ModelPrint};
pub use mismatch::Mismatch;
pub use profile::{Profile, SCHEMA};
pub use recommendation::{Configuration, Figures, Recommendation, Tried, UnknownUse, Use};
