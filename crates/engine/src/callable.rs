//! What every model has in common for its callers, wherever it executes.

use std::fmt;

use paceline_device::Signature;

use crate::error::{InferError, SubmitError};
use crate::model::Model;
use crate::outputs::Outputs;
use crate::request::Request;
use crate::ticket::Ticket;

/// A model that takes requests: one of an engine in this process, or one behind it. For callers that need not know which.
pub trait Callable: fmt::Debug + Send + Sync {
    /// The name it was loaded under.
    fn name(&self) -> &str;

    /// Its inputs and outputs, for the first shape of its samples.
    fn signature(&self) -> &Signature;

    /// The most samples that one execution serves; a larger request is split.
    fn max_batch(&self) -> usize;

    /// Computes the outputs and blocks until they are there.
    fn infer(&self, request: Request<'_>) -> Result<Outputs, InferError>;

    /// Puts a request on its way. Waits for no other request; a refused one gives its inputs back inside the error. Blocks only where a
    /// program is made for it first, of a model whose requests choose its lengths.
    fn submit(&self, request: Request<'_>) -> Result<Ticket, SubmitError>;
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
