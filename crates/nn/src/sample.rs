//! Random inputs for a graph.

use paceline_graph::{Data, Element, Graph, Op, Tensor, TensorError, by_type};

use crate::random::Random;

/// An input tensor for each of the graph's inputs, in its order, for `batch` samples; drawn from `seed`, the same on every
/// machine.
///
/// f32 is close to standard normal. i64 and other numbers are indices that every embedding of the graph has. bool hides about a quarter
/// of the keys, never the first of a row: as a key-padding mask it leaves each query, causal or not, a key to see.
///
/// Fails when a tensor of this size does not fit in memory.
pub fn sample_inputs(graph: &Graph, batch: usize, seed: u64) -> Result<Vec<Tensor>, TensorError> {
    let mut random = Random::new(seed);
    let rows = smallest_table(graph).unwrap_or(2);
    let inputs = graph.inputs().iter().map(|&input| {
        let ty = &graph.value(input).ty;
        let mut tensor = Tensor::zeros(ty.dtype, ty.shape.resolve(batch))?;
        let row = tensor.shape().last().copied().unwrap_or(1);
        match tensor.data_mut() {
            Data::F32(v) => v.iter_mut().for_each(|x| *x = random.normal()),
            Data::I64(v) => v.iter_mut().for_each(|x| *x = random.below(rows) as i64),
            Data::Bool(v) => {
                v.iter_mut().enumerate().for_each(|(i, x)| *x = random.below(4) == 0 && i % row != 0);
            }
            other => by_type!(Data, other, v => v.iter_mut().for_each(|x| *x = Element::from_f64(random.below(rows) as f64))),
        }
        Ok(tensor)
    });
    inputs.collect()
}

/// Rows of the smallest table that the graph looks something up in.
fn smallest_table(graph: &Graph) -> Option<usize> {
    let tables = graph.nodes().iter().filter(|node| matches!(node.op, Op::Embedding(_)));
    let weights = tables.filter_map(|node| node.inputs.get(1).copied().flatten());
    weights.filter_map(|weight| graph.value(weight).ty.shape.fixed()?.first().copied()).min()
}
