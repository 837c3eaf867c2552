//! One file a family of operators: documentation, shape rule and reference evaluation side by side.

mod attention;
mod broadcast;
mod check;
mod conv;
mod elementwise;
mod embedding;
mod index;
mod layout;
mod linear;
mod norm;
mod operands;
mod pool;
mod reduce;
mod window;

pub use attention::Attention;
pub use conv::{Conv, ConvTranspose};
pub use elementwise::{Binary, BinaryOp, Unary, UnaryOp};
pub use embedding::Embedding;
pub use layout::{Concat, Pad, Reshape, Slice, Split, Transpose};
pub use linear::{Linear, MatMul};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax};
pub use pool::{AveragePool, GlobalAveragePool, MaxPool};
pub use reduce::{Reduce, ReduceOp};

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
