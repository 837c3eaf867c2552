//! Linear and MatMul.

use paceline_graph::{Activation, Linear, MatMul, Op};

use super::super::sketch::Sketch;
use super::super::{Case, Kind, Values};

const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::Tanh,
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    linear_sizes(&mut cases);
    linear_epilogues(&mut cases);
    linear_extremes(&mut cases);
    matmul(&mut cases);
    matmul_extremes(&mut cases);
    cases
}

fn linear_sizes(cases: &mut Vec<Case>) {
    for (input, output) in [
        (1, 1),
        (1, 17),
        (2, 33),
        (7, 2),
        (16, 16),
        (17, 100),
        (33, 7),
        (33, 65),
        (64, 48),
        (100, 1),
        (100, 33),
        (257, 31),
    ] {
        let mut s = Sketch::new();
        let (x, w, b) = (s.x(&[input]), s.weight(&[output, input]), s.weight(&[output]));
        let y = s.op(Op::Linear(Linear::default()), &[x, w, b]);
        cases.push(s.returns(y, format!("Linear/{input}-{output}")));
    }
    for (name, lead) in [("tokens", &[7][..]), ("one-token", &[1]), ("grid", &[2, 3]), ("many-tokens", &[33])]
    {
        let mut s = Sketch::new();
        let x = s.x(&[lead, &[17]].concat());
        let (w, b) = (s.weight(&[33, 17]), s.weight(&[33]));
        let y = s.op(Op::Linear(Linear::default()), &[x, w, b]);
        cases.push(s.returns(y, format!("Linear/{name}")).at_most(17));
    }
}

fn linear_epilogues(cases: &mut Vec<Case>) {
    let activations = ACTIVATIONS.map(Some).into_iter().chain([None]);
    for activation in activations {
        for (bias, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            let name = activation.map_or("none".into(), |a| format!("{a:?}"));
            let mut s = Sketch::new();
            let (x, w) = (s.x(&[3, 17]), s.weight(&[35, 17]));
            let b = bias.then(|| s.weight(&[35]));
            let r = residual.then(|| s.x(&[3, 35]));
            let y =
                s.op_with(Op::Linear(Linear { activation, ..Linear::default() }), &[Some(x), Some(w), b, r]);
            let name = match (bias, residual) {
                (false, false) => name,
                (true, false) => format!("{name}-bias"),
                (false, true) => format!("{name}-residual"),
                (true, true) => format!("{name}-bias-residual"),
            };
            cases.push(s.returns(y, format!("Linear/epilogue-{name}")).at_most(17));
        }
    }
    // A residual that is also the input, and one that is broadcast from nothing: a constant.
    let mut s = Sketch::new();
    let (x, w) = (s.x(&[16]), s.weight(&[16, 16]));
    let y = s.op_with(Op::Linear(Linear::default()), &[Some(x), Some(w), None, Some(x)]);
    cases.push(s.returns(y, "Linear/residual-is-input"));

    let mut s = Sketch::new();
    let (x, w) = (s.fixed_input(&[7], Values::Uniform(-1.0, 1.0)), s.weight(&[5, 7]));
    let y = s.op(Op::Linear(Linear::default()), &[x, w]);
    cases.push(s.returns(y, "Linear/no-batch-vector"));

    // The right operand of a product as it is, a constant and an input.
    for (input, output) in [(17, 35), (1, 1), (70, 130), (64, 3)] {
        let mut s = Sketch::new();
        let (x, w, b) = (s.x(&[3, input]), s.weight(&[input, output]), s.weight(&[output]));
        let op = Linear { activation: Some(Activation::Relu), transposed: true };
        let y = s.op(Op::Linear(op), &[x, w, b]);
        cases.push(s.returns(y, format!("Linear/transposed-{input}-{output}")).at_most(17));
    }
    let mut s = Sketch::new();
    let (x, w) = (s.weight(&[3, 7]), s.fixed_input(&[7, 5], Values::Uniform(-1.0, 1.0)));
    let y = s.op(Op::Linear(Linear { transposed: true, ..Linear::default() }), &[x, w]);
    cases.push(s.returns(y, "Linear/transposed-weight-is-input"));

    // Weights that another node computes, or that a caller gives, cannot be packed ahead.
    let mut s = Sketch::new();
    let (x, w) = (s.weight(&[3, 7]), s.fixed_input(&[5, 7], Values::Uniform(-1.0, 1.0)));
    let y = s.op(Op::Linear(Linear::default()), &[x, w]);
    cases.push(s.returns(y, "Linear/weight-is-input"));
}

