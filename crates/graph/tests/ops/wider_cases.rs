//! Random cases of the operators that came with ONNX models.

use paceline_graph::{
    ArgReduce, Cast, Cell, Classify, Compare, CompareOp, Coordinates, Cumulative, DType, Dequantize, Det,
    Dim, Direction, DynamicQuantize, Einsum, Expand, Gather, GatherElements, GatherNd, GridMode, GridSample,
    Hardmax, LogSoftmax, LpPool, Lrn, OneHot, Op, Outside, Quantize, Recurrent, Resize, ResizeAxis,
    ResizeMode, ReverseSequence, Rounding, Scatter, ScatterElements, ScatterNd, Tile, TopK, Trilu, UnaryOp,
    ValueType, Where,
};

use crate::cases::f32s;
use crate::notation::Numbers;

/// How many kinds of operators there are.
pub const KINDS: usize = 29;

/// What a case is made of: axes, of which one may be the batch, and the position of one that is not.
pub struct Given {
    pub dims: Vec<Dim>,
    pub axis: isize,
    pub at: usize,
}

impl Numbers {
    fn number(&mut self) -> DType {
        self.pick(&[DType::F32, DType::F64, DType::I64, DType::I32, DType::U8, DType::I8])
    }

    fn any(&mut self) -> DType {
        self.pick(DType::ALL)
    }

    fn index(&mut self) -> DType {
        self.pick(&[DType::I64, DType::I32])
    }

    fn scatter(&mut self) -> Scatter {
        self.pick(&[Scatter::Replace, Scatter::Add, Scatter::Mul, Scatter::Max, Scatter::Min])
    }
}

