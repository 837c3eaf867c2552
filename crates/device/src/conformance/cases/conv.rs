//! Convolution over one and two axes, and its transpose.

use paceline_graph::{Activation, Conv, ConvTranspose, Op};

use super::super::sketch::Sketch;
use super::super::{Case, Values};
use super::LENGTHS;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    lengths(&mut cases);
    one_axis(&mut cases);
    two_axes(&mut cases);
    epilogues(&mut cases);
    transposed(&mut cases);
    cases
}

fn lengths(cases: &mut Vec<Case>) {
    for length in LENGTHS {
        let conv = Conv { padding: vec![(1, 1)], ..Conv::new(1) };
        cases.push(case(format!("Conv/length-{length}"), &[3, length], &[5, 3, 3], conv, true).at_most(17));
    }
    for (channels, filters) in [(1, 1), (1, 17), (2, 7), (16, 16), (17, 33), (33, 2)] {
        let conv = Conv { padding: vec![(1, 1)], ..Conv::new(1) };
        let name = format!("Conv/channels-{channels}-{filters}");
        cases.push(case(name, &[channels, 9], &[filters, channels, 3], conv, true).at_most(17));
    }
}

fn one_axis(cases: &mut Vec<Case>) {
    let conv = Conv::new(1);
    for (name, x, weight, conv) in [
        ("pointwise", &[7, 17], &[5, 7, 1], conv.clone()),
        ("kernel-of-length", &[3, 7], &[4, 3, 7], conv.clone()),
        ("even-kernel", &[2, 16], &[3, 2, 4], conv.clone()),
        ("long-kernel", &[2, 33], &[3, 2, 17], Conv { padding: vec![(8, 8)], ..conv.clone() }),
        ("stride-2", &[3, 33], &[4, 3, 3], Conv { stride: vec![2], ..conv.clone() }),
        (
            "stride-3-padded",
            &[3, 16],
            &[4, 3, 3],
            Conv { stride: vec![3], padding: vec![(1, 1)], ..conv.clone() },
        ),
        ("stride-beyond-kernel", &[2, 33], &[3, 2, 2], Conv { stride: vec![5], ..conv.clone() }),
        ("padding-left", &[3, 17], &[4, 3, 3], Conv { padding: vec![(2, 0)], ..conv.clone() }),
        ("padding-right", &[3, 17], &[4, 3, 4], Conv { padding: vec![(0, 3)], ..conv.clone() }),
        ("padding-beyond-kernel", &[2, 3], &[3, 2, 3], Conv { padding: vec![(5, 4)], ..conv.clone() }),
        (
            "dilation-2",
            &[3, 17],
            &[4, 3, 3],
            Conv { dilation: vec![2], padding: vec![(2, 2)], ..conv.clone() },
        ),
        ("dilation-7", &[2, 33], &[3, 2, 4], Conv { dilation: vec![7], ..conv.clone() }),
        ("groups-2", &[6, 17], &[4, 3, 3], Conv { groups: 2, padding: vec![(1, 1)], ..conv.clone() }),
        ("groups-3-wide", &[6, 16], &[51, 2, 3], Conv { groups: 3, ..conv.clone() }),
        ("depthwise", &[17, 33], &[17, 1, 3], Conv { groups: 17, padding: vec![(1, 1)], ..conv.clone() }),
        (
            "depthwise-multiplier",
            &[7, 16],
            &[14, 1, 5],
            Conv { groups: 7, padding: vec![(2, 2)], ..conv.clone() },
        ),
        (
            "everything",
            &[6, 33],
            &[9, 2, 4],
            Conv { stride: vec![2], padding: vec![(3, 1)], dilation: vec![3], groups: 3, activation: None },
        ),
    ] {
        cases.push(case(format!("Conv/{name}"), x, weight, conv, true).at_most(17));
    }
}

fn two_axes(cases: &mut Vec<Case>) {
    let conv = Conv::new(2);
    let padded = Conv { padding: vec![(1, 1); 2], ..conv.clone() };
    for (name, x, weight, conv) in [
        ("2d", &[3, 7, 9], &[5, 3, 3, 3], padded.clone()),
        ("2d-pointwise", &[5, 4, 7], &[17, 5, 1, 1], conv.clone()),
        ("2d-one-pixel", &[3, 1, 1], &[4, 3, 3, 3], padded.clone()),
        ("2d-kernel-of-image", &[2, 5, 3], &[4, 2, 5, 3], conv.clone()),
        (
            "2d-rectangular",
            &[2, 7, 16],
            &[3, 2, 1, 5],
            Conv { padding: vec![(0, 0), (2, 2)], ..conv.clone() },
        ),
        ("2d-stride", &[3, 9, 8], &[4, 3, 3, 3], Conv { stride: vec![2, 3], ..padded.clone() }),
        ("2d-asymmetric", &[2, 5, 6], &[3, 2, 2, 3], Conv { padding: vec![(1, 0), (2, 1)], ..conv.clone() }),
        ("2d-dilation", &[2, 9, 10], &[3, 2, 3, 2], Conv { dilation: vec![2, 3], ..conv.clone() }),
        ("2d-groups", &[4, 5, 7], &[6, 2, 3, 3], Conv { groups: 2, ..padded.clone() }),
        ("2d-depthwise", &[5, 7, 6], &[5, 1, 3, 3], Conv { groups: 5, ..padded.clone() }),
        (
            "2d-everything",
            &[4, 9, 11],
            &[6, 2, 3, 2],
            Conv {
                stride: vec![2, 1],
                padding: vec![(2, 1), (0, 1)],
                dilation: vec![1, 2],
                groups: 2,
                activation: None,
            },
        ),
    ] {
        cases.push(case(format!("Conv/{name}"), x, weight, conv, true).at_most(7));
    }
}

