//! A module together with its inputs and outputs.

use crate::{BuildError, Layer, Module, Parameters, Scope};

/// A module that says which inputs it takes and which outputs it has: all that a graph needs but the weights.
pub trait Network: Module {
    /// Declares the inputs, applies the module and declares the outputs.
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError>;
}

/// A layer with one f32 input `x` of a fixed shape per sample, and the output `y`.
#[derive(Clone, Debug)]
pub struct OneInput<L> {
    layer: L,
    per_sample: Vec<usize>,
}

impl<L: Layer> OneInput<L> {
    /// `layer` on inputs of `[N, per_sample...]`.
    pub fn new(layer: L, per_sample: impl Into<Vec<usize>>) -> Self {
        OneInput { layer, per_sample: per_sample.into() }
    }
}

impl<L: Layer> Module for OneInput<L> {
    fn parameters(&self, parameters: &mut Parameters) {
        self.layer.parameters(parameters);
    }
}

impl<L: Layer> Network for OneInput<L> {
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError> {
        scope.apply(&self.layer, &self.per_sample)
    }
}
