//! Computes ahead what depends on no input.

use std::sync::Arc;

use super::rewrite::{Operand, Replacement, rewrite};
use super::site::Site;
use crate::flops::node_work;
use crate::{Graph, GraphError, Tensor};

/// No folded result may be larger.
const LARGEST_BYTES: usize = 64 << 20;
/// Nor larger than this many times what it is computed from, unless it is small.
const LARGEST_GROWTH: usize = 16;
/// A result up to this size may grow as it likes.
const SMALL_BYTES: usize = 4 << 10;
/// No node whose evaluation takes more steps is folded: the reference is slow, and compiling should take a second or so.
const MOST_WORK: u64 = 1 << 28;

/// Evaluates nodes whose inputs are all constants, with the reference's arithmetic; the results become constants named after
/// the node.
///
/// A node stays when its results take more than 64 MiB together, or more than 16 times the bytes of its inputs and more than
/// 4 KiB: a graph should not outgrow the model it came from. It also stays when it would take the reference more than 2^28
/// multiply-adds (or elements read, written, or under a window): a device does them faster.
pub fn fold_constants(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, fold)
}

fn fold(site: &Site<'_>) -> Option<Replacement> {
    let node = site.node();
    let inputs: Vec<Option<&Tensor>> = node
        .inputs
        .iter()
        .map(|v| match v {
            Some(v) => site.graph.constant(*v).map(|tensor| Some(tensor.as_ref())),
            None => Some(None),
        })
        .collect::<Option<_>>()?;
    let shapes: Vec<Vec<usize>> =
        node.outputs.iter().map(|&v| site.ty(v).shape.fixed()).collect::<Option<_>>()?;

    let input_bytes: usize = inputs.iter().flatten().map(|t| t.len() * t.dtype().size_bytes()).sum();
    let output_bytes = node.outputs.iter().try_fold(0usize, |sum, &v| {
        let ty = site.ty(v);
        sum.checked_add(ty.shape.elements_per_sample()?.checked_mul(ty.dtype.size_bytes())?)
    })?;
    let largest = input_bytes.saturating_mul(LARGEST_GROWTH).clamp(SMALL_BYTES, LARGEST_BYTES);
    if output_bytes > largest || node_work(site.graph, node) > MOST_WORK {
        return None;
    }
    let results = node.op.evaluate(&inputs, &shapes);
    let outputs = node.outputs.iter().zip(results);
    Some(Replacement::Outputs(
        outputs.map(|(&v, t)| Operand::New(site.graph.value(v).name.clone(), Arc::new(t))).collect(),
    ))
}
