//! Steps of a random graph with the operators that came with ONNX models.

use rand::Rng;

use super::Pieces;
use super::steps::{pick, rest};
use crate::{
    Cast, Compare, CompareOp, Coordinates, Cumulative, DType, Expand, Gather, LogSoftmax, Op, Reduce,
    ReduceOp, Resize, ResizeAxis, ResizeMode, Rounding, Tensor, Tile, TopK, UnaryOp, Value, Where,
};

/// A function of each element, bounded for all arguments.
pub(super) fn function(p: &mut Pieces, x: Value) {
    let op = pick(
        p,
        &[
            UnaryOp::HardSwish,
            UnaryOp::LeakyRelu { alpha: 0.1 },
            UnaryOp::Clip { min: -1.0, max: 1.5 },
            UnaryOp::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
            UnaryOp::Softplus,
            UnaryOp::Abs,
            UnaryOp::Mish,
            UnaryOp::Elu { alpha: 0.5 },
        ],
    );
    let y = p.unary(op, x);
    if matches!(op, UnaryOp::HardSigmoid { .. }) {
        p.mul(x, y);
    }
}

/// A square, of what is held near zero first.
pub(super) fn square(p: &mut Pieces, x: Value) {
    let x = p.unary(UnaryOp::Tanh, x);
    let two = p.scalar(2.0);
    p.binary(crate::BinaryOp::Pow, x, two);
}

/// A choice between elements by a comparison, which is sometimes counted with as a number.
pub(super) fn choice(p: &mut Pieces, x: Value) {
    let op = pick(p, &[CompareOp::Less, CompareOp::GreaterOrEqual]);
    let bound = p.scalar(0.25);
    let condition = p.node(Op::Compare(Compare(op)), &[x, bound]);
    if p.rng.random_bool(0.3) {
        let number = p.node(Op::Cast(Cast { to: DType::F32 }), &[condition]);
        p.mul(number, x);
    } else {
        let other = p.unary(UnaryOp::Neg, x);
        p.node(Op::Where(Where {}), &[condition, x, other]);
    }
}

/// Elements picked, repeated, resampled or added up along one axis.
pub(super) fn along(p: &mut Pieces, x: Value) {
    let dims = p.dims(x);
    let axis = p.rng.random_range(1..dims.len());
    let length = dims[axis];
    match p.rng.random_range(0..7) {
        0 => {
            let picked: Vec<i64> =
                (0..2).map(|_| p.rng.random_range(-(length as i64)..length as i64)).collect();
            let indices = p.constant(Tensor::new([2], picked).expect("two indices"));
            p.node(Op::Gather(Gather { axis: axis as isize }), &[x, indices]);
        }
        1 => {
            let mut repeats = vec![1; dims.len()];
            repeats[axis] = 2;
            p.node(Op::Tile(Tile { repeats }), &[x]);
        }
        2 => {
            let shape = p.batched(&[&[2], rest(p, x).as_slice()].concat());
            let x = p.reshape(x, p.batched(&[&[1], rest(p, x).as_slice()].concat()));
            p.node(Op::Expand(Expand { shape }), &[x]);
        }
        3 => {
            let op = Cumulative { axis: axis as isize, product: false, exclusive: false, reverse: true };
            p.node(Op::Cumulative(op), &[x]);
        }
        4 => {
            p.node_with(Op::TopK(TopK { axis: axis as isize, k: length.min(2), largest: true }), &[Some(x)]);
        }
        5 => {
            let mode = pick(p, &[ResizeMode::Linear, ResizeMode::Nearest(Rounding::Floor)]);
            let axes = vec![ResizeAxis { axis, length: 2 * length, scale: 2.0 }];
            let coordinates = Coordinates::HalfPixel;
            let op = Resize { axes, mode, coordinates, antialias: false, exclude_outside: false };
            p.node(Op::Resize(op), &[x]);
        }
        _ => {
            if p.rng.random_bool(0.5) {
                p.node(Op::LogSoftmax(LogSoftmax { axis: axis as isize }), &[x]);
            } else {
                let op = pick(p, &[ReduceOp::Min, ReduceOp::L1, ReduceOp::LogSumExp]);
                p.node(Op::Reduce(Reduce { op, axes: vec![axis as isize], keep_dims: true }), &[x]);
            }
        }
    }
}
