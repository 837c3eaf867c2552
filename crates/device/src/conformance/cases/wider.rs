//! The operators that came with ONNX models, in every element type that they take.

use paceline_graph::{
    ArgReduce, Binary, BinaryOp, Cast, Cell, Classify, Compare, CompareOp, ConvTranspose, Coordinates,
    Cumulative, DType, Dequantize, Det, Dim, Direction, DynamicQuantize, Einsum, Expand, Gather,
    GatherElements, GatherNd, GridMode, GridSample, Hardmax, LogSoftmax, LpPool, Lrn, MatMul, MaxPool,
    OneHot, Op, Outside, Pad, PadMode, Quantize, Recurrent, Reduce, ReduceOp, Resize, ResizeAxis, ResizeMode,
    ReverseSequence, Rounding, Scatter, ScatterElements, ScatterNd, Tile, TopK, Trilu, Unary, UnaryOp, Where,
};

use super::super::sketch::Sketch;
use super::super::{Case, EXTREMES, Tolerance, Values};

const N: Dim = Dim::BATCH;
const ORDINARY: Values = Values::Uniform(-2.0, 2.0);
const SAMPLES: usize = 17;

/// Types that are not the usual three.
const TYPES: [DType; 4] = [DType::F64, DType::I32, DType::U8, DType::I16];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    functions(&mut cases);
    pairs(&mut cases);
    choices(&mut cases);
    picked(&mut cases);
    written(&mut cases);
    along(&mut cases);
    arranged(&mut cases);
    spatial(&mut cases);
    quantised(&mut cases);
    recurrent(&mut cases);
    sums(&mut cases);
    cases.into_iter().map(|case| case.at_most(SAMPLES)).collect()
}

/// A case of one operator on inputs of these shapes for each sample.
fn one(name: &str, op: Op, inputs: &[(&[usize], Values)]) -> Case {
    let mut s = Sketch::new();
    let inputs: Vec<_> = inputs.iter().map(|&(shape, values)| Some(s.input(shape, values))).collect();
    let outputs = s.ops(op, &inputs);
    outputs.into_iter().for_each(|output| s.output(output));
    s.case(name, super::super::Kind::Operator)
}

