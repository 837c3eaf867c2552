use std::sync::Arc;

use paceline_graph::passes::{fuse_conv, fuse_linear};
use paceline_graph::testing::Pieces;
use paceline_graph::{Conv, ConvTranspose, DType, Op, Tensor, UnaryOp, Value};

use crate::support::{Tolerance, check, graph};

const ROUNDING: Tolerance = Tolerance::Relative(1e-5);

/// `x` times a constant `[6, 5]`.
fn product(p: &mut Pieces, x: Value) -> Value {
    let weight = p.weight(&[6, 5], 6);
    p.matmul(x, weight)
}

#[test]
fn linear_takes_in_what_follows() {
    check(
        fuse_linear,
        ROUNDING,
        &[
            (
                "bias, residual and activation",
                |p| {
                    let (x, r) = (p.input(&[3, 6]), p.input(&[3, 5]));
                    let y = product(p, x);
                    let bias = p.random(&[5], 1.0);
                    let y = p.add(bias, y);
                    let y = p.add(y, r);
                    vec![p.unary(UnaryOp::GeluTanh, y)]
                },
                "Linear+bias+residual+GeluTanh",
            ),
            (
                "residual before bias, of a shape with leading ones",
                |p| {
                    let (x, r) = (p.input(&[3, 6]), p.input(&[3, 5]));
                    let y = product(p, x);
                    let y = p.add(r, y);
                    let bias = p.random(&[1, 5], 1.0);
                    vec![p.add(y, bias)]
                },
                "Linear+bias+residual",
            ),
            (
                "every activation",
                |p| {
                    let x = p.input(&[6]);
                    use UnaryOp::{Gelu, GeluTanh, Relu, Sigmoid, Silu, Tanh};
                    let activated = [Relu, Gelu, GeluTanh, Silu, Sigmoid, Tanh].map(|op| {
                        let y = p.linear(x, 3, true);
                        p.unary(op, y)
                    });
                    activated.to_vec()
                },
                "Linear+bias+Relu Linear+bias+Gelu Linear+bias+GeluTanh Linear+bias+Silu Linear+bias+Sigmoid Linear+bias+Tanh",
            ),
            (
                "other functions",
                |p| {
                    let x = p.input(&[6]);
                    let y = p.linear(x, 3, true);
                    vec![p.unary(UnaryOp::Exp, y)]
                },
                "Linear+bias Exp",
            ),
            (
                "nothing after an activation",
                |p| {
                    let (x, r) = (p.input(&[6]), p.input(&[5]));
                    let y = product(p, x);
                    let y = p.unary(UnaryOp::Relu, y);
                    let bias = p.random(&[5], 1.0);
                    let y = p.add(y, bias);
                    let y = p.add(y, r);
                    vec![p.unary(UnaryOp::Tanh, y)]
                },
                "Linear+Relu Add Add Tanh",
            ),
            (
                "one bias and one residual",
                |p| {
                    let (x, r) = (p.input(&[6]), p.input(&[5]));
                    let y = product(p, x);
                    let y = [0; 2].iter().fold(y, |y, _| {
                        let bias = p.random(&[5], 1.0);
                        p.add(y, bias)
                    });
                    vec![p.add(y, r)]
                },
                "Linear+bias Add Add",
            ),
            (
                "a result used twice",
                |p| {
                    let (x, r) = (p.input(&[6]), p.input(&[5]));
                    let y = product(p, x);
                    vec![p.add(y, r), p.unary(UnaryOp::Relu, y)]
                },
                "Linear Add Relu",
            ),
            (
                "a result that is returned",
                |p| {
                    let x = p.input(&[6]);
                    let y = product(p, x);
                    vec![p.unary(UnaryOp::Relu, y), y]
                },
                "Linear Relu",
            ),
            (
                "a residual that depends on the result",
                |p| {
                    let x = p.input(&[6]);
                    let y = product(p, x);
                    let r = p.unary(UnaryOp::Exp, y);
                    vec![p.add(y, r)]
                },
                "Linear Exp Add",
            ),
            (
                "the result as its own residual",
                |p| {
                    let x = p.input(&[6]);
                    let y = product(p, x);
                    vec![p.add(y, y)]
                },
                "Linear Add",
            ),
            (
                "a residual computed after the product",
                |p| {
                    let (x, z) = (p.input(&[6]), p.input(&[5]));
                    let y = product(p, x);
                    let r = p.unary(UnaryOp::Exp, z);
                    vec![p.add(y, r)]
                },
                "Exp Linear+residual",
            ),
            (
                "two products: the later takes the earlier",
                |p| {
                    let (x, z) = (p.input(&[6]), p.input(&[6]));
                    let (a, b) = (product(p, x), product(p, z));
                    vec![p.add(a, b)]
                },
                "Linear Linear+residual",
            ),
            (
                "a residual that would have to be broadcast",
                |p| {
                    let (x, r) = (p.input(&[3, 6]), p.input(&[1, 5]));
                    let y = product(p, x);
                    vec![p.add(y, r)]
                },
                "Linear Add",
            ),
            (
                "a product that would have to be broadcast",
                |p| {
                    let (x, r) = (p.input(&[1, 6]), p.input(&[3, 5]));
                    let y = product(p, x);
                    vec![p.add(y, r)]
                },
                "Linear Add",
            ),
            (
                "constants along another axis, or of one element",
                |p| {
                    let x = p.input(&[5, 6]);
                    let y = product(p, x);
                    let across = p.random(&[5, 1], 1.0);
                    let y = p.add(y, across);
                    let one = p.random(&[], 1.0);
                    vec![p.add(y, one)]
                },
                "Linear Add Add",
            ),
            (
                "a batched product, and a constant on the left",
                |p| {
                    let x = p.input(&[6, 6]);
                    let y = p.matmul(x, x);
                    let left = p.weight(&[6, 6], 6);
                    vec![p.matmul(left, y)]
                },
                "MatMul MatMul",
            ),
        ],
    );
}

