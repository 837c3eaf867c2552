//! Layers in the pieces that exporters emit, in every order and grouping of their operands.
//!
//! Each takes a `variant`, of which it has as many as its constant says; variants beyond repeat.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::Pieces;
use crate::{BinaryOp, Classify, Dim, Op, Shape, UnaryOp, Value, Where};

/// Choices, each made by taking one off a variant.
struct Choices(usize);

impl Choices {
    fn of(&mut self, count: usize) -> usize {
        let choice = self.0 % count;
        self.0 /= count;
        choice
    }

    /// `a op b` or `b op a`
    fn commuted(&mut self, p: &mut Pieces, op: BinaryOp, a: Value, b: Value) -> Value {
        let (a, b) = if self.of(2) == 0 { (a, b) } else { (b, a) };
        p.binary(op, a, b)
    }

    /// `x * scale`, or `x / (1 / scale)`
    fn scaled(&mut self, p: &mut Pieces, x: Value, scale: f64) -> Value {
        match self.of(3) {
            0 => {
                let scale = p.scalar(scale);
                p.mul(x, scale)
            }
            1 => {
                let scale = p.scalar(scale);
                p.mul(scale, x)
            }
            _ => {
                let divisor = p.scalar(1.0 / scale);
                p.div(x, divisor)
            }
        }
    }

    /// `x * gate / 2`, grouped in one of three ways
    fn half_product(&mut self, p: &mut Pieces, x: Value, gate: Value) -> Value {
        match self.of(3) {
            0 => {
                let half = self.scaled(p, x, 0.5);
                self.commuted(p, BinaryOp::Mul, half, gate)
            }
            1 => {
                let product = self.commuted(p, BinaryOp::Mul, x, gate);
                self.scaled(p, product, 0.5)
            }
            _ => {
                let half = self.scaled(p, gate, 0.5);
                self.commuted(p, BinaryOp::Mul, x, half)
            }
        }
    }
}

/// Variants of [`gelu_erf`].
pub const GELU_ERF: usize = 3 * 2 * 18;

/// `0.5 * x * (1 + erf(x / sqrt 2))`
pub fn gelu_erf(p: &mut Pieces, x: Value, variant: usize) -> Value {
    let mut choices = Choices(variant);
    let argument = choices.scaled(p, x, FRAC_1_SQRT_2);
    let erf = p.unary(UnaryOp::Erf, argument);
    let one = p.scalar(1.0);
    let gate = choices.commuted(p, BinaryOp::Add, erf, one);
    choices.half_product(p, x, gate)
}

/// Variants of [`gelu_tanh`].
pub const GELU_TANH: usize = 2 * 2 * 3 * 2 * 3 * 18;

/// `0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))`
pub fn gelu_tanh(p: &mut Pieces, x: Value, variant: usize) -> Value {
    let mut choices = Choices(variant);
    let square = p.mul(x, x);
    let one = p.scalar(1.0);
    let sum = if choices.of(2) == 0 {
        let cube = choices.commuted(p, BinaryOp::Mul, square, x);
        let cubic = choices.scaled(p, cube, 0.044715);
        choices.commuted(p, BinaryOp::Add, x, cubic)
    } else {
        let scaled = choices.scaled(p, square, 0.044715);
        let factor = choices.commuted(p, BinaryOp::Add, scaled, one);
        choices.commuted(p, BinaryOp::Mul, x, factor)
    };
    let argument = choices.scaled(p, sum, (2.0 / PI).sqrt());
    let tanh = p.unary(UnaryOp::Tanh, argument);
    let gate = p.add(tanh, one);
    choices.half_product(p, x, gate)
}

/// Variants of [`silu`].
pub const SILU: usize = 2;

/// `x * sigmoid(x)`
pub fn silu(p: &mut Pieces, x: Value, variant: usize) -> Value {
    let gate = p.unary(UnaryOp::Sigmoid, x);
    Choices(variant).commuted(p, BinaryOp::Mul, x, gate)
}

/// Variants of [`layer_norm`] and [`rms_norm`].
pub const NORM: usize = 2 * 2 * 2 * 2 * 2;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last `axes` axes
pub fn layer_norm(p: &mut Pieces, x: Value, axes: usize, epsilon: f64, variant: usize) -> Value {
    let mut choices = Choices(variant);
    let mean = p.mean(x, axes);
    let centred = p.sub(x, mean);
    let normal = normalised(p, centred, axes, epsilon, &mut choices);
    let shape = p.dims(x)[p.dims(x).len() - axes..].to_vec();
    let weight = p.random(&shape, 2.0);
    let scaled = choices.commuted(p, BinaryOp::Mul, normal, weight);
    let bias = p.random(&shape, 1.0);
    choices.commuted(p, BinaryOp::Add, scaled, bias)
}

/// `x / sqrt(mean(x * x) + epsilon) * weight` over the last `axes` axes
pub fn rms_norm(p: &mut Pieces, x: Value, axes: usize, epsilon: f64, variant: usize) -> Value {
    let mut choices = Choices(variant);
    let normal = normalised(p, x, axes, epsilon, &mut choices);
    let shape = p.dims(x)[p.dims(x).len() - axes..].to_vec();
    let weight = p.random(&shape, 2.0);
    choices.commuted(p, BinaryOp::Mul, normal, weight)
}