fn functions(cases: &mut Vec<Case>) {
    let around_zero = Values::Uniform(-6.0, 6.0);
    let positive = Values::Uniform(0.1, 9.0);
    let inside = Values::Uniform(-0.95, 0.95);
    for (op, values) in [
        (UnaryOp::Abs, around_zero),
        (UnaryOp::Sign, around_zero),
        (UnaryOp::Floor, around_zero),
        (UnaryOp::Ceil, around_zero),
        (UnaryOp::Round, around_zero),
        (UnaryOp::Reciprocal, positive),
        (UnaryOp::Log, positive),
        (UnaryOp::Sin, around_zero),
        (UnaryOp::Cos, around_zero),
        (UnaryOp::Tan, inside),
        (UnaryOp::Asin, inside),
        (UnaryOp::Acos, inside),
        (UnaryOp::Atan, around_zero),
        (UnaryOp::Sinh, inside),
        (UnaryOp::Cosh, inside),
        (UnaryOp::Asinh, around_zero),
        (UnaryOp::Acosh, Values::Uniform(1.1, 9.0)),
        (UnaryOp::Atanh, inside),
        (UnaryOp::Softplus, around_zero),
        (UnaryOp::Softsign, around_zero),
        (UnaryOp::HardSwish, around_zero),
        (UnaryOp::Mish, around_zero),
        (UnaryOp::LeakyRelu { alpha: 0.1 }, around_zero),
        (UnaryOp::Elu { alpha: 1.5 }, around_zero),
        (UnaryOp::Selu { alpha: 1.67, gamma: 1.05 }, around_zero),
        (UnaryOp::Celu { alpha: 2.0 }, around_zero),
        (UnaryOp::ThresholdedRelu { alpha: 1.0 }, around_zero),
        (UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 }, around_zero),
        (UnaryOp::Clip { min: 0.0, max: 6.0 }, around_zero),
        (UnaryOp::Shrink { bias: 0.5, threshold: 1.0 }, around_zero),
        (UnaryOp::Swish { alpha: 1.5 }, around_zero),
    ] {
        let tolerance = Tolerance::of(2e-6);
        for (name, shape, values) in
            [("7", &[7][..], values), ("3x33", &[3, 33], values), ("extreme", &[33], Values::OneOf(EXTREMES))]
        {
            let name = format!("{}/{name}", Op::Unary(Unary(op)).name());
            cases.push(one(&name, Op::Unary(Unary(op)), &[(shape, values)]).within(tolerance));
        }
    }
    for dtype in TYPES {
        for op in [UnaryOp::Relu, UnaryOp::Neg, UnaryOp::Abs, UnaryOp::Sign] {
            let name = format!("{}/{dtype}", Op::Unary(Unary(op)).name());
            cases.push(one(&name, Op::Unary(Unary(op)), &[(&[3, 5], Values::default_of(dtype))]));
        }
    }
    for values in [Values::Chance(0.5), Values::Whole(DType::U8, 0, 255)] {
        let name = format!("Not/{}", values.dtype());
        cases.push(one(&name, Op::Unary(Unary(UnaryOp::Not)), &[(&[7], values)]));
    }
    for class in [Classify::IsNan, Classify::IsInf { negative: true, positive: false }] {
        let name = format!("{}/extreme", Op::Classify(class).name());
        cases.push(one(&name, Op::Classify(class), &[(&[5, 7], Values::OneOf(EXTREMES))]));
    }
    for from in DType::ALL.iter().copied() {
        for to in [DType::F32, DType::I64, DType::U8, DType::Bool] {
            let op = Op::Cast(Cast { to });
            cases.push(one(&format!("Cast/{from}-{to}"), op, &[(&[3, 5], Values::default_of(from))]));
        }
    }
}

fn pairs(cases: &mut Vec<Case>) {
    let positive = Values::Uniform(0.2, 3.0);
    for (op, left) in [
        (BinaryOp::Pow, positive),
        (BinaryOp::Mod, ORDINARY),
        (BinaryOp::Fmod, ORDINARY),
        (BinaryOp::Min, ORDINARY),
        (BinaryOp::Max, ORDINARY),
        (BinaryOp::PRelu, ORDINARY),
    ] {
        let operator = Op::Binary(Binary(op));
        for (name, a, b) in [
            ("equal", &[5, 17][..], &[5, 17][..]),
            ("row", &[5, 17], &[1, 17]),
            ("both-ways", &[7, 1], &[1, 3]),
        ] {
            let name = format!("{}/{name}", operator.name());
            cases.push(one(&name, operator.clone(), &[(a, left), (b, positive)]).within(Tolerance::of(2e-6)));
        }
        for dtype in TYPES {
            let name = format!("{}/{dtype}", operator.name());
            let values = Values::Whole(dtype, 0, 5);
            cases.push(one(&name, operator.clone(), &[(&[2, 7], values), (&[1, 7], values)]));
        }
    }
    for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div] {
        for dtype in TYPES {
            let operator = Op::Binary(Binary(op));
            let (name, values) = (format!("{}/{dtype}", operator.name()), Values::Whole(dtype, 0, 100));
            cases.push(one(&name, operator, &[(&[3, 1], values), (&[1, 7], values)]));
        }
    }
    for op in [BinaryOp::And, BinaryOp::Or, BinaryOp::Xor] {
        for values in [Values::Chance(0.5), Values::Whole(DType::I32, -9, 9)] {
            let operator = Op::Binary(Binary(op));
            let name = format!("{}/{}", operator.name(), values.dtype());
            cases.push(one(&name, operator, &[(&[3, 5], values), (&[1, 5], values)]));
        }
    }
    for op in [BinaryOp::ShiftLeft, BinaryOp::ShiftRight] {
        let operator = Op::Binary(Binary(op));
        let name = format!("{}/u8", operator.name());
        let (bits, places) = (Values::Whole(DType::U8, 0, 255), Values::Whole(DType::U8, 0, 9));
        cases.push(one(&name, operator, &[(&[7], bits), (&[7], places)]));
    }
}

