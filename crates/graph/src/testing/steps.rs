//! The steps by which a random graph grows: each adds an operator to a value; `fusable` has those that add pieces of one.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Pieces, fusable, wider};
use crate::{
    Activation, Attention, AveragePool, BatchNorm, Concat, Conv, ConvTranspose, Dim, Embedding,
    GlobalAveragePool, GroupNorm, LayerNorm, Linear, MaxPool, Op, Pad, PadMode, Reduce, ReduceOp, RmsNorm,
    Slice, Softmax, Split, UnaryOp, Value,
};

/// The most elements a value may have for each sample.
const LARGEST: usize = 300;

/// Whether a value has the samples along axis 0, and few elements.
pub(super) fn is_usable(p: &Pieces, value: Value) -> bool {
    let dims = p.shape(value).dims();
    dims.first() == Some(&p.batch)
        && dims[1..].iter().all(|d| !d.is_batch())
        && (2..=4).contains(&dims.len())
        && p.dims(value)[1..].iter().product::<usize>() <= LARGEST
}

/// Adds one step to `x`, or none where it does not apply.
pub(super) fn any(p: &mut Pieces, x: Value, indices: Value, padding: Value) {
    match p.rng.random_range(0..31) {
        0..=2 => simple(p, x),
        3 | 4 => arithmetic(p, x),
        5 => norm(p, x),
        6 => channel_norm(p, x),
        7 => reduce(p, x),
        8 | 9 => linear(p, x),
        10 => product(p, x),
        11 | 12 => convolution(p, x),
        13 => conv_transpose(p, x),
        14 => pool(p, x),
        15 => attention(p, x, padding),
        16 => embedding(p, indices),
        17 => select(p, x),
        18 | 19 => fusable::rearrange(p, x),
        20 | 21 => fusable::epilogue(p, x),
        22 => fusable::activation_pieces(p, x),
        23 => fusable::norm_pieces(p, x),
        24 => fusable::attention_pieces(p, x),
        25 => wider::function(p, x),
        26 => wider::square(p, x),
        27 => wider::choice(p, x),
        28 | 29 => wider::along(p, x),
        _ => fusable::constants(p, x),
    }
}

pub(super) fn pick<T: Copy>(p: &mut Pieces, among: &[T]) -> T {
    *among.choose(&mut p.rng).expect("there is a choice")
}

/// The lengths after axis 0.
pub(super) fn rest(p: &Pieces, x: Value) -> Vec<usize> {
    p.dims(x)[1..].to_vec()
}

