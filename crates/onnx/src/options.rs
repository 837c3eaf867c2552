//! Choices made when a model is read.

use std::collections::BTreeMap;

use paceline_graph::Tensor;

/// Choices made when a model is read. The default suits most models.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Which axis of the inputs is the batch.
    pub batch: BatchAxis,
    /// Lengths of axes that have names instead.
    pub dims: BTreeMap<String, usize>,
    /// Values of inputs that are the same in every request; they are no inputs of the graph then.
    pub bound: BTreeMap<String, Tensor>,
    /// What may be made of the model while it is read, beside what its files hold: numbers that are computed, names, copies of
    /// functions. In bytes, or steps where computing takes more of these; so it bounds the time that reading takes, too.
    pub known_bytes: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions {
            batch: BatchAxis::default(),
            dims: BTreeMap::new(),
            bound: BTreeMap::new(),
            known_bytes: 1 << 30,
        }
    }
}

/// Which axis of the inputs is the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BatchAxis {
    /// Axis 0, where every input has a name instead of a length there. Where samples turn out to be mixed, none.
    #[default]
    Auto,
    /// The axis of this name, which must be axis 0 of every input. Where samples turn out to be mixed, that is an error.
    Named(String),
    /// None: one request is one execution.
    None,
    /// Axis 0 of every input, though all have this length there: the model was exported for one batch size. What the model
    /// then computes must be compared with what it computed before; see [`free_batch`](crate::Imported::fixed_batch).
    Freed(usize),
}

impl ImportOptions {
    /// Binds an axis that has a name to a length.
    #[must_use]
    pub fn dim(mut self, name: impl Into<String>, length: usize) -> Self {
        self.dims.insert(name.into(), length);
        self
    }

    /// Binds an input to a value: one that says how to compute, such as the axes of a reduction.
    #[must_use]
    pub fn bind(mut self, input: impl Into<String>, value: Tensor) -> Self {
        self.bound.insert(input.into(), value);
        self
    }

    /// Chooses the batch axis.
    #[must_use]
    pub fn batch(mut self, batch: BatchAxis) -> Self {
        self.batch = batch;
        self
    }

    /// Chooses what may be made of the model while it is read.
    #[must_use]
    pub fn known_bytes(mut self, bytes: usize) -> Self {
        self.known_bytes = bytes;
        self
    }
}
