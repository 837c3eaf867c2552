//! Why a study could not be made.

use paceline_device::{CompileError, DeviceError};

/// Why a study could not be made. Wrong answers of a running engine are no error: they are counted in the rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A model could not be built.
    #[error("model '{name}': {error}")]
    Build {
        /// The model.
        name: String,
        /// What is wrong with it.
        error: Box<paceline_nn::BuildError>,
    },
    /// The device cannot run a model.
    #[error("'{name}': {error}")]
    Compile {
        /// The model, operator or layer.
        name: String,
        /// What the device lacks.
        error: CompileError,
    },
    /// A session could not be opened, or failed.
    #[error("'{name}': {error}")]
    Device {
        /// The model, operator or layer.
        name: String,
        /// What the device said.
        error: DeviceError,
    },
    /// The engine could not be made.
    #[error(transparent)]
    Engine(#[from] paceline_engine::BuildError),
    /// The engine could not load a model.
    #[error(transparent)]
    Load(#[from] paceline_engine::LoadError),
    /// Inputs could not be made or evaluated.
    #[error("'{name}': inputs for it could not be made: {problem}")]
    Inputs {
        /// The model, operator or layer.
        name: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The device's answer to a lone sample is not the reference's: nothing that it is compared with would mean anything.
    #[error("'{name}' is computed wrongly by this device: {problem}")]
    Wrong {
        /// The model, operator or layer.
        name: String,
        /// Which output and element differ.
        problem: String,
    },
    /// Answers were missing or wrong: what was measured of them means nothing.
    #[error("'{name}': of {expected} answers {errors} were errors and {wrong} wrong{}", first_error.as_ref().map_or(String::new(), |error| format!("; the first error: {error}")))]
    Answers {
        /// The model.
        name: String,
        /// Calls made.
        expected: u64,
        /// Of these, answered with an error.
        errors: u64,
        /// Of these, answered wrongly.
        wrong: u64,
        /// The first error.
        first_error: Option<String>,
    },
    /// There are no worker processes.
    #[error(
        "worker processes are not available here, so {asked} cannot be tried; leave out workers, or ask for 0"
    )]
    NoWorkers {
        /// How many were asked for.
        asked: usize,
    },
    /// Workers could not be started.
    #[error(transparent)]
    Workers(#[from] paceline_workers::BuildError),
    /// A thread of a caller could not be started.
    #[error("the thread of a caller could not be started: {0}; try fewer callers")]
    Thread(std::io::Error),
}

impl StudyError {
    /// Whether the device is at fault with one graph: another may still be measured.
    pub(crate) fn is_of_the_device(&self) -> bool {
        matches!(self, StudyError::Compile { .. } | StudyError::Device { .. } | StudyError::Wrong { .. })
    }
}
