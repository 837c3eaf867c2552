//! One file a family of operators: documentation, shape rule and reference evaluation side by side.

mod arrange;
mod attention;
mod binary;
mod broadcast;
mod cast;
mod check;
mod conv;
mod einsum;
mod embedding;
mod gather;
mod index;
mod layout;
mod linear;
mod norm;
mod operands;
mod order;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod sample;
mod scatter;
mod select;
mod softmax;
mod unary;
mod window;

pub use arrange::{Expand, OneHot, Tile, Trilu};
pub use attention::Attention;
pub use binary::{Binary, BinaryOp};
pub use cast::Cast;
pub use conv::{Conv, ConvTranspose};
pub use einsum::Einsum;
pub use embedding::Embedding;
pub use gather::{Gather, GatherElements, GatherNd};
pub use layout::{Concat, Pad, PadMode, Reshape, Slice, Split, Transpose};
pub use linear::{Linear, MatMul};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, Lrn, RmsNorm};
pub use order::{ArgReduce, Cumulative, ReverseSequence, TopK};
pub use pool::{AveragePool, GlobalAveragePool, LpPool, MaxPool};
pub use quantize::{Dequantize, DynamicQuantize, Quantize};
pub use recurrent::{Cell, Direction, Recurrent};
pub use reduce::{Reduce, ReduceOp};
pub use resize::{Coordinates, Resize, ResizeAxis, ResizeMode, Rounding};
pub use sample::{Det, GridMode, GridSample, Outside};
pub use scatter::{Scatter, ScatterElements, ScatterNd};
pub use select::{Classify, Compare, CompareOp, Where};
pub use softmax::{Hardmax, LogSoftmax, Softmax};
pub use unary::{Unary, UnaryOp};

use crate::{Problem, Tensor, ValueType};

/// What every operator defines.
pub(crate) trait Operator {
    /// ONNX's name where it has one.
    fn name(&self) -> &'static str;
    /// The types of the outputs, or what is wrong with the inputs.
    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem>;
    /// The outputs. `inputs` have passed `infer`; `outputs` are the shapes it gave, with the batch resolved.
    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor>;
}