fn choices(cases: &mut Vec<Case>) {
    for op in [
        CompareOp::Equal,
        CompareOp::Less,
        CompareOp::LessOrEqual,
        CompareOp::Greater,
        CompareOp::GreaterOrEqual,
    ] {
        let operator = Op::Compare(Compare(op));
        let name = operator.name();
        let extreme = Values::OneOf(EXTREMES);
        cases.push(one(&format!("{name}/f32"), operator.clone(), &[(&[5, 7], extreme), (&[1, 7], extreme)]));
        for dtype in [DType::I64, DType::U8] {
            let values = Values::Whole(dtype, 0, 2);
            let inputs = [(&[3, 1][..], values), (&[1, 5], values)];
            cases.push(one(&format!("{name}/{dtype}"), operator.clone(), &inputs));
        }
    }
    for values in [ORDINARY, Values::Whole(DType::I64, -9, 9), Values::Chance(0.5)] {
        let name = format!("Where/{}", values.dtype());
        let inputs = [(&[3, 7][..], Values::Chance(0.5)), (&[1, 7], values), (&[3, 1], values)];
        cases.push(one(&name, Op::Where(Where {}), &inputs));
    }
    // A mask as language models make it: a choice between two constants.
    let mut s = Sketch::new();
    let seen = s.input(&[1, 1, 7], Values::Chance(0.5));
    let zero = s.constant(&[], Values::OneOf(&[0.0]));
    let hidden = s.constant(&[], Values::OneOf(&[f32::NEG_INFINITY]));
    let mask = s.op(Op::Where(Where {}), &[seen, zero, hidden]);
    cases.push(s.returns(mask, "Where/mask"));
}

fn picked(cases: &mut Vec<Case>) {
    let gather = |axis| Op::Gather(Gather { axis });
    for values in [ORDINARY, Values::Whole(DType::I64, -9, 9), Values::Chance(0.5)] {
        let dtype = values.dtype();
        for index in [DType::I64, DType::I32] {
            let mut s = Sketch::new();
            let x = s.input(&[5, 7], values);
            let indices = s.constant(&[2, 3], Values::Whole(index, -6, 6));
            let y = s.op(gather(1), &[x, indices]);
            cases.push(s.returns(y, format!("Gather/{dtype}-by-{index}")));
        }
        let mut s = Sketch::new();
        let table = s.constant(&[5, 3], values);
        let indices = s.input(&[4], Values::Integers(-6, 5));
        let y = s.op(gather(0), &[table, indices]);
        cases.push(s.returns(y, format!("Gather/table-of-{dtype}")));
        let inputs = [(&[4, 5][..], values), (&[2, 5], Values::Integers(-5, 4))];
        let op = Op::GatherElements(GatherElements { axis: 1 });
        cases.push(one(&format!("GatherElements/{dtype}"), op, &inputs));
        let inputs = [(&[4, 5, 3][..], values), (&[6, 2], Values::Integers(-5, 5))];
        let op = Op::GatherNd(GatherNd { batch_dims: 1 });
        cases.push(one(&format!("GatherND/{dtype}"), op, &inputs));
    }
    let mut s = Sketch::new();
    let x = s.x(&[3, 5, 7]);
    let index = s.constant(&[], Values::Integers(-1, -1));
    let y = s.op(gather(-1), &[x, index]);
    cases.push(s.returns(y, "Gather/last"));
    let mut s = Sketch::new();
    let (x, values) = (s.input(&[5], Values::Integers(-4, 4)), s.constant(&[2], ORDINARY));
    let y = s.op(Op::OneHot(OneHot { axis: 1, depth: 3 }), &[x, values]);
    cases.push(s.returns(y, "OneHot/out-of-range"));
}

