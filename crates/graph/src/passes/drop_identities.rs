//! Drops nodes that change nothing, and shortens chains of nodes that only move elements.

use super::layout::{Layout, layout_along, origins};
use super::rewrite::{Replacement, rewrite};
use super::site::Site;
use crate::{Graph, GraphError, Op, Reshape, Transpose, UnaryOp, Value};

/// Drops or shortens, bit for bit:
///
/// - a chain of [`Reshape`] and [`Transpose`] whose result is its origin under the same shape: the origin;
/// - such a chain that leaves the order of elements alone: one Reshape (so a Transpose that only moves axes of length 1 becomes
///   a Reshape);
/// - such a chain of two or more nodes that only permutes the axes of its origin: one Transpose;
/// - a Slice of a whole axis, a Pad by nothing, a Split into one piece, a Concat of one piece, a Cast to the same type, an Expand to
///   the same shape, a Tile of one: its input;
/// - `-(-x)`: `x`.
///
/// Values inside a chain that are used elsewhere stay for those uses.
pub fn drop_identities(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| match site.op() {
        Op::Reshape(_) | Op::Transpose(_) => shorter_chain(site),
        _ => unchanged(site).map(Replacement::value),
    })
}

/// The input that the node returns as it is.
fn unchanged(site: &Site<'_>) -> Option<Value> {
    let x = site.input(0)?;
    let identity = match site.op() {
        Op::Slice(slice) => slice.start == 0 && slice.step == 1 && site.ty(x) == site.ty(site.output()),
        Op::Pad(pad) => pad.pads.iter().all(|&p| p == (0, 0)),
        Op::Split(split) => split.sizes.len() == 1,
        Op::Concat(_) => site.node().inputs.len() == 1,
        Op::Cast(_) | Op::Expand(_) => site.ty(x) == site.ty(site.output()),
        Op::Tile(tile) => tile.repeats.iter().all(|&repeats| repeats == 1),
        Op::Unary(_) => {
            let negated = site.unary(site.output(), UnaryOp::Neg)?;
            return site.unary(negated, UnaryOp::Neg);
        }
        _ => false,
    };
    identity.then_some(x)
}

/// One node, or none, for a chain of reshapes and transposes that ends here: as far from here as there is one.
fn shorter_chain(site: &Site<'_>) -> Option<Replacement> {
    let chain = origins(site, site.output(), |_| None);
    (2..=chain.len()).rev().find_map(|count| shortened(site, &chain[..count]))
}

fn shortened(site: &Site<'_>, chain: &[Value]) -> Option<Replacement> {
    let (origin, steps) = (*chain.last()?, chain.len() - 1);
    let (from, to) = (site.ty(origin), site.ty(site.output()));
    let before = Layout::contiguous(&from.shape)?;
    let after = layout_along(site, chain)?;
    if from == to && after == before {
        return Some(Replacement::value(origin));
    }
    let accepted = |op: &Op| op.infer(&[Some(from)]).is_ok_and(|types| types == [to.clone()]);
    let as_reshape = || {
        let worthwhile = steps > 1 || matches!(site.op(), Op::Transpose(_));
        (worthwhile && before.reshaped(&to.shape)? == after)
            .then(|| Op::Reshape(Reshape { shape: to.shape.clone() }))
            .filter(accepted)
    };
    let as_transpose = || {
        (steps > 1)
            .then(|| after.permutation_of(&before))?
            .map(|permutation| Op::Transpose(Transpose { permutation }))
            .filter(accepted)
    };
    as_reshape().or_else(as_transpose).map(|op| Replacement::node(op, &[Some(origin)]))
}
