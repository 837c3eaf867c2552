//! The answer to a request: tensors by name, in the program's order.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use paceline_device::Signature;
use paceline_graph::Tensor;
use smallvec::SmallVec;

/// The outputs of one request, each with as many samples along axis 0 as the request had.
#[derive(Clone)]
pub struct Outputs {
    signature: Arc<Signature>,
    /// In its order; `None` where the tensor was taken.
    tensors: SmallVec<[Option<Tensor>; 2]>,
}

impl Outputs {
    pub(crate) fn new(signature: Arc<Signature>, tensors: SmallVec<[Option<Tensor>; 2]>) -> Self {
        Outputs { signature, tensors }
    }

    /// The output of this name; `None` when there is none, or it was taken.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors[self.position(name)?].as_ref()
    }

    /// The output of this name, by value; `None` when there is none, or it was taken before.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        let position = self.position(name)?;
        self.tensors[position].take()
    }

    /// The only output.
    ///
    /// # Panics
    /// When there is not exactly one.
    pub fn single(mut self) -> Tensor {
        if let [only] = &mut self.tensors[..]
            && let Some(tensor) = only.take()
        {
            return tensor;
        }
        panic!("expected exactly one output, got {self:?}; take them by name")
    }

    /// The names and tensors that were not taken, in the program's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let ports = &self.signature.outputs;
        ports
            .iter()
            .zip(&self.tensors)
            .filter_map(|(port, tensor)| Some((port.name.as_str(), tensor.as_ref()?)))
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.signature.outputs.iter().position(|port| port.name == name)
    }
}

impl Index<&str> for Outputs {
    type Output = Tensor;

    /// # Panics
    /// When there is no output of this name, or it was taken.
    fn index(&self, name: &str) -> &Tensor {
        match self.get(name) {
            Some(tensor) => tensor,
            None => panic!("there is no output '{name}' in {self:?}"),
        }
    }
}

impl IntoIterator for Outputs {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        let ports = self.signature.outputs.iter();
        let named = ports.zip(self.tensors).filter_map(|(port, tensor)| Some((port.name.clone(), tensor?)));
        named.collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, tensor)| (name, tensor.shape()))).finish()
    }
}
