//! How operators, inputs and outputs are connected: what a device's memory plan must survive.

use paceline_graph::{
    Activation, Attention, Binary, BinaryOp, Concat, Dim, LayerNorm, Linear, MatMul, Op, Pad, PadMode,
    Reduce, ReduceOp, Reshape, Slice, Softmax, Split, Transpose, Unary, UnaryOp, Value,
};

use super::super::sketch::Sketch;
use super::super::{Case, Kind, Values};

const N: Dim = Dim::BATCH;
const RELU: Op = Op::Unary(Unary(UnaryOp::Relu));
const EXP: Op = Op::Unary(Unary(UnaryOp::Exp));
const NEG: Op = Op::Unary(Unary(UnaryOp::Neg));
const ADD: Op = Op::Binary(Binary(BinaryOp::Add));
const SUB: Op = Op::Binary(Binary(BinaryOp::Sub));
const MUL: Op = Op::Binary(Binary(BinaryOp::Mul));

/// Builds one case and returns its outputs.
type Build = fn(&mut Sketch) -> Vec<Value>;

pub(super) fn cases() -> Vec<Case> {
    let families: [&[(&str, Build)]; 4] = [OUTPUTS, BATCH_ELSEWHERE, NO_BATCH, LIFETIMES];
    let case = |&(name, build): &(&str, Build)| {
        let mut s = Sketch::new();
        build(&mut s).into_iter().for_each(|value| s.output(value));
        s.case(format!("Structure/{name}"), Kind::Structure).at_most(33)
    };
    families.into_iter().flatten().map(case).collect()
}

/// What is returned.
const OUTPUTS: &[(&str, Build)] = &[
    ("input-returned", |s| vec![s.x(&[17])]),
    ("inputs-returned-of-every-type", |s| {
        vec![s.x(&[3]), s.input(&[2, 7], Values::Integers(-5, 5)), s.input(&[5], Values::Chance(0.5))]
    }),
    ("inputs-returned-crossed", |s| {
        let (a, b) = (s.x(&[7]), s.x(&[7]));
        vec![b, a]
    }),
    ("input-returned-and-used", |s| {
        let x = s.x(&[16]);
        let y = s.op(RELU, &[x]);
        vec![x, y]
    }),
    ("input-returned-twice", |s| {
        let x = s.x(&[9]);
        vec![x, x]
    }),
    ("value-returned-twice", |s| {
        let x = s.x(&[33]);
        let y = s.op(EXP, &[x]);
        vec![y, y]
    }),
    ("value-returned-and-used", |s| {
        let x = s.x(&[17]);
        let a = s.op(RELU, &[x]);
        let b = s.op(NEG, &[a]);
        let c = s.op(EXP, &[b]);
        vec![a, c, b]
    }),
    ("several-outputs", |s| {
        let (x, w) = (s.x(&[7]), s.weight(&[16, 7]));
        let y = s.op(Op::Linear(Linear::default()), &[x, w]);
        let pieces = s.ops(Op::Split(Split { axis: 1, sizes: vec![5, 1, 10] }), &[Some(y)]);
        let sum = s.op(Op::Reduce(Reduce { op: ReduceOp::Sum, axes: vec![1], keep_dims: false }), &[y]);
        vec![pieces[2], sum, pieces[0], y]
    }),
    ("view-returned", |s| {
        let x = s.x(&[3, 5]);
        vec![s.op(Op::Reshape(Reshape { shape: [N, 15.into()].into() }), &[x]), x]
    }),
    ("view-returned-with-its-source", |s| {
        let x = s.x(&[4, 3]);
        let y = s.op(EXP, &[x]);
        let flat = s.op(Op::Reshape(Reshape { shape: [N, 12.into()].into() }), &[y]);
        let turned = s.op(Op::Transpose(Transpose { permutation: vec![0, 2, 1] }), &[y]);
        vec![flat, y, turned]
    }),
    ("constant-broadcast-to-output", |s| {
        let (x, c) = (s.x(&[1]), s.constant(&[7], Values::Uniform(-1.0, 1.0)));
        let zero = s.constant(&[], Values::OneOf(&[0.0]));
        let nothing = s.op(MUL, &[x, zero]);
        vec![s.op(ADD, &[nothing, c])]
    }),
    ("empty-output", |s| {
        let x = s.x(&[5]);
        vec![s.op(Op::Slice(Slice { axis: 1, start: 2, end: 2, step: 1 }), &[x]), s.op(RELU, &[x])]
    }),
    ("unused-input", |s| {
        let (x, _unused, z) = (s.x(&[3]), s.input(&[7], Values::Integers(0, 1)), s.x(&[3]));
        vec![s.op(SUB, &[z, x])]
    }),
    ("unused-node", |s| {
        let x = s.x(&[7]);
        s.op(EXP, &[x]);
        vec![s.op(NEG, &[x])]
    }),
    ("scalars", |s| {
        let (x, i) = (s.x(&[]), s.input(&[], Values::Integers(-9, 9)));
        vec![s.op(EXP, &[x]), s.op(ADD, &[i, i])]
    }),
    ("many-inputs", |s| {
        let inputs: Vec<Value> = (0..9).map(|i| s.x(&[i + 1])).collect();
        vec![s.op(Op::Concat(Concat { axis: 1 }), &inputs)]
    }),
];

