//! The handle through which a model is called.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use paceline_device::Signature;

use crate::dispatch::Refusal;
use crate::engine::Running;
use crate::error::{InferError, SubmitError};
use crate::job::Job;
use crate::lane;
use crate::loaded::Loaded;
use crate::outputs::Outputs;
use crate::request::{Inputs, Request};
use crate::statistics::{ModelStatistics, Shed};
use crate::ticket::Ticket;
use crate::validate::{Valid, validate};
use crate::wake::Waiter;

/// A model loaded into an engine: cheap to clone, called from any thread. It keeps the engine running.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<Loaded>,
    engine: Arc<Running>,
}

impl Model {
    pub(crate) fn new(loaded: Arc<Loaded>, engine: Arc<Running>) -> Self {
        Model { loaded, engine }
    }

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// Its inputs and outputs.
    pub fn signature(&self) -> &Signature {
        &self.loaded.signature
    }

    /// The most samples that one execution serves; a larger request is split.
    pub fn max_batch(&self) -> usize {
        self.loaded.max_samples
    }

    /// What was counted so far.
    pub fn statistics(&self) -> ModelStatistics {
        self.loaded.counters.snapshot(&self.loaded.name)
    }

    /// Computes the outputs for these inputs and blocks until they are there. On an idle engine the calling thread computes
    /// them itself.
    ///
    /// Not from inside a [`Waker`](std::task::Waker): that would run on a lane and wait for a lane.
    pub fn infer<'n>(&self, request: impl Into<Request<'n>>) -> Result<Outputs, InferError> {
        let valid = self.check(request.into())?;
        let dispatch = &*self.engine.dispatch;
        if valid.samples <= self.loaded.max_samples
            && let Some(lane) = dispatch.claim()
        {
            self.loaded.counters.accepted();
            return Ok(lane::infer_inline(dispatch, lane, &self.loaded, &valid)?);
        }
        let (job, _) = self.accept(valid, Some(Waiter::this_thread()))?;
        Ok(job.park()?)
    }

    /// Puts a request on its way. Never blocks; a refused request gives its inputs back inside the error.
    pub fn submit<'n>(&self, request: impl Into<Request<'n>>) -> Result<Ticket, SubmitError> {
        let valid = self.check(request.into())?;
        let (job, numbers) = self.accept(valid, None)?;
        Ok(Ticket::new(job, Arc::clone(&self.engine.dispatch), numbers))
    }

    fn check(&self, mut request: Request<'_>) -> Result<Valid, SubmitError> {
        validate(&self.loaded.signature, &mut request).map_err(|problem| {
            self.loaded.counters.refused(Shed::Invalid);
            let (model, inputs) = (self.loaded.name.clone(), request.into_inputs());
            SubmitError::Invalid { model, problem: Box::new(problem), inputs }
        })
    }

    fn accept(&self, valid: Valid, waiter: Option<Waiter>) -> Result<(Arc<Job>, Range<u64>), SubmitError> {
        let samples = valid.samples;
        let (job, parts) = Job::new(&self.loaded, valid, waiter);
        match self.engine.dispatch.submit(parts, samples) {
            Ok(numbers) => Ok((job, numbers)),
            Err(refusal) => Err(self.refused(refusal, job)),
        }
    }

    fn refused(&self, refusal: Refusal, job: Arc<Job>) -> SubmitError {
        let samples = job.samples;
        let tensors = Arc::into_inner(job).map(|job| job.inputs).unwrap_or_default();
        let names = self.loaded.signature.inputs.iter().map(|port| port.name.clone());
        let inputs: Inputs = names.zip(tensors).collect();
        let (reason, error) = match refusal {
            Refusal::TooLarge { limit } => (Shed::TooLarge, SubmitError::TooLarge { samples, limit, inputs }),
            Refusal::QueueFull { queued, limit } => {
                (Shed::QueueSamples, SubmitError::QueueFull { samples, queued, limit, inputs })
            }
            Refusal::Draining => (Shed::Draining, SubmitError::Draining { inputs }),
            Refusal::NoLanes => (Shed::NoLanes, SubmitError::NoLanes { inputs }),
        };
        self.loaded.counters.refused(reason);
        error
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).field("signature", self.signature()).finish()
    }
}