fn epilogues(cases: &mut Vec<Case>) {
    for activation in [
        None,
        Some(Activation::Relu),
        Some(Activation::Gelu),
        Some(Activation::GeluTanh),
        Some(Activation::Silu),
        Some(Activation::Sigmoid),
        Some(Activation::Tanh),
    ] {
        let name = activation.map_or("none".into(), |a| format!("{a:?}"));
        let conv = Conv { padding: vec![(1, 1)], activation, ..Conv::new(1) };
        for bias in [false, true] {
            let name = format!("Conv/epilogue-{name}{}", if bias { "-bias" } else { "" });
            cases.push(case(name, &[3, 17], &[7, 3, 3], conv.clone(), bias).at_most(7));
        }
        let mut s = Sketch::new();
        let (x, w, b) = (s.x(&[3, 9]), s.weight(&[5, 3, 3]), s.weight(&[5]));
        let r = s.x(&[5, 9]);
        let y = s.op(Op::Conv(conv), &[x, w, b, r]);
        cases.push(s.returns(y, format!("Conv/epilogue-{name}-residual")).at_most(7));
    }
    let mut s = Sketch::new();
    let (x, w) = (s.x(&[4, 7]), s.weight(&[4, 4, 3]));
    let conv = Op::Conv(Conv { padding: vec![(1, 1)], ..Conv::new(1) });
    let y = s.op_with(conv, &[Some(x), Some(w), None, Some(x)]);
    cases.push(s.returns(y, "Conv/residual-is-input"));

    for (name, values) in [
        ("infinite", &[0.5, 1.0, -1.0, 2.0, 0.25, -0.5, f32::INFINITY][..]),
        ("not-a-number", &[0.5, 1.0, -1.0, 2.0, 0.25, -0.5, f32::NAN]),
        ("denormal", &[1e-40, -1e-45, 0.0, 1.0]),
    ] {
        let mut s = Sketch::new();
        let (x, w) = (s.input(&[2, 33], Values::OneOf(values)), s.weight(&[3, 2, 3]));
        let conv = Op::Conv(Conv { padding: vec![(1, 1)], ..Conv::new(1) });
        let y = s.op(conv, &[x, w]);
        cases.push(s.returns(y, format!("Conv/extreme-{name}")).at_most(17));
    }
}

fn case(name: String, x: &[usize], weight: &[usize], conv: Conv, bias: bool) -> Case {
    let mut s = Sketch::new();
    let (x, w) = (s.x(x), s.weight(weight));
    let b = bias.then(|| s.weight(&weight[..1]));
    let y = s.op_with(Op::Conv(conv), &[Some(x), Some(w), b]);
    s.returns(y, name)
}

fn transposed(cases: &mut Vec<Case>) {
    let conv = ConvTranspose::new(1);
    let with_stride = |stride| ConvTranspose { stride: vec![stride], ..conv.clone() };
    for (name, x, weight, conv) in [
        ("plain", &[3, 7], &[3, 4, 3], conv.clone()),
        ("one-position", &[3, 1], &[3, 2, 4], conv.clone()),
        ("pointwise", &[5, 17], &[5, 7, 1], conv.clone()),
        ("stride-2", &[4, 16], &[4, 3, 4], with_stride(2)),
        ("stride-3", &[2, 17], &[2, 17, 3], with_stride(3)),
        ("gap", &[2, 7], &[2, 3, 2], with_stride(5)),
        ("padding", &[3, 9], &[3, 2, 4], ConvTranspose { padding: vec![(1, 1)], ..with_stride(2) }),
        (
            "padding-asymmetric",
            &[3, 9],
            &[3, 2, 4],
            ConvTranspose { padding: vec![(2, 0)], ..with_stride(2) },
        ),
        (
            "output-padding",
            &[3, 7],
            &[3, 4, 3],
            ConvTranspose { padding: vec![(1, 1)], output_padding: vec![1], ..with_stride(2) },
        ),
        ("dilation", &[2, 9], &[2, 3, 3], ConvTranspose { dilation: vec![2], ..conv.clone() }),
        ("groups", &[6, 7], &[6, 2, 3], ConvTranspose { groups: 3, ..with_stride(2) }),
        ("depthwise", &[7, 9], &[7, 1, 4], ConvTranspose { groups: 7, ..with_stride(2) }),
        (
            "everything",
            &[4, 17],
            &[4, 3, 5],
            ConvTranspose {
                stride: vec![3],
                padding: vec![(2, 1)],
                output_padding: vec![2],
                dilation: vec![2],
                groups: 2,
                activation: Some(Activation::Gelu),
            },
        ),
    ] {
        for bias in [false, true] {
            let mut s = Sketch::new();
            let (x, w) = (s.x(x), s.weight(weight));
            let b = bias.then(|| s.weight(&[weight[1] * conv.groups]));
            let y = s.op_with(Op::ConvTranspose(conv.clone()), &[Some(x), Some(w), b]);
            let name = format!("ConvTranspose/{name}{}", if bias { "-bias" } else { "" });
            cases.push(s.returns(y, name).at_most(17));
        }
    }
}