/// Where the batch is not axis 0, or is merged with another.
const BATCH_ELSEWHERE: &[(&str, Build)] = &[
    ("batch-in-the-middle", |s| {
        let x = s.x(&[5, 17]);
        let t = s.op(turned(&[1, 0, 2]), &[x]);
        let (w, b, c) = (s.weight(&[7, 17]), s.weight(&[7]), s.weight(&[5, 1, 7]));
        let y =
            s.op(Op::Linear(Linear { activation: Some(Activation::Gelu), ..Linear::default() }), &[t, w, b]);
        let y = s.op(ADD, &[y, c]);
        let y = s.op_with(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5 }), &[Some(y)]);
        vec![s.op(turned(&[1, 0, 2]), &[y])]
    }),
    ("batch-in-the-middle-reduced-around", |s| {
        let x = s.x(&[5, 7]);
        let t = s.op(turned(&[1, 0, 2]), &[x]);
        let soft = s.op(Op::Softmax(Softmax { axis: 0 }), &[t]);
        let sum = s.op(Op::Reduce(Reduce { op: ReduceOp::Max, axes: vec![0], keep_dims: false }), &[soft]);
        let mean = s.op(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![2], keep_dims: false }), &[t]);
        vec![sum, s.op(turned(&[1, 0]), &[mean])]
    }),
    ("batch-in-the-middle-moved-around", |s| {
        let x = s.x(&[6, 7]);
        let t = s.op(turned(&[1, 0, 2]), &[x]);
        let padded =
            s.op(Op::Pad(Pad { pads: vec![(1, 2), (0, 0), (0, 1)], mode: PadMode::Constant(0.5) }), &[t]);
        let cut = s.op(Op::Slice(Slice { axis: 0, start: 1, end: 9, step: 2 }), &[padded]);
        let both = s.op(Op::Concat(Concat { axis: 0 }), &[cut, cut]);
        let pieces = s.ops(Op::Split(Split { axis: 0, sizes: vec![3, 5] }), &[Some(both)]);
        vec![s.op(turned(&[1, 0, 2]), &[pieces[0]]), s.op(turned(&[1, 2, 0]), &[pieces[1]])]
    }),
    ("batch-last", |s| {
        let x = s.x(&[16]);
        let t = s.op(turned(&[1, 0]), &[x]);
        let c = s.weight(&[5, 16]);
        let y = s.op(Op::MatMul(MatMul {}), &[c, t]);
        let y = s.op(RELU, &[y]);
        vec![s.op(turned(&[1, 0]), &[y])]
    }),
    ("batch-merged", |s| {
        let x = s.x(&[7, 17]);
        let flat = s.op(Op::Reshape(Reshape { shape: [Dim::Batch(7), 17.into()].into() }), &[x]);
        let (w, b) = (s.weight(&[33, 17]), s.weight(&[33]));
        let y = s.op(Op::Linear(Linear::default()), &[flat, w, b]);
        let y = s.op(Op::Softmax(Softmax { axis: -1 }), &[y]);
        vec![s.op(Op::Reshape(Reshape { shape: [N, 7.into(), 33.into()].into() }), &[y])]
    }),
    ("batch-merged-behind", |s| {
        let x = s.x(&[3, 5]);
        let t = s.op(turned(&[2, 0, 1]), &[x]);
        let flat = s.op(Op::Reshape(Reshape { shape: [5.into(), Dim::Batch(3)].into() }), &[t]);
        let y = s.op(EXP, &[flat]);
        let y = s.op(Op::Reshape(Reshape { shape: [5.into(), N, 3.into()].into() }), &[y]);
        vec![s.op(turned(&[1, 2, 0]), &[y])]
    }),
    ("heads-merged-with-batch", |s| {
        let (heads, tokens, d) = (4, 7, 5);
        let split: [Dim; 4] = [N, tokens.into(), heads.into(), d.into()];
        let merged: [Dim; 3] = [Dim::Batch(heads), tokens.into(), d.into()];
        let [q, k] = [s.x(&[tokens, heads * d]), s.x(&[tokens, heads * d])].map(|x| {
            let x = s.op(Op::Reshape(Reshape { shape: split.into() }), &[x]);
            let x = s.op(turned(&[0, 2, 1, 3]), &[x]);
            s.op(Op::Reshape(Reshape { shape: merged.into() }), &[x])
        });
        let k = s.op(turned(&[0, 2, 1]), &[k]);
        let scores = s.op(Op::MatMul(MatMul {}), &[q, k]);
        let y = s.op(Op::Softmax(Softmax { axis: -1 }), &[scores]);
        let shape: [Dim; 4] = [N, heads.into(), tokens.into(), tokens.into()];
        vec![s.op(Op::Reshape(Reshape { shape: shape.into() }), &[y])]
    }),
];

