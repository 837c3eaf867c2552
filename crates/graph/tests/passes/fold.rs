use paceline_graph::passes::{fold_batch_norm, fold_constants};
use paceline_graph::testing::Pieces;
use paceline_graph::{
    Activation, BatchNorm, Conv, ConvTranspose, Graph, Linear, MaxPool, Op, Reduce, ReduceOp, Source, Split,
    UnaryOp, Value,
};

use crate::support::{Tolerance, check, graph};

#[test]
fn what_depends_on_no_input_is_computed() {
    check(
        fold_constants,
        Tolerance::Bits,
        &[
            (
                "a chain",
                |p| {
                    let x = p.input(&[4]);
                    let (a, b) = (p.random(&[4], 1.0), p.random(&[1], 1.0));
                    let y = p.add(a, b);
                    let y = p.unary(UnaryOp::Exp, y);
                    vec![p.mul(x, y)]
                },
                "Mul",
            ),
            (
                "several outputs, of which one is needed",
                |p| {
                    let x = p.input(&[2]);
                    let a = p.random(&[4], 1.0);
                    let parts = p.node_with(Op::Split(Split { axis: 0, sizes: vec![2, 2] }), &[Some(a)]);
                    vec![p.mul(x, parts[1])]
                },
                "Mul",
            ),
            (
                "an outer product that is much larger than its factors",
                |p| {
                    let x = p.input(&[1]);
                    let (a, b) = (p.random(&[64, 1], 1.0), p.random(&[1, 64], 1.0));
                    let y = p.mul(a, b);
                    let y = p.reshape(y, [1, 4096]);
                    vec![p.mul(x, y)]
                },
                "Mul Reshape Mul",
            ),
        ],
    );
}

#[test]
fn many_nodes_together_fold_to_no_more_than_a_bound() {
    // Each result is as large as the constant, of 4 MiB; twice that and 64 MiB are 18 of them.
    let before = graph(|p| {
        let x = p.input(&[1]);
        let large = p.random(&[1 << 20], 1.0);
        let products = (0..32).map(|_| {
            let y = p.unary(UnaryOp::Exp, large);
            p.mul(x, y)
        });
        products.collect()
    });
    let after = fold_constants(&before).expect("a valid graph");
    assert_eq!(before.nodes().len() - after.nodes().len(), 18);
}

#[test]
fn folded_constants_are_named_after_the_node_and_the_others_are_gone() {
    let before = graph(|p| {
        let x = p.input(&[4]);
        let (a, b) = (p.random(&[4], 1.0), p.random(&[4], 1.0));
        let sum = p.add(a, b);
        vec![p.mul(x, sum)]
    });
    let after = fold_constants(&before).expect("a valid graph");
    let constants: Vec<_> =
        after.values().iter().filter(|i| matches!(i.source, Source::Constant(_))).map(|i| &i.name).collect();
    assert_eq!(constants, [&before.nodes()[0].name]);
}

/// An input times the sum of what is built of constants: one node where that folds.
fn times_sum(build: impl FnOnce(&mut Pieces) -> Value) -> Graph {
    let mut pieces = Pieces::new(7);
    let p = &mut pieces;
    let y = build(p);
    let axes = (0..p.dims(y).len() as isize).collect();
    let sum = p.node(Op::Reduce(Reduce { op: ReduceOp::Sum, axes, keep_dims: false }), &[y]);
    let x = p.input(&[1]);
    let product = p.mul(x, sum);
    pieces.finish(&[product])
}

#[test]
fn what_would_take_the_reference_too_long_is_left_to_the_device() {
    type Build = fn(&mut Pieces, usize) -> Value;
    fn zeros(p: &mut Pieces, shape: &[usize]) -> Value {
        p.elements(shape, vec![0.0; shape.iter().product()])
    }
    // What is small, so that it folds; what is large, so that 2^30 steps do not.
    let cases: [(&str, [usize; 2], Build); 3] = [
        ("a product", [8, 1024], |p, n| {
            let (a, b) = (zeros(p, &[n, n]), zeros(p, &[n, n]));
            p.matmul(a, b)
        }),
        ("a convolution", [32, (1 << 14) + 15], |p, n| {
            let (x, weight) = (zeros(p, &[1, 64, n]), zeros(p, &[64, 64, 16]));
            p.node(Op::Conv(Conv::new(1)), &[x, weight])
        }),
        ("windows", [8, 1 << 16], |p, n| {
            let x = zeros(p, &[1, 1, n]);
            let (kernel, stride, padding, dilation) = (vec![n / 2], vec![1], vec![(0, 0)], vec![1]);
            p.node(Op::MaxPool(MaxPool { stride, padding, dilation, ..MaxPool::new(kernel) }), &[x])
        }),
    ];
    for (what, sizes, build) in cases {
        let nodes = sizes.map(|size| {
            let before = times_sum(|p| build(p, size));
            fold_constants(&before).expect("a valid graph").nodes().len()
        });
        assert_eq!(nodes, [1, 3], "{what}");
    }
}

