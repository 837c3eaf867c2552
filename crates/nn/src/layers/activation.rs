//! Activations: layers without parameters that apply one function to each element, and softmax.

use paceline_graph::{self as graph, Op, Unary, UnaryOp, Value};

use crate::{BuildError, Layer, Module, Parameters, Scope};

macro_rules! elementwise {
    ($(#[doc = $doc:literal] $name:ident => $op:expr;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Module for $name {
            fn parameters(&self, _: &mut Parameters) {}
        }

        impl Layer for $name {
            fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
                scope.add("", Op::Unary(Unary($op)), &[Some(x)])
            }
        }
    )*};
}

elementwise! {
    /// `max(x, 0)`. `torch.nn.ReLU`.
    ReLU => UnaryOp::Relu;
    /// `x * sigmoid(x)`. `torch.nn.SiLU`.
    SiLU => UnaryOp::Silu;
    /// `1 / (1 + exp(-x))`. `torch.nn.Sigmoid`.
    Sigmoid => UnaryOp::Sigmoid;
    /// Hyperbolic tangent. `torch.nn.Tanh`.
    Tanh => UnaryOp::Tanh;
}

/// `x` times the normal distribution function of `x`. `torch.nn.GELU`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GELU {
    approximation: Approximation,
}

/// How the distribution function in [`GELU`] is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approximation {
    /// With the error function.
    #[default]
    None,
    /// With a hyperbolic tangent, within 1e-3 of the exact one.
    Tanh,
}

impl GELU {
    /// The exact one, with the error function.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the distribution function is computed. Default: exactly.
    pub fn approximate(mut self, approximation: Approximation) -> Self {
        self.approximation = approximation;
        self
    }
}

impl Module for GELU {
    fn parameters(&self, _: &mut Parameters) {}
}

impl Layer for GELU {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let op = match self.approximation {
            Approximation::None => UnaryOp::Gelu,
            Approximation::Tanh => UnaryOp::GeluTanh,
        };
        scope.add("", Op::Unary(Unary(op)), &[Some(x)])
    }
}

/// Exponentials divided by their sum along one axis. `torch.nn.Softmax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    axis: isize,
}

impl Softmax {
    /// Along axis `dim`, which may not be the batch; a negative one counts from the end.
    pub fn new(dim: isize) -> Self {
        Softmax { axis: dim }
    }
}

impl Module for Softmax {
    fn parameters(&self, _: &mut Parameters) {}
}

impl Layer for Softmax {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        scope.add("", Op::Softmax(graph::Softmax { axis: self.axis }), &[Some(x)])
    }
}

/// Gives back its input: `torch.nn.Identity`, and what `torch.nn.Dropout` is in evaluation mode. It keeps the numbering
/// of a [`crate::Sequential`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Module for Identity {
    fn parameters(&self, _: &mut Parameters) {}
}

impl Layer for Identity {
    fn forward(&self, _: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        Ok(x)
    }
}
