//! Computes ahead what depends on no input.

use std::sync::Arc;

use super::rewrite::{Operand, Replacement, rewrite};
use super::site::Site;
use crate::flops::node_work;
use crate::{Graph, GraphError, Source, Tensor};

/// No folded result may be larger.
const LARGEST_BYTES: usize = 64 << 20;
/// Nor larger than this many times what it is computed from, unless it is small.
const LARGEST_GROWTH: usize = 16;
/// A result up to this size may grow as it likes.
const SMALL_BYTES: usize = 4 << 10;
/// No node whose evaluation takes more steps is folded: the reference is slow, and compiling should take a second or so.
const MOST_WORK: u64 = 1 << 28;
/// All results together take no more than so many times what all constants of the graph take, and 64 MiB.
const MOST_GROWTH: usize = 2;
/// All nodes that are folded take the reference no more steps together: some ten seconds.
const MOST_TOTAL_WORK: u64 = 1 << 31;

/// Evaluates nodes whose inputs are all constants, with the reference's arithmetic; the results become constants named after
/// the node.
///
/// A node stays when its results take more than 64 MiB together, or more than 16 times the bytes of its inputs and more than
/// 4 KiB: a graph should not outgrow the model it came from. It also stays when it would take the reference more than 2^28
/// multiply-adds (or elements read, written, or under a window): a device does them faster. And it stays where all that was folded
/// before takes together more than twice the bytes of the graph's constants and 64 MiB, or 2^31 steps, because a graph of
/// many nodes could take any time otherwise.
pub fn fold_constants(graph: &Graph) -> Result<Graph, GraphError> {
    let bytes = |tensor: &Arc<Tensor>| tensor.len() * tensor.dtype().size_bytes();
    let constants = graph.values().iter().filter_map(|info| match &info.source {
        Source::Constant(tensor) => Some(bytes(tensor)),
        _ => None,
    });
    let all = constants.fold(0, usize::saturating_add);
    let mut left =
        Left { bytes: all.saturating_mul(MOST_GROWTH).saturating_add(LARGEST_BYTES), work: MOST_TOTAL_WORK };
    rewrite(graph, |site| fold(site, &mut left))
}

/// What may still be folded.
struct Left {
    bytes: usize,
    work: u64,
}

fn fold(site: &Site<'_>, left: &mut Left) -> Option<Replacement> {
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
    let work = node_work(site.graph, node);
    if output_bytes > largest.min(left.bytes) || work > MOST_WORK.min(left.work) {
        return None;
    }
    left.bytes -= output_bytes;
    left.work -= work;
    let results = node.op.evaluate(&inputs, &shapes);
    let outputs = node.outputs.iter().zip(results);
    Some(Replacement::Outputs(
        outputs.map(|(&v, t)| Operand::New(site.graph.value(v).name.clone(), Arc::new(t))).collect(),
    ))
}