pub(super) fn activation(p: &mut Pieces) -> Option<Activation> {
    use Activation::{Clip, Gelu, GeluTanh, HardSwish, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
    let leaky = LeakyRelu { alpha: 0.1 };
    let clip = Clip { min: 0.0, max: 6.0 };
    let usual = [Relu, Gelu, GeluTanh, Silu, Sigmoid, Tanh, HardSwish, leaky, clip];
    p.rng.random_bool(0.75).then(|| pick(p, &usual))
}

fn simple(p: &mut Pieces, x: Value) {
    use UnaryOp::{Erf, Exp, Gelu, GeluTanh, Neg, Relu, Sigmoid, Silu, Sqrt, Tanh};
    let op = pick(p, &[Relu, Gelu, GeluTanh, Silu, Sigmoid, Tanh, Exp, Sqrt, Erf, Neg, Neg]);
    let x = match op {
        Exp => p.unary(Tanh, x),
        Sqrt => p.unary(Sigmoid, x),
        _ => x,
    };
    let y = p.unary(op, x);
    match p.rng.random_range(0..4) {
        0 => {
            let same = p.unary(op, x);
            p.sub(same, y);
        }
        1 if op == Neg => {
            p.unary(Neg, y);
        }
        _ => {}
    }
}

fn arithmetic(p: &mut Pieces, x: Value) {
    let same: Vec<Value> = p.made().iter().copied().filter(|&v| p.shape(v) == p.shape(x)).collect();
    let dims = rest(p, x);
    let other = match p.rng.random_range(0..5) {
        0 => p.scalar(1.5),
        1 => p.random(&dims, 1.0),
        2 => p.random(&dims[dims.len() - 1..], 1.0),
        _ => pick(p, &same),
    };
    match p.rng.random_range(0..5) {
        0 => p.sub(x, other),
        1 => p.mul(x, other),
        2 => {
            let gate = p.unary(UnaryOp::Sigmoid, other);
            let half = p.scalar(0.5);
            let divisor = p.add(gate, half);
            p.div(x, divisor)
        }
        3 => p.add(other, x),
        _ => p.add(x, other),
    };
}

fn norm(p: &mut Pieces, x: Value) {
    let dims = rest(p, x);
    let axes = p.rng.random_range(1..=dims.len());
    let shape = &dims[dims.len() - axes..];
    let epsilon = pick(p, &[1e-3, 0.1]);
    let weight = p.rng.random_bool(0.7).then(|| p.random(shape, 2.0));
    let bias = p.rng.random_bool(0.7).then(|| p.random(shape, 1.0));
    match p.rng.random_range(0..3) {
        0 => p.node_with(Op::LayerNorm(LayerNorm { axes, epsilon }), &[Some(x), weight, bias]),
        1 => p.node_with(Op::RmsNorm(RmsNorm { axes, epsilon }), &[Some(x), weight]),
        _ => {
            let axis = p.rng.random_range(1..=dims.len()) as isize;
            let axis = if p.rng.random_bool(0.5) { axis } else { axis - 1 - dims.len() as isize };
            vec![p.node(Op::Softmax(Softmax { axis }), &[x])]
        }
    };
}

fn channel_norm(p: &mut Pieces, x: Value) {
    let channels = rest(p, x)[0];
    if p.rng.random_bool(0.5) {
        batch_norm(p, x);
        return;
    }
    let groups = pick(p, &divisors(channels));
    let weight = p.rng.random_bool(0.7).then(|| p.random(&[channels], 2.0));
    let bias = p.rng.random_bool(0.7).then(|| p.random(&[channels], 1.0));
    p.node_with(Op::GroupNorm(GroupNorm { groups, epsilon: 0.01 }), &[Some(x), weight, bias]);
}

fn batch_norm(p: &mut Pieces, x: Value) {
    let channels = rest(p, x)[0];
    let mean = p.random(&[channels], 1.0);
    let variance = (0..channels).map(|_| p.rng.random_range(0.2..2.0)).collect();
    let variance = p.elements(&[channels], variance);
    let weight = p.rng.random_bool(0.7).then(|| p.random(&[channels], 2.0));
    let bias = p.rng.random_bool(0.7).then(|| p.random(&[channels], 1.0));
    let inputs = [Some(x), Some(mean), Some(variance), weight, bias];
    p.node_with(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &inputs);
}

fn reduce(p: &mut Pieces, x: Value) {
    let rank = p.dims(x).len();
    let axis = p.rng.random_range(1..rank) as isize;
    let axis = if p.rng.random_bool(0.5) { axis } else { axis - rank as isize };
    let op = pick(p, &[ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max]);
    let keep_dims = p.rng.random_bool(0.5);
    let y = p.node(Op::Reduce(Reduce { op, axes: vec![axis], keep_dims }), &[x]);
    if keep_dims {
        p.sub(x, y);
    }
}

fn linear(p: &mut Pieces, x: Value) {
    let features = *p.dims(x).last().expect("x has axes");
    let out = p.rng.random_range(1..=7);
    let mut dims = p.shape(x).dims().to_vec();
    *dims.last_mut().expect("x has axes") = Dim::Fixed(out);
    let residual = alike(p, &dims).filter(|_| p.rng.random_bool(0.5));
    let weight = p.weight(&[out, features], features);
    let bias = p.rng.random_bool(0.5).then(|| p.random(&[out], 1.0));
    let activation = activation(p);
    p.node_with(
        Op::Linear(Linear { activation, ..Linear::default() }),
        &[Some(x), Some(weight), bias, residual],
    );
}

/// A value of this shape, if there is one.
pub(super) fn alike(p: &mut Pieces, dims: &[Dim]) -> Option<Value> {
    let alike: Vec<Value> = p.made().iter().copied().filter(|&v| p.shape(v).dims() == dims).collect();
    alike.choose(&mut p.rng).copied()
}

/// A product with a constant, perhaps as the transpose of one, or of a value with its own transpose.
fn product(p: &mut Pieces, x: Value) {
    let dims = rest(p, x);
    let (rank, features) = (dims.len() + 1, dims[dims.len() - 1]);
    let out = p.rng.random_range(1..=6);
    match p.rng.random_range(0..4) {
        0 if rank > 2 => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(rank - 1, rank - 2);
            let swapped = p.transpose(x, &order);
            let scale = p.scalar(1.0 / features as f64);
            let scaled = p.mul(x, scale);
            p.matmul(scaled, swapped);
        }
        1 => {
            let weight = p.weight(&[out, features], features);
            let weight = p.transpose(weight, &[1, 0]);
            p.matmul(x, weight);
        }
        2 if rank > 2 => {
            let weight = p.weight(&[dims[0], dims[0]], dims[0]);
            if rank == 3 {
                p.matmul(weight, x);
            }
        }
        _ => {
            let weight = p.weight(&[features, out], features);
            p.matmul(x, weight);
        }
    }
}

