//! The networks of the study that are PyTorch's own modules.

use super::{Network, OneInput};
use crate::{
    Conv1d, Linear, MultiheadAttention, ReLU, Sequential, TransformerEncoder, TransformerEncoderLayer,
};

/// One linear layer: `[N, in_features]` to `[N, out_features]`.
pub fn linear(in_features: usize, out_features: usize) -> impl Network {
    OneInput::new(Linear::new(in_features, out_features), [in_features])
}

/// Three linear layers with ReLU between: `[N, in_features]` to `[N, out_features]`.
pub fn perceptron(in_features: usize, hidden: usize, out_features: usize) -> impl Network {
    let layers = Sequential::new()
        .then(Linear::new(in_features, hidden))
        .then(ReLU)
        .then(Linear::new(hidden, hidden))
        .then(ReLU)
        .then(Linear::new(hidden, out_features));
    OneInput::new(layers, [in_features])
}

/// A convolution of kernel 3 and ReLU for each step from one number of channels to the next: `[N, first, length]` to
/// `[N, last, length]`.
pub fn convolutions(channels: &[usize], length: usize) -> impl Network + use<> {
    let layers = channels.windows(2).fold(Sequential::new(), |layers, step| {
        layers.then(Conv1d::new(step[0], step[1], 3).padding(1)).then(ReLU)
    });
    OneInput::new(layers, [channels.first().copied().unwrap_or(0), length])
}

/// One encoder layer, ReLU, norm last: `[N, tokens, d_model]` to the same.
pub fn encoder_layer(d_model: usize, nhead: usize, dim_feedforward: usize, tokens: usize) -> impl Network {
    let layer = TransformerEncoderLayer::new(d_model, nhead).dim_feedforward(dim_feedforward);
    OneInput::new(layer, [tokens, d_model])
}

/// A stack of such layers without a final norm: `[N, tokens, d_model]` to the same.
pub fn encoder(
    d_model: usize,
    nhead: usize,
    dim_feedforward: usize,
    num_layers: usize,
    tokens: usize,
) -> impl Network {
    let layer = TransformerEncoderLayer::new(d_model, nhead).dim_feedforward(dim_feedforward);
    OneInput::new(TransformerEncoder::new(layer, num_layers), [tokens, d_model])
}

/// Self attention: `[N, tokens, embed_dim]` to the same.
pub fn self_attention(embed_dim: usize, num_heads: usize, tokens: usize) -> impl Network {
    OneInput::new(MultiheadAttention::new(embed_dim, num_heads), [tokens, embed_dim])
}