/// `x / sqrt(mean(x * x) + epsilon)`
fn normalised(p: &mut Pieces, x: Value, axes: usize, epsilon: f64, choices: &mut Choices) -> Value {
    let square = p.mul(x, x);
    let mean_square = p.mean(square, axes);
    let epsilon = p.scalar(epsilon);
    let radicand = choices.commuted(p, BinaryOp::Add, mean_square, epsilon);
    let deviation = p.unary(UnaryOp::Sqrt, radicand);
    if choices.of(2) == 0 {
        p.div(x, deviation)
    } else {
        let one = p.scalar(1.0);
        let inverse = p.div(one, deviation);
        choices.commuted(p, BinaryOp::Mul, x, inverse)
    }
}

/// Variants of [`attention`] without a mask.
pub const ATTENTION: usize = 2 * 5 * 3 * 2 * 2 * 2;

/// Attention over `heads` heads that lie side by side in the last axis of `q`, `k` and `v`, each `[n, t, heads * d]`; `mask` is
/// added to the scores, which are `[n, heads, tq, tk]`, or in odd variants `[n * heads, tq, tk]`.
pub fn attention(
    p: &mut Pieces,
    [q, k, v]: [Value; 3],
    heads: usize,
    mask: Option<Value>,
    variant: usize,
) -> Value {
    let mut choices = Choices(variant);
    let joined = choices.of(2) == 1;
    let size = p.dims(q)[2] / heads;
    let scale = 1.0 / (size as f64).sqrt();
    let place = choices.of(5);
    let mut scaled = choices.of(3);
    let mut multiplied = |p: &mut Pieces, x: Value, here: bool, by: f64| {
        if here { Choices(std::mem::take(&mut scaled)).scaled(p, x, by) } else { x }
    };

    let q = multiplied(p, q, place == 0, scale);
    let q = split(p, q, heads, joined, [0, 2, 1, 3]);
    let q = multiplied(p, q, place == 1, scale);
    let q = multiplied(p, q, place == 2, scale.sqrt());
    let k = if choices.of(2) == 0 {
        split(p, k, heads, joined, [0, 2, 3, 1])
    } else {
        let k = split(p, k, heads, joined, [0, 2, 1, 3]);
        let swapped: &[usize] = if joined { &[0, 2, 1] } else { &[0, 1, 3, 2] };
        p.transpose(k, swapped)
    };
    let k = multiplied(p, k, place == 2, scale.sqrt());
    let k = multiplied(p, k, place == 3, scale);
    let v = split(p, v, heads, joined, [0, 2, 1, 3]);

    let scores = p.matmul(q, k);
    let scores = multiplied(p, scores, place == 4, scale);
    let scores = match mask {
        Some(mask) => choices.commuted(p, BinaryOp::Add, scores, mask),
        None => scores,
    };
    let mut weights = p.softmax(scores);
    if choices.of(2) == 1 {
        let undefined = p.node(Op::Classify(Classify::IsNan), &[weights]);
        let zero = p.scalar(0.0);
        weights = p.node(Op::Where(Where {}), &[undefined, zero, weights]);
    }
    let context = p.matmul(weights, v);
    merge(p, context, heads, joined)
}

/// The lengths with the heads and the samples in one axis.
fn with_heads(samples: Dim, heads: usize) -> Dim {
    match samples {
        Dim::Fixed(n) => Dim::Fixed(n * heads),
        Dim::Batch(n) => Dim::Batch(n * heads),
    }
}

/// `[n, t, heads * d]` as `[n, t, heads, d]` with its axes in `order`, of which the first two are perhaps joined.
fn split(p: &mut Pieces, x: Value, heads: usize, joined: bool, order: [usize; 4]) -> Value {
    let &[samples, length, Dim::Fixed(width)] = p.shape(x).dims() else {
        panic!("expected [n, t, heads * d]")
    };
    let x = p.reshape(x, Shape::from([samples, length, Dim::Fixed(heads), Dim::Fixed(width / heads)]));
    let x = p.transpose(x, &order);
    if !joined {
        return x;
    }
    let rest = p.shape(x).dims()[2..].to_vec();
    let shape: Vec<Dim> = std::iter::once(with_heads(samples, heads)).chain(rest).collect();
    p.reshape(x, shape)
}

/// The inverse of [`split`] with the order `[0, 2, 1, 3]`.
fn merge(p: &mut Pieces, x: Value, heads: usize, joined: bool) -> Value {
    let samples = p.batch;
    let (length, size) = match p.shape(x).dims() {
        &[.., length, Dim::Fixed(size)] => (length, size),
        _ => panic!("expected [n, heads, t, d]"),
    };
    let x = if joined {
        p.reshape(x, Shape::from([samples, Dim::Fixed(heads), length, Dim::Fixed(size)]))
    } else {
        x
    };
    let x = p.transpose(x, &[0, 2, 1, 3]);
    p.reshape(x, Shape::from([samples, length, Dim::Fixed(heads * size)]))
}
