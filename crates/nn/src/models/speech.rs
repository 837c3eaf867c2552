//! A small speech decoder.

use paceline_graph::{Op, Transpose, Value};

use super::{Network, OneInput};
use crate::{BuildError, Conv1d, GELU, Layer, LayerNorm, Linear, Module, Parameters, ReLU, Scope};

/// Convolutions, layer norm and linear layers, shaped like a small text-to-speech decoder: `[N, in_channels, L]` to
/// `[N, L, out_features]`.
///
/// Parameters: `pre`, `mid` (convolutions of kernel 5), `norm`, `proj`, `out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels between.
    pub hidden: usize,
    /// Features of the output.
    pub out_features: usize,
}

impl Speech {
    /// As a network on inputs of `[N, in_channels, length]`.
    pub fn with_length(self, length: usize) -> impl Network {
        OneInput::new(self, [self.in_channels, length])
    }

    fn pre(&self) -> Conv1d {
        Conv1d::new(self.in_channels, self.hidden, 5).padding(2)
    }

    fn mid(&self) -> Conv1d {
        Conv1d::new(self.hidden, self.hidden, 5).padding(2)
    }

    fn norm(&self) -> LayerNorm {
        LayerNorm::new(self.hidden)
    }

    fn proj(&self) -> Linear {
        Linear::new(self.hidden, self.hidden)
    }

    fn out(&self) -> Linear {
        Linear::new(self.hidden, self.out_features)
    }
}

impl Module for Speech {
    fn parameters(&self, parameters: &mut Parameters) {
        parameters.child("pre", &self.pre());
        parameters.child("mid", &self.mid());
        parameters.child("norm", &self.norm());
        parameters.child("proj", &self.proj());
        parameters.child("out", &self.out());
    }
}

impl Layer for Speech {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let x = self.pre().forward(&mut scope.child("pre"), x)?;
        let x = ReLU.forward(&mut scope.child("pre.relu"), x)?;
        let x = self.mid().forward(&mut scope.child("mid"), x)?;
        let x = ReLU.forward(&mut scope.child("mid.relu"), x)?;
        let to_features_last = Transpose { permutation: vec![0, 2, 1] };
        let x = scope.add("transpose", Op::Transpose(to_features_last), &[Some(x)])?;
        let x = self.norm().forward(&mut scope.child("norm"), x)?;
        let x = self.proj().forward(&mut scope.child("proj"), x)?;
        let x = GELU::new().forward(&mut scope.child("proj.gelu"), x)?;
        self.out().forward(&mut scope.child("out"), x)
    }
}