pub(super) fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|d| n.is_multiple_of(*d)).collect()
}

/// A convolution over one or two axes, and sometimes a BatchNorm on it.
fn convolution(p: &mut Pieces, x: Value) {
    let dims = rest(p, x);
    let spatial = dims.len() - 1;
    if spatial == 0 {
        return;
    }
    let groups = pick(p, &divisors(dims[0]));
    let out = groups * p.rng.random_range(1..=3usize).min(6 / groups).max(1);
    let mut op = Conv::new(spatial);
    let mut kernel = Vec::new();
    for axis in 0..spatial {
        let taps = p.rng.random_range(1..=dims[axis + 1].min(3));
        op.dilation[axis] = p.rng.random_range(1..=2);
        let reach = (taps - 1) * op.dilation[axis] + 1;
        op.padding[axis] = (p.rng.random_range(0..=1), reach.saturating_sub(dims[axis + 1]));
        op.stride[axis] = p.rng.random_range(1..=2);
        kernel.push(taps);
    }
    op.groups = groups;
    let normed = p.rng.random_bool(0.3);
    op.activation = if normed { None } else { activation(p) };
    let inner = dims[0] / groups;
    let shape: Vec<usize> = [out, inner].into_iter().chain(kernel.iter().copied()).collect();
    let weight = p.weight(&shape, inner * kernel.iter().product::<usize>());
    let bias = p.rng.random_bool(0.5).then(|| p.random(&[out], 1.0));
    let y = p.node_with(Op::Conv(op), &[Some(x), Some(weight), bias])[0];
    if normed {
        batch_norm(p, y);
    }
}

fn conv_transpose(p: &mut Pieces, x: Value) {
    let &[channels, _] = rest(p, x).as_slice() else { return };
    let groups = pick(p, &divisors(channels));
    let each = p.rng.random_range(1..=2);
    let taps = p.rng.random_range(2..=3);
    let mut op = ConvTranspose::new(1);
    op.stride = vec![p.rng.random_range(1..=2)];
    op.output_padding = vec![p.rng.random_range(0..op.stride[0])];
    op.groups = groups;
    let normed = p.rng.random_bool(0.3);
    op.activation = if normed { None } else { activation(p) };
    let weight = p.weight(&[channels, each, taps], channels / groups * taps);
    let bias = p.rng.random_bool(0.5).then(|| p.random(&[groups * each], 1.0));
    let y = p.node_with(Op::ConvTranspose(op), &[Some(x), Some(weight), bias])[0];
    if normed {
        batch_norm(p, y);
    }
}

