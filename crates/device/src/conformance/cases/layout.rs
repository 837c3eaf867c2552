//! Operators that move elements, of every type: nothing may be rounded, and the sign of a zero stays.

use paceline_graph::{Concat, Dim, Op, Pad, PadMode, Reshape, Slice, Split, Transpose};

use super::super::sketch::Sketch;
use super::super::{Case, EXTREMES, Kind, Tolerance, Values};

const N: Dim = Dim::BATCH;

/// Numbers that show whether elements are moved or computed with, and the other types.
const TYPES: [(&str, Values); 3] = [
    ("f32", Values::OneOf(EXTREMES)),
    ("i64", Values::Integers(i64::MIN, i64::MAX)),
    ("bool", Values::Chance(0.5)),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (dtype, values) in TYPES {
        reshape(dtype, values, &mut cases);
        transpose(dtype, values, &mut cases);
        concat(dtype, values, &mut cases);
        slice(dtype, values, &mut cases);
        split(dtype, values, &mut cases);
    }
    pad(&mut cases);
    cases.into_iter().map(|case| case.within(Tolerance::EXACT)).collect()
}

fn one(name: String, op: Op, shape: &[usize], values: Values) -> Case {
    let mut s = Sketch::new();
    let x = s.input(shape, values);
    let y = s.op(op, &[x]);
    s.returns(y, name)
}

fn reshape(dtype: &str, values: Values, cases: &mut Vec<Case>) {
    let fixed = Dim::Fixed;
    for (name, from, to) in [
        ("flatten", &[3, 5, 7][..], vec![N, fixed(105)]),
        ("unflatten", &[34], vec![N, fixed(2), fixed(17)]),
        ("heads", &[7, 12], vec![N, fixed(7), fixed(3), fixed(4)]),
        ("add-axes", &[17], vec![N, fixed(1), fixed(17), fixed(1)]),
        ("drop-axes", &[1, 1, 2], vec![N, fixed(2)]),
        ("to-scalar", &[1], vec![N]),
        ("same", &[4, 4], vec![N, fixed(4), fixed(4)]),
    ] {
        let op = Op::Reshape(Reshape { shape: to.into() });
        cases.push(one(format!("Reshape/{name}-{dtype}"), op, from, values));
    }
}

fn transpose(dtype: &str, values: Values, cases: &mut Vec<Case>) {
    for (name, shape, permutation) in [
        ("identity", &[3, 5][..], vec![0, 1, 2]),
        ("last-two", &[7, 17], vec![0, 2, 1]),
        ("last-two-square", &[16, 16], vec![0, 2, 1]),
        ("long", &[2, 100], vec![0, 2, 1]),
        ("heads", &[5, 3, 4], vec![0, 2, 1, 3]),
        ("channels-last", &[3, 4, 5], vec![0, 2, 3, 1]),
        ("reversed", &[2, 3, 7], vec![0, 3, 2, 1]),
        ("five", &[2, 3, 4, 5], vec![0, 4, 1, 3, 2]),
        ("with-ones", &[1, 7, 1], vec![0, 3, 2, 1]),
    ] {
        let op = Op::Transpose(Transpose { permutation });
        cases.push(one(format!("Transpose/{name}-{dtype}"), op, shape, values));
    }
}

fn concat(dtype: &str, values: Values, cases: &mut Vec<Case>) {
    for (name, shapes, axis) in [
        ("two", &[&[3, 7][..], &[2, 7]][..], 1),
        ("last", &[&[3, 7], &[3, 1]], -1),
        ("three", &[&[2, 17], &[1, 17], &[4, 17]], 1),
        ("vectors", &[&[16], &[1], &[7]], 1),
        ("middle", &[&[2, 3, 5], &[2, 4, 5]], 2),
        ("with-empty", &[&[2, 3], &[2, 0]], 2),
        ("only-one", &[&[5]], 1),
    ] {
        let mut s = Sketch::new();
        let inputs: Vec<_> = shapes.iter().map(|shape| s.input(shape, values)).collect();
        let y = s.op(Op::Concat(Concat { axis }), &inputs);
        cases.push(s.returns(y, format!("Concat/{name}-{dtype}")));
    }
    let mut s = Sketch::new();
    let x = s.input(&[3], values);
    let y = s.op(Op::Concat(Concat { axis: 1 }), &[x, x]);
    cases.push(s.returns(y, format!("Concat/with-itself-{dtype}")));
}

fn slice(dtype: &str, values: Values, cases: &mut Vec<Case>) {
    for (name, shape, axis, (start, end, step)) in [
        ("first", &[17][..], 1, (0, 1, 1)),
        ("last", &[17], -1, (16, 17, 1)),
        ("middle", &[17], 1, (3, 10, 1)),
        ("whole", &[16], 1, (0, 16, 1)),
        ("step-2", &[33], 1, (1, 33, 2)),
        ("step-beyond", &[7], 1, (2, 7, 100)),
        ("rows", &[7, 5], 1, (2, 6, 1)),
        ("columns", &[7, 33], 2, (1, 32, 3)),
        ("planes", &[3, 4, 5], 2, (1, 3, 1)),
    ] {
        let op = Op::Slice(Slice { axis, start, end, step });
        cases.push(one(format!("Slice/{name}-{dtype}"), op, shape, values));
    }
}

fn split(dtype: &str, values: Values, cases: &mut Vec<Case>) {
    for (name, shape, axis, sizes) in [
        ("even", &[3, 12][..], -1, vec![4, 4, 4]),
        ("uneven", &[17], 1, vec![1, 9, 7]),
        ("middle", &[7, 5], 1, vec![2, 5]),
        ("one", &[7], 1, vec![7]),
        ("with-empty", &[7], 1, vec![3, 0, 4]),
    ] {
        let mut s = Sketch::new();
        let x = s.input(shape, values);
        let pieces = s.ops(Op::Split(Split { axis, sizes }), &[Some(x)]);
        pieces.into_iter().for_each(|piece| s.output(piece));
        cases.push(s.case(format!("Split/{name}-{dtype}"), Kind::Operator));
    }
}

fn pad(cases: &mut Vec<Case>) {
    for (name, shape, pads, value) in [
        ("end", &[7][..], vec![(0, 0), (0, 2)], 0.0),
        ("begin", &[16], vec![(0, 0), (3, 0)], 1.5),
        ("rows", &[3, 5], vec![(0, 0), (1, 2), (0, 0)], -1.0),
        ("everywhere", &[2, 3, 4], vec![(0, 0), (1, 0), (2, 3), (1, 1)], 0.25),
        ("nothing", &[5], vec![(0, 0), (0, 0)], 9.0),
        ("not-a-number", &[5], vec![(0, 0), (1, 1)], f64::NAN),
        ("minus-infinity", &[5], vec![(0, 0), (1, 1)], f64::NEG_INFINITY),
        ("minus-zero", &[5], vec![(0, 0), (1, 1)], -0.0),
    ] {
        let op = Op::Pad(Pad { pads, mode: PadMode::Constant(value) });
        cases.push(one(format!("Pad/{name}"), op, shape, Values::OneOf(EXTREMES)));
    }
}
