//! Fuses what follows a convolution into it.

use super::epilogue;
use super::rewrite::rewrite;
use crate::{Graph, GraphError, Op};

/// Fuses into a [`Conv`](crate::Conv) or [`ConvTranspose`](crate::ConvTranspose) that nothing else uses and that has no
/// activation yet
///
/// - an added constant with one element a channel (`[m, 1]` or `[1, m, 1]`; with two spatial axes `[m, 1, 1]` or
///   `[1, m, 1, 1]`): the bias, if it has none,
/// - an added value of the output's type: the residual, if it has none and is a Conv. Where both terms could take the other as
///   residual, the one computed later does,
/// - what is an [`Activation`](crate::Activation) of f32: the activation.
///
/// Sums may have either order. The fused node is where the last fused node was, and has its name.
pub fn fuse_conv(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| epilogue::extend(site, |op| matches!(op, Op::Conv(_) | Op::ConvTranspose(_))))
}