/// An operator of the given kind with inputs that its shape rule accepts.
pub fn fitting(kind: usize, n: &mut Numbers, given: Given) -> (Op, Vec<Option<ValueType>>) {
    let Given { dims, axis, at } = given;
    let typed = |dtype, dims: &[Dim]| Some(ValueType::new(dtype, dims.to_vec()));
    let length = dims[at].per_sample();
    let with = |length: usize| {
        let mut dims = dims.clone();
        dims[at] = Dim::Fixed(length);
        dims
    };
    match kind {
        0 => {
            let op = n.pick(&[CompareOp::Equal, CompareOp::Less, CompareOp::GreaterOrEqual]);
            let dtype = n.number();
            let inputs = [n.narrowed(&dims), n.narrowed(&dims)];
            (Op::Compare(Compare(op)), inputs.map(|dims| typed(dtype, &dims)).to_vec())
        }
        1 => {
            let op = n.pick(&[Classify::IsNan, Classify::IsInf { negative: true, positive: false }]);
            (Op::Classify(op), vec![typed(DType::F32, &dims)])
        }
        2 => {
            let dtype = n.any();
            let [c, a, b] = [0; 3].map(|_| n.narrowed(&dims));
            (Op::Where(Where {}), vec![typed(DType::Bool, &c), typed(dtype, &a), typed(dtype, &b)])
        }
        3 => {
            let from = n.any();
            (Op::Cast(Cast { to: n.any() }), vec![typed(from, &dims)])
        }
        4 => (Op::LogSoftmax(LogSoftmax { axis }), vec![typed(DType::F32, &dims)]),
        5 => (Op::Hardmax(Hardmax { axis }), vec![typed(DType::F64, &dims)]),
        6 => {
            let mut x = vec![n.samples()];
            x.extend(n.lengths(2));
            let op = Lrn { size: 1 + n.below(4), alpha: 0.1, beta: 0.75, bias: 1.0 };
            (Op::Lrn(op), vec![typed(DType::F32, &x)])
        }
        7 => {
            let from = n.narrowed(&dims);
            let dtype = n.any();
            // Something keeps the batch, so that the result has one where the input does.
            let batched = from.iter().any(|d| d.is_batch());
            let fixed = |d: &Dim| if batched || !d.is_batch() { *d } else { Dim::Fixed(2) };
            let shape: Vec<Dim> = dims.iter().map(fixed).collect();
            (Op::Expand(Expand { shape: shape.into() }), vec![typed(dtype, &from)])
        }
        8 => {
            let repeats = dims.iter().map(|d| if d.is_batch() { 1 } else { n.below(3) }).collect();
            (Op::Tile(Tile { repeats }), vec![typed(n.any(), &dims)])
        }
        9 => {
            let mut x = dims;
            x.extend(n.lengths(2));
            let op = Trilu { upper: n.flip(), diagonal: n.below(5) as i64 - 2 };
            (Op::Trilu(op), vec![typed(n.any(), &x)])
        }
        10 => {
            let axis = n.below(dims.len() + 1) as isize - 1;
            let inputs = vec![typed(n.index(), &dims), typed(n.any(), &[Dim::Fixed(2)])];
            (Op::OneHot(OneHot { axis, depth: n.below(4) }), inputs)
        }
        11 => {
            let rank = n.below(3);
            let indices = n.lengths(rank);
            (Op::Gather(Gather { axis }), vec![typed(n.any(), &dims), typed(n.index(), &indices)])
        }
        12 => {
            // A table, and indices with the batch.
            let table = n.lengths(2);
            let axis = n.below(2) as isize;
            (Op::Gather(Gather { axis }), vec![typed(n.any(), &table), typed(n.index(), &dims)])
        }
        13 => {
            let indices = with(n.length());
            (
                Op::GatherElements(GatherElements { axis }),
                vec![typed(n.any(), &dims), typed(n.index(), &indices)],
            )
        }
        14 => {
            let (common, own) = (dims, n.lengths(2));
            let data = [&common[..], &own].concat();
            let mut indices = common.clone();
            let rows = n.below(2);
            indices.extend(n.lengths(rows));
            indices.push(Dim::Fixed(n.below(3)));
            let op = GatherNd { batch_dims: common.len() };
            (Op::GatherNd(op), vec![typed(n.any(), &data), typed(n.index(), &indices)])
        }
        15 => {
            let indices = with(n.length());
            let dtype = n.number();
            let op = ScatterElements { axis, reduction: n.scatter() };
            let inputs = vec![typed(dtype, &dims), typed(n.index(), &indices), typed(dtype, &indices)];
            (Op::ScatterElements(op), inputs)
        }
        16 => {
            let (addressed, dtype) = (n.lengths(2), n.number());
            let data = [&addressed[..], &dims].concat();
            let (rows, count) = (n.length(), n.pick(&[1, 2]));
            let updates = [&[Dim::Fixed(rows)], &data[count..]].concat();
            let indices = [Dim::Fixed(rows), Dim::Fixed(count)];
            let inputs = vec![typed(dtype, &data), typed(n.index(), &indices), typed(dtype, &updates)];
            (Op::ScatterNd(ScatterNd { reduction: n.scatter() }), inputs)
        }
        17 => {
            let op = ArgReduce { axis, largest: n.flip(), keep_dims: n.flip(), last: n.flip() };
            (Op::ArgReduce(op), vec![typed(n.number(), &with(1 + n.below(3)))])
        }
        18 => {
            let op = TopK { axis, k: n.below(length + 1), largest: n.flip() };
            (Op::TopK(op), vec![typed(n.number(), &dims)])
        }
        19 => {
            let op = Cumulative { axis, product: n.flip(), exclusive: n.flip(), reverse: n.flip() };
            (Op::Cumulative(op), vec![typed(n.number(), &dims)])
        }
        20 => {
            let mut x = dims;
            x.push(Dim::Fixed(n.length()));
            let sequences = n.below(x.len() - 1);
            let op = ReverseSequence { time_axis: x.len() - 1, batch_axis: sequences };
            let lengths = typed(DType::I64, &[x[sequences]]);
            (Op::ReverseSequence(op), vec![typed(n.any(), &x), lengths])
        }
        21 => {
            let (kernel, dilation) = (vec![1 + n.below(3)], vec![1 + n.below(2)]);
            let reach = dilation[0] * (kernel[0] - 1) + 1;
            let x = [n.samples(), Dim::Fixed(n.length()), Dim::Fixed(reach + n.below(4))];
            let op = LpPool {
                stride: vec![1 + n.below(3)],
                padding: vec![(n.below(kernel[0] / 2 + 1), 0)],
                kernel,
                dilation,
                ceil: n.flip(),
                p: 1 + n.below(3) as u32,
            };
            (Op::LpPool(op), vec![typed(DType::F32, &x)])
        }
        22 => {
            let (old, new) = (1 + n.below(4), n.below(6));
            let scale = if n.flip() { 1.5 } else { (new.max(1)) as f64 / old as f64 };
            let axes = vec![ResizeAxis { axis: at, length: new, scale }];
            let mode = n.pick(&[
                ResizeMode::Linear,
                ResizeMode::Cubic(-0.75),
                ResizeMode::Nearest(Rounding::HalfDown),
                ResizeMode::Nearest(Rounding::Ceil),
            ]);
            let coordinates = n.pick(&[
                Coordinates::HalfPixel,
                Coordinates::Asymmetric,
                Coordinates::AlignCorners,
                Coordinates::PytorchHalfPixel,
                Coordinates::HalfPixelSymmetric,
                Coordinates::TfCropAndResize { region: [(-0.25, 1.5); 4], outside: 9.0 },
            ]);
            let op = Resize { axes, mode, coordinates, antialias: n.flip(), exclude_outside: false };
            (Op::Resize(op), vec![typed(n.number(), &with(old))])
        }
        23 => {
            let samples = n.samples();
            let x = [samples, Dim::Fixed(n.length()), Dim::Fixed(1 + n.below(4)), Dim::Fixed(1 + n.below(4))];
            let grid = [samples, Dim::Fixed(n.length()), Dim::Fixed(n.length()), Dim::Fixed(2)];
            let op = GridSample {
                mode: n.pick(&[GridMode::Nearest, GridMode::Linear, GridMode::Cubic]),
                outside: n.pick(&[Outside::Zeros, Outside::Border, Outside::Reflection]),
                align_corners: n.flip(),
            };
            (Op::GridSample(op), vec![typed(DType::F32, &x), typed(DType::F32, &grid)])
        }
        24 | 25 => {
            let to = n.pick(&[DType::I8, DType::U8, DType::I16]);
            let block = n.pick(&[0, 0, 2]);
            let scale = match block {
                0 if n.flip() => vec![],
                0 => vec![dims[at]],
                block => with(length.div_ceil(block)),
            };
            let zero = n.flip().then(|| typed(to, &scale)).flatten();
            let (op, x) = if kind == 24 {
                (Op::Quantize(Quantize { to, axis: at, block }), DType::F32)
            } else {
                (Op::Dequantize(Dequantize { axis: at, block }), to)
            };
            (op, vec![typed(x, &dims), typed(DType::F32, &scale), zero])
        }
        26 => (Op::DynamicQuantize(DynamicQuantize {}), vec![Some(f32s([Dim::Fixed(1 + n.below(5))]))]),
        27 => recurrent(n),
        28 => match n.below(3) {
            0 => {
                let [i, j, k] = [0; 3].map(|_| Dim::Fixed(n.length()));
                let op = Einsum { equation: "...ij, ...jk -> ...ik".into() };
                let (a, b) = ([&n.narrowed(&dims)[..], &[i, j]].concat(), [&dims[..], &[j, k]].concat());
                (Op::Einsum(op), vec![typed(DType::F32, &a), typed(DType::F32, &b)])
            }
            1 => {
                let square = n.lengths(1)[0];
                let x = [Dim::BATCH, square, square];
                (Op::Einsum(Einsum { equation: "bii->b".into() }), vec![typed(DType::I64, &x)])
            }
            _ => {
                let size = Dim::Fixed(n.below(4));
                let x = [&dims[..], &[size, size]].concat();
                (Op::Det(Det {}), vec![typed(DType::F32, &x)])
            }
        },
        _ => unreachable!("there are {KINDS} kinds"),
    }
}

