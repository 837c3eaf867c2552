//! A small translation model.

use paceline_graph::{DType, Shape};

use super::Network;
use crate::{
    BuildError, Layer, Linear, Masks, Module, Parameters, Scope, TransformerDecoder, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer,
};

/// Encoder and decoder stacks over embedded tokens, and a linear layer over the vocabulary; the target sees its past alone.
///
/// Inputs: `source [N, source_tokens, d_model]`, `target [N, target_tokens, d_model]`. Output: `y [N, target_tokens, vocabulary]`.
/// Parameters: `encoder`, `decoder`, `generator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Width of a token.
    pub d_model: usize,
    /// Heads of each attention.
    pub nhead: usize,
    /// Features between the feed-forward layers.
    pub dim_feedforward: usize,
    /// Layers in the encoder, and as many in the decoder.
    pub num_layers: usize,
    /// Words to choose from.
    pub vocabulary: usize,
    /// Tokens of the source.
    pub source_tokens: usize,
    /// Tokens of the target.
    pub target_tokens: usize,
}

impl Translation {
    fn encoder(&self) -> TransformerEncoder {
        let layer =
            TransformerEncoderLayer::new(self.d_model, self.nhead).dim_feedforward(self.dim_feedforward);
        TransformerEncoder::new(layer, self.num_layers)
    }

    fn decoder(&self) -> TransformerDecoder {
        let layer =
            TransformerDecoderLayer::new(self.d_model, self.nhead).dim_feedforward(self.dim_feedforward);
        TransformerDecoder::new(layer, self.num_layers)
    }

    fn generator(&self) -> Linear {
        Linear::new(self.d_model, self.vocabulary)
    }
}

impl Module for Translation {
    fn parameters(&self, parameters: &mut Parameters) {
        parameters.child("encoder", &self.encoder());
        parameters.child("decoder", &self.decoder());
        parameters.child("generator", &self.generator());
    }
}

impl Network for Translation {
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError> {
        let tokens = |count| Shape::batched(&[count, self.d_model]);
        let source = scope.input("source", DType::F32, tokens(self.source_tokens))?;
        let target = scope.input("target", DType::F32, tokens(self.target_tokens))?;
        let memory = self.encoder().forward(&mut scope.child("encoder"), source)?;
        let (past_only, all) = (Masks::none().causal(), Masks::none());
        let decoder = &mut scope.child("decoder");
        let decoded = self.decoder().forward(decoder, target, memory, &past_only, &all)?;
        let y = self.generator().forward(&mut scope.child("generator"), decoded)?;
        scope.output("y", y)
    }
}