/// Graphs without a batch: one request is one execution.
const NO_BATCH: &[(&str, Build)] = &[
    ("no-batch", |s| {
        let x = s.fixed_input(&[5, 17], Values::Uniform(-2.0, 2.0));
        let (w, b) = (s.weight(&[7, 17]), s.weight(&[7]));
        vec![s.op(Op::Linear(Linear { activation: Some(Activation::Relu), ..Linear::default() }), &[x, w, b])]
    }),
    ("no-batch-reduced-over-axis-0", |s| {
        let x = s.fixed_input(&[7, 3], Values::Uniform(-2.0, 2.0));
        vec![s.op(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![0], keep_dims: false }), &[x])]
    }),
    ("no-batch-scalar", |s| {
        let x = s.fixed_input(&[], Values::Uniform(-2.0, 2.0));
        vec![s.op(EXP, &[x]), x]
    }),
    ("no-batch-attention", |s| {
        let x = s.fixed_input(&[2, 7, 8], Values::Uniform(-2.0, 2.0));
        vec![s.op(Op::Attention(Attention { heads: 2, scale: None, causal: true }), &[x, x, x])]
    }),
    ("no-input", |s| {
        let (a, b) = (s.constant(&[3, 7], Values::Uniform(-1.0, 1.0)), s.weight(&[7]));
        vec![s.op(ADD, &[a, b]), a]
    }),
];

/// Values that live long, die together, or are used by many.
const LIFETIMES: &[(&str, Build)] = &[
    ("chain", |s| {
        let mut y = s.x(&[17]);
        for op in [NEG, RELU, EXP, NEG, EXP, NEG, RELU].into_iter().cycle().take(21) {
            y = s.op(op, &[y]);
        }
        vec![y]
    }),
    ("residual-over-a-chain", |s| {
        let x = s.x(&[16]);
        let mut y = x;
        for _ in 0..5 {
            let w = s.weight(&[16, 16]);
            let inner =
                s.op(Op::Linear(Linear { activation: Some(Activation::Tanh), ..Linear::default() }), &[y, w]);
            y = s.op(ADD, &[inner, x]);
        }
        vec![y]
    }),
    ("one-value-for-many", |s| {
        let x = s.x(&[7]);
        let shared = s.op(Op::Unary(Unary(UnaryOp::Tanh)), &[x]);
        let each: Vec<Value> = [NEG, EXP, RELU].into_iter().map(|op| s.op(op, &[shared])).collect();
        let sum = each.into_iter().reduce(|a, b| s.op(ADD, &[a, b])).expect("there are three");
        vec![s.op(MUL, &[sum, shared])]
    }),
    ("both-operands-equal", |s| {
        let x = s.x(&[5, 5]);
        let y = s.op(EXP, &[x]);
        let square = s.op(Op::MatMul(MatMul {}), &[y, y]);
        vec![s.op(SUB, &[square, square]), s.op(MUL, &[y, y])]
    }),
    ("growing-and-shrinking", |s| {
        let mut y = s.x(&[3]);
        for (from, to) in [(3, 100), (100, 1), (1, 65), (65, 7), (7, 33)] {
            let (w, b) = (s.weight(&[to, from]), s.weight(&[to]));
            y = s.op(
                Op::Linear(Linear { activation: Some(Activation::Silu), ..Linear::default() }),
                &[y, w, b],
            );
        }
        vec![y]
    }),
    ("shared-weight", |s| {
        let (x, w) = (s.x(&[17]), s.weight(&[17, 17]));
        let y = s.op(Op::Linear(Linear { activation: Some(Activation::Relu), ..Linear::default() }), &[x, w]);
        let z = s.op(Op::Linear(Linear::default()), &[y, w]);
        let raw = s.op(Op::MatMul(MatMul {}), &[z, w]);
        vec![z, raw]
    }),
    ("wide-fan-in", |s| {
        let x = s.x(&[3]);
        let pieces: Vec<Value> = (0..7)
            .map(|i| {
                let w = s.weight(&[i + 1, 3]);
                s.op(Op::Linear(Linear::default()), &[x, w])
            })
            .collect();
        vec![s.op(Op::Concat(Concat { axis: -1 }), &pieces)]
    }),
];

fn turned(permutation: &[usize]) -> Op {
    Op::Transpose(Transpose { permutation: permutation.to_vec() })
}