fn written(cases: &mut Vec<Case>) {
    for reduction in [Scatter::Replace, Scatter::Add, Scatter::Mul, Scatter::Max, Scatter::Min] {
        for values in [ORDINARY, Values::Whole(DType::I32, -9, 9)] {
            let dtype = values.dtype();
            let inputs = [(&[4, 5][..], values), (&[3, 5], Values::Integers(-5, 4)), (&[3, 5], values)];
            let op = Op::ScatterElements(ScatterElements { axis: 1, reduction });
            cases.push(one(&format!("ScatterElements/{reduction:?}-{dtype}"), op, &inputs));
            let mut s = Sketch::new();
            let data = s.input(&[4, 3], values);
            let turned = s.op(turned(&[1, 0, 2]), &[data]);
            let indices = s.constant(&[2, 1], Values::Integers(-4, 3));
            let updates = s.input(&[2, 3], values);
            let updates = s.op(self::turned(&[1, 0, 2]), &[updates]);
            let y = s.op(Op::ScatterNd(ScatterNd { reduction }), &[turned, indices, updates]);
            let y = s.op(self::turned(&[1, 0, 2]), &[y]);
            cases.push(s.returns(y, format!("ScatterND/{reduction:?}-{dtype}")));
        }
    }
}

fn turned(permutation: &[usize]) -> Op {
    Op::Transpose(paceline_graph::Transpose { permutation: permutation.to_vec() })
}

fn along(cases: &mut Vec<Case>) {
    for values in [ORDINARY, Values::Whole(DType::I64, -9, 9), Values::Whole(DType::U8, 0, 9)] {
        let dtype = values.dtype();
        let x = [(&[5, 7][..], values)];
        for largest in [true, false] {
            let op = Op::ArgReduce(ArgReduce { axis: 1, largest, keep_dims: largest, last: !largest });
            cases.push(one(&format!("{}/{dtype}", op.name()), op, &x));
            let op = Op::TopK(TopK { axis: -1, k: 3, largest });
            cases.push(one(&format!("TopK/{dtype}-{largest}"), op, &x));
        }
        for product in [false, true] {
            for (exclusive, reverse) in [(false, false), (true, true)] {
                let op = Cumulative { axis: 1, product, exclusive, reverse };
                let op = Op::Cumulative(op);
                let name = format!("{}/{dtype}-{exclusive}", op.name());
                cases.push(one(&name, op, &x).within(Tolerance::of(1e-4)));
            }
        }
        for op in [ReduceOp::Min, ReduceOp::Prod, ReduceOp::L1, ReduceOp::SumSquare, ReduceOp::Sum] {
            let op = Op::Reduce(Reduce { op, axes: vec![1], keep_dims: false });
            cases.push(one(&format!("{}/{dtype}", op.name()), op, &x));
        }
    }
    for (op, values) in [
        (ReduceOp::L2, ORDINARY),
        (ReduceOp::LogSum, Values::Uniform(0.5, 2.0)),
        (ReduceOp::LogSumExp, Values::Uniform(-90.0, 90.0)),
        (ReduceOp::Min, Values::OneOf(EXTREMES)),
    ] {
        let op = Op::Reduce(Reduce { op, axes: vec![-1, 1], keep_dims: true });
        cases.push(one(&format!("{}/two-axes", op.name()), op, &[(&[3, 2, 5], values)]));
    }
    for axis in [1, 2] {
        let x = [(&[5, 17][..], ORDINARY)];
        cases.push(one(&format!("LogSoftmax/axis-{axis}"), Op::LogSoftmax(LogSoftmax { axis }), &x));
        cases.push(one(&format!("Hardmax/axis-{axis}"), Op::Hardmax(Hardmax { axis }), &x));
    }
    let op = Op::ReverseSequence(ReverseSequence { time_axis: 1, batch_axis: 0 });
    let inputs = [(&[5, 3][..], ORDINARY), (&[], Values::Integers(-1, 7))];
    cases.push(one("ReverseSequence/samples", op, &inputs));
    let op = Lrn { size: 3, alpha: 0.5, beta: 0.75, bias: 1.0 };
    cases.push(one("LRN/3", Op::Lrn(op), &[(&[5, 2, 3], ORDINARY)]));
}