fn recurrent(n: &mut Numbers) -> (Op, Vec<Option<ValueType>>) {
    let direction = n.pick(&[Direction::Forward, Direction::Reverse, Direction::Bidirectional]);
    let cell = n.pick(&[
        Cell::Rnn,
        Cell::Gru { linear_before_reset: true },
        Cell::Gru { linear_before_reset: false },
        Cell::Lstm { input_forget: false },
        Cell::Lstm { input_forget: true },
    ]);
    let (gates, functions) = match cell {
        Cell::Rnn => (1, vec![UnaryOp::Tanh]),
        Cell::Gru { .. } => (3, vec![UnaryOp::Sigmoid, UnaryOp::Tanh]),
        Cell::Lstm { .. } => (4, vec![UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh]),
    };
    let (d, sequences) = (direction.count(), n.samples());
    let (steps, width, hidden) = (n.length(), n.length(), n.below(3));
    let state = [Dim::Fixed(d), sequences, Dim::Fixed(hidden)];
    let mut inputs = vec![
        Some(f32s([Dim::Fixed(steps), sequences, Dim::Fixed(width)])),
        Some(f32s([d, gates * hidden, width])),
        Some(f32s([d, gates * hidden, hidden])),
        n.maybe(f32s([d, 2 * gates * hidden])),
        n.maybe(ValueType::new(DType::I32, [sequences])),
        n.maybe(f32s(state)),
    ];
    if matches!(cell, Cell::Lstm { .. }) {
        inputs.push(n.maybe(f32s(state)));
        inputs.push(n.maybe(f32s([d, 3 * hidden])));
    }
    let clip = n.pick(&[None, Some(0.5)]);
    let activations = functions.repeat(d);
    (Op::Recurrent(Recurrent { cell, direction, activations, clip }), inputs)
}
