use std::sync::Arc;

use paceline_graph::passes::{eliminate_common, eliminate_dead};
use paceline_graph::{Graph, Op, Pad, PadMode, Source, Split, Tensor, UnaryOp};

use crate::support::{Tolerance, check, graph};

fn constants(graph: &Graph) -> usize {
    graph.values().iter().filter(|info| matches!(info.source, Source::Constant(_))).count()
}

#[test]
fn what_no_output_needs_is_left_out() {
    check(
        eliminate_dead,
        Tolerance::Bits,
        &[
            (
                "a dead chain, and a node with one needed output",
                |p| {
                    let (x, _unused) = (p.input(&[4]), p.input(&[2]));
                    let dead = p.unary(UnaryOp::Exp, x);
                    p.linear(dead, 3, true);
                    let parts = p.node_with(Op::Split(Split { axis: 1, sizes: vec![1, 3] }), &[Some(x)]);
                    vec![p.unary(UnaryOp::Relu, parts[1])]
                },
                "Split Relu",
            ),
            ("only inputs", |p| vec![p.input(&[4])], ""),
        ],
    );
    let without_dead = eliminate_dead(&graph(|p| {
        let x = p.input(&[4]);
        p.linear(x, 3, true);
        vec![p.linear(x, 2, false)]
    }));
    assert_eq!(constants(&without_dead.expect("a valid graph")), 1);
}

#[test]
fn what_is_computed_twice_is_computed_once() {
    check(
        eliminate_common,
        Tolerance::Bits,
        &[
            (
                "equal chains",
                |p| {
                    let x = p.input(&[4]);
                    let chains: [_; 3] = std::array::from_fn(|_| {
                        let y = p.unary(UnaryOp::Exp, x);
                        let z = p.unary(UnaryOp::Tanh, y);
                        p.mul(y, z)
                    });
                    vec![p.sub(chains[0], chains[1]), chains[2]]
                },
                "Exp Tanh Mul Sub",
            ),
            (
                "several outputs",
                |p| {
                    let x = p.input(&[4]);
                    let [a, b] = std::array::from_fn(|_| {
                        p.node_with(Op::Split(Split { axis: 1, sizes: vec![2, 2] }), &[Some(x)])
                    });
                    vec![p.sub(a[0], b[1]), p.sub(b[0], a[1])]
                },
                "Split Sub",
            ),
            (
                "other attributes, other inputs, the sign of a zero",
                |p| {
                    let (x, y) = (p.input(&[4]), p.input(&[4]));
                    let pad =
                        |value| Op::Pad(Pad { pads: vec![(0, 0), (1, 0)], mode: PadMode::Constant(value) });
                    vec![
                        p.node(pad(0.0), &[x]),
                        p.node(pad(-0.0), &[x]),
                        p.node(pad(0.0), &[y]),
                        p.sub(x, y),
                        p.sub(y, x),
                    ]
                },
                "Pad Pad Pad Sub Sub",
            ),
            (
                "constants that share a tensor",
                |p| {
                    let x = p.input(&[2]);
                    let tensor = || Arc::new(Tensor::new([2], vec![1.0, 2.0]).expect("two elements"));
                    let shared = tensor();
                    let (a, b) = (p.constant(Arc::clone(&shared)), p.constant(shared));
                    let other = p.constant(tensor());
                    vec![p.add(x, a), p.add(x, b), p.add(x, other)]
                },
                "Add Add",
            ),
            (
                "constants of one element",
                |p| {
                    let x = p.input(&[2]);
                    let [a, b, negative] = [0.0, 0.0, -0.0].map(|v| p.scalar(v));
                    let shaped = p.elements(&[1], vec![0.0]);
                    vec![p.add(x, a), p.add(x, b), p.add(x, negative), p.add(x, shaped)]
                },
                "Add Add Add",
            ),
        ],
    );
}
