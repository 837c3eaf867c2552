//! A model as its callers know it: a name, what it takes and gives for each shape, and counters. It stays the same when a new
//! version of the model replaces the one that serves it.

use std::sync::Arc;

use paceline_device::{Program, Signature};

use crate::statistics::Counters;

/// A model by name.
pub(crate) struct Loaded {
    pub(crate) name: Arc<str>,
    /// At least one. They differ in the shapes of samples only.
    pub(crate) variants: Box<[Variant]>,
    /// Its number in the dispatcher; set when it is added there.
    pub(crate) slot: usize,
    pub(crate) counters: Counters,
}

/// What the model takes and gives, for one shape of its samples.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) signature: Arc<Signature>,
    /// Samples that one execution may have: 1 when the program has no batch.
    pub(crate) max_samples: usize,
}

impl Variant {
    /// Of this program, with at most `max_batch` samples.
    pub(crate) fn of(program: &dyn Program, max_batch: Option<usize>) -> Self {
        let signature = Arc::new(program.signature().clone());
        let max_samples = if signature.batched { program.batch_sizes().max() } else { 1 };
        let max_samples = max_samples.min(max_batch.unwrap_or(usize::MAX));
        Variant { signature, max_samples }
    }

    /// Whether both have the same names and element types, in the same order.
    pub(crate) fn is_alike(&self, other: &Variant) -> bool {
        let ports = |s: &Signature| -> Vec<_> {
            let all =
                s.inputs.iter().map(|port| (true, port)).chain(s.outputs.iter().map(|port| (false, port)));
            all.map(|(input, port)| (input, port.name.clone(), port.dtype)).collect()
        };
        let (a, b) = (&self.signature, &other.signature);
        a.batched == b.batched && ports(a) == ports(b)
    }

    /// Whether both take samples of the same shapes.
    pub(crate) fn takes_the_same(&self, other: &Variant) -> bool {
        let shapes = |s: &Signature| -> Vec<_> { s.inputs.iter().map(|port| port.shape.clone()).collect() };
        shapes(&self.signature) == shapes(&other.signature)
    }
}
