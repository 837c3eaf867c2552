//! `torch.nn.TransformerEncoder` and `TransformerDecoder`.

use paceline_graph::Value;

use super::{LayerNorm, Masks, TransformerLayer};
use crate::{BuildError, Layer, Module, Parameters, Scope};

/// Encoder layers one after the other. `torch.nn.TransformerEncoder`. As a [`Layer`] it is applied without masks.
///
/// Parameters: `layers.0`, `layers.1` ..., and `norm` if there is one.
pub type TransformerEncoder = TransformerStack<false>;

/// Decoder layers one after the other, all attending to one memory. `torch.nn.TransformerDecoder`.
///
/// Parameters: `layers.0`, `layers.1` ..., and `norm` if there is one.
pub type TransformerDecoder = TransformerStack<true>;

/// Transformer layers one after the other, and perhaps a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerStack<const DECODER: bool> {
    layer: TransformerLayer<DECODER>,
    count: usize,
    norm: Option<LayerNorm>,
}

impl<const DECODER: bool> TransformerStack<DECODER> {
    /// `num_layers` layers like `layer`, each with weights of its own, without a final norm.
    pub fn new(layer: TransformerLayer<DECODER>, num_layers: usize) -> Self {
        TransformerStack { layer, count: num_layers, norm: None }
    }

    /// Applied last. Default: nothing.
    pub fn norm(mut self, norm: LayerNorm) -> Self {
        self.norm = Some(norm);
        self
    }

    fn fold(
        &self,
        scope: &mut Scope<'_>,
        x: Value,
        apply: impl Fn(&mut Scope<'_>, Value) -> Result<Value, BuildError>,
    ) -> Result<Value, BuildError> {
        let x =
            (0..self.count).try_fold(x, |x, index| apply(&mut scope.child(&format!("layers.{index}")), x))?;
        match &self.norm {
            Some(norm) => norm.forward(&mut scope.child("norm"), x),
            None => Ok(x),
        }
    }
}

impl TransformerEncoder {
    /// `src [N, T, d_model]` to the same shape; every layer has the same masks.
    pub fn forward_masked(
        &self,
        scope: &mut Scope<'_>,
        src: Value,
        masks: &Masks,
    ) -> Result<Value, BuildError> {
        self.fold(scope, src, |scope, x| self.layer.forward_masked(scope, x, masks))
    }
}

impl TransformerDecoder {
    /// `tgt [N, T, d_model]` and `memory [N, S, d_model]` to `[N, T, d_model]`; every layer has the same masks.
    pub fn forward(
        &self,
        scope: &mut Scope<'_>,
        tgt: Value,
        memory: Value,
        tgt_masks: &Masks,
        memory_masks: &Masks,
    ) -> Result<Value, BuildError> {
        self.fold(scope, tgt, |scope, x| self.layer.forward(scope, x, memory, tgt_masks, memory_masks))
    }
}

impl<const DECODER: bool> Module for TransformerStack<DECODER> {
    fn parameters(&self, parameters: &mut Parameters) {
        for index in 0..self.count {
            parameters.child(&format!("layers.{index}"), &self.layer);
        }
        if let Some(norm) = &self.norm {
            parameters.child("norm", norm);
        }
    }
}

impl Layer for TransformerEncoder {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        self.forward_masked(scope, x, &Masks::none())
    }
}
