//! The handle through which a model of a pool is called.

use std::fmt;
use std::sync::Arc;

use paceline_device::Signature;
use paceline_engine::remote::{Contract, Pending};
use paceline_engine::{Callable, InferError, Outputs, Request, SubmitError, Ticket};

use crate::job::Job;
use crate::pool::Running;

/// A model that the workers of a pool serve: cheap to clone, called from any thread. It keeps the pool running.
///
/// It is called like a model of an engine in this process, and [`Callable`] stands for either.
#[derive(Clone)]
pub struct Model {
    index: usize,
    running: Arc<Running>,
}

impl Model {
    pub(crate) fn new(index: usize, running: Arc<Running>) -> Self {
        Model { index, running }
    }

    fn contract(&self) -> &Contract {
        &self.running.shared.models()[self.index].contract
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.contract().name()
    }

    /// Its inputs and outputs, for the first shape of its samples.
    pub fn signature(&self) -> &Signature {
        self.contract().signature(0)
    }

    /// Its inputs and outputs for each shape of its samples; they differ in the shapes only.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.contract().signatures()
    }

    /// The most samples that one execution serves; a larger request is split.
    pub fn max_batch(&self) -> usize {
        self.contract().max_batch()
    }

    /// Has a worker compute the outputs for these inputs, and blocks until they are there.
    pub fn infer<'n>(&self, request: impl Into<Request<'n>>) -> Result<Outputs, InferError> {
        Ok(self.send(request.into())?.wait()?)
    }

    /// Puts a request on its way. Never blocks; a refused request gives its inputs back inside the error.
    ///
    /// A deadline that cannot be met is found by the worker: such a request is accepted, and answered with
    /// [`Expired`](paceline_engine::ExecutionError::Expired) at once; it is refused only when its deadline has passed.
    pub fn submit<'n>(&self, request: impl Into<Request<'n>>) -> Result<Ticket, SubmitError> {
        Ok(Ticket::remote(self.send(request.into())?))
    }

    fn send(&self, request: Request<'_>) -> Result<Arc<Job>, SubmitError> {
        let shared = &self.running.shared;
        match self.contract().check(request) {
            Ok(checked) => shared.submit(self.index, checked),
            Err(refusal) => {
                shared.counters.refused();
                Err(refusal)
            }
        }
    }
}

impl Callable for Model {
    fn name(&self) -> &str {
        self.name()
    }

    fn signature(&self) -> &Signature {
        self.signature()
    }

    fn max_batch(&self) -> usize {
        self.max_batch()
    }

    fn infer(&self, request: Request<'_>) -> Result<Outputs, InferError> {
        self.infer(request)
    }

    fn submit(&self, request: Request<'_>) -> Result<Ticket, SubmitError> {
        self.submit(request)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).field("signature", self.signature()).finish()
    }
}
