//! Profiles: what tuning a model on a machine found out, as a file, so that an engine need not find it out again.
//!
//! A [`Profile`] holds a cost table, the configuration recommended for each [`Use`], what was predicted and measured of it, and the
//! fingerprints of the [`Machine`] and [`ModelPrint`] that all of it is true of. On another machine, or for another model, it is
//! worth nothing; [`Machine::differences`] says what differs.
//!
//! A file is JSON of schema [`SCHEMA`]. It is read with bounds on its size, on every list and on every number: a file that is
//! truncated or hostile is a [`ProfileError`].
//!
//! **Not here**: measuring and choosing (`paceline-study`), and starting an engine from a profile (`paceline`).

mod cost;
mod error;
mod fingerprint;
mod profile;
mod read;
mod recommendation;

pub use cost::CostRow;
pub use error::ProfileError;
pub use fingerprint::{Difference, Machine, ModelPrint};
pub use profile::{Profile, SCHEMA};
pub use recommendation::{Configuration, Figures, Recommendation, UnknownUse, Use};
