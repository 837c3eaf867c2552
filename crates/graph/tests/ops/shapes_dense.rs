//! Shape rules of elementwise functions, products, normalisations, attention, look-up and reductions.

use paceline_graph::{
    Attention, BatchNorm, Binary, BinaryOp, Embedding, GroupNorm, LayerNorm, Linear, MatMul, Op, Reduce,
    ReduceOp, RmsNorm, Softmax, Unary, UnaryOp,
};

use crate::notation::check_shapes;

const EPSILON: f32 = 1e-5;

#[test]
fn elementwise() {
    let add = || Op::Binary(Binary(BinaryOp::Add));
    let div = || Op::Binary(Binary(BinaryOp::Div));
    let relu = || Op::Unary(Unary(UnaryOp::Relu));
    check_shapes(&[
        (add(), "f32[N, 3]; f32[N, 3]", Ok("f32[N, 3]")),
        (add(), "f32[N, 3]; f32[3]", Ok("f32[N, 3]")),
        (add(), "f32[3]; f32[N, 3]", Ok("f32[N, 3]")),
        (add(), "f32[N, 5, 1]; f32[N, 1, 7]", Ok("f32[N, 5, 7]")),
        (add(), "f32[N, 3]; f32[]", Ok("f32[N, 3]")),
        (add(), "f32[1, 3]; f32[N, 1]", Ok("f32[N, 3]")),
        (add(), "f32[4N, 3]; f32[4N, 1]", Ok("f32[4N, 3]")),
        (add(), "f32[N, 0]; f32[1]", Ok("f32[N, 0]")),
        (add(), "i64[N]; i64[1]", Ok("i64[N]")),
        (add(), "f32[N, 3]; f32[4]", Err("broadcast together, got a f32[N, 3], b f32[4]")),
        (add(), "f32[N, 3]; f32[2, 3]", Err("broadcast")),
        (add(), "f32[4N, 3]; f32[N, 3]", Err("broadcast")),
        (add(), "f32[4N, 3]; f32[4, 3]", Err("broadcast")),
        (add(), "f32[N, 1]; f32[1, 2N]", Err("broadcast")),
        (add(), "f32[N]; i64[N]", Err("both of one type of numbers, got a f32[N], b i64[N]")),
        (add(), "bool[N]; bool[N]", Err("both of one type of numbers")),
        (div(), "i8[N]; i8[N]", Ok("i8[N]")),
        (div(), "f32[N]; f32[N]", Ok("f32[N]")),
        (add(), "f32[N]", Err("inputs a, b, got 1 input (f32[N])")),
        (add(), "-; f32[N]", Err("inputs a, b, got 2 inputs (nothing, f32[N])")),
        (add(), "f32[N]; f32[N]; f32[N]", Err("got 3 inputs")),
        (relu(), "f32[2, N, 3]", Ok("f32[2, N, 3]")),
        (relu(), "f32[]", Ok("f32[]")),
        (relu(), "bool[N]", Err("x of numbers, got x bool[N]")),
        (relu(), "", Err("inputs x, got 0 inputs")),
        (relu(), "f32[N]; f32[N]", Err("got 2 inputs")),
    ]);
}

