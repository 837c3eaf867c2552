//! All passes, in the order in which they help each other.

use super::{
    drop_identities, eliminate_common, eliminate_dead, fold_batch_norm, fold_constants, fuse_conv,
    fuse_linear, plain_powers, recognise_attention, recognise_gelu, recognise_layer_norm,
};
use crate::{Graph, GraphError};

/// A function from graph to graph that leaves every result unchanged.
pub type Pass = fn(&Graph) -> Result<Graph, GraphError>;

/// Rounds after which [`simplify`] stops even if the graph still changes: more than any model has needed.
const MOST_ROUNDS: usize = 8;

/// Every pass with its name, in the order of [`simplify`].
///
/// Identities go first, so that patterns are not hidden behind them, and common nodes, so that what a pattern uses twice is one
/// value. Whole layers are recognised before their last nodes can be fused into something else. Constants are folded
/// last, because a transposed weight needs no copy when Linear takes it as it is.
pub fn passes() -> [(&'static str, Pass); 11] {
    [
        ("eliminate_dead", eliminate_dead),
        ("drop_identities", drop_identities),
        ("eliminate_common", eliminate_common),
        ("plain_powers", plain_powers),
        ("recognise_gelu", recognise_gelu),
        ("recognise_layer_norm", recognise_layer_norm),
        ("recognise_attention", recognise_attention),
        ("fold_batch_norm", fold_batch_norm),
        ("fuse_linear", fuse_linear),
        ("fuse_conv", fuse_conv),
        ("fold_constants", fold_constants),
    ]
}

/// Runs [`passes`] until nothing changes, at most eight rounds.
pub fn simplify(graph: &Graph) -> Result<Graph, GraphError> {
    let mut current = graph.clone();
    for _ in 0..MOST_ROUNDS {
        let next = passes().iter().try_fold(current.clone(), |graph, (_, pass)| pass(&graph))?;
        let settled = same_nodes(&current, &next);
        current = next;
        if settled {
            break;
        }
    }
    Ok(current)
}

/// Whether two graphs, the second made from the first by passes, have the same nodes.
fn same_nodes(a: &Graph, b: &Graph) -> bool {
    let same = |a: &crate::Node, b: &crate::Node| {
        a.name == b.name && a.op == b.op && a.inputs == b.inputs && a.outputs == b.outputs
    };
    a.values().len() == b.values().len()
        && a.nodes().len() == b.nodes().len()
        && a.nodes().iter().zip(b.nodes()).all(|(a, b)| same(a, b))
}
