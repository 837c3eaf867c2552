//! Steps of a random graph that add what the passes look for: pieces of layers, and chains that cancel.

use rand::Rng;

use super::steps::{activation, alike, divisors, mask, pick, projections, rest};
use super::{Pieces, patterns};
use crate::{Activation, BinaryOp, Conv, Dim, Op, UnaryOp, Value};

/// Chains of reshapes and transposes, some of which cancel.
pub(super) fn rearrange(p: &mut Pieces, x: Value) {
    let dims = p.shape(x).dims().to_vec();
    let rank = dims.len();
    let mut swapped: Vec<usize> = (0..rank).collect();
    match p.rng.random_range(0..5) {
        0 => {
            let size = rest(p, x).iter().product();
            let flat = p.reshape(x, p.batched(&[size]));
            if p.rng.random_bool(0.5) {
                p.reshape(flat, dims);
            } else {
                let first = pick(p, &divisors(size));
                p.reshape(flat, p.batched(&[first, size / first]));
            }
        }
        1 if rank > 2 => {
            let batch_last = p.rng.random_bool(0.5);
            swapped.swap(if batch_last { 0 } else { 1 }, rank - 1);
            let y = p.transpose(x, &swapped);
            let y = if p.rng.random_bool(0.5) { p.unary(UnaryOp::Tanh, y) } else { y };
            p.transpose(y, &swapped);
        }
        2 if rank > 2 => {
            swapped[1..].rotate_left(1);
            let y = p.transpose(x, &swapped);
            if rank > 3 && p.rng.random_bool(0.5) {
                p.transpose(y, &swapped);
            }
        }
        3 if rank == 3 => {
            let (length, width) = (rest(p, x)[0], rest(p, x)[1]);
            let merged = match p.batch {
                Dim::Batch(n) => Dim::Batch(n * length),
                Dim::Fixed(n) => Dim::Fixed(n * length),
            };
            let flat = p.reshape(x, vec![merged, Dim::Fixed(width)]);
            let y = p.linear(flat, 4, true);
            p.reshape(y, p.batched(&[length, 4]));
        }
        _ => {
            let y = p.reshape(x, p.batched(&[&[1], rest(p, x).as_slice()].concat()));
            if rank < 4 {
                swapped.push(rank);
                swapped.swap(1, 2);
                p.transpose(y, &swapped);
            }
        }
    }
}

/// What a Linear or Conv can take in: a product, then a bias, a residual and an activation, in some order.
pub(super) fn epilogue(p: &mut Pieces, x: Value) {
    let dims = rest(p, x);
    let convolve = dims.len() > 1 && p.rng.random_bool(0.5);
    let (mut y, bias_shape) = if convolve {
        let weight = p.weight(&[&[3, dims[0]], &vec![1; dims.len() - 1][..]].concat(), dims[0]);
        let mut shape = vec![1; dims.len()];
        shape[0] = 3;
        (p.node(Op::Conv(Conv::new(dims.len() - 1)), &[x, weight]), shape)
    } else {
        let features = dims[dims.len() - 1];
        let weight = p.weight(&[features, 4], features);
        (p.matmul(x, weight), vec![4])
    };
    for _ in 0..p.rng.random_range(1..4) {
        let other = match p.rng.random_range(0..3) {
            0 => {
                let shape = if p.rng.random_bool(0.3) {
                    [&[1], &bias_shape[..]].concat()
                } else {
                    bias_shape.clone()
                };
                p.random(&shape, 1.0)
            }
            1 => {
                let dims = p.shape(y).dims().to_vec();
                alike(p, &dims).expect("there is y")
            }
            _ => {
                let op = activation(p).map_or(UnaryOp::Neg, Activation::unary);
                y = p.unary(op, y);
                continue;
            }
        };
        y = if p.rng.random_bool(0.5) { p.add(y, other) } else { p.add(other, y) };
    }
}

pub(super) fn activation_pieces(p: &mut Pieces, x: Value) {
    match p.rng.random_range(0..3) {
        0 => {
            let variant = p.rng.random_range(0..patterns::GELU_ERF);
            patterns::gelu_erf(p, x, variant)
        }
        1 => {
            let x = p.unary(UnaryOp::Tanh, x);
            let variant = p.rng.random_range(0..patterns::GELU_TANH);
            patterns::gelu_tanh(p, x, variant)
        }
        _ => {
            let variant = p.rng.random_range(0..patterns::SILU);
            patterns::silu(p, x, variant)
        }
    };
}

pub(super) fn norm_pieces(p: &mut Pieces, x: Value) {
    let axes = p.rng.random_range(1..p.dims(x).len());
    let variant = p.rng.random_range(0..patterns::NORM);
    if p.rng.random_bool(0.5) {
        patterns::layer_norm(p, x, axes, 0.01, variant);
    } else {
        patterns::rms_norm(p, x, axes, 0.01, variant);
    }
}

/// Something computed from constants alone, added to `x`.
pub(super) fn constants(p: &mut Pieces, x: Value) {
    let dims = rest(p, x);
    let a = p.random(&dims, 1.0);
    let b = p.random(&dims[dims.len() - 1..], 1.0);
    let op = pick(p, &[BinaryOp::Add, BinaryOp::Mul, BinaryOp::Sub]);
    let y = p.binary(op, a, b);
    let y = p.unary(UnaryOp::Tanh, y);
    p.add(x, y);
}

/// Attention in pieces; its mask is finite, as otherwise the pieces and Attention differ where a hidden value is NaN.
pub(super) fn attention_pieces(p: &mut Pieces, x: Value) {
    let Some((heads, qkv)) = projections(p, x) else { return };
    let length = rest(p, x)[0];
    let mask = p.rng.random_bool(0.5).then(|| mask(p, length, length, -1e9));
    let variant = p.rng.random_range(0..patterns::ATTENTION);
    patterns::attention(p, qkv, heads, mask, variant);
}
