//! What an engine elsewhere, in another process say, needs so that its callers cannot tell: the check of requests, the shape of
//! answers, and tickets.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use paceline_device::Signature;
use paceline_graph::{Data, Tensor};
use smallvec::SmallVec;

use crate::error::SubmitError;
use crate::job::Answer;
use crate::loaded::Variant;
use crate::outputs::Outputs;
use crate::request::{Inputs, Request};
use crate::ticket::Ticket;
use crate::validate::validate;

/// What a model takes and gives, wherever it executes.
#[derive(Clone, Debug)]
pub struct Contract {
    name: Arc<str>,
    variants: Box<[Variant]>,
}

/// A request that fits a [`Contract`].
#[derive(Debug)]
pub struct Checked {
    /// One for each input of the signature, in its order.
    pub inputs: SmallVec<[Tensor; 2]>,
    /// Samples along axis 0; 1 when the model has no batch.
    pub samples: usize,
    /// Which of the model's signatures it fits.
    pub variant: usize,
    /// When the answer is wanted.
    pub deadline: Option<Instant>,
    /// How urgent it is.
    pub priority: i8,
}

impl Contract {
    /// Of a model with these signatures, each with the most samples that one execution serves. They differ in the shapes of
    /// samples only.
    ///
    /// # Panics
    /// Without a signature.
    pub fn new(name: &str, signatures: impl IntoIterator<Item = (Signature, usize)>) -> Self {
        let variant = |(signature, max_samples)| Variant { signature: Arc::new(signature), max_samples };
        let variants: Box<[Variant]> = signatures.into_iter().map(variant).collect();
        assert!(!variants.is_empty(), "a model has at least one signature");
        Contract { name: name.into(), variants }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its signatures, at least one.
    pub fn signatures(&self) -> impl ExactSizeIterator<Item = &Signature> {
        self.variants.iter().map(|variant| &*variant.signature)
    }

    /// One of its signatures.
    pub fn signature(&self, variant: usize) -> &Signature {
        &self.variants[variant].signature
    }

    /// The most samples that one execution of the first signature serves.
    pub fn max_batch(&self) -> usize {
        self.variants[0].max_samples
    }

    /// Takes a request that fits; gives its inputs back when it does not.
    pub fn check(&self, mut request: Request<'_>) -> Result<Checked, SubmitError> {
        let (deadline, priority) = (request.deadline, request.priority);
        match validate(&self.variants, &mut request) {
            Ok(valid) => Ok(Checked {
                inputs: valid.inputs,
                samples: valid.samples,
                variant: valid.variant,
                deadline,
                priority,
            }),
            Err(problem) => {
                let (model, inputs) = (self.name.to_string(), request.into_inputs());
                Err(SubmitError::Invalid { model, problem: Box::new(problem), inputs })
            }
        }
    }

    /// The inputs of a request, as they come back when it is refused after all.
    pub fn inputs(&self, tensors: impl IntoIterator<Item = Tensor>) -> Inputs {
        self.signature(0).inputs.iter().map(|port| port.name.clone()).zip(tensors).collect()
    }

    /// The outputs of a request of so many samples, from the elements of each output in the signature's order.
    ///
    /// # Panics
    /// When their number or length is not the signature's.
    pub fn outputs(&self, variant: usize, samples: usize, elements: SmallVec<[Data; 1]>) -> Outputs {
        let variant = &self.variants[variant];
        assert_eq!(elements.len(), variant.signature.outputs.len(), "elements for every output");
        variant.outputs(samples, elements)
    }
}

/// An answer that comes from elsewhere: what a [`Ticket`] needs of it. It is taken at most once.
pub trait Pending: Send + Sync {
    /// Blocks until the answer is there, and takes it.
    fn wait(&self) -> Answer;

    /// Blocks until the answer is there, and takes it; `None` when it does not come in time.
    fn wait_timeout(&self, timeout: Duration) -> Option<Answer>;

    /// The answer, if it is there.
    fn try_take(&self) -> Option<Answer>;

    /// Takes the answer, or has the task woken when it is there.
    fn poll(&self, context: &Context<'_>) -> Poll<Answer>;

    /// Whether the answer is there, or was taken.
    fn is_answered(&self) -> bool;

    /// Nobody wants the answer any more. Called at most once, and nothing after it.
    fn cancel(&self);
}

impl Ticket {
    /// A ticket for an answer from elsewhere.
    pub fn remote(pending: Arc<dyn Pending>) -> Ticket {
        Ticket::elsewhere(pending)
    }
}
