//! What Linear and the convolutions have in common: a bias, a residual and an activation, computed along with the product.

use super::rewrite::{Operand, Replacement};
use super::site::{Site, reshaped};
use crate::{Activation, BinaryOp, Conv, ConvTranspose, DType, Linear, Node, Op, Value, ValueType};

/// Positions among the inputs of Linear, Conv and ConvTranspose.
pub(super) const WEIGHT: usize = 1;
pub(super) const BIAS: usize = 2;
pub(super) const RESIDUAL: usize = 3;

/// The activation of a node that may have an epilogue; `None` for other nodes.
pub(super) fn activation(op: &Op) -> Option<Option<Activation>> {
    match op {
        Op::Linear(Linear { activation, .. })
        | Op::Conv(Conv { activation, .. })
        | Op::ConvTranspose(ConvTranspose { activation, .. }) => Some(*activation),
        _ => None,
    }
}

/// Adds `site`'s node to the epilogue of the node before it, if `family` contains that and it has the place.
///
/// The node before it must be needed by nothing else and have no activation yet, as `activation(product + bias + residual)` is
/// the order of an epilogue.
pub(super) fn extend(site: &Site<'_>, family: fn(&Op) -> bool) -> Option<Replacement> {
    let host = |value: Value| {
        let node = site.producer(value).filter(|node| family(&node.op))?;
        let open = activation(&node.op) == Some(None) && site.used_once(value);
        (open && site.ty(value) == site.ty(site.output())).then_some(node)
    };
    match site.op() {
        // Integers have no activation.
        Op::Unary(unary) if site.ty(site.output()).dtype == DType::F32 => {
            let node = host(site.input(0)?)?;
            Some(Replacement::node(activated(&node.op, Activation::of(unary.0)?), &node.inputs))
        }
        Op::Binary(_) => {
            let mut hosts: Vec<(&Node, Value)> = site
                .commuted(site.output(), BinaryOp::Add)
                .filter_map(|[value, added]| Some((host(value)?, added)))
                .collect();
            // A residual is best the value that is ready first.
            hosts.sort_by_key(|(_, added)| site.position(*added));
            let bias = |(node, added): &(&Node, Value)| with_bias(site, node, *added);
            let residual = |(node, added): &(&Node, Value)| with_residual(site, node, *added);
            hosts.iter().find_map(bias).or_else(|| hosts.iter().find_map(residual))
        }
        _ => None,
    }
}

/// The axis of the output along which a bias varies.
pub(super) fn channel_axis(op: &Op, rank: usize) -> usize {
    if matches!(op, Op::Linear(_)) { rank - 1 } else { 1 }
}

fn with_bias(site: &Site<'_>, node: &Node, added: Value) -> Option<Replacement> {
    let tensor = site.graph.constant(added)?;
    let channels = channels(&node.op, site.ty(site.output()));
    if node.input(BIAS).is_some() || !varies_along_channels(&node.op, site, tensor.shape(), channels) {
        return None;
    }
    let bias = if tensor.shape() == [channels] {
        Operand::Value(added)
    } else {
        Operand::New(format!("{}.reshaped", site.graph.value(added).name), reshaped(tensor, &[channels]))
    };
    let mut inputs: Vec<_> = (0..RESIDUAL + 1).map(|i| node.input(i).map(Operand::Value)).collect();
    inputs[BIAS] = Some(bias);
    if inputs[RESIDUAL].is_none() {
        inputs.truncate(RESIDUAL);
    }
    Some(Replacement::Node(node.op.clone(), inputs))
}

fn with_residual(site: &Site<'_>, node: &Node, added: Value) -> Option<Replacement> {
    let fits = matches!(node.op, Op::Linear(_) | Op::Conv(_))
        && node.input(RESIDUAL).is_none()
        && site.ty(added) == site.ty(site.output());
    fits.then(|| {
        let inputs = [node.input(0), node.input(WEIGHT), node.input(BIAS), Some(added)];
        Replacement::node(node.op.clone(), &inputs)
    })
}

/// How many channels an output of this type has.
fn channels(op: &Op, ty: &ValueType) -> usize {
    ty.shape.dims()[channel_axis(op, ty.shape.rank())].per_sample()
}

/// Whether a constant of `shape`, broadcast to the output, has one element a channel.
fn varies_along_channels(op: &Op, site: &Site<'_>, shape: &[usize], channels: usize) -> bool {
    let rank = site.ty(site.output()).shape.rank();
    let Some(missing) = rank.checked_sub(shape.len()) else { return false };
    let channel_axis = channel_axis(op, rank);
    (0..rank).all(|axis| {
        let length = if axis < missing { 1 } else { shape[axis - missing] };
        length == if axis == channel_axis { channels } else { 1 }
    })
}

/// The operator with an activation.
fn activated(op: &Op, activation: Activation) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Linear(linear) => linear.activation = Some(activation),
        Op::Conv(conv) => conv.activation = Some(activation),
        Op::ConvTranspose(conv) => conv.activation = Some(activation),
        _ => unreachable!("only these have an epilogue"),
    }
    op
}
