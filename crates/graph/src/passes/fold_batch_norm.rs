//! Folds a BatchNorm into the weights before it.

use std::sync::Arc;

use super::epilogue::{BIAS, RESIDUAL, WEIGHT, activation, channel_axis};
use super::rewrite::{Operand, Replacement, rewrite};
use super::site::Site;
use crate::{ConvTranspose, Graph, GraphError, Linear, Op, Tensor, Value};

/// Folds a [`BatchNorm`](crate::BatchNorm) with constant parameters into the Conv, ConvTranspose or (over two axes) Linear whose
/// result it takes: scaled weights and a new bias, which are new constants.
///
/// The node before it must have constant weights that no other node uses, a constant bias or none, no residual and no
/// activation, and its result no other use. Nothing is folded where a new weight would not be finite.
pub fn fold_batch_norm(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, fold)
}

fn fold(site: &Site<'_>) -> Option<Replacement> {
    let Op::BatchNorm(norm) = site.op() else { return None };
    let x = site.input(0)?;
    let node = site.producer(x)?;
    let rank = site.ty(x).shape.rank();
    let plain = activation(&node.op)?.is_none() && node.input(RESIDUAL).is_none();
    if !plain || !site.used_once(x) || channel_axis(&node.op, rank) != 1 {
        return None;
    }
    let (weight, bias) = (node.input(WEIGHT)?, node.input(BIAS));
    if !site.used_once(weight) {
        return None;
    }

    let channels = site.ty(x).shape.dims()[1].per_sample();
    let parameter = |value: Option<Value>, absent: f32| match value {
        Some(value) => site.graph.constant(value)?.as_f32().map(<[f32]>::to_vec),
        None => Some(vec![absent; channels]),
    };
    let (mean, variance) = (parameter(site.input(1), 0.0)?, parameter(site.input(2), 1.0)?);
    let (gain, shift) = (parameter(site.input(3), 1.0)?, parameter(site.input(4), 0.0)?);
    let old_bias = parameter(bias, 0.0)?;
    let scales: Vec<f64> = (0..channels)
        .map(|c| f64::from(gain[c]) / (f64::from(variance[c]) + f64::from(norm.epsilon)).sqrt())
        .collect();
    let new_bias: Vec<f32> = (0..channels)
        .map(|c| ((f64::from(old_bias[c]) - f64::from(mean[c])) * scales[c] + f64::from(shift[c])) as f32)
        .collect();

    let tensor = site.graph.constant(weight)?;
    let new_weight = scaled(&node.op, tensor.shape(), tensor.as_f32()?, &scales);
    tensor.release();
    if !new_weight.iter().chain(&new_bias).all(|w| w.is_finite()) {
        return None;
    }
    let constant = |name: String, shape: &[usize], elements: Vec<f32>| {
        let tensor = Tensor::new(shape, elements).expect("as many elements as before");
        Some(Operand::New(name, Arc::new(tensor)))
    };
    let name = &site.graph.value(weight).name;
    let bias_name = bias.map_or(format!("{}.bias", node.name), |bias| site.graph.value(bias).name.clone());
    let inputs = vec![
        node.input(0).map(Operand::Value),
        constant(format!("{name}.folded"), tensor.shape(), new_weight),
        constant(format!("{bias_name}.folded"), &[channels], new_bias),
    ];
    Some(Replacement::Node(node.op.clone(), inputs))
}

/// A weight of `shape`, the elements of each output channel times its scale.
fn scaled(op: &Op, shape: &[usize], weight: &[f32], scales: &[f64]) -> Vec<f32> {
    let (rows, columns) = (shape[0], shape[1]);
    let taps: usize = shape[2..].iter().product();
    let channel = |row: usize, column: usize| match op {
        Op::ConvTranspose(ConvTranspose { groups, .. }) => row / (rows / groups) * columns + column,
        Op::Linear(Linear { transposed: true, .. }) => column,
        _ => row,
    };
    let mut scaled = Vec::with_capacity(weight.len());
    if taps > 0 {
        for (index, kernel) in weight.chunks_exact(taps).enumerate() {
            let scale = scales[channel(index / columns, index % columns)];
            scaled.extend(kernel.iter().map(|&w| (f64::from(w) * scale) as f32));
        }
    }
    scaled
}
