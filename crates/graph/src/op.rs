//! The operators a graph is made of. Each is defined once, in [`crate::ops`]: documentation, shape rule, reference
//! evaluation.

use crate::ops::{
    Attention, AveragePool, BatchNorm, Binary, Concat, Conv, ConvTranspose, Embedding, GlobalAveragePool,
    GroupNorm, LayerNorm, Linear, MatMul, MaxPool, Operator, Pad, Reduce, Reshape, RmsNorm, Slice, Softmax,
    Split, Transpose, Unary, UnaryOp,
};
use crate::{Problem, Tensor, ValueType};

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is documented by the type it holds")]
pub enum Op {
    MatMul(MatMul),
    Linear(Linear),
    Conv(Conv),
    ConvTranspose(ConvTranspose),
    Binary(Binary),
    Unary(Unary),
    Softmax(Softmax),
    LayerNorm(LayerNorm),
    RmsNorm(RmsNorm),
    BatchNorm(BatchNorm),
    GroupNorm(GroupNorm),
    Attention(Attention),
    Embedding(Embedding),
    Reshape(Reshape),
    Transpose(Transpose),
    Concat(Concat),
    Slice(Slice),
    Split(Split),
    Pad(Pad),
    Reduce(Reduce),
    MaxPool(MaxPool),
    AveragePool(AveragePool),
    GlobalAveragePool(GlobalAveragePool),
}

impl Op {
    fn operator(&self) -> &dyn Operator {
        match self {
            Op::MatMul(op) => op,
            Op::Linear(op) => op,
            Op::Conv(op) => op,
            Op::ConvTranspose(op) => op,
            Op::Binary(op) => op,
            Op::Unary(op) => op,
            Op::Softmax(op) => op,
            Op::LayerNorm(op) => op,
            Op::RmsNorm(op) => op,
            Op::BatchNorm(op) => op,
            Op::GroupNorm(op) => op,
            Op::Attention(op) => op,
            Op::Embedding(op) => op,
            Op::Reshape(op) => op,
            Op::Transpose(op) => op,
            Op::Concat(op) => op,
            Op::Slice(op) => op,
            Op::Split(op) => op,
            Op::Pad(op) => op,
            Op::Reduce(op) => op,
            Op::MaxPool(op) => op,
            Op::AveragePool(op) => op,
            Op::GlobalAveragePool(op) => op,
        }
    }

    /// The operator's name, ONNX's where it has one.
    pub fn name(&self) -> &'static str {
        self.operator().name()
    }

    /// The types of the outputs, or what is wrong with the inputs.
    pub fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        self.operator().infer(inputs)
    }

    /// The outputs, computed slowly and obviously, accumulating in f64. `inputs` must have passed [`Op::infer`];
    /// `outputs` are the shapes it gave, with the batch resolved.
    pub fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        self.operator().evaluate(inputs, outputs)
    }
}

/// The elementwise function that a fused operator applies last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is documented by the unary operator of the same name")]
pub enum Activation {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Sigmoid,
    Tanh,
}

impl Activation {
    /// The same function as an operator of its own.
    pub fn unary(self) -> UnaryOp {
        match self {
            Activation::Relu => UnaryOp::Relu,
            Activation::Gelu => UnaryOp::Gelu,
            Activation::GeluTanh => UnaryOp::GeluTanh,
            Activation::Silu => UnaryOp::Silu,
            Activation::Sigmoid => UnaryOp::Sigmoid,
            Activation::Tanh => UnaryOp::Tanh,
        }
    }
}
