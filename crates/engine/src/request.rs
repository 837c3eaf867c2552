//! One call: named tensors, owned, on their way to a model.
//!
//! A deadline and a priority belong here, beside the inputs, once the policy knows what to do with them.

use paceline_graph::Tensor;
use smallvec::SmallVec;

/// Inputs by name, as they come back when a request is refused.
pub type Inputs = Vec<(String, Tensor)>;

/// One call of a model: a tensor for every input, with one or more samples along axis 0.
///
/// Anything that yields names and tensors is a request: `model.infer([("x", x)])`.
#[derive(Clone, Debug, Default)]
pub struct Request<'n> {
    pub(crate) inputs: SmallVec<[(&'n str, Tensor); 2]>,
}

impl<'n> Request<'n> {
    /// A request with these inputs, in any order.
    pub fn new(inputs: impl IntoIterator<Item = (&'n str, Tensor)>) -> Self {
        Request { inputs: inputs.into_iter().collect() }
    }

    pub(crate) fn into_inputs(self) -> Inputs {
        self.inputs.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect()
    }
}

impl<'n, I: IntoIterator<Item = (&'n str, Tensor)>> From<I> for Request<'n> {
    fn from(inputs: I) -> Self {
        Request::new(inputs)
    }
}