#[test]
fn axes_beside_one_of_length_0_take_no_time_however_long_they_are() {
    type Build = fn(&mut Pieces) -> Value;
    const LONG: usize = 1 << 40;
    let cases: [(&str, Build); 6] = [
        ("a convolution of nothing", |p| {
            let (x, weight) = (p.random(&[1, 0, LONG], 1.0), p.random(&[0, 0, 1], 1.0));
            p.node(Op::Conv(Conv::new(1)), &[x, weight])
        }),
        ("a convolution of no channels", |p| {
            let (x, weight) = (p.random(&[1, 0, LONG], 1.0), p.random(&[2, 0, LONG], 1.0));
            p.node(Op::Conv(Conv::new(1)), &[x, weight])
        }),
        ("a transposed convolution of no channels", |p| {
            let (x, weight) = (p.random(&[1, 0, LONG], 1.0), p.random(&[0, 2, 3], 1.0));
            let conv = ConvTranspose { padding: vec![(LONG, 0)], ..ConvTranspose::new(1) };
            p.node(Op::ConvTranspose(conv), &[x, weight])
        }),
        ("a pool of no channels", |p| {
            let x = p.random(&[1, 0, LONG], 1.0);
            p.node(Op::MaxPool(MaxPool::new(vec![LONG / 2])), &[x])
        }),
        ("a sum to nothing", |p| {
            let x = p.random(&[0, LONG], 1.0);
            p.node(Op::Reduce(Reduce { op: ReduceOp::Sum, axes: vec![1], keep_dims: false }), &[x])
        }),
        ("a sum of nothing", |p| {
            let x = p.random(&[2, LONG, 0], 1.0);
            p.node(Op::Reduce(Reduce { op: ReduceOp::Sum, axes: vec![1, 2], keep_dims: false }), &[x])
        }),
    ];
    for (what, build) in cases {
        let after = fold_constants(&times_sum(build)).expect("a valid graph");
        assert_eq!(after.nodes().len(), 1, "{what}");
    }
}

fn batch_norm(p: &mut Pieces, x: Value, affine: bool) -> Value {
    let channels = p.dims(x)[1];
    let variance = (0..channels).map(|c| 0.25 + c as f32).collect();
    let (mean, variance) = (p.random(&[channels], 1.0), p.elements(&[channels], variance));
    let [weight, bias] = [0; 2].map(|_| affine.then(|| p.random(&[channels], 2.0)));
    let inputs = [Some(x), Some(mean), Some(variance), weight, bias];
    p.node_with(Op::BatchNorm(BatchNorm { epsilon: 1e-3 }), &inputs)[0]
}

fn conv(p: &mut Pieces, x: Value, groups: usize, activation: Option<Activation>) -> Value {
    let inner = p.dims(x)[1] / groups;
    let weight = p.weight(&[4, inner, 2], inner * 2);
    p.node(Op::Conv(Conv { groups, activation, ..Conv::new(1) }), &[x, weight])
}

#[test]
fn batch_norm_folds_into_weights() {
    check(
        fold_batch_norm,
        Tolerance::Relative(1e-5),
        &[
            (
                "Conv",
                |p| {
                    let x = p.input(&[6, 5]);
                    let y = conv(p, x, 2, None);
                    vec![batch_norm(p, y, true)]
                },
                "Conv+bias",
            ),
            (
                "ConvTranspose in groups",
                |p| {
                    let x = p.input(&[6, 5]);
                    let (weight, bias) = (p.weight(&[6, 2, 3], 9), p.random(&[4], 1.0));
                    let op = ConvTranspose { groups: 2, ..ConvTranspose::new(1) };
                    let y = p.node(Op::ConvTranspose(op), &[x, weight, bias]);
                    vec![batch_norm(p, y, true)]
                },
                "ConvTranspose+bias",
            ),
            (
                "Linear over two axes, BatchNorm without weight",
                |p| {
                    let x = p.input(&[6]);
                    let y = p.linear(x, 5, true);
                    vec![batch_norm(p, y, false)]
                },
                "Linear+bias",
            ),
            (
                "Linear over three axes",
                |p| {
                    let x = p.input(&[5, 6]);
                    let y = p.linear(x, 5, true);
                    vec![batch_norm(p, y, false)]
                },
                "Linear+bias BatchNorm",
            ),
            (
                "after an activation",
                |p| {
                    let x = p.input(&[6, 5]);
                    let y = conv(p, x, 1, Some(Activation::Relu));
                    vec![batch_norm(p, y, true)]
                },
                "Conv+Relu BatchNorm",
            ),
            (
                "a result that is returned",
                |p| {
                    let x = p.input(&[6, 5]);
                    let y = conv(p, x, 1, None);
                    vec![batch_norm(p, y, true), y]
                },
                "Conv BatchNorm",
            ),
            (
                "a weight that another node uses",
                |p| {
                    let x = p.input(&[6]);
                    let weight = p.weight(&[6, 6], 6);
                    let y = p.node(Op::Linear(Linear::default()), &[x, weight]);
                    let y = batch_norm(p, y, true);
                    vec![p.node(Op::Linear(Linear::default()), &[y, weight])]
                },
                "Linear BatchNorm Linear",
            ),
            (
                "a channel without variance",
                |p| {
                    let x = p.input(&[3]);
                    let y = p.linear(x, 2, true);
                    let zeros = p.elements(&[2], vec![0.0; 2]);
                    let inputs = [y, zeros, zeros];
                    vec![p.node(Op::BatchNorm(BatchNorm { epsilon: 0.0 }), &inputs)]
                },
                "Linear+bias BatchNorm",
            ),
        ],
    );
}
