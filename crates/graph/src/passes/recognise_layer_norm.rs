//! Finds LayerNorm and RMSNorm where they arrive as pieces.

use std::sync::Arc;

use super::rewrite::{Operand, Replacement, rewrite};
use super::site::{Site, close, reshaped};
use crate::{
    BinaryOp, Graph, GraphError, LayerNorm, Op, Reduce, ReduceOp, RmsNorm, Tensor, UnaryOp, Value,
    axis_position,
};

/// Recognises [`LayerNorm`] and [`RmsNorm`], step by step:
///
/// - `d / sqrt(mean(d * d) + epsilon)` with `d = x - mean(x)` becomes a LayerNorm without weight and bias,
/// - `x / sqrt(mean(x * x) + epsilon)` becomes an RmsNorm without weight,
/// - `norm * weight` with a constant weight gives a norm its weight, if it has neither weight nor bias,
/// - `layer_norm + bias` with a constant bias gives a LayerNorm its bias, if it has none.
///
/// The division may be a multiplication by `1 / sqrt(...)`; products and sums have either order. The means are over the same
/// last axes, which stay with length 1; epsilon has one element. Weight and bias have the shape of the normalised axes, perhaps
/// after axes of length 1. Nothing inside a pattern may be used elsewhere or be an output.
pub fn recognise_layer_norm(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| core(site).or_else(|| weight(site)).or_else(|| bias(site)))
}

/// The normalisation itself.
fn core(site: &Site<'_>) -> Option<Replacement> {
    let (numerator, deviation) = quotient(site)?;
    let radicand = site.unary(deviation, UnaryOp::Sqrt)?;
    let (op, x) = site.commuted(radicand, BinaryOp::Add).find_map(|[mean_square, epsilon]| {
        let epsilon = site.scalar(epsilon)? as f32;
        let (square, axes) = trailing_mean(site, mean_square)?;
        let [a, b] = site.binary(square, BinaryOp::Mul)?;
        if a != numerator || b != numerator {
            return None;
        }
        let layer_norm = centred(site, numerator, axes)
            .map(|x| (Op::LayerNorm(LayerNorm { axes, epsilon }), x))
            .filter(|&(_, x)| site.encloses(&[x]));
        layer_norm.or(Some((Op::RmsNorm(RmsNorm { axes, epsilon }), numerator)))
    })?;
    let accepted = op.infer(&[Some(site.ty(x))]).is_ok_and(|types| types == [site.ty(site.output()).clone()]);
    (accepted && site.encloses(&[x])).then(|| Replacement::node(op, &[Some(x)]))
}

/// `a` and `b` of `a / b` or `a * (1 / b)`.
fn quotient(site: &Site<'_>) -> Option<(Value, Value)> {
    if let Some([a, b]) = site.binary(site.output(), BinaryOp::Div) {
        return Some((a, b));
    }
    site.commuted(site.output(), BinaryOp::Mul).find_map(|[a, inverse]| {
        let [one, b] = site.binary(inverse, BinaryOp::Div)?;
        site.scalar(one).is_some_and(|one| close(one, 1.0)).then_some((a, b))
    })
}

/// What `value` is the mean of, and over how many last axes.
fn trailing_mean(site: &Site<'_>, value: Value) -> Option<(Value, usize)> {
    let node = site.producer(value)?;
    let Op::Reduce(Reduce { op: ReduceOp::Mean, axes, keep_dims: true }) = &node.op else { return None };
    let x = node.input(0)?;
    let rank = site.ty(x).shape.rank();
    let mut axes: Vec<usize> = axes.iter().map(|&axis| axis_position(axis, rank)).collect::<Option<_>>()?;
    axes.sort();
    axes.iter().copied().eq(rank - axes.len()..rank).then_some((x, axes.len()))
}

/// `x` of `x - mean(x)` over the last `axes` axes.
fn centred(site: &Site<'_>, value: Value, axes: usize) -> Option<Value> {
    let [x, mean] = site.binary(value, BinaryOp::Sub)?;
    (trailing_mean(site, mean)? == (x, axes)).then_some(x)
}

/// `norm * weight`.
fn weight(site: &Site<'_>) -> Option<Replacement> {
    site.commuted(site.output(), BinaryOp::Mul).find_map(|[norm, weight]| {
        let node = site.producer(norm)?;
        let (Op::LayerNorm(LayerNorm { axes, .. }) | Op::RmsNorm(RmsNorm { axes, .. })) = node.op else {
            return None;
        };
        let bare = node.input(1).is_none() && node.input(2).is_none();
        let weight = parameter(site, norm, weight, axes).filter(|_| bare)?;
        Some(Replacement::Node(node.op.clone(), vec![node.input(0).map(Operand::Value), Some(weight)]))
    })
}

/// `layer_norm + bias`.
fn bias(site: &Site<'_>) -> Option<Replacement> {
    site.commuted(site.output(), BinaryOp::Add).find_map(|[norm, bias]| {
        let node = site.producer(norm)?;
        let Op::LayerNorm(LayerNorm { axes, .. }) = node.op else { return None };
        let bias = parameter(site, norm, bias, axes).filter(|_| node.input(2).is_none())?;
        let [x, weight] = [node.input(0), node.input(1)].map(|v| v.map(Operand::Value));
        Some(Replacement::Node(node.op.clone(), vec![x, weight, Some(bias)]))
    })
}

/// `value` as a parameter of the norm that computes `norm`, if it is a constant of the right shape and nothing else
/// needs the norm without it.
fn parameter(site: &Site<'_>, norm: Value, value: Value, axes: usize) -> Option<Operand> {
    let ty = site.ty(norm);
    let tensor: &Arc<Tensor> = site.graph.constant(value)?;
    let shape: Vec<usize> =
        ty.shape.dims()[ty.shape.rank() - axes..].iter().map(|d| d.per_sample()).collect();
    let leading = tensor.shape().len().checked_sub(axes)?;
    let fits = tensor.shape()[leading..] == shape && tensor.shape()[..leading].iter().all(|&d| d == 1);
    let whole = fits && site.used_once(norm) && site.ty(site.output()) == ty;
    if !whole {
        return None;
    }
    Some(if leading == 0 {
        Operand::Value(value)
    } else {
        Operand::New(format!("{}.reshaped", site.graph.value(value).name), reshaped(tensor, &shape))
    })
}
