//! The operators a graph is made of. Each is defined once, in [`crate::ops`]: documentation, shape rule, reference
//! evaluation.

use crate::ops::{self, Operator, UnaryOp};
use crate::{Problem, Tensor, ValueType};

macro_rules! operators {
    ($($name:ident,)*) => {
        /// What a node computes.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is documented by the type it holds")]
        pub enum Op {
            $($name(ops::$name),)*
        }

        impl Op {
            fn operator(&self) -> &dyn Operator {
                match self {
                    $(Op::$name(op) => op,)*
                }
            }
        }

        $(
            impl From<ops::$name> for Op {
                fn from(op: ops::$name) -> Self {
                    Op::$name(op)
                }
            }
        )*
    };
}

operators! {
    MatMul,
    Linear,
    Conv,
    ConvTranspose,
    Binary,
    Unary,
    Compare,
    Classify,
    Where,
    Cast,
    Softmax,
    LogSoftmax,
    Hardmax,
    LayerNorm,
    RmsNorm,
    BatchNorm,
    GroupNorm,
    Lrn,
    Attention,
    Embedding,
    Reshape,
    Transpose,
    Concat,
    Slice,
    Split,
    Pad,
    Expand,
    Tile,
    Trilu,
    OneHot,
    Gather,
    GatherElements,
    GatherNd,
    ScatterElements,
    ScatterNd,
    Reduce,
    ArgReduce,
    TopK,
    Cumulative,
    ReverseSequence,
    MaxPool,
    AveragePool,
    LpPool,
    GlobalAveragePool,
    Resize,
    GridSample,
    Quantize,
    Dequantize,
    DynamicQuantize,
    Recurrent,
    Einsum,
    Det,
}

impl Op {
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
        self.without_elements(inputs, outputs).unwrap_or_else(|| self.operator().evaluate(inputs, outputs))
    }

    /// The outputs where none of them has an element. Nothing is computed then, as the axes beside one of length 0 may have any length.
    fn without_elements(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Option<Vec<Tensor>> {
        if !outputs.iter().all(|shape| shape.contains(&0)) {
            return None;
        }
        let ty = |tensor: &Tensor| ValueType::new(tensor.dtype(), tensor.shape());
        let types: Vec<Option<ValueType>> = inputs.iter().map(|tensor| tensor.map(ty)).collect();
        let types: Vec<Option<&ValueType>> = types.iter().map(Option::as_ref).collect();
        // A rule that knows the batch only by its symbol may refuse its number; the operator is evaluated then.
        let dtypes = self.infer(&types).ok()?.into_iter().map(|ty| ty.dtype);
        dtypes.zip(outputs).map(|(dtype, shape)| Tensor::zeros(dtype, &shape[..]).ok()).collect()
    }
}

/// The elementwise function that a fused operator applies last.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is documented by the unary operator of the same name")]
pub enum Activation {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Sigmoid,
    Tanh,
    HardSwish,
    LeakyRelu { alpha: f32 },
    HardSigmoid { alpha: f32, beta: f32 },
    Clip { min: f32, max: f32 },
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
            Activation::HardSwish => UnaryOp::HardSwish,
            Activation::LeakyRelu { alpha } => UnaryOp::LeakyRelu { alpha },
            Activation::HardSigmoid { alpha, beta } => UnaryOp::HardSigmoid { alpha, beta },
            Activation::Clip { min, max } => UnaryOp::Clip { min, max },
        }
    }

    /// The operator as an activation, if it is one.
    pub fn of(op: UnaryOp) -> Option<Self> {
        Some(match op {
            UnaryOp::Relu => Activation::Relu,
            UnaryOp::Gelu => Activation::Gelu,
            UnaryOp::GeluTanh => Activation::GeluTanh,
            UnaryOp::Silu => Activation::Silu,
            UnaryOp::Sigmoid => Activation::Sigmoid,
            UnaryOp::Tanh => Activation::Tanh,
            UnaryOp::HardSwish => Activation::HardSwish,
            UnaryOp::LeakyRelu { alpha } => Activation::LeakyRelu { alpha },
            UnaryOp::HardSigmoid { alpha, beta } => Activation::HardSigmoid { alpha, beta },
            UnaryOp::Clip { min, max } => Activation::Clip { min, max },
            _ => return None,
        })
    }
}
