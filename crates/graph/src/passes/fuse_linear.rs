//! Makes Linear of products with a constant matrix, and fuses what follows into it.

use std::collections::HashMap;
use std::sync::Arc;

use super::epilogue;
use super::rewrite::{Operand, Replacement, rewrite};
use super::site::Site;
use crate::{Graph, GraphError, Linear, Op, Tensor, Transpose, Value};

/// Makes [`Linear`] out of
///
/// - `MatMul(x, c)` with a constant `c [k, n]`: the weight is `c` transposed, a new constant, shared by all nodes that multiply
///   with the same tensor;
/// - `MatMul(x, Transpose(c))` with a constant `c [n, k]`: the weight is `c` itself;
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
    let mut transposed = HashMap::new();
    rewrite(graph, |site| match site.op() {
        Op::MatMul(_) => from_product(site, &mut transposed),
        _ => epilogue::extend(site, |op| matches!(op, Op::Linear(_))),
    })
}

/// Tensors by address, each with its transpose; holding the tensor keeps the address its own.
type Transposed = HashMap<*const Tensor, (Arc<Tensor>, Arc<Tensor>)>;

fn from_product(site: &Site<'_>, transposed: &mut Transposed) -> Option<Replacement> {
    let (x, right) = (site.input(0)?, site.input(1)?);
    let weight = match site.graph.constant(right) {
        Some(tensor) => {
            let (_, weight) = match transposed.get(&Arc::as_ptr(tensor)) {
                Some(known) => known.clone(),
                None => {
                    let pair = (Arc::clone(tensor), Arc::new(transpose(tensor)?));
                    transposed.insert(Arc::as_ptr(tensor), pair.clone());
                    pair
                }
            };
            Operand::New(format!("{}.T", site.graph.value(right).name), weight)
        }
        None => Operand::Value(transposed_constant(site, right)?),
    };
    Some(Replacement::Node(Op::Linear(Linear::default()), vec![Some(Operand::Value(x)), Some(weight)]))
}

/// The transpose of an f32 matrix.
fn transpose(tensor: &Tensor) -> Option<Tensor> {
    let (&[rows, columns], elements) = (tensor.shape(), tensor.as_f32()?) else { return None };
    let moved = (0..columns).flat_map(|column| (0..rows).map(move |row| elements[row * columns + column]));
    Tensor::new([columns, rows], moved.collect::<Vec<f32>>()).ok()
}

/// The constant matrix that `value` is the transpose of.
fn transposed_constant(site: &Site<'_>, value: Value) -> Option<Value> {
    let node = site.producer(value)?;
    let Op::Transpose(Transpose { permutation }) = &node.op else { return None };
    node.input(0).filter(|&v| permutation == &[1, 0] && site.graph.constant(v).is_some())
}
