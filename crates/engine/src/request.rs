//! One call: named tensors, owned, on their way to a model, and how urgent it is.

use std::time::{Duration, Instant};

use paceline_graph::Tensor;
use smallvec::SmallVec;

/// Inputs by name, as they come back when a request is refused.
pub type Inputs = Vec<(String, Tensor)>;

/// One call of a model: a tensor for every input, with one or more samples along axis 0.
///
/// Anything that yields names and tensors is a request: `model.infer([("x", x)])`. With a deadline or a priority:
/// `Request::new([("x", x)]).timeout(Duration::from_millis(20)).priority(2)`.
#[derive(Clone, Debug, Default)]
#[must_use = "a request is answered only when a model gets it"]
pub struct Request<'n> {
    pub(crate) inputs: SmallVec<[(&'n str, Tensor); 2]>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: i8,
}

impl<'n> Request<'n> {
    /// A request with these inputs, in any order; without a deadline, of priority 0.
    pub fn new(inputs: impl IntoIterator<Item = (&'n str, Tensor)>) -> Self {
        Request { inputs: inputs.into_iter().collect(), deadline: None, priority: 0 }
    }

    /// The answer is wanted by then. What happens to a request that cannot be answered in time is the model's choice:
    /// [`LoadOptions::late`](crate::LoadOptions::late).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The answer is wanted within this time from now: a [`deadline`](Self::deadline).
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// How much more, or less, urgent than others of the same model: each step counts as if the request had come 100 ms earlier.
    /// So a request is overtaken only by those that come within that time after it, however many they are. 0 unless chosen.
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = priority;
        self
    }

    /// The shape of the input of this name, if it is given.
    pub fn shape(&self, input: &str) -> Option<&[usize]> {
        self.inputs.iter().find(|(name, _)| *name == input).map(|(_, tensor)| tensor.shape())
    }

    /// The inputs, by name.
    pub fn into_inputs(self) -> Inputs {
        self.inputs.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect()
    }
}

impl<'n, I: IntoIterator<Item = (&'n str, Tensor)>> From<I> for Request<'n> {
    fn from(inputs: I) -> Self {
        Request::new(inputs)
    }
}