#[test]
fn weights_are_shared_and_transposed_once() {
    let before = graph(|p| {
        let (x, z) = (p.input(&[6]), p.input(&[6]));
        let stored = p.weight(&[5, 6], 6);
        let weight = p.transpose(stored, &[1, 0]);
        let right = p.weight(&[6, 6], 6);
        let (a, b) = (p.matmul(x, right), p.matmul(z, right));
        vec![p.matmul(a, weight), b]
    });
    let after = fuse_linear(&before).expect("a valid graph");
    let weight = |node: usize| after.nodes()[node].input(1).expect("Linear has a weight");
    assert_eq!(after.nodes().len(), 3);
    assert_eq!(weight(0), weight(1), "one transposed copy for both products");
    let stored = before.constant(before.nodes()[0].input(0).expect("an operand")).expect("a constant");
    assert!(
        Arc::ptr_eq(stored, after.constant(weight(2)).expect("a constant")),
        "no copy of a transposed weight"
    );
    assert_eq!(after.parameter_count(), 5 * 6 + 6 * 6);
}

#[test]
fn the_fused_node_has_the_last_name() {
    let before = graph(|p| {
        let x = p.input(&[6]);
        let y = product(p, x);
        let bias = p.random(&[5], 1.0);
        let y = p.add(y, bias);
        vec![p.unary(UnaryOp::Relu, y)]
    });
    let after = fuse_linear(&before).expect("a valid graph");
    assert_eq!(after.nodes()[0].name, before.nodes()[2].name);
}

fn conv(p: &mut Pieces, x: Value) -> Value {
    let spatial = p.dims(x).len() - 2;
    let weight = p.weight(&[&[4, p.dims(x)[1]], &vec![2; spatial][..]].concat(), 8);
    p.node(Op::Conv(Conv::new(spatial)), &[x, weight])
}

fn conv_transpose(p: &mut Pieces, x: Value) -> Value {
    let weight = p.weight(&[p.dims(x)[1], 4, 2], 8);
    p.node(Op::ConvTranspose(ConvTranspose::new(1)), &[x, weight])
}

#[test]
fn convolutions_take_in_what_follows() {
    check(
        fuse_conv,
        ROUNDING,
        &[
            (
                "bias, residual and activation",
                |p| {
                    let (x, r) = (p.input(&[3, 6]), p.input(&[4, 5]));
                    let y = conv(p, x);
                    let bias = p.random(&[4, 1], 1.0);
                    let y = p.add(y, bias);
                    let y = p.add(r, y);
                    vec![p.unary(UnaryOp::Silu, y)]
                },
                "Conv+bias+residual+Silu",
            ),
            (
                "a bias over two spatial axes",
                |p| {
                    let x = p.input(&[3, 6, 5]);
                    let y = conv(p, x);
                    let bias = p.random(&[1, 4, 1, 1], 1.0);
                    vec![p.add(bias, y)]
                },
                "Conv+bias",
            ),
            (
                "a constant along the length is no bias",
                |p| {
                    let x = p.input(&[3, 5]);
                    let y = conv(p, x);
                    let across = p.random(&[4], 1.0);
                    vec![p.add(y, across)]
                },
                "Conv Add",
            ),
            (
                "nothing after an activation",
                |p| {
                    let x = p.input(&[3, 5]);
                    let y = conv(p, x);
                    let y = p.unary(UnaryOp::Relu, y);
                    let bias = p.random(&[4, 1], 1.0);
                    vec![p.add(y, bias)]
                },
                "Conv+Relu Add",
            ),
            (
                "a residual that depends on the result",
                |p| {
                    let x = p.input(&[3, 5]);
                    let y = conv(p, x);
                    let r = p.unary(UnaryOp::Exp, y);
                    vec![p.add(r, y)]
                },
                "Conv Exp Add",
            ),
            (
                "integers have no activation",
                |p| {
                    let x = p.input_of(DType::I64, &[2, 5]);
                    let weight = (0..12).map(|i| i - 6).collect::<Vec<i64>>();
                    let weight = p.constant(Tensor::new([3, 2, 2], weight).unwrap());
                    let y = p.node(Op::Conv(Conv::new(1)), &[x, weight]);
                    vec![p.unary(UnaryOp::Relu, y)]
                },
                "Conv Relu",
            ),
            (
                "ConvTranspose has no residual",
                |p| {
                    let (x, r) = (p.input(&[3, 5]), p.input(&[4, 6]));
                    let y = conv_transpose(p, x);
                    let bias = p.random(&[4, 1], 1.0);
                    let y = p.add(y, bias);
                    let y = p.unary(UnaryOp::Tanh, y);
                    let z = conv_transpose(p, x);
                    let z = p.add(z, r);
                    vec![y, p.unary(UnaryOp::Relu, z)]
                },
                "ConvTranspose+bias+Tanh ConvTranspose Add Relu",
            ),
            (
                "Linear is left to its own pass",
                |p| {
                    let x = p.input(&[5]);
                    let y = p.linear(x, 3, true);
                    vec![p.unary(UnaryOp::Relu, y)]
                },
                "Linear+bias Relu",
            ),
        ],
    );
}