fn pool(p: &mut Pieces, x: Value) {
    let lengths = rest(p, x)[1..].to_vec();
    if lengths.is_empty() {
        return;
    }
    let kernel: Vec<usize> = lengths.iter().map(|&length| length.min(2)).collect();
    let stride = vec![p.rng.random_range(1..=2); lengths.len()];
    let padding: Vec<(usize, usize)> = kernel.iter().map(|k| (k / 2, 0)).collect();
    let op = match p.rng.random_range(0..3) {
        0 => Op::MaxPool(MaxPool { stride, padding, ..MaxPool::new(kernel) }),
        1 => {
            let count_include_pad = p.rng.random_bool(0.5);
            Op::AveragePool(AveragePool { stride, padding, count_include_pad, ..AveragePool::new(kernel) })
        }
        _ => Op::GlobalAveragePool(GlobalAveragePool::default()),
    };
    p.node(op, &[x]);
}

/// Queries from `x`, and keys and values from it or from a Linear of it, each of a width that `heads` divides.
pub(super) fn projections(p: &mut Pieces, x: Value) -> Option<(usize, [Value; 3])> {
    let &[_, width] = rest(p, x).as_slice() else { return None };
    let heads = pick(p, &[1, 2, 3]);
    if p.rng.random_ratio(1, 4) && width.is_multiple_of(heads) {
        return Some((heads, [x; 3]));
    }
    let (each, value_each) = (p.rng.random_range(1..=3), p.rng.random_range(1..=3));
    let [q, k] = [0; 2].map(|_| p.linear(x, heads * each, true));
    Some((heads, [q, k, p.linear(x, heads * value_each, true)]))
}

/// A constant mask: random, or `hidden` above the diagonal.
pub(super) fn mask(p: &mut Pieces, queries: usize, keys: usize, hidden: f32) -> Value {
    if p.rng.random_bool(0.5) {
        return p.random(&[queries, keys], 3.0);
    }
    let element = |i: usize| if i % keys > i / keys { hidden } else { 0.0 };
    p.elements(&[queries, keys], (0..queries * keys).map(element).collect())
}

fn attention(p: &mut Pieces, x: Value, padding: Value) {
    let Some((heads, [q, k, v])) = projections(p, x) else { return };
    let length = rest(p, x)[0];
    let mask = p.rng.random_bool(0.5).then(|| mask(p, length, length, f32::NEG_INFINITY));
    let padding = (rest(p, padding) == [length] && p.rng.random_bool(0.5)).then_some(padding);
    let scale = pick(p, &[None, Some(0.5)]);
    let causal = p.rng.random_bool(0.3);
    let inputs = [Some(q), Some(k), Some(v), mask, padding];
    p.node_with(Op::Attention(Attention { heads, scale, causal }), &inputs);
}

fn embedding(p: &mut Pieces, indices: Value) {
    let width = p.rng.random_range(1..=5);
    let table = p.random(&[4, width], 1.0);
    p.node(Op::Embedding(Embedding::default()), &[indices, table]);
}

/// Operators that take parts and put them together.
fn select(p: &mut Pieces, x: Value) {
    let dims = p.dims(x);
    let axis = p.rng.random_range(1..dims.len());
    let length = dims[axis];
    let signed = axis as isize - if p.rng.random_bool(0.5) { dims.len() as isize } else { 0 };
    match p.rng.random_range(0..4) {
        0 => {
            let (start, step) =
                if p.rng.random_bool(0.3) { (0, 1) } else { (p.rng.random_range(0..length), 2) };
            p.node(Op::Slice(Slice { axis: signed, start, end: length, step }), &[x]);
        }
        1 => {
            let first = p.rng.random_range(1..=length);
            let sizes = if first < length { vec![first, length - first] } else { vec![length] };
            let parts = p.node_with(Op::Split(Split { axis: signed, sizes }), &[Some(x)]);
            let parts: Vec<Value> = parts.into_iter().rev().collect();
            p.node(Op::Concat(Concat { axis: signed }), &parts);
        }
        2 => {
            let mut pads = vec![(0, 0); dims.len()];
            pads[axis] = (p.rng.random_range(0..2), p.rng.random_range(0..2));
            p.node(Op::Pad(Pad { pads, mode: PadMode::Constant(0.5) }), &[x]);
        }
        _ => {
            let y = p.unary(UnaryOp::Neg, x);
            p.node(Op::Concat(Concat { axis: signed }), &[x, y]);
        }
    }
}
