use paceline_graph::passes::recognise_gelu;
use paceline_graph::testing::{Pieces, patterns};
use paceline_graph::{UnaryOp, Value};

use crate::support::{Tolerance, assert_same, check, labels};

const ROUNDING: Tolerance = Tolerance::Relative(1e-5);

/// Every variant of a pattern becomes one node, named after the last.
fn check_variants(count: usize, label: &str, pattern: fn(&mut Pieces, Value, usize) -> Value) {
    for variant in 0..count {
        let mut p = Pieces::new(variant as u64);
        let x = p.input(&[2, 3]);
        let y = pattern(&mut p, x, variant);
        let before = p.finish(&[y]);
        let after = recognise_gelu(&before).expect("a valid graph");
        assert_eq!(labels(&after), label, "variant {variant}");
        assert_eq!(after.nodes()[0].name, before.nodes().last().expect("nodes").name);
        assert_same(label, &before, &after, ROUNDING, 11);
    }
}

#[test]
fn every_order_and_grouping_is_recognised() {
    check_variants(patterns::GELU_ERF, "Gelu", patterns::gelu_erf);
    check_variants(patterns::GELU_TANH, "GeluTanh", patterns::gelu_tanh);
    check_variants(patterns::SILU, "Silu", patterns::silu);
    check_variants(2, "HardSwish", |p, x, variant| {
        let gate = p.unary(UnaryOp::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, x);
        if variant == 0 { p.mul(x, gate) } else { p.mul(gate, x) }
    });
}

/// `x * 0.5 * (1 + erf(u))` with the constants given.
fn erf_form(p: &mut Pieces, [half, one, root]: [f64; 3]) -> [Value; 4] {
    let x = p.input(&[4]);
    let [half, one, root] = [half, one, root].map(|v| p.scalar(v));
    let u = p.mul(x, root);
    let erf = p.unary(UnaryOp::Erf, u);
    let gate = p.add(erf, one);
    let product = p.mul(x, gate);
    [x, erf, gate, p.mul(product, half)]
}

#[test]
fn other_expressions_stay() {
    const PIECES: &str = "Mul Erf Add Mul Mul";
    check(
        recognise_gelu,
        ROUNDING,
        &[
            ("the right constants", |p| vec![erf_form(p, [0.5, 1.0, 0.70710677])[3]], "Gelu"),
            ("another half", |p| vec![erf_form(p, [0.25, 1.0, 0.70710677])[3]], PIECES),
            ("another one", |p| vec![erf_form(p, [0.5, 1.001, 0.70710677])[3]], PIECES),
            ("another root", |p| vec![erf_form(p, [0.5, 1.0, 0.7072])[3]], PIECES),
            (
                "the gate is returned",
                |p| {
                    let [_, _, gate, y] = erf_form(p, [0.5, 1.0, 0.70710677]);
                    vec![y, gate]
                },
                PIECES,
            ),
            (
                "the error function is used elsewhere",
                |p| {
                    let [x, erf, _, y] = erf_form(p, [0.5, 1.0, 0.70710677]);
                    vec![p.sub(x, erf), y]
                },
                "Mul Erf Add Mul Mul Sub",
            ),
            (
                "the gate is of another value",
                |p| {
                    let (x, other) = (p.input(&[4]), p.input(&[4]));
                    let gate = p.unary(UnaryOp::Sigmoid, other);
                    vec![p.mul(x, gate)]
                },
                "Sigmoid Mul",
            ),
            (
                "a constant adds an axis",
                |p| {
                    let x = p.input(&[4]);
                    let root = p.elements(&[1], vec![0.70710677]);
                    let (one, half) = (p.scalar(1.0), p.elements(&[1, 1, 1], vec![0.5]));
                    let u = p.mul(x, root);
                    let erf = p.unary(UnaryOp::Erf, u);
                    let gate = p.add(one, erf);
                    let product = p.mul(gate, x);
                    let y = p.mul(half, product);
                    vec![p.reshape(y, p.batched(&[4]))]
                },
                "Mul Erf Add Mul Mul Reshape",
            ),
            (
                "x is itself a product",
                |p| {
                    let (a, b) = (p.input(&[4]), p.input(&[4]));
                    let x = p.mul(a, b);
                    vec![patterns::gelu_erf(p, x, 0)]
                },
                "Mul Gelu",
            ),
            (
                "a factor follows",
                |p| {
                    let x = p.input(&[4]);
                    let y = patterns::gelu_erf(p, x, 40);
                    let three = p.scalar(3.0);
                    vec![p.mul(y, three)]
                },
                "Gelu Mul",
            ),
        ],
    );
}