#[test]
fn products() {
    let matmul = || Op::MatMul(MatMul {});
    let linear = || Op::Linear(Linear::default());
    let transposed = || Op::Linear(Linear { transposed: true, ..Linear::default() });
    check_shapes(&[
        (matmul(), "f32[N, 5, 7]; f32[N, 7, 4]", Ok("f32[N, 5, 4]")),
        (matmul(), "f32[N, 5, 7]; f32[7, 4]", Ok("f32[N, 5, 4]")),
        (matmul(), "f32[N, 7]; f32[7, 4]", Ok("f32[N, 4]")),
        (matmul(), "f32[4, 7]; f32[7, N]", Ok("f32[4, N]")),
        (matmul(), "f32[N, 1, 5, 7]; f32[N, 3, 7, 2]", Ok("f32[N, 3, 5, 2]")),
        (matmul(), "f32[N, 4, 5, 7]; f32[4, 7, 3]", Ok("f32[N, 4, 5, 3]")),
        (matmul(), "f32[7]; f32[N, 7, 4]", Ok("f32[N, 4]")),
        (matmul(), "f32[N, 5, 7]; f32[7]", Ok("f32[N, 5]")),
        (matmul(), "f32[7]; f32[7]", Ok("f32[]")),
        (matmul(), "f32[N, 0]; f32[0, 4]", Ok("f32[N, 4]")),
        (matmul(), "f32[N, 5, 7]; f32[N, 6, 4]", Err("the same k, got a f32[N, 5, 7], b f32[N, 6, 4]")),
        (matmul(), "f32[3, N]; f32[N, 4]", Err("does not sum over the batch")),
        (matmul(), "f32[N]; f32[N]", Err("does not sum over the batch")),
        (matmul(), "f32[N, 7]; f32[7, N]", Err("at most one axis that depends on the batch")),
        (matmul(), "f32[N, 5, 7]; f32[2, 7, 4]", Err("broadcast together")),
        (matmul(), "f32[2N, 5, 7]; f32[N, 7, 4]", Err("broadcast together")),
        (matmul(), "f32[]; f32[7, 4]", Err("at least one axis")),
        (matmul(), "f32[N, 7]; i64[7, 4]", Err("a, b of numbers, one type for all")),
        (linear(), "f32[N, 3]; f32[2, 3]", Ok("f32[N, 2]")),
        (linear(), "f32[3]; f32[2, 3]", Ok("f32[2]")),
        (transposed(), "f32[N, 3]; f32[3, 2]", Ok("f32[N, 2]")),
        (transposed(), "f32[N, 3]; f32[2, 3]", Err("weight [3, out] to match x")),
        (linear(), "f32[5, 8N, 3]; f32[2, 3]; f32[2]", Ok("f32[5, 8N, 2]")),
        (linear(), "f32[N, 4, 3]; f32[2, 3]; -; f32[N, 4, 2]", Ok("f32[N, 4, 2]")),
        (linear(), "f32[N, 3]; f32[2, 3]; f32[2]; f32[N, 2]", Ok("f32[N, 2]")),
        (
            linear(),
            "f32[N, 256]; f32[512, 128]",
            Err("expected weight [out, 256] to match x, got x f32[N, 256], weight f32[512, 128]"),
        ),
        (linear(), "f32[N, 3]; f32[3]", Err("weight [out, 3]")),
        (linear(), "f32[3]; f32[N, 3]", Err("weight [out, 3]")),
        (linear(), "f32[3, N]; f32[2, 3]", Err("last axis is not the batch")),
        (linear(), "f32[]; f32[2, 3]", Err("at least one axis")),
        (linear(), "f32[N, 3]; f32[2, 3]; f32[3]", Err("bias [2] to match weight")),
        (linear(), "f32[N, 3]; f32[2, 3]; -; f32[2]", Err("residual [N, 2] to match the output")),
        (linear(), "f32[N, 3]; f32[2, 3]; i64[2]", Err("bias of f32")),
        (linear(), "f32[N, 3]; -; f32[2]", Err("inputs x, weight, optional bias, optional residual")),
    ]);
}

