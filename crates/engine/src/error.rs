//! What can go wrong between a caller and the engine: one variant for each decision that a caller makes.

use std::time::Duration;

use paceline_device::DeviceError;

use crate::request::Inputs;
use crate::validate::InputError;

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option is out of range.
    #[error("{option}: expected {} to {}, got {got}", range.start(), range.end())]
    Range {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        range: std::ops::RangeInclusive<usize>,
        /// What it is.
        got: usize,
    },
    /// A lane's thread could not be started.
    #[error("the thread of lane {lane} could not be started: {error}")]
    Thread {
        /// The lane.
        lane: usize,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A new lane could not open a session of a model.
    #[error("lane {lane} could not open a session: {error}; fewer lanes need less memory")]
    Session {
        /// The lane.
        lane: usize,
        /// What the device said.
        error: DeviceError,
    },
}

/// Why a model could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine has a model of this name.
    #[error("a model named '{name}' is already loaded; choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is empty.
    #[error("a model needs a name of at least one character, got ''")]
    NoName,
    /// No execution of the program may have even one sample.
    #[error("model '{name}': the program allows no batch of one sample or more")]
    NoBatchSize {
        /// The model.
        name: String,
    },
    /// A lane could not open a session.
    #[error("model '{name}': lane {lane} could not open a session: {error}; fewer lanes need less memory")]
    Session {
        /// The model.
        name: String,
        /// The lane.
        lane: usize,
        /// What the device said.
        error: DeviceError,
    },
    /// No program was given.
    #[error("model '{name}': expected at least one program, got none")]
    NoProgram {
        /// The model.
        name: String,
    },
    /// Programs of one model differ in more than the shapes of their samples, or two take the same.
    #[error("model '{name}': program {program} {difference}; load it under another name")]
    Differs {
        /// The model.
        name: String,
        /// Which of the programs.
        program: usize,
        /// What is not as it must be.
        difference: &'static str,
    },
    /// There is no model of this name to be replaced.
    #[error(
        "there is no model named '{name}' to be replaced; the engine has {}",
        if models.is_empty() { "none".to_string() } else { models.join(", ") }
    )]
    NoSuchModel {
        /// The name given.
        name: String,
        /// The models there are.
        models: Vec<String>,
    },
    /// The engine is draining.
    #[error("model '{name}': the engine is draining and loads no more models")]
    Draining {
        /// The model.
        name: String,
    },
}

/// Why a request was refused. Nothing was executed, and the inputs come back: [`SubmitError::into_inputs`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The inputs do not fit the model. Trying again will not help.
    #[error("model '{model}': {problem}")]
    Invalid {
        /// The model.
        model: String,
        /// What does not fit.
        problem: Box<InputError>,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// The request alone has more samples, or bytes, than may ever wait. Send it in pieces, or allow a longer queue.
    #[error(
        "the request has {samples} samples, but at most {limit} may wait; send it in pieces, or raise queue_samples or \
         queue_bytes"
    )]
    TooLarge {
        /// Samples of the request.
        samples: usize,
        /// The queue's bound; where that is in bytes, the samples of this model that go into it.
        limit: usize,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// Too many samples wait. Try again later.
    #[error(
        "the queue is full: {queued} of {limit} samples wait, the request has {samples}; try again in {retry_after:?}"
    )]
    QueueFull {
        /// Samples of the request.
        samples: usize,
        /// Samples waiting.
        queued: usize,
        /// The queue's bound.
        limit: usize,
        /// When there should be room.
        retry_after: Duration,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// The inputs and outputs of what waits take too much memory. Try again later.
    #[error(
        "the queue is full: {queued} of {limit} bytes are taken by what waits, the request has {bytes}; try again in \
         {retry_after:?}"
    )]
    QueueBytes {
        /// Bytes of the request's inputs and outputs.
        bytes: usize,
        /// Bytes of what waits.
        queued: usize,
        /// The queue's bound.
        limit: usize,
        /// When there should be room.
        retry_after: Duration,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// By the measured costs, the request would wait too long. Try again later.
    #[error(
        "the queue is full: the request would wait {predicted:?}, allowed are {limit:?}; try again in {retry_after:?}"
    )]
    QueueTime {
        /// How long it would wait.
        predicted: Duration,
        /// The queue's bound.
        limit: Duration,
        /// When it should be short enough.
        retry_after: Duration,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// By the measured costs, the request cannot be answered by its deadline. Try elsewhere, or later with a new deadline.
    #[error(
        "the deadline cannot be met: it is in {left:?}, and the answer is predicted in {predicted:?}; try again in {retry_after:?}"
    )]
    Deadline {
        /// Time until the answer, as predicted.
        predicted: Duration,
        /// Time until the deadline; zero when it has passed.
        left: Duration,
        /// When a request with as much time should be accepted.
        retry_after: Duration,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// The model was unloaded.
    #[error("model '{model}' was unloaded; load it again")]
    Unloaded {
        /// The model.
        model: String,
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// The engine is draining and accepts nothing more.
    #[error("the engine is draining and accepts no more requests")]
    Draining {
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// Every lane is retired, because its sessions could not be opened again. Add some with [`Engine::set_lanes`](crate::Engine::set_lanes), or
    /// make a new engine.
    #[error(
        "no lane is left: every one is retired after failures of the device; add some with set_lanes, or make a new engine"
    )]
    NoLanes {
        /// The inputs, by name.
        inputs: Inputs,
    },
    /// What should execute it, elsewhere, is gone for good.
    #[error("nobody is left to execute the request: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// The inputs, by name.
        inputs: Inputs,
    },
}

