//! `torch.nn.Linear`.

use paceline_graph::{self as graph, Op, Value};

use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// `x W^T + b`: `[N, ..., in_features]` to `[N, ..., out_features]`. `torch.nn.Linear`.
///
/// Parameters: `weight [out_features, in_features]`, `bias [out_features]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    in_features: usize,
    out_features: usize,
    bias: bool,
}

impl Linear {
    /// With a bias.
    pub fn new(in_features: usize, out_features: usize) -> Self {
        Linear { in_features, out_features, bias: true }
    }

    /// Whether there is a bias. Default: true.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Module for Linear {
    fn parameters(&self, parameters: &mut Parameters) {
        let initial = Initial::fan_in(self.in_features);
        parameters.parameter("weight", [self.out_features, self.in_features], initial);
        if self.bias {
            parameters.parameter("bias", [self.out_features], initial);
        }
    }
}

impl Layer for Linear {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let weight = scope.parameter("weight")?;
        let bias = scope.optional_parameter(self.bias, "bias")?;
        scope.add("", Op::Linear(graph::Linear::default()), &[Some(x), Some(weight), bias])
    }
}
