//! Softmax and the normalisations.

use paceline_graph::{BatchNorm, GroupNorm, LayerNorm, Op, RmsNorm, Softmax, Value};

use super::super::sketch::Sketch;
use super::super::{Case, Tolerance, Values};
use super::LENGTHS;

const EPSILON: f32 = 1e-5;
const POSITIVE: Values = Values::Uniform(0.25, 2.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    softmax(&mut cases);
    layer_norm(&mut cases);
    rms_norm(&mut cases);
    batch_norm(&mut cases);
    group_norm(&mut cases);
    cases
}

fn softmax(cases: &mut Vec<Case>) {
    let mut one = |name: String, shape: &[usize], axis, values| {
        let mut s = Sketch::new();
        let x = s.input(shape, values);
        let y = s.op(Op::Softmax(Softmax { axis }), &[x]);
        cases.push(s.returns(y, format!("Softmax/{name}")).within(Tolerance::of(2e-6)));
    };
    let ordinary = Values::Uniform(-4.0, 4.0);
    for length in LENGTHS {
        one(format!("last-{length}"), &[length], -1, ordinary);
    }
    for (name, shape, axis) in [
        ("axis-1", &[7, 5][..], 1),
        ("axis-2", &[7, 5], 2),
        ("axis-1-of-4", &[17, 2, 3], 1),
        ("axis-2-of-4", &[3, 16, 5], -2),
        ("one-of-each", &[7, 1], 2),
    ] {
        one(name.into(), shape, axis, ordinary);
    }
    for (name, values) in [
        ("large-negatives", &[-1e38, -1e30, -1e4, -200.0, -104.0, -87.4, 0.0, -1.0][..]),
        ("all-large-negatives", &[-3e38, -1e38, -3.1e37, -1e37]),
        ("large", &[1e38, 3e38, 1e30, 88.8, 89.0]),
        ("minus-infinity", &[f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, -2.0]),
        ("all-minus-infinity", &[f32::NEG_INFINITY]),
        ("infinity", &[f32::INFINITY, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        ("not-a-number", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, f32::NAN]),
        ("denormal", &[1e-40, -1e-40, 0.0, -0.0]),
    ] {
        one(format!("extreme-{name}"), &[3, 19], -1, Values::OneOf(values));
        one(format!("extreme-{name}-middle"), &[5, 2], 1, Values::OneOf(values));
    }
}

fn layer_norm(cases: &mut Vec<Case>) {
    let mut one =
        |name: String, shape: &[usize], axes: usize, (weight, bias): (bool, bool), values, epsilon| {
            let mut s = Sketch::new();
            let x = s.input(shape, values);
            let parameters = &shape[shape.len() - axes..];
            let w = weight.then(|| s.constant(parameters, POSITIVE));
            let b = bias.then(|| s.constant(parameters, Values::Uniform(-1.0, 1.0)));
            let y = s.op_with(Op::LayerNorm(LayerNorm { axes, epsilon }), &[Some(x), w, b]);
            cases.push(s.returns(y, format!("LayerNorm/{name}")).within(Tolerance::of(2e-5)));
        };
    let ordinary = Values::Uniform(-2.0, 3.0);
    for length in LENGTHS {
        one(format!("{length}"), &[length], 1, (true, true), ordinary, EPSILON);
    }
    for (name, affine) in [("plain", (false, false)), ("weight", (true, false)), ("bias", (false, true))] {
        one(name.into(), &[3, 33], 1, affine, ordinary, EPSILON);
    }
    one("tokens".into(), &[17, 16], 1, (true, true), ordinary, EPSILON);
    one("two-axes".into(), &[3, 5, 7], 2, (true, true), ordinary, EPSILON);
    one("all-axes".into(), &[3, 5, 2], 3, (true, true), ordinary, EPSILON);
    one("epsilon".into(), &[17], 1, (true, true), ordinary, 0.5);
    one("constant".into(), &[33], 1, (true, true), Values::OneOf(&[3.0]), EPSILON);
    one("extreme-small".into(), &[17], 1, (true, true), Values::OneOf(&[1e-30, -1e-40, 0.0]), EPSILON);
    one("extreme-infinite".into(), &[5, 7], 1, (true, true), few(f32::INFINITY), EPSILON);
    one("extreme-not-a-number".into(), &[5, 7], 1, (true, true), few(f32::NAN), EPSILON);

    // The mean is far larger than the deviation: a variance computed as a difference of squares has nothing left. The mean
    // itself is rounded, which shows.
    let mut s = Sketch::new();
    let x = s.input(&[100], Values::OneOf(&[4095.0, 4096.0, 4097.0]));
    let y = s.op(Op::LayerNorm(LayerNorm { axes: 1, epsilon: EPSILON }), &[x]);
    cases.push(s.returns(y, "LayerNorm/far-from-zero").within(Tolerance::of(1e-3)));
}

fn rms_norm(cases: &mut Vec<Case>) {
    let mut one = |name: String, shape: &[usize], axes: usize, weight: bool, values| {
        let mut s = Sketch::new();
        let x = s.input(shape, values);
        let w = weight.then(|| s.constant(&shape[shape.len() - axes..], POSITIVE));
        let y = s.op_with(Op::RmsNorm(RmsNorm { axes, epsilon: EPSILON }), &[Some(x), w]);
        cases.push(s.returns(y, format!("RmsNorm/{name}")).within(Tolerance::of(1e-5)));
    };
    let ordinary = Values::Uniform(-2.0, 3.0);
    for length in LENGTHS {
        one(format!("{length}"), &[length], 1, true, ordinary);
    }
    one("plain".into(), &[3, 33], 1, false, ordinary);
    one("two-axes".into(), &[3, 5, 7], 2, true, ordinary);
    one("extreme-infinite".into(), &[5, 7], 1, true, few(f32::INFINITY));
    one("extreme-not-a-number".into(), &[5, 7], 1, true, few(f32::NAN));
    one("extreme-small".into(), &[17], 1, true, Values::OneOf(&[1e-30, -1e-40, 0.0]));
}

/// Mostly ordinary numbers, one in eight the given one.
fn few(rare: f32) -> Values {
    if rare.is_nan() {
        Values::OneOf(&[1.0, -1.0, 0.5, 2.0, -0.25, 0.75, -3.0, f32::NAN])
    } else {
        Values::OneOf(&[1.0, -1.0, 0.5, 2.0, -0.25, 0.75, -3.0, f32::INFINITY])
    }
}

fn batch_norm(cases: &mut Vec<Case>) {
    for (name, shape, weight, bias) in [
        ("vector-17", &[17][..], true, true),
        ("one-channel", &[1, 7], true, true),
        ("length-33", &[7, 33], true, true),
        ("image", &[5, 3, 7], true, true),
        ("plain", &[16, 17], false, false),
        ("weight", &[3, 16], true, false),
        ("bias", &[3, 16], false, true),
    ] {
        let mut s = Sketch::new();
        let x = s.x(shape);
        let channels = &shape[..1];
        let (mean, variance) =
            (s.constant(channels, Values::Uniform(-1.0, 1.0)), s.constant(channels, POSITIVE));
        let affine = affine(&mut s, channels, weight, bias);
        let inputs = [Some(x), Some(mean), Some(variance), affine[0], affine[1]];
        let y = s.op_with(Op::BatchNorm(BatchNorm { epsilon: EPSILON }), &inputs);
        cases.push(s.returns(y, format!("BatchNorm/{name}")));
    }
}

fn group_norm(cases: &mut Vec<Case>) {
    for (name, shape, groups, weight, bias) in [
        ("length", &[6, 17][..], 3, true, true),
        ("image", &[4, 5, 7], 2, true, true),
        ("one-group", &[7, 16], 1, true, true),
        ("group-each", &[7, 33], 7, true, true),
        ("vector", &[16], 4, true, true),
        ("plain", &[6, 9], 2, false, false),
        ("weight", &[6, 9], 2, true, false),
        ("bias", &[6, 9], 2, false, true),
    ] {
        let mut s = Sketch::new();
        let x = s.x(shape);
        let affine = affine(&mut s, &shape[..1], weight, bias);
        let op = Op::GroupNorm(GroupNorm { groups, epsilon: EPSILON });
        let y = s.op_with(op, &[Some(x), affine[0], affine[1]]);
        cases.push(s.returns(y, format!("GroupNorm/{name}")).within(Tolerance::of(2e-5)));
    }
}

fn affine(s: &mut Sketch, shape: &[usize], weight: bool, bias: bool) -> [Option<Value>; 2] {
    [weight.then(|| s.constant(shape, POSITIVE)), bias.then(|| s.constant(shape, Values::Uniform(-1.0, 1.0)))]
}