#[test]
fn normalisations() {
    let softmax = |axis| Op::Softmax(Softmax { axis });
    let layer = |axes| Op::LayerNorm(LayerNorm { axes, epsilon: EPSILON });
    let rms = |axes| Op::RmsNorm(RmsNorm { axes, epsilon: EPSILON });
    let batch = |epsilon| Op::BatchNorm(BatchNorm { epsilon });
    let group = |groups| Op::GroupNorm(GroupNorm { groups, epsilon: EPSILON });
    check_shapes(&[
        (softmax(-1), "f32[N, 3]", Ok("f32[N, 3]")),
        (softmax(0), "f32[3, N]", Ok("f32[3, N]")),
        (softmax(1), "f32[N, 0]", Ok("f32[N, 0]")),
        (softmax(0), "f32[N, 3]", Err("an axis that is not the batch, got axis 0 of x f32[N, 3]")),
        (softmax(-2), "f32[4N, 3]", Err("an axis that is not the batch")),
        (softmax(2), "f32[N, 3]", Err("an axis from -2 to 1, got axis 2 of x f32[N, 3]")),
        (softmax(-3), "f32[N, 3]", Err("an axis from -2 to 1")),
        (softmax(isize::MIN), "f32[N, 3]", Err("an axis from -2 to 1")),
        (softmax(0), "f32[]", Err("at least one axis")),
        (softmax(1), "bool[N, 3]", Err("x of f32")),
        (layer(1), "f32[N, 4, 3]; f32[3]; f32[3]", Ok("f32[N, 4, 3]")),
        (layer(2), "f32[N, 4, 3]; f32[4, 3]; -", Ok("f32[N, 4, 3]")),
        (layer(1), "f32[N, 3]; -; f32[3]", Ok("f32[N, 3]")),
        (layer(1), "f32[4, N, 3]", Ok("f32[4, N, 3]")),
        (layer(2), "f32[N, 3]", Err("none is the batch, got the last 2 axes of x f32[N, 3]")),
        (layer(3), "f32[N, 3]", Err("no more than x has, got 3 axes")),
        (layer(0), "f32[N, 3]", Err("at least one axis to normalise")),
        (layer(usize::MAX), "f32[N, 3]", Err("no more than x has")),
        (layer(1), "f32[N, 3]; f32[4]", Err("weight [3] to match the last axes of x")),
        (layer(2), "f32[N, 4, 3]; -; f32[3]", Err("bias [4, 3]")),
        (
            Op::LayerNorm(LayerNorm { axes: 1, epsilon: f32::NAN }),
            "f32[N, 3]",
            Err("an epsilon that is finite and not negative, got epsilon NaN"),
        ),
        (rms(1), "f32[N, 4, 3]; f32[3]", Ok("f32[N, 4, 3]")),
        (rms(1), "f32[3, N]", Err("none is the batch")),
        (rms(1), "f32[N, 3]; f32[N]", Err("weight [3]")),
        (rms(1), "f32[N, 3]; f32[3]; f32[3]", Err("got 3 inputs")),
        (Op::RmsNorm(RmsNorm { axes: 1, epsilon: -1.0 }), "f32[N, 3]", Err("epsilon")),
        (batch(EPSILON), "f32[N, 3]; f32[3]; f32[3]", Ok("f32[N, 3]")),
        (batch(EPSILON), "f32[5N, 3, 4, 4]; f32[3]; f32[3]; f32[3]; f32[3]", Ok("f32[5N, 3, 4, 4]")),
        (batch(EPSILON), "f32[2, 3, 4]; f32[3]; f32[3]; -; f32[3]", Ok("f32[2, 3, 4]")),
        (batch(EPSILON), "f32[N, 3]; f32[3]", Err("inputs x, mean, variance")),
        (batch(EPSILON), "f32[N, 3]; f32[3]; f32[2]", Err("variance [3] to match the channels of x")),
        (batch(EPSILON), "f32[N, 3]; f32[3]; f32[3]; f32[1]", Err("weight [3]")),
        (batch(EPSILON), "f32[N]; f32[3]; f32[3]", Err("x [N, C, ...]")),
        (batch(EPSILON), "f32[3, N]; f32[3]; f32[3]", Err("only axis 0 may be the batch")),
        (batch(f32::INFINITY), "f32[N, 3]; f32[3]; f32[3]", Err("epsilon")),
        (group(2), "f32[N, 6, 4]; f32[6]; f32[6]", Ok("f32[N, 6, 4]")),
        (group(3), "f32[N, 6]", Ok("f32[N, 6]")),
        (group(4), "f32[N, 6, 4]", Err("divides the 6 channels, got 4 groups of x f32[N, 6, 4]")),
        (group(0), "f32[N, 6, 4]", Err("got 0 groups")),
        (group(2), "f32[N, 6, 4]; f32[2]", Err("weight [6]")),
        (group(2), "f32[2, 6, N]", Err("only axis 0 may be the batch")),
    ]);
}

