//! Pooling and reductions.

use paceline_graph::{AveragePool, GlobalAveragePool, MaxPool, Op, Reduce, ReduceOp};

use super::super::sketch::Sketch;
use super::super::{Case, Tolerance, Values};
use super::LENGTHS;

const TOLERANCE: Tolerance = Tolerance::of(2e-6);
const INFINITE: Values = Values::OneOf(&[1.0, -1.0, 0.5, f32::NEG_INFINITY, f32::INFINITY, -0.0]);
const NAN: Values = Values::OneOf(&[1.0, -1.0, 0.5, 2.0, -3.0, 0.25, 4.0, f32::NAN]);
const ORDINARY: Values = Values::Uniform(-2.0, 2.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    windows(&mut cases);
    global(&mut cases);
    reduce(&mut cases);
    cases
}

fn one(name: String, op: Op, shape: &[usize], values: Values) -> Case {
    let mut s = Sketch::new();
    let x = s.input(shape, values);
    let y = s.op(op, &[x]);
    s.returns(y, name).within(TOLERANCE)
}

fn windows(cases: &mut Vec<Case>) {
    /// A window: kernel, stride, padding, dilation.
    type Window = (&'static [usize], &'static [usize], &'static [(usize, usize)], &'static [usize]);
    let variants: [(&str, &[usize], Window); 13] = [
        ("plain", &[3, 16], (&[2], &[2], &[(0, 0)], &[1])),
        ("odd", &[3, 17], (&[3], &[2], &[(0, 0)], &[1])),
        ("overlapping", &[5, 33], (&[3], &[1], &[(0, 0)], &[1])),
        ("padded", &[3, 17], (&[3], &[2], &[(1, 1)], &[1])),
        ("asymmetric", &[3, 16], (&[4], &[3], &[(2, 0)], &[1])),
        ("whole", &[2, 7], (&[7], &[7], &[(0, 0)], &[1])),
        ("kernel-1", &[3, 7], (&[1], &[1], &[(0, 0)], &[1])),
        ("gap", &[3, 33], (&[2], &[5], &[(0, 0)], &[1])),
        ("dilation", &[3, 17], (&[3], &[1], &[(1, 1)], &[3])),
        ("2d", &[3, 8, 10], (&[2, 2], &[2, 2], &[(0, 0), (0, 0)], &[1, 1])),
        ("2d-padded", &[2, 7, 9], (&[3, 3], &[2, 2], &[(1, 1), (1, 1)], &[1, 1])),
        ("2d-rectangular", &[2, 9, 7], (&[3, 2], &[1, 3], &[(1, 0), (0, 1)], &[1, 1])),
        ("2d-dilation", &[2, 9, 10], (&[2, 3], &[1, 2], &[(0, 1), (1, 1)], &[3, 2])),
    ];
    let max = |(kernel, stride, padding, dilation): Window| {
        Op::MaxPool(MaxPool {
            stride: stride.to_vec(),
            padding: padding.to_vec(),
            dilation: dilation.to_vec(),
            ..MaxPool::new(kernel.to_vec())
        })
    };
    let average = |(kernel, stride, padding, dilation): Window, count_include_pad| {
        Op::AveragePool(AveragePool {
            stride: stride.to_vec(),
            padding: padding.to_vec(),
            dilation: dilation.to_vec(),
            count_include_pad,
            ..AveragePool::new(kernel.to_vec())
        })
    };
    for (name, shape, window) in variants {
        cases.push(one(format!("MaxPool/{name}"), max(window), shape, ORDINARY));
        cases.push(one(format!("AveragePool/{name}"), average(window, true), shape, ORDINARY));
        if window.2.iter().any(|&p| p != (0, 0)) {
            let name = format!("AveragePool/{name}-not-counted");
            cases.push(one(name, average(window, false), shape, ORDINARY));
        }
    }
    let window: Window = (&[3], &[2], &[(1, 1)], &[1]);
    for (name, values) in [("infinite", INFINITE), ("not-a-number", NAN)] {
        cases.push(one(format!("MaxPool/extreme-{name}"), max(window), &[5, 17], values));
        cases.push(one(format!("AveragePool/extreme-{name}"), average(window, false), &[5, 17], values));
    }
}

fn global(cases: &mut Vec<Case>) {
    for length in LENGTHS {
        let op = Op::GlobalAveragePool(GlobalAveragePool {});
        cases.push(one(format!("GlobalAveragePool/{length}"), op, &[3, length], ORDINARY));
    }
    for (name, values) in [("2d", ORDINARY), ("2d-infinite", INFINITE), ("2d-not-a-number", NAN)] {
        let op = Op::GlobalAveragePool(GlobalAveragePool {});
        cases.push(one(format!("GlobalAveragePool/{name}"), op, &[7, 3, 5], values));
    }
}

fn reduce(cases: &mut Vec<Case>) {
    for op in [ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max] {
        let node = |axes: &[isize], keep_dims| Op::Reduce(Reduce { op, axes: axes.to_vec(), keep_dims });
        for length in LENGTHS {
            cases.push(one(format!("Reduce{op:?}/{length}"), node(&[1], false), &[length], ORDINARY));
        }
        for (name, shape, axes) in [
            ("last", &[5, 17][..], &[-1][..]),
            ("middle", &[7, 33], &[1]),
            ("middle-of-4", &[3, 5, 7], &[2]),
            ("last-two", &[3, 5, 7], &[2, 3]),
            ("outer-two", &[3, 5, 7], &[-1, 1]),
            ("all", &[3, 5, 7], &[1, 2, 3]),
            ("of-one", &[1, 7], &[1]),
        ] {
            for keep_dims in [false, true] {
                let name = format!("Reduce{op:?}/{name}{}", if keep_dims { "-kept" } else { "" });
                cases.push(one(name, node(axes, keep_dims), shape, ORDINARY));
            }
        }
        for (name, values) in [("infinite", INFINITE), ("not-a-number", NAN)] {
            cases.push(one(format!("Reduce{op:?}/extreme-{name}"), node(&[2], false), &[9, 19], values));
            cases.push(one(
                format!("Reduce{op:?}/extreme-{name}-middle"),
                node(&[1], true),
                &[7, 18],
                values,
            ));
        }
        if op != ReduceOp::Max {
            cases.push(one(format!("Reduce{op:?}/of-none"), node(&[1], false), &[0, 3], ORDINARY));
        }
    }
}
