use paceline_graph::passes::recognise_layer_norm;
use paceline_graph::testing::{Pieces, patterns};
use paceline_graph::{BinaryOp, Op, Reduce, ReduceOp, UnaryOp, Value};

use crate::support::{Tolerance, assert_same, check, labels};

const ROUNDING: Tolerance = Tolerance::Relative(1e-5);

#[test]
fn every_order_and_number_of_axes_is_recognised() {
    for variant in 0..patterns::NORM {
        for axes in 1..=2 {
            let build = |pattern: fn(&mut Pieces, Value, usize, f64, usize) -> Value| {
                let mut p = Pieces::new(variant as u64);
                let x = p.input(&[3, 5]);
                let y = pattern(&mut p, x, axes, 1e-5, variant);
                p.finish(&[y])
            };
            let cases = [
                (build(patterns::layer_norm), "LayerNorm+weight+bias"),
                (build(patterns::rms_norm), "RmsNorm+weight"),
            ];
            for (before, expected) in cases {
                let after = recognise_layer_norm(&before).expect("a valid graph");
                assert_eq!(labels(&after), expected, "variant {variant}, {axes} axes");
                assert_eq!(after.nodes()[0].name, before.nodes().last().expect("nodes").name);
                assert_same(expected, &before, &after, ROUNDING, 11);
            }
        }
    }
}

/// The pieces of a LayerNorm without weight and bias: mean, centred, mean square, result.
fn pieces(p: &mut Pieces, x: Value, mean: Op, mean_square: Op, root: UnaryOp) -> [Value; 4] {
    let mean = p.node(mean, &[x]);
    let centred = p.sub(x, mean);
    let square = p.mul(centred, centred);
    let mean_square = p.node(mean_square, &[square]);
    let epsilon = p.scalar(1e-3);
    let radicand = p.add(mean_square, epsilon);
    let deviation = p.unary(root, radicand);
    [mean, centred, mean_square, p.div(centred, deviation)]
}

fn mean_over(axes: &[isize]) -> Op {
    Op::Reduce(Reduce { op: ReduceOp::Mean, axes: axes.to_vec(), keep_dims: true })
}

#[test]
fn other_expressions_stay() {
    const PIECES: &str = "ReduceMean Sub Mul ReduceMean Add Sqrt Div";
    check(
        recognise_layer_norm,
        ROUNDING,
        &[
            (
                "the last axis, counted from the front",
                |p| {
                    let x = p.input(&[3, 5]);
                    vec![pieces(p, x, mean_over(&[2]), mean_over(&[-1]), UnaryOp::Sqrt)[3]]
                },
                "LayerNorm",
            ),
            (
                "the last two axes, in another order",
                |p| {
                    let x = p.input(&[3, 5]);
                    vec![pieces(p, x, mean_over(&[-1, 1]), mean_over(&[1, 2]), UnaryOp::Sqrt)[3]]
                },
                "LayerNorm",
            ),
            (
                "not the last axis",
                |p| {
                    let x = p.input(&[3, 5]);
                    vec![pieces(p, x, mean_over(&[1]), mean_over(&[1]), UnaryOp::Sqrt)[3]]
                },
                PIECES,
            ),
            (
                "the mean is over other axes than the square: only an RMSNorm",
                |p| {
                    let x = p.input(&[3, 5]);
                    vec![pieces(p, x, mean_over(&[1, 2]), mean_over(&[2]), UnaryOp::Sqrt)[3]]
                },
                "ReduceMean Sub RmsNorm",
            ),
            (
                "a sum instead of a mean",
                |p| {
                    let x = p.input(&[3, 5]);
                    let sum = Op::Reduce(Reduce { op: ReduceOp::Sum, axes: vec![-1], keep_dims: true });
                    vec![pieces(p, x, mean_over(&[-1]), sum, UnaryOp::Sqrt)[3]]
                },
                "ReduceMean Sub Mul ReduceSum Add Sqrt Div",
            ),
            (
                "no root",
                |p| {
                    let x = p.input(&[3, 5]);
                    vec![pieces(p, x, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Tanh)[3]]
                },
                "ReduceMean Sub Mul ReduceMean Add Tanh Div",
            ),
            (
                "the mean is used elsewhere: only an RMSNorm",
                |p| {
                    let x = p.input(&[3, 5]);
                    let [mean, .., y] = pieces(p, x, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Sqrt);
                    vec![y, p.add(x, mean)]
                },
                "ReduceMean Sub RmsNorm Add",
            ),
            (
                "the mean square is returned",
                |p| {
                    let x = p.input(&[3, 5]);
                    let [.., square, y] = pieces(p, x, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Sqrt);
                    vec![y, square]
                },
                PIECES,
            ),
            (
                "weights of other axes, and one after the bias",
                |p| {
                    let x = p.input(&[5, 5]);
                    let y = pieces(p, x, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Sqrt)[3];
                    let across = p.random(&[5, 1], 1.0);
                    let across = p.mul(y, across);
                    let y = pieces(p, across, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Sqrt)[3];
                    let bias = p.random(&[1, 5], 1.0);
                    let weight = p.random(&[5], 1.0);
                    let y = p.add(bias, y);
                    vec![p.mul(y, weight)]
                },
                "LayerNorm Mul LayerNorm+bias Mul",
            ),
            (
                "the norm without its weight is returned",
                |p| {
                    let x = p.input(&[5]);
                    let y = pieces(p, x, mean_over(&[-1]), mean_over(&[-1]), UnaryOp::Sqrt)[3];
                    let weight = p.random(&[5], 1.0);
                    vec![p.binary(BinaryOp::Mul, y, weight), y]
                },
                "LayerNorm Mul",
            ),
            (
                "a negative epsilon",
                |p| {
                    let x = p.input(&[5]);
                    let square = p.mul(x, x);
                    let mean = p.mean(square, 1);
                    let epsilon = p.scalar(-1e-3);
                    let radicand = p.add(mean, epsilon);
                    let root = p.unary(UnaryOp::Sqrt, radicand);
                    vec![p.div(x, root)]
                },
                "Mul ReduceMean Add Sqrt Div",
            ),
        ],
    );
}
