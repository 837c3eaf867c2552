//! The layers, one family a file, with PyTorch's names, defaults and semantics in evaluation mode.

mod activation;
mod attention;
mod axes;
mod conv;
mod conv_transpose;
mod embedding;
mod linear;
mod norm;
mod pool;
mod sequential;
mod shape;
mod transformer_layer;
mod transformer_stack;

pub use activation::{Approximation, GELU, Identity, ReLU, SiLU, Sigmoid, Softmax, Tanh};
pub use attention::{Masks, MultiheadAttention};
pub use axes::{Axes, Padding};
pub use conv::{Conv, Conv1d, Conv2d};
pub use conv_transpose::ConvTranspose1d;
pub use embedding::Embedding;
pub use linear::Linear;
pub use norm::{BatchNorm, BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm};
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool, AvgPool1d, AvgPool2d, MaxPool, MaxPool1d,
    MaxPool2d,
};
pub use sequential::Sequential;
pub use shape::{Flatten, Unflatten};
pub use transformer_layer::{TransformerDecoderLayer, TransformerEncoderLayer, TransformerLayer};
pub use transformer_stack::{TransformerDecoder, TransformerEncoder, TransformerStack};

use paceline_graph::{Dim, ValueType};

/// The length of axis `axis` of `ty`, when there is such an axis and it is not the batch.
fn fixed_length(ty: &ValueType, axis: usize) -> Option<usize> {
    match ty.shape.dims().get(axis) {
        Some(&Dim::Fixed(length)) => Some(length),
        _ => None,
    }
}