fn arranged(cases: &mut Vec<Case>) {
    for values in [ORDINARY, Values::Whole(DType::I16, -9, 9), Values::Chance(0.5)] {
        let dtype = values.dtype();
        let op = Op::Expand(Expand { shape: [N, 2.into(), 3.into(), 5.into()].into() });
        cases.push(one(&format!("Expand/{dtype}"), op, &[(&[1, 3, 1], values)]));
        let op = Op::Tile(Tile { repeats: vec![1, 2, 3] });
        cases.push(one(&format!("Tile/{dtype}"), op, &[(&[3, 5], values)]));
        for (upper, diagonal) in [(true, 1), (false, -1), (true, i64::MAX)] {
            let op = Op::Trilu(Trilu { upper, diagonal });
            cases.push(one(&format!("Trilu/{dtype}-{upper}-{diagonal}"), op, &[(&[3, 5], values)]));
        }
        for mode in [PadMode::Edge, PadMode::Reflect, PadMode::Wrap, PadMode::Constant(1.0)] {
            let op = Op::Pad(Pad { pads: vec![(0, 0), (2, 1), (3, 4)], mode });
            cases.push(one(&format!("Pad/{dtype}-{mode:?}"), op, &[(&[3, 5], values)]));
        }
    }
    // A constant that every sample gets a copy of, as a class token is.
    let mut s = Sketch::new();
    let (x, token) = (s.x(&[4, 3]), s.constant(&[1, 1, 3], ORDINARY));
    let token = s.op(Op::Expand(Expand { shape: [N, 1.into(), 3.into()].into() }), &[token]);
    let y = s.op(Op::Concat(paceline_graph::Concat { axis: 1 }), &[token, x]);
    s.output(token);
    cases.push(s.returns(y, "Expand/constant"));
}