#[test]
fn attention() {
    let heads = |heads| Op::Attention(Attention { heads, scale: None, causal: false });
    let scaled = |scale| Op::Attention(Attention { heads: 2, scale: Some(scale), causal: true });
    check_shapes(&[
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 6]", Ok("f32[N, 5, 6]")),
        (heads(2), "f32[3N, 5, 8]; f32[3N, 7, 8]; f32[3N, 7, 6]", Ok("f32[3N, 5, 6]")),
        (heads(4), "f32[2, 0, 8]; f32[2, 0, 8]; f32[2, 0, 8]", Ok("f32[2, 0, 8]")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; f32[5, 7]", Ok("f32[N, 5, 8]")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; f32[N, 1, 1, 7]", Ok("f32[N, 5, 8]")),
        (
            heads(2),
            "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; f32[N, 2, 5, 7]; bool[N, 7]",
            Ok("f32[N, 5, 8]"),
        ),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; -; bool[N, 7]", Ok("f32[N, 5, 8]")),
        (heads(3), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 6]", Err("divides the last axes")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 5]", Err("divides the last axes")),
        (heads(0), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]", Err("got 0 heads of q f32[N, 5, 8]")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 6]; f32[N, 7, 8]", Err("k [N, Tk, 8] to match q")),
        (heads(2), "f32[N, 5, 8]; f32[1, 7, 8]; f32[1, 7, 8]", Err("k [N, Tk, 8] to match q")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 6, 8]", Err("v [N, 7, heads * dv] to match k")),
        (heads(2), "f32[5, N, 8]; f32[5, N, 8]; f32[5, N, 8]", Err("only axis 0 may be the batch")),
        (heads(2), "f32[5, 8, N]; f32[5, 7, N]; f32[5, 7, 8]", Err("only axis 0 may be the batch")),
        (heads(2), "f32[5, 8]; f32[7, 8]; f32[7, 8]", Err("q [N, Tq, heads * d]")),
        (
            heads(2),
            "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; f32[N, 5, 7]",
            Err("broadcasts to [N, 2, 5, 7]"),
        ),
        (
            heads(2),
            "f32[1, 5, 8]; f32[1, 7, 8]; f32[1, 7, 8]; f32[3, 1, 5, 7]",
            Err("broadcasts to [1, 2, 5, 7]"),
        ),
        (heads(2), "f32[2, 5, 8]; f32[2, 7, 8]; f32[2, 7, 8]; f32[N, 1, 5, 7]", Err("broadcasts to")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; bool[5, 7]", Err("mask of f32")),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; -; f32[N, 7]", Err("key_padding of bool")),
        (
            heads(2),
            "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]; -; bool[7]",
            Err("key_padding [N, 7] to match k"),
        ),
        (heads(2), "f32[N, 5, 8]; f32[N, 7, 8]", Err("inputs q, k, v")),
        (heads(2), "i64[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 8]", Err("q of f32")),
        (scaled(0.5), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 6]", Ok("f32[N, 5, 6]")),
        (scaled(f32::NAN), "f32[N, 5, 8]; f32[N, 7, 8]; f32[N, 7, 6]", Err("a finite scale")),
    ]);
}

#[test]
fn embedding() {
    let embedding = || Op::Embedding(Embedding {});
    check_shapes(&[
        (embedding(), "i64[N, 5]; f32[10, 3]", Ok("f32[N, 5, 3]")),
        (embedding(), "i64[]; f32[10, 3]", Ok("f32[3]")),
        (embedding(), "i64[5, 2N]; f32[0, 3]", Ok("f32[5, 2N, 3]")),
        (embedding(), "f32[N, 5]; f32[10, 3]", Err("indices of i64")),
        (embedding(), "i64[N, 5]; i64[10, 3]", Err("weight of f32")),
        (embedding(), "i64[N, 5]; f32[10]", Err("weight [rows, d]")),
        (embedding(), "i64[5]; f32[N, 3]", Err("neither of which is the batch")),
        (embedding(), "i64[5]; f32[3, N]", Err("neither of which is the batch")),
        (embedding(), "i64[5]", Err("inputs indices, weight")),
    ]);
}

#[test]
fn reductions() {
    let reduce = |op, axes: &[isize], keep_dims| Op::Reduce(Reduce { op, axes: axes.to_vec(), keep_dims });
    let sum = |axes: &[isize], keep_dims| reduce(ReduceOp::Sum, axes, keep_dims);
    check_shapes(&[
        (sum(&[-1], true), "f32[N, 3]", Ok("f32[N, 1]")),
        (sum(&[-1], false), "f32[N, 3]", Ok("f32[N]")),
        (sum(&[2, 0], false), "f32[3, N, 4, 5]", Ok("f32[N, 5]")),
        (sum(&[0, 1], true), "f32[3, 4]", Ok("f32[1, 1]")),
        (sum(&[1], false), "f32[N, 0]", Ok("f32[N]")),
        (reduce(ReduceOp::Mean, &[1], false), "f32[N, 0]", Ok("f32[N]")),
        (reduce(ReduceOp::Max, &[1], false), "f32[N, 3, 0]", Ok("f32[N, 0]")),
        (reduce(ReduceOp::Max, &[1], false), "f32[N, 0]", Ok("f32[N]")),
        (reduce(ReduceOp::Max, &[1], false), "i64[N, 0]", Err("at least one element")),
        (sum(&[0], true), "f32[N, 3]", Err("an axis that is not the batch")),
        (sum(&[1, 0], true), "f32[7N, 3]", Err("an axis that is not the batch")),
        (sum(&[1, -1], true), "f32[N, 3]", Err("each axis at most once, got axes [1, -1] of x f32[N, 3]")),
        (sum(&[], true), "f32[N, 3]", Err("at least one axis, got axes [] of")),
        (sum(&[2], true), "f32[N, 3]", Err("an axis from -2 to 1")),
        (sum(&[0], true), "bool[3]", Err("x of numbers")),
        (sum(&[0], true), "u8[3]", Ok("u8[1]")),
    ]);
}
