//! `torch.nn.TransformerEncoderLayer` and `TransformerDecoderLayer`.

use paceline_graph::{Activation, Binary, BinaryOp, Op, Unary, Value};

use super::{LayerNorm, Linear, Masks, MultiheadAttention};
use crate::{BuildError, Layer, Module, Parameters, Scope};

/// Self attention and a feed-forward block. `torch.nn.TransformerEncoderLayer(batch_first=True)`.
///
/// Parameters: `self_attn`, `linear1`, `linear2`, `norm1`, `norm2`. As a [`Layer`] it is applied without masks.
pub type TransformerEncoderLayer = TransformerLayer<false>;

/// Self attention, attention to a memory and a feed-forward block. `torch.nn.TransformerDecoderLayer(batch_first=True)`.
///
/// Parameters: `self_attn`, `multihead_attn`, `linear1`, `linear2`, `norm1`, `norm2`, `norm3`.
pub type TransformerDecoderLayer = TransformerLayer<true>;

/// A transformer layer, which attends to a memory as well if `DECODER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerLayer<const DECODER: bool> {
    d_model: usize,
    nhead: usize,
    dim_feedforward: usize,
    activation: Activation,
    norm_first: bool,
    epsilon: f32,
    bias: bool,
}

impl<const DECODER: bool> TransformerLayer<DECODER> {
    /// 2048 features between the feed-forward layers, ReLU, each norm after its block, biases.
    pub fn new(d_model: usize, nhead: usize) -> Self {
        TransformerLayer {
            d_model,
            nhead,
            dim_feedforward: 2048,
            activation: Activation::Relu,
            norm_first: false,
            epsilon: 1e-5,
            bias: true,
        }
    }

    /// Features between the feed-forward layers. Default: 2048.
    pub fn dim_feedforward(mut self, dim_feedforward: usize) -> Self {
        self.dim_feedforward = dim_feedforward;
        self
    }

    /// Applied between the feed-forward layers. Default: ReLU.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Whether each block normalises what it reads rather than what it writes. Default: false.
    pub fn norm_first(mut self, norm_first: bool) -> Self {
        self.norm_first = norm_first;
        self
    }

    /// Added to the variance in the norms. Default: 1e-5.
    pub fn layer_norm_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether projections, linear layers and norms have biases. Default: true.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    fn attention(&self) -> MultiheadAttention {
        MultiheadAttention::new(self.d_model, self.nhead).bias(self.bias)
    }

    fn linear1(&self) -> Linear {
        Linear::new(self.d_model, self.dim_feedforward).bias(self.bias)
    }

    fn linear2(&self) -> Linear {
        Linear::new(self.dim_feedforward, self.d_model).bias(self.bias)
    }

    fn norm(&self) -> LayerNorm {
        LayerNorm::new(self.d_model).epsilon(self.epsilon).bias(self.bias)
    }

    fn self_attention(&self, scope: &mut Scope<'_>, x: Value, masks: &Masks) -> Result<Value, BuildError> {
        self.residual(scope, 1, x, |scope, x| {
            self.attention().attend(&mut scope.child("self_attn"), x, x, x, masks)
        })
    }

    /// The feed-forward block, which is the layer's block `number`.
    fn feed_forward(&self, scope: &mut Scope<'_>, number: usize, x: Value) -> Result<Value, BuildError> {
        self.residual(scope, number, x, |scope, x| {
            let x = self.linear1().forward(&mut scope.child("linear1"), x)?;
            let x = scope.add("activation", Op::Unary(Unary(self.activation.unary())), &[Some(x)])?;
            self.linear2().forward(&mut scope.child("linear2"), x)
        })
    }

    /// `block` with a connection around it and the norm of this number, before or after.
    fn residual(
        &self,
        scope: &mut Scope<'_>,
        number: usize,
        x: Value,
        block: impl FnOnce(&mut Scope<'_>, Value) -> Result<Value, BuildError>,
    ) -> Result<Value, BuildError> {
        let norm =
            |scope: &mut Scope<'_>, x| self.norm().forward(&mut scope.child(&format!("norm{number}")), x);
        let read = if self.norm_first { norm(scope, x)? } else { x };
        let change = block(scope, read)?;
        let add = Op::Binary(Binary(BinaryOp::Add));
        let sum = scope.add(&format!("residual{number}"), add, &[Some(x), Some(change)])?;
        if self.norm_first { Ok(sum) } else { norm(scope, sum) }
    }
}

impl TransformerEncoderLayer {
    /// `src [N, T, d_model]` to the same shape.
    pub fn forward_masked(
        &self,
        scope: &mut Scope<'_>,
        src: Value,
        masks: &Masks,
    ) -> Result<Value, BuildError> {
        let x = self.self_attention(scope, src, masks)?;
        self.feed_forward(scope, 2, x)
    }
}

impl TransformerDecoderLayer {
    /// `tgt [N, T, d_model]` and `memory [N, S, d_model]` to `[N, T, d_model]`; `tgt_masks` are those of the self attention.
    pub fn forward(
        &self,
        scope: &mut Scope<'_>,
        tgt: Value,
        memory: Value,
        tgt_masks: &Masks,
        memory_masks: &Masks,
    ) -> Result<Value, BuildError> {
        let x = self.self_attention(scope, tgt, tgt_masks)?;
        let x = self.residual(scope, 2, x, |scope, x| {
            self.attention().attend(&mut scope.child("multihead_attn"), x, memory, memory, memory_masks)
        })?;
        self.feed_forward(scope, 3, x)
    }
}

impl<const DECODER: bool> Module for TransformerLayer<DECODER> {
    fn parameters(&self, parameters: &mut Parameters) {
        parameters.child("self_attn", &self.attention());
        if DECODER {
            parameters.child("multihead_attn", &self.attention());
        }
        parameters.child("linear1", &self.linear1());
        parameters.child("linear2", &self.linear2());
        for number in 1..=if DECODER { 3 } else { 2 } {
            parameters.child(&format!("norm{number}"), &self.norm());
        }
    }
}

impl Layer for TransformerEncoderLayer {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        self.forward_masked(scope, x, &Masks::none())
    }
}
