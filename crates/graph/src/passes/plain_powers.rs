//! Writes squares as products, which are faster and which other passes know.

use super::rewrite::{Replacement, rewrite};
use crate::{Binary, BinaryOp, Graph, GraphError, Op};

/// Replaces `x` to the power of a constant 2 of one element by `x * x`.
pub fn plain_powers(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| {
        let [x, power] = site.binary(site.output(), BinaryOp::Pow)?;
        let square = site.scalar(power) == Some(2.0) && site.ty(x) == site.ty(site.output());
        square.then(|| Replacement::node(Op::Binary(Binary(BinaryOp::Mul)), &[Some(x), Some(x)]))
    })
}
