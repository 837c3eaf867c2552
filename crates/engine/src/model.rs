//! The handle through which a model is called.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paceline_device::Signature;
use paceline_graph::Tensor;
use smallvec::SmallVec;

use crate::clock::NEVER;
use crate::cost::CostTable;
use crate::dispatch::{Place, Refusal};
use crate::engine::Running;
use crate::error::{InferError, SubmitError};
use crate::job::Job;
use crate::lane;
use crate::loaded::Loaded;
use crate::outputs::Outputs;
use crate::queue::{Arrival, Overload};
use crate::request::{Inputs, Request};
use crate::statistics::{ModelStatistics, Shed};
use crate::ticket::Ticket;
use crate::validate::{Valid, validate};

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

    /// Its inputs and outputs. A model that takes several shapes has more: [`signatures`](Self::signatures).
    pub fn signature(&self) -> &Signature {
        &self.loaded.variants[0].signature
    }

    /// Its inputs and outputs for each shape of its samples; they differ in the shapes only.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.loaded.variants.iter().map(|variant| &*variant.signature)
    }

    /// The most samples that one execution serves; a larger request is split.
    pub fn max_batch(&self) -> usize {
        self.loaded.variants[0].max_samples
    }

    /// How often other programs replaced the first, plus one; `None` when the model was unloaded.
    pub fn version(&self) -> Option<u64> {
        self.engine.dispatch.version(self.loaded.slot)
    }

    /// The predicted time of one execution of so many samples of the first shape while `busy` lanes execute, as mean and 99th
    /// percentile; `None` when nothing was measured, one execution may not have as many, or the model was unloaded.
    pub fn predicted_cost(&self, samples: usize, busy: usize) -> Option<(Duration, Duration)> {
        let cost =
            self.engine.dispatch.costs(self.loaded.slot, 0, |costs| costs.predict(samples, busy))??;
        let time = |ns: f64| Duration::from_nanos(ns as u64);
        Some((time(cost.mean_ns), time(cost.p99_ns)))
    }

    /// The batch sizes worth choosing while `busy` lanes execute, by the costs measured so far: no larger one takes less time, and no
    /// smaller one makes more samples per second. For the first shape.
    pub fn useful_batches(&self, busy: usize) -> Vec<usize> {
        let sizes = |costs: &CostTable| costs.frontier(busy).map(|(size, _)| size).collect();
        self.engine.dispatch.costs(self.loaded.slot, 0, sizes).unwrap_or_default()
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
        let (valid, urgency) = self.check(request.into())?;
        let dispatch = &*self.engine.dispatch;
        if valid.samples <= self.loaded.variants[valid.variant].max_samples
            && let Some((lane, assignment)) =
                dispatch.claim(self.loaded.slot, valid.variant, valid.samples, urgency.deadline)
        {
            self.loaded.counters.accepted();
            return Ok(lane::infer_inline(dispatch, lane, &assignment, &self.loaded, &valid)?);
        }
        let (job, place) = self.accept(valid, urgency)?;
        lane::help_until_answered(dispatch, &job, place.line);
        Ok(job.wait()?)
    }

    /// Puts a request on its way. Never blocks; a refused request gives its inputs back inside the error.
    pub fn submit<'n>(&self, request: impl Into<Request<'n>>) -> Result<Ticket, SubmitError> {
        let (valid, urgency) = self.check(request.into())?;
        let (job, place) = self.accept(valid, urgency)?;
        Ok(Ticket::new(job, Arc::clone(&self.engine.dispatch), place))
    }

    fn check(&self, mut request: Request<'_>) -> Result<(Valid, Urgency), SubmitError> {
        let urgency = Urgency { deadline: request.deadline, priority: request.priority };
        match validate(&self.loaded.variants, &mut request) {
            Ok(valid) => Ok((valid, urgency)),
            Err(problem) => {
                self.loaded.counters.refused(Shed::Invalid);
                let (model, inputs) = (self.loaded.name.to_string(), request.into_inputs());
                Err(SubmitError::Invalid { model, problem: Box::new(problem), inputs })
            }
        }
    }

    fn accept(&self, valid: Valid, urgency: Urgency) -> Result<(Arc<Job>, Place), SubmitError> {
        let (samples, variant) = (valid.samples, valid.variant);
        let bytes = self.loaded.variants[variant].signature.request_bytes(samples);
        let dispatch = &self.engine.dispatch;
        // Before there are buffers for its outputs.
        if let Some(limit) = dispatch.too_large(samples, bytes) {
            return Err(self.refused(Refusal::TooLarge { limit }, samples, bytes, valid.inputs));
        }
        let (job, parts) = Job::new(&self.loaded, valid);
        let clock = dispatch.clock();
        let deadline = urgency.deadline.map_or(NEVER, |deadline| clock.at(deadline));
        let now = clock.at(job.accepted);
        let arrival = Arrival { samples, bytes, deadline, priority: urgency.priority, now };
        match dispatch.submit(&self.loaded, variant, parts, &arrival) {
            Ok(place) => Ok((job, place)),
            Err(refusal) => {
                let inputs = Arc::into_inner(job).map(|job| job.inputs).unwrap_or_default();
                Err(self.refused(refusal, samples, bytes, inputs))
            }
        }
    }

    fn refused(
        &self,
        refusal: Refusal,
        samples: usize,
        bytes: usize,
        tensors: SmallVec<[Tensor; 2]>,
    ) -> SubmitError {
        let names = self.signature().inputs.iter().map(|port| port.name.clone());
        let inputs: Inputs = names.zip(tensors).collect();
        let time = Duration::from_nanos;
        let (reason, error) = match refusal {
            Refusal::TooLarge { limit } => (Shed::TooLarge, SubmitError::TooLarge { samples, limit, inputs }),
            Refusal::Overload(Overload::Samples { queued, limit, retry_after }) => {
                let retry_after = time(retry_after);
                (Shed::QueueSamples, SubmitError::QueueFull { samples, queued, limit, retry_after, inputs })
            }
            Refusal::Overload(Overload::Bytes { queued, limit, retry_after }) => {
                let retry_after = time(retry_after);
                (Shed::QueueBytes, SubmitError::QueueBytes { bytes, queued, limit, retry_after, inputs })
            }
            Refusal::Overload(Overload::Time { predicted, limit, retry_after }) => {
                let (predicted, limit, retry_after) = (time(predicted), time(limit), time(retry_after));
                (Shed::QueueTime, SubmitError::QueueTime { predicted, limit, retry_after, inputs })
            }
            Refusal::Overload(Overload::Deadline { predicted, left, retry_after }) => {
                let (predicted, left, retry_after) = (time(predicted), time(left), time(retry_after));
                (Shed::Deadline, SubmitError::Deadline { predicted, left, retry_after, inputs })
            }
            Refusal::Unloaded => {
                (Shed::Unloaded, SubmitError::Unloaded { model: self.name().to_string(), inputs })
            }
            Refusal::Draining => (Shed::Draining, SubmitError::Draining { inputs }),
            Refusal::NoLanes => (Shed::NoLanes, SubmitError::NoLanes { inputs }),
        };
        self.loaded.counters.refused(reason);
        error
    }
}

/// When and how urgently a request wants its answer.
#[derive(Clone, Copy)]
struct Urgency {
    deadline: Option<Instant>,
    priority: i8,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).field("signature", self.signature()).finish()
    }
}