fn spatial(cases: &mut Vec<Case>) {
    let image = [(&[2, 6, 7][..], ORDINARY)];
    let rounding = ResizeMode::Nearest(Rounding::HalfDown);
    for (name, mode, coordinates) in [
        ("nearest", rounding, Coordinates::Asymmetric),
        ("linear", ResizeMode::Linear, Coordinates::HalfPixel),
        ("cubic", ResizeMode::Cubic(-0.75), Coordinates::AlignCorners),
    ] {
        for (size, scale) in [("up", 2.0), ("down", 0.5)] {
            let axis = |axis: usize, length: usize| ResizeAxis {
                axis,
                length: (length as f64 * scale) as usize,
                scale,
            };
            let axes = vec![axis(2, 6), axis(3, 7)];
            let op = Resize { axes, mode, coordinates, antialias: false, exclude_outside: false };
            cases.push(one(&format!("Resize/{name}-{size}"), Op::Resize(op), &image));
        }
    }
    for (mode, outside) in [
        (GridMode::Linear, Outside::Zeros),
        (GridMode::Nearest, Outside::Border),
        (GridMode::Cubic, Outside::Reflection),
    ] {
        let op = Op::GridSample(GridSample { mode, outside, align_corners: false });
        let inputs = [image[0], (&[3, 4, 2], Values::Uniform(-1.3, 1.3))];
        cases.push(one(&format!("GridSample/{mode:?}"), op, &inputs));
    }
    let op = LpPool {
        kernel: vec![3, 2],
        stride: vec![2, 1],
        padding: vec![(1, 1), (0, 1)],
        dilation: vec![1, 2],
        ceil: true,
        p: 2,
    };
    cases.push(one("LpPool/2d", Op::LpPool(op), &image));
    let op = MaxPool { ceil: true, ..MaxPool::new(vec![4, 4]) };
    cases.push(one("MaxPool/ceil", Op::MaxPool(op.clone()), &image));
    let average = paceline_graph::AveragePool { ceil: true, ..paceline_graph::AveragePool::new(vec![4, 4]) };
    cases.push(one("AveragePool/ceil", Op::AveragePool(average), &image));
    cases.push(one(
        "MaxPool/u8",
        Op::MaxPool(MaxPool::new(vec![2, 2])),
        &[(&[2, 4, 5], Values::Whole(DType::U8, 0, 255))],
    ));
    let mut s = Sketch::new();
    let x = s.fixed_input(&[2, 3, 5, 5], ORDINARY);
    let outputs = s.ops(Op::MaxPool(MaxPool { indices: true, ..op }), &[Some(x)]);
    outputs.into_iter().for_each(|output| s.output(output));
    cases.push(s.case("MaxPool/indices", super::super::Kind::Operator));
    let mut s = Sketch::new();
    let (x, w, b) = (s.x(&[3, 4, 5]), s.weight(&[3, 2, 3, 2]), s.weight(&[2]));
    let op = ConvTranspose {
        stride: vec![2, 1],
        padding: vec![(1, 0), (0, 1)],
        output_padding: vec![1, 0],
        ..ConvTranspose::new(2)
    };
    let y = s.op(Op::ConvTranspose(op), &[x, w, b]);
    cases.push(s.returns(y, "ConvTranspose/2d"));
    let mut s = Sketch::new();
    let (x, w) = (s.x(&[2, 3, 4, 5]), s.weight(&[3, 2, 2, 2, 2]));
    let y = s.op(Op::Conv(paceline_graph::Conv::new(3)), &[x, w]);
    cases.push(s.returns(y, "Conv/3d"));
    let mut s = Sketch::new();
    let whole = Values::Whole(DType::I32, -9, 9);
    let (x, w) = (s.input(&[2, 5, 5], whole), s.constant(&[3, 2, 2, 2], whole));
    let y = s.op(Op::Conv(paceline_graph::Conv::new(2)), &[x, w]);
    cases.push(s.returns(y, "Conv/i32"));
}

fn quantised(cases: &mut Vec<Case>) {
    for (to, zero) in [(DType::U8, 128), (DType::I8, 3)] {
        for (name, scale) in [("one", &[][..]), ("each", &[5])] {
            let mut s = Sketch::new();
            let x = s.x(&[5, 3]);
            let scale_values = s.constant(scale, Values::Uniform(0.01, 0.1));
            let zero = s.constant(scale, Values::Whole(to, zero, zero));
            let inputs = [Some(x), Some(scale_values), Some(zero)];
            let y = s.op_with(Op::Quantize(Quantize { to, axis: 1, block: 0 }), &inputs);
            let inputs = [Some(y), Some(scale_values), Some(zero)];
            let back = s.op_with(Op::Dequantize(Dequantize { axis: 1, block: 0 }), &inputs);
            s.output(back);
            cases.push(s.returns(y, format!("QuantizeLinear/{to}-{name}")));
        }
    }
    let mut s = Sketch::new();
    let x = s.fixed_input(&[3, 5], ORDINARY);
    let outputs = s.ops(Op::DynamicQuantize(DynamicQuantize {}), &[Some(x)]);
    outputs.into_iter().for_each(|output| s.output(output));
    cases.push(s.case("DynamicQuantizeLinear/3x5", super::super::Kind::Operator));
    let mut s = Sketch::new();
    let whole = Values::Whole(DType::I32, -128, 127);
    let (a, b) = (s.input(&[3, 7], whole), s.constant(&[7, 5], whole));
    let y = s.op(Op::MatMul(MatMul {}), &[a, b]);
    cases.push(s.returns(y, "MatMul/i32"));
}