fn linear_extremes(cases: &mut Vec<Case>) {
    const INFINITE: &[f32] = &[0.0, 1.0, -2.0, f32::INFINITY];
    const NAN: &[f32] = &[0.5, 1.0, -2.0, 0.25, 3.0, -0.75, 1.5, f32::NAN];
    const DENORMAL: &[f32] = &[1e-40, -3e-39, 1e-45, -1e-42, f32::MIN_POSITIVE, 0.0, -0.0];
    const LARGE: &[f32] = &[1e18, -1e17, 3e15, 1.0];
    for (name, values) in [("infinite", INFINITE), ("not-a-number", NAN), ("denormal", DENORMAL)] {
        // No dimension is a multiple of a vector: what pads the weights must not meet the extremes.
        let mut s = Sketch::new();
        let (x, w, b) = (s.input(&[3, 5], Values::OneOf(values)), s.weight(&[19, 5]), s.weight(&[19]));
        let y = s.op(Op::Linear(Linear::default()), &[x, w, b]);
        cases.push(s.returns(y, format!("Linear/extreme-{name}")).at_most(33));
    }
    let mut s = Sketch::new();
    let (x, w) = (s.input(&[9], Values::OneOf(LARGE)), s.constant(&[4, 9], Values::Uniform(0.5, 1.0)));
    let y = s.op(Op::Linear(Linear { activation: Some(Activation::Sigmoid), ..Linear::default() }), &[x, w]);
    cases.push(s.returns(y, "Linear/extreme-saturated"));

    let mut s = Sketch::new();
    let (x, w) = (s.x(&[7]), s.constant(&[5, 7], Values::OneOf(&[1.0, -1.0, f32::NAN, f32::INFINITY, 0.5])));
    let y = s.op(Op::Linear(Linear::default()), &[x, w]);
    cases.push(s.returns(y, "Linear/weight-not-finite"));
}

fn matmul(cases: &mut Vec<Case>) {
    // Two inputs: per-sample shapes of a and b.
    for (name, a, b) in [
        ("1-1-1", &[1, 1][..], &[1, 1][..]),
        ("7-2-33", &[7, 2], &[2, 33]),
        ("16-16-16", &[16, 16], &[16, 16]),
        ("17-33-7", &[17, 33], &[33, 7]),
        ("33-17-1", &[33, 17], &[17, 1]),
        ("1-100-17", &[1, 100], &[100, 17]),
        ("heads", &[4, 7, 16], &[4, 16, 7]),
        ("broadcast-left", &[1, 5, 7], &[3, 7, 2]),
        ("broadcast-right", &[3, 5, 7], &[1, 7, 2]),
        ("broadcast-both", &[2, 1, 5, 3], &[1, 3, 3, 4]),
    ] {
        let mut s = Sketch::new();
        let (a, b) = (s.x(a), s.x(b));
        let y = s.op(Op::MatMul(MatMul {}), &[a, b]);
        cases.push(s.returns(y, format!("MatMul/{name}")).at_most(17));
    }
    // The right side is a constant.
    for (name, x, c) in [
        ("weight-17-33", &[17][..], &[17, 33][..]),
        ("weight-tokens", &[7, 16], &[16, 17]),
        ("weight-stack", &[3, 5, 7], &[3, 7, 2]),
        ("weight-widening", &[5, 7], &[1, 1, 7, 2]),
        ("weight-vector", &[5, 7], &[7]),
        ("weight-vector-each", &[7], &[7]),
    ] {
        let mut s = Sketch::new();
        let x = s.x(x);
        let c = s.constant(c, Values::Uniform(-0.5, 0.5));
        let y = s.op(Op::MatMul(MatMul {}), &[x, c]);
        if matches!(s.shape(y).first(), Some(d) if d.is_batch()) {
            cases.push(s.returns(y, format!("MatMul/{name}")));
        }
    }
    // The left side is.
    for (name, c, x) in [("constant-left", &[5, 7][..], &[7, 3][..]), ("constant-left-vector", &[7], &[7, 3])]
    {
        let mut s = Sketch::new();
        let c = s.constant(c, Values::Uniform(-0.5, 0.5));
        let x = s.x(x);
        let y = s.op(Op::MatMul(MatMul {}), &[c, x]);
        cases.push(s.returns(y, format!("MatMul/{name}")));
    }
    let mut s = Sketch::new();
    let ordinary = Values::Uniform(-2.0, 2.0);
    let (a, b) = (s.fixed_input(&[9], ordinary), s.fixed_input(&[9], ordinary));
    let y = s.op(Op::MatMul(MatMul {}), &[a, b]);
    s.output(y);
    cases.push(s.case("MatMul/no-batch-dot", Kind::Operator));
}

fn matmul_extremes(cases: &mut Vec<Case>) {
    for (name, values) in [
        ("infinite", &[0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY][..]),
        ("not-a-number", &[0.0, 1.0, -1.0, 0.5, f32::NAN]),
        ("denormal", &[1e-40, -1e-44, 0.0, 1.0]),
    ] {
        let mut s = Sketch::new();
        let (a, b) = (s.input(&[5, 3], Values::OneOf(values)), s.x(&[3, 18]));
        let y = s.op(Op::MatMul(MatMul {}), &[a, b]);
        cases.push(s.returns(y, format!("MatMul/extreme-{name}")));
    }
}
