//! Why a profile cannot be used.

use std::io;

use crate::SCHEMA;

/// Why a profile cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The file is larger than any profile is.
    #[error(
        "it is larger than {limit} bytes, which no profile is; expected what 'paceline tune --out' wrote"
    )]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// It is no JSON, or lacks a field, or has one of another type.
    #[error("it is no profile: {0}; expected what 'paceline tune --out' wrote")]
    Json(#[from] serde_json::Error),
    /// It is of another schema.
    #[error("its schema is '{got}', expected '{SCHEMA}'; make it again with 'paceline tune --out'")]
    Schema {
        /// What it says.
        got: String,
    },
    /// A value is out of range.
    #[error("its {field} is {got}, expected {expected}; make it again with 'paceline tune --out'")]
    Value {
        /// Where it stands.
        field: String,
        /// What it must be.
        expected: String,
        /// What it is.
        got: String,
    },
}