fn recurrent(cases: &mut Vec<Case>) {
    use UnaryOp::{Relu, Sigmoid, Tanh};
    let gru = |linear_before_reset| Cell::Gru { linear_before_reset };
    for (name, cell, gates, functions, direction, clip) in [
        ("rnn", Cell::Rnn, 1, vec![Tanh], Direction::Forward, None),
        ("relu", Cell::Rnn, 1, vec![Relu], Direction::Bidirectional, None),
        ("gru", gru(true), 3, vec![Sigmoid, Tanh], Direction::Bidirectional, None),
        ("gru-reset-first", gru(false), 3, vec![Sigmoid, Tanh], Direction::Reverse, None),
        (
            "lstm",
            Cell::Lstm { input_forget: false },
            4,
            vec![Sigmoid, Tanh, Tanh],
            Direction::Bidirectional,
            None,
        ),
        (
            "lstm-clipped",
            Cell::Lstm { input_forget: true },
            4,
            vec![Sigmoid, Tanh, Tanh],
            Direction::Forward,
            Some(0.5),
        ),
    ] {
        for (hidden, initial, lengths) in [(5, true, true), (17, false, false), (33, true, false)] {
            let (mut s, d) = (Sketch::new(), direction.count());
            let x = s.x(&[7, 3]);
            let x = s.op(turned(&[1, 0, 2]), &[x]);
            let w = s.constant(&[d, gates * hidden, 3], Values::Uniform(-0.5, 0.5));
            let r = s.constant(&[d, gates * hidden, hidden], Values::Uniform(-0.3, 0.3));
            let bias = s.constant(&[d, 2 * gates * hidden], Values::Uniform(-0.3, 0.3));
            let mut inputs = vec![Some(x), Some(w), Some(r), Some(bias)];
            if initial {
                let lengths = lengths.then(|| s.input(&[], Values::Whole(DType::I32, 0, 8)));
                let mut state = || {
                    let state = s.x(&[d, hidden]);
                    Some(s.op(turned(&[1, 0, 2]), &[state]))
                };
                let states = [state(), if gates == 4 { state() } else { None }];
                inputs.push(lengths);
                inputs.extend(states);
            }
            let activations = functions.repeat(d);
            let op = Op::Recurrent(Recurrent { cell, direction, activations, clip });
            let outputs = s.ops(op, &inputs);
            let all = s.op(turned(&[2, 0, 1, 3]), &[outputs[0]]);
            s.output(all);
            for &state in &outputs[1..] {
                let state = s.op(turned(&[1, 0, 2]), &[state]);
                s.output(state);
            }
            let subject = if gates == 1 {
                "RNN"
            } else if gates == 3 {
                "GRU"
            } else {
                "LSTM"
            };
            cases.push(s.case(format!("{subject}/{name}-{hidden}"), super::super::Kind::Operator));
        }
    }
}

fn sums(cases: &mut Vec<Case>) {
    let einsum = |equation: &str| Op::Einsum(Einsum { equation: equation.into() });
    for (name, equation, a, b) in [
        ("scores", "bhid,bhjd->bhij", &[2, 3, 5][..], &[2, 4, 5][..]),
        ("columns", "bij,bjk->bik", &[3, 5], &[5, 2]),
        ("outer", "bi,bj->bij", &[3], &[4]),
        ("dots", "b...i,b...i->b...", &[2, 3, 4], &[2, 3, 4]),
    ] {
        cases.push(one(&format!("Einsum/{name}"), einsum(equation), &[(a, ORDINARY), (b, ORDINARY)]));
    }
    cases.push(one("Einsum/trace", einsum("bii->b"), &[(&[4, 4], Values::Whole(DType::I64, -9, 9))]));
    cases.push(one("Det/3", Op::Det(Det {}), &[(&[2, 3, 3], ORDINARY)]).within(Tolerance::of(1e-5)));
}
