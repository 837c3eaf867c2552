//! The reference interpreter: slow, obvious, accumulating in f64. The oracle of every device.

use std::borrow::Cow;

use crate::{DType, Graph, Source, Tensor, Value};

/// Why a graph could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The inputs are not as many as the graph declares.
    #[error("the graph has {expected} inputs, but {got} were given")]
    Count {
        /// Inputs the graph declares.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input has the wrong type or shape, or another batch than the first.
    #[error("input '{name}': expected {expected}, got {got_dtype}{got_shape:?}")]
    Input {
        /// The input's name.
        name: String,
        /// The type it should have.
        expected: String,
        /// The type it has.
        got_dtype: DType,
        /// The shape it has.
        got_shape: Vec<usize>,
    },
}

/// The outputs of `graph`, in its order, for `inputs`, in its order. The batch is the length of axis 0 of the inputs.
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvaluateError> {
    if inputs.len() != graph.inputs().len() {
        return Err(EvaluateError::Count { expected: graph.inputs().len(), got: inputs.len() });
    }
    let batch = if graph.is_batched() { inputs[0].shape().first().copied().unwrap_or(0) } else { 1 };
    let mut computed: Vec<Option<Cow<'_, Tensor>>> = vec![None; graph.values().len()];
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        let info = graph.value(value);
        if tensor.dtype() != info.ty.dtype || tensor.shape() != info.ty.shape.resolve(batch) {
            return Err(EvaluateError::Input {
                name: info.name.clone(),
                expected: info.ty.to_string(),
                got_dtype: tensor.dtype(),
                got_shape: tensor.shape().to_vec(),
            });
        }
        computed[value.index()] = Some(Cow::Borrowed(tensor));
    }
    for (index, info) in graph.values().iter().enumerate() {
        if let Source::Constant(tensor) = &info.source {
            computed[index] = Some(Cow::Borrowed(tensor));
        }
    }
    let of = |computed: &[Option<Cow<'_, Tensor>>], value: Value| -> Tensor {
        computed[value.index()].as_deref().expect("nodes are in order").clone()
    };
    for node in graph.nodes() {
        let shapes: Vec<_> = node.outputs.iter().map(|&v| graph.value(v).ty.shape.resolve(batch)).collect();
        let results = {
            let inputs: Vec<_> =
                node.inputs.iter().map(|v| v.and_then(|v| computed[v.index()].as_deref())).collect();
            node.op.evaluate(&inputs, &shapes)
        };
        for (&value, tensor) in node.outputs.iter().zip(results) {
            debug_assert_eq!(tensor.shape(), graph.value(value).ty.shape.resolve(batch));
            computed[value.index()] = Some(Cow::Owned(tensor));
        }
    }
    Ok(graph.outputs().iter().map(|o| of(&computed, o.value)).collect())
}
