use paceline_graph::passes::simplify;
use paceline_graph::testing::{Pieces, patterns};
use paceline_graph::{UnaryOp, Value};

use crate::support::{Tolerance, check};

/// `x` times a constant as exporters write a Linear: by the transpose of the weight, and the bias apart.
fn exported_linear(p: &mut Pieces, x: Value, out: usize) -> Value {
    let features = *p.dims(x).last().expect("x has axes");
    let weight = p.weight(&[out, features], features);
    let weight = p.transpose(weight, &[1, 0]);
    let y = p.matmul(x, weight);
    let bias = p.random(&[out], 1.0);
    p.add(bias, y)
}

#[test]
fn whole_layers() {
    check(
        simplify,
        Tolerance::Relative(1e-5),
        &[
            (
                "a transformer layer in pieces, norm last",
                |p| {
                    let x = p.input(&[5, 8]);
                    let qkv = [0; 3].map(|_| exported_linear(p, x, 8));
                    let y = patterns::attention(p, qkv, 2, None, 0);
                    let y = exported_linear(p, y, 8);
                    let y = p.add(x, y);
                    let x = patterns::layer_norm(p, y, 1, 1e-5, 0);
                    let y = exported_linear(p, x, 12);
                    let y = patterns::gelu_erf(p, y, 5);
                    let y = exported_linear(p, y, 8);
                    let y = p.add(y, x);
                    vec![patterns::layer_norm(p, y, 1, 1e-5, 3)]
                },
                "Linear+bias Linear+bias Linear+bias Attention(2) Linear+bias+residual LayerNorm+weight+bias \
                 Linear+bias+Gelu Linear+bias+residual LayerNorm+weight+bias",
            ),
            (
                "norms of one value that differ in their weights share the rest",
                |p| {
                    let x = p.input(&[8]);
                    let a = patterns::layer_norm(p, x, 1, 1e-5, 0);
                    let b = patterns::layer_norm(p, x, 1, 1e-5, 0);
                    vec![a, b]
                },
                "LayerNorm Mul Add Mul Add",
            ),
            (
                "an identity between a product and its activation",
                |p| {
                    let x = p.input(&[3, 8]);
                    let y = exported_linear(p, x, 4);
                    let y = p.transpose(y, &[0, 2, 1]);
                    let y = p.transpose(y, &[0, 2, 1]);
                    vec![p.unary(UnaryOp::Relu, y)]
                },
                "Linear+bias+Relu",
            ),
            (
                "a bias computed from constants",
                |p| {
                    let x = p.input(&[3, 8]);
                    let y = exported_linear(p, x, 4);
                    let (a, b) = (p.random(&[3, 4], 1.0), p.random(&[4], 1.0));
                    let bias = p.add(a, b);
                    vec![p.add(y, bias)]
                },
                "Linear+bias Add",
            ),
        ],
    );
}