impl SubmitError {
    /// How long to wait before trying again, when that can help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SubmitError::QueueFull { retry_after, .. }
            | SubmitError::QueueBytes { retry_after, .. }
            | SubmitError::QueueTime { retry_after, .. }
            | SubmitError::Deadline { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The inputs, by name.
    pub fn into_inputs(self) -> Inputs {
        match self {
            SubmitError::Invalid { inputs, .. }
            | SubmitError::TooLarge { inputs, .. }
            | SubmitError::QueueFull { inputs, .. }
            | SubmitError::QueueBytes { inputs, .. }
            | SubmitError::QueueTime { inputs, .. }
            | SubmitError::Deadline { inputs, .. }
            | SubmitError::Unloaded { inputs, .. }
            | SubmitError::Draining { inputs }
            | SubmitError::NoLanes { inputs }
            | SubmitError::Unavailable { inputs, .. } => inputs,
        }
    }
}

/// Why an accepted request has no outputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The device reported an error while it executed the request's batch.
    #[error("model '{model}', lane {lane}: {error}")]
    Device {
        /// The model.
        model: String,
        /// The lane that executed the batch.
        lane: usize,
        /// What the device said.
        error: DeviceError,
    },
    /// The device panicked while it executed the request's batch.
    #[error("model '{model}', lane {lane}: the device panicked: {message}")]
    Panicked {
        /// The model.
        model: String,
        /// The lane that executed the batch.
        lane: usize,
        /// The panic's message.
        message: String,
    },
    /// The request was dropped before it was executed, because its deadline could not be met any more.
    #[error(
        "model '{model}': the deadline could not be met any more after waiting {waited:?}; the request was not executed"
    )]
    Expired {
        /// The model.
        model: String,
        /// How long it waited.
        waited: Duration,
    },
    /// The last lane was retired before the request was executed.
    #[error(
        "model '{model}': no lane is left to execute the request; every one is retired after failures of the device"
    )]
    NoLanes {
        /// The model.
        model: String,
    },
    /// The process that executed the request died, as often as the request may be tried. The request itself may be the cause.
    #[error(
        "model '{model}': the worker died while it executed the request, {executions} times (the last time: {how}); it is not \
         tried again"
    )]
    Crashed {
        /// The model.
        model: String,
        /// How often it was tried.
        executions: u32,
        /// How the process ended.
        how: String,
    },
    /// What should execute the request, elsewhere, is gone for good.
    #[error("model '{model}': nobody is left to execute the request: {reason}")]
    Unavailable {
        /// The model.
        model: String,
        /// What happened.
        reason: String,
    },
}

/// Why [`Model::infer`](crate::Model::infer) has no outputs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InferError {
    /// The request was refused; its inputs are inside.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// The request was accepted, and its execution failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}
