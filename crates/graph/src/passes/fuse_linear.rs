//! Makes Linear of products with a constant matrix, and fuses what follows into it.

use super::epilogue;
use super::rewrite::{Replacement, rewrite};
use super::site::Site;
use crate::{DType, Graph, GraphError, Linear, Op, Transpose, Value};

/// Makes [`Linear`] out of
///
/// - `MatMul(x, c)` with a constant `c [k, n]` of f32, which is the weight, transposed;
/// - `MatMul(x, Transpose(c))` with a constant `c [n, k]`, which is the weight;
///
/// and fuses into a Linear that nothing else uses and that has no activation yet
///
/// - an added constant with one element an output feature (`[n]`, `[1, n]` ...): the bias, if it has none,
/// - an added value of the output's type: the residual, if it has none and its operator takes one. Where both terms could take
///   the other as residual, the one computed later does,
/// - what is an [`Activation`](crate::Activation): the activation.
///
/// Sums may have either order. The fused node is where the last fused node was, and has its name.
pub fn fuse_linear(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| match site.op() {
        Op::MatMul(_) => from_product(site),
        _ => epilogue::extend(site, |op| matches!(op, Op::Linear(_))),
    })
}

fn from_product(site: &Site<'_>) -> Option<Replacement> {
    let (x, right) = (site.input(0)?, site.input(1)?);
    let (weight, transposed) = match site.graph.constant(right) {
        Some(tensor) => ((tensor.shape().len() == 2).then_some(right)?, true),
        None => (transposed_constant(site, right)?, false),
    };
    if site.ty(weight).dtype != DType::F32 {
        return None;
    }
    let linear = Linear { transposed, ..Linear::default() };
    Some(Replacement::node(Op::Linear(linear), &[Some(x), Some(weight)]))
}

/// The constant matrix that `value` is the transpose of.
fn transposed_constant(site: &Site<'_>, value: Value) -> Option<Value> {
    let node = site.producer(value)?;
    let Op::Transpose(Transpose { permutation }) = &node.op else { return None };
    node.input(0).filter(|&v| permutation == &[1, 0] && site.graph.constant(v).is_some())
}
