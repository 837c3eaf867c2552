//! Functions of one element, of two with broadcasting, and table look-up.

use paceline_graph::{Binary, BinaryOp, Embedding, Op, Unary, UnaryOp};

use super::super::sketch::Sketch;
use super::super::{Case, EXTREMES, Tolerance, Values};
use super::LENGTHS;

const UNARY: [UnaryOp; 10] = [
    UnaryOp::Relu,
    UnaryOp::Gelu,
    UnaryOp::GeluTanh,
    UnaryOp::Silu,
    UnaryOp::Sigmoid,
    UnaryOp::Tanh,
    UnaryOp::Exp,
    UnaryOp::Sqrt,
    UnaryOp::Erf,
    UnaryOp::Neg,
];

const BINARY: [BinaryOp; 4] = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div];

/// What cannot be zero or nearly so: divisors.
const AWAY_FROM_ZERO: Values = Values::Uniform(0.5, 2.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    UNARY.into_iter().for_each(|op| unary(op, &mut cases));
    BINARY.into_iter().for_each(|op| binary(op, &mut cases));
    integers(&mut cases);
    embedding(&mut cases);
    cases
}

fn unary(op: UnaryOp, cases: &mut Vec<Case>) {
    // Only a sign or a comparison: nothing to round. The sign of Relu(-0) is left open.
    let tolerance = if op == UnaryOp::Neg { Tolerance::EXACT } else { Tolerance::of(2e-6) };
    let mut one = |name: String, shape: &[usize], values| {
        let mut s = Sketch::new();
        let x = s.input(shape, values);
        let y = s.op(Op::Unary(Unary(op)), &[x]);
        cases.push(s.returns(y, name).within(tolerance));
    };
    let ordinary = if op == UnaryOp::Sqrt { Values::Uniform(0.0, 9.0) } else { Values::Uniform(-6.0, 6.0) };
    for length in LENGTHS {
        one(format!("{op:?}/{length}"), &[length], ordinary);
    }
    one(format!("{op:?}/3x5x7"), &[3, 5, 7], ordinary);
    one(format!("{op:?}/extreme-33"), &[33], Values::OneOf(EXTREMES));
}

fn binary(op: BinaryOp, cases: &mut Vec<Case>) {
    let right = if op == BinaryOp::Div { AWAY_FROM_ZERO } else { Values::Uniform(-2.0, 2.0) };
    let tolerance = Tolerance::of(1e-6);
    let node = Op::Binary(Binary(op));
    for length in LENGTHS {
        let mut s = Sketch::new();
        let (a, b) = (s.x(&[length]), s.input(&[length], right));
        let y = s.op(node.clone(), &[a, b]);
        cases.push(s.returns(y, format!("{op:?}/equal-{length}")).within(tolerance));
    }
    // Two inputs whose per-sample shapes are broadcast.
    for (name, left, other) in [
        ("row", &[5, 17][..], &[1, 17][..]),
        ("column", &[7, 33], &[7, 1]),
        ("both-ways", &[7, 1], &[1, 16]),
        ("left-smaller", &[1, 1], &[3, 2]),
        ("middle", &[3, 1, 5], &[3, 4, 1]),
    ] {
        let mut s = Sketch::new();
        let (a, b) = (s.x(left), s.input(other, right));
        let y = s.op(node.clone(), &[a, b]);
        cases.push(s.returns(y, format!("{op:?}/{name}")).within(tolerance));
    }
    // A constant on either side, of every rank that broadcasts.
    for (name, shape, constant) in [
        ("scalar", &[17][..], &[][..]),
        ("vector", &[5, 17], &[17]),
        ("channel", &[5, 7], &[5, 1]),
        ("one-row-a-batch", &[5, 7], &[1, 5, 7]),
        ("widening", &[1, 7], &[4, 1]),
        ("whole", &[3, 16], &[3, 16]),
    ] {
        for constant_first in [false, true] {
            let mut s = Sketch::new();
            let x = s.input(shape, if constant_first { right } else { Values::Uniform(-2.0, 2.0) });
            let c = s.constant(constant, right);
            let (operands, side) = if constant_first { ([c, x], "left") } else { ([x, c], "right") };
            let y = s.op(node.clone(), &operands);
            cases.push(s.returns(y, format!("{op:?}/constant-{name}-{side}")).within(tolerance));
        }
    }
    let mut s = Sketch::new();
    let (a, b) = (s.input(&[100], Values::OneOf(EXTREMES)), s.input(&[100], Values::OneOf(EXTREMES)));
    let y = s.op(node.clone(), &[a, b]);
    cases.push(s.returns(y, format!("{op:?}/extreme")).within(tolerance));

    let mut s = Sketch::new();
    let x = s.input(&[7], right);
    let y = s.op(node, &[x, x]);
    cases.push(s.returns(y, format!("{op:?}/with-itself")).within(tolerance));
}

fn integers(cases: &mut Vec<Case>) {
    for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul] {
        for (name, values) in
            [("small", Values::Integers(-9, 9)), ("wrapping", Values::Integers(i64::MIN, i64::MAX))]
        {
            let mut s = Sketch::new();
            let (a, b) = (s.input(&[3, 7], values), s.input(&[1, 7], values));
            let y = s.op(Op::Binary(Binary(op)), &[a, b]);
            cases.push(s.returns(y, format!("{op:?}/i64-{name}")));
        }
    }
}

fn embedding(cases: &mut Vec<Case>) {
    for (name, shape, rows, width, indices) in [
        ("tokens", &[7][..], 10, 17, Values::Integers(0, 9)),
        ("wide", &[16], 33, 100, Values::Integers(0, 32)),
        ("one-index", &[], 5, 16, Values::Integers(0, 4)),
        ("grid", &[2, 3], 4, 2, Values::Integers(0, 3)),
        ("one-row", &[5], 1, 1, Values::Integers(0, 0)),
        ("out-of-range", &[9], 4, 7, Values::Integers(-2, 5)),
        ("far-out-of-range", &[3], 4, 7, Values::Integers(i64::MIN, i64::MAX)),
    ] {
        let mut s = Sketch::new();
        let x = s.input(shape, indices);
        let table = s.weight(&[rows, width]);
        let y = s.op(Op::Embedding(Embedding {}), &[x, table]);
        cases.push(s.returns(y, format!("Embedding/{name}")).within(Tolerance::EXACT));
    }
}
