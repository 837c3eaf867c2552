//! The two traits of this crate: a [`Module`] has parameters, a [`Layer`] is a module from one value to one value.

use std::fmt::Debug;

use paceline_graph::Value;

use crate::{BuildError, Parameters, Scope};

/// Plain data that describes a part of a model and names its weights as PyTorch's `state_dict` does.
///
/// A module holds no weights: they are in a [`crate::StateDict`], and meet the module when a graph is built.
pub trait Module: Debug + Send + Sync {
    /// Declares the parameters and buffers, in PyTorch's order.
    fn parameters(&self, parameters: &mut Parameters);
}

/// A module with one input and one output. Axis 0 is the batch.
pub trait Layer: Module {
    /// Adds the layer's nodes to the graph of `scope`, whose path is where the layer's parameters are.
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError>;
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn parameters(&self, parameters: &mut Parameters) {
        (**self).parameters(parameters);
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        (**self).forward(scope, x)
    }
}
