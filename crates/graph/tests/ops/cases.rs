//! Random operators with random inputs: ones that fit, ones that nearly fit, and hostile ones.

use paceline_graph::{
    Activation, Attention, AveragePool, BatchNorm, Binary, BinaryOp, Concat, Conv, ConvTranspose, DType, Dim,
    Embedding, GlobalAveragePool, GroupNorm, LayerNorm, Linear, MatMul, MaxPool, Op, Pad, PadMode, Reduce,
    ReduceOp, Reshape, RmsNorm, Shape, Slice, Softmax, Split, Transpose, Unary, UnaryOp, ValueType,
};

use crate::notation::Numbers;
use crate::wider_cases::{self, Given};

/// An operator and the types of its inputs.
#[derive(Clone, Debug)]
pub struct Case {
    pub op: Op,
    pub inputs: Vec<Option<ValueType>>,
}

/// How many kinds of operators there are.
pub const KINDS: usize = OWN_KINDS + wider_cases::KINDS;

/// How many of them are made here.
const OWN_KINDS: usize = 23;

impl Numbers {
    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// A length, seldom 0.
    pub fn length(&mut self) -> usize {
        self.pick(&[0, 1, 1, 2, 2, 3, 3, 4])
    }

    pub fn lengths(&mut self, count: usize) -> Vec<Dim> {
        (0..count).map(|_| Dim::Fixed(self.length())).collect()
    }

    /// Axis 0 of an operator that keeps the batch there.
    pub fn samples(&mut self) -> Dim {
        self.pick(&[Dim::BATCH, Dim::BATCH, Dim::Batch(2), Dim::Fixed(2)])
    }

    /// `count` axes, of which most often one depends on the batch.
    fn axes(&mut self, count: usize) -> Vec<Dim> {
        let mut dims = self.lengths(count);
        if count > 0 {
            let axis = self.below(count);
            dims[axis] = self.pick(&[dims[axis], Dim::BATCH, Dim::BATCH, Dim::Batch(3)]);
        }
        dims
    }

    /// Axes that broadcast to `dims`.
    pub fn narrowed(&mut self, dims: &[Dim]) -> Vec<Dim> {
        let dropped = if self.flip() { 0 } else { self.below(dims.len() + 1) };
        dims[dropped..].iter().map(|&d| if self.below(3) == 0 { Dim::Fixed(1) } else { d }).collect()
    }

    /// The position, from either end, of an axis that is not the batch; some axis where there is none.
    fn own_axis(&mut self, dims: &[Dim]) -> isize {
        let own: Vec<usize> = (0..dims.len()).filter(|&i| !dims[i].is_batch()).collect();
        let axis = if own.is_empty() { 0 } else { self.pick(&own) as isize };
        if self.flip() { axis } else { axis - dims.len() as isize }
    }

    pub fn maybe(&mut self, ty: ValueType) -> Option<ValueType> {
        self.flip().then_some(ty)
    }

    fn activation(&mut self) -> Option<Activation> {
        self.pick(&[None, Some(Activation::Relu), Some(Activation::Gelu)])
    }

    fn dtype(&mut self) -> DType {
        self.pick(DType::ALL)
    }
}

pub fn f32s(dims: impl Into<Shape>) -> ValueType {
    ValueType::new(DType::F32, dims)
}

fn position(axis: isize, dims: &[Dim]) -> usize {
    axis.rem_euclid(dims.len() as isize) as usize
}

/// An operator of the given kind with inputs that its shape rule accepts.
pub fn fitting(kind: usize, n: &mut Numbers) -> Case {
    let rank = 1 + n.below(3);
    let mut dims = n.axes(rank);
    if dims[0].is_batch() && rank == 1 {
        dims.push(Dim::Fixed(n.length()));
    }
    let axis = n.own_axis(&dims);
    let at = position(axis, &dims);
    let length = dims[at].per_sample();
    let with = |length: usize| {
        let mut dims = dims.clone();
        dims[at] = Dim::Fixed(length);
        dims
    };
    let own = n.lengths(2);
    let trailing = |axes: usize| dims.iter().copied().chain(own[..axes].iter().copied()).collect::<Vec<_>>();
    let (op, inputs) = match kind {
        0 => matmul(n, &dims),
        1 => {
            let (d, out) = (own[0], own[1]);
            let y: Vec<Dim> = dims.iter().copied().chain([out]).collect();
            let optional = [n.maybe(f32s([out])), n.maybe(f32s(y))];
            let transposed = n.below(2) == 1;
            let weight = if transposed { [d, out] } else { [out, d] };
            let inputs = [Some(f32s(trailing(1))), Some(f32s(weight))].into_iter().chain(optional);
            (Op::Linear(Linear { activation: n.activation(), transposed }), inputs.collect())
        }
        2 => conv(n),
        3 => conv_transpose(n),
        4 => {
            let op = n.pick(&[BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div]);
            let dtype = if op != BinaryOp::Div && n.flip() { DType::I64 } else { DType::F32 };
            let inputs = [n.narrowed(&dims), n.narrowed(&dims)];
            (Op::Binary(Binary(op)), inputs.map(|dims| Some(ValueType::new(dtype, dims))).to_vec())
        }
        5 => {
            let op = n.pick(&[UnaryOp::Relu, UnaryOp::GeluTanh, UnaryOp::Silu, UnaryOp::Erf, UnaryOp::Sqrt]);
            (Op::Unary(Unary(op)), vec![Some(f32s(dims))])
        }
        6 => (Op::Softmax(Softmax { axis }), vec![Some(f32s(dims.clone()))]),
        7 => {
            let axes = 1 + n.below(2);
            let optional = [n.maybe(f32s(own[..axes].to_vec())), n.maybe(f32s(own[..axes].to_vec()))];
            let inputs = [Some(f32s(trailing(axes)))].into_iter().chain(optional).collect();
            (Op::LayerNorm(LayerNorm { axes, epsilon: 1e-5 }), inputs)
        }
        8 => {
            let axes = 1 + n.below(2);
            let inputs = vec![Some(f32s(trailing(axes))), n.maybe(f32s(own[..axes].to_vec()))];
            (Op::RmsNorm(RmsNorm { axes, epsilon: 1e-5 }), inputs)
        }
        9 => {
            let mut x = vec![n.samples()];
            x.extend(n.lengths(1 + rank));
            let each = f32s([x[1]]);
            let inputs = vec![
                Some(f32s(x)),
                Some(each.clone()),
                Some(each.clone()),
                n.maybe(each.clone()),
                n.maybe(each),
            ];
            (Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), inputs)
        }
        10 => {
            let groups = 1 + n.below(3);
            let mut x = vec![n.samples(), Dim::Fixed(groups * n.length())];
            x.extend(n.lengths(rank - 1));
            let each = f32s([x[1]]);
            let inputs = vec![Some(f32s(x)), n.maybe(each.clone()), n.maybe(each)];
            (Op::GroupNorm(GroupNorm { groups, epsilon: 1e-5 }), inputs)
        }
        11 => attention(n),
        12 => {
            let inputs = vec![Some(ValueType::new(DType::I64, dims)), Some(f32s(own))];
            (Op::Embedding(Embedding {}), inputs)
        }
        13 => {
            // The lengths before the batch axis, in one; all after it, split in another way or merged into it.
            let batch = dims.iter().position(|d| d.is_batch()).unwrap_or(dims.len());
            let product = |dims: &[Dim]| dims.iter().map(|d| d.per_sample()).product::<usize>();
            let mut shape = vec![Dim::Fixed(product(&dims[..batch]))];
            if batch < dims.len() {
                let rest = product(&dims[batch..]);
                let merged = rest > 0 && n.flip();
                shape.extend(if merged {
                    [Dim::Batch(rest), Dim::Fixed(1)]
                } else {
                    [Dim::BATCH, Dim::Fixed(rest)]
                });
            }
            (Op::Reshape(Reshape { shape: shape.into() }), vec![Some(ValueType::new(n.dtype(), dims))])
        }
        14 => {
            let mut permutation: Vec<usize> = (0..dims.len()).collect();
            (1..dims.len()).for_each(|i| permutation.swap(i, n.below(i + 1)));
            (Op::Transpose(Transpose { permutation }), vec![Some(ValueType::new(n.dtype(), dims))])
        }
        15 => {
            let dtype = n.dtype();
            let inputs = (0..1 + n.below(3)).map(|_| Some(ValueType::new(dtype, with(n.length())))).collect();
            (Op::Concat(Concat { axis }), inputs)
        }
        16 => {
            let start = n.below(length + 1);
            let end = start + n.below(length - start + 1);
            let step = n.pick(&[1, 2, 3, usize::MAX]);
            (Op::Slice(Slice { axis, start, end, step }), vec![Some(ValueType::new(n.dtype(), dims.clone()))])
        }
        17 => {
            let first = n.below(length + 1);
            let sizes = vec![first, length - first];
            (Op::Split(Split { axis, sizes }), vec![Some(ValueType::new(n.dtype(), dims.clone()))])
        }
        18 => {
            let pads = dims.iter().map(|d| if d.is_batch() { (0, 0) } else { (n.below(3), n.below(3)) });
            (
                Op::Pad(Pad { pads: pads.collect(), mode: PadMode::Constant(0.5) }),
                vec![Some(f32s(dims.clone()))],
            )
        }
        19 => {
            let op = n.pick(&[ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max]);
            let x = if length == 0 && op == ReduceOp::Max { with(2) } else { dims.clone() };
            (Op::Reduce(Reduce { op, axes: vec![axis], keep_dims: n.flip() }), vec![Some(f32s(x))])
        }
        20 | 21 => pool(n, kind == 20),
        22 => {
            let mut x = vec![n.samples()];
            x.extend(n.lengths(1 + rank));
            (Op::GlobalAveragePool(GlobalAveragePool {}), vec![Some(f32s(x))])
        }
        _ => wider_cases::fitting(kind - OWN_KINDS, n, Given { dims, axis, at }),
    };
    Case { op, inputs }
}

fn matmul(n: &mut Numbers, dims: &[Dim]) -> (Op, Vec<Option<ValueType>>) {
    let (k, columns) = (Dim::Fixed(n.length()), Dim::Fixed(n.length()));
    let rows = Dim::Fixed(n.length());
    let batched = |lead: Vec<Dim>, last: [Dim; 2]| f32s(lead.into_iter().chain(last).collect::<Vec<_>>());
    let (a, b) = match n.below(5) {
        0 => (f32s([k]), batched(n.narrowed(dims), [k, columns])),
        1 => (batched(n.narrowed(dims), [rows, k]), f32s([k])),
        2 => (f32s([rows, k]), f32s([k, Dim::BATCH])),
        3 => (f32s([dims[0], k]), f32s([k, columns])),
        _ => (batched(n.narrowed(dims), [rows, k]), batched(n.narrowed(dims), [k, columns])),
    };
    (Op::MatMul(MatMul {}), vec![Some(a), Some(b)])
}

fn conv(n: &mut Numbers) -> (Op, Vec<Option<ValueType>>) {
    let (axes, groups) = (1 + n.below(2), 1 + n.below(2));
    let mut conv = Conv { groups, activation: n.activation(), ..Conv::new(axes) };
    let (inner, out) = (n.below(3), groups * n.length());
    let mut x = vec![n.samples(), Dim::Fixed(groups * inner)];
    let mut weight = vec![Dim::Fixed(out), Dim::Fixed(inner)];
    let mut y = vec![x[0], Dim::Fixed(out)];
    for i in 0..axes {
        let (kernel, stride, dilation, windows) =
            (1 + n.below(3), 1 + n.below(3), 1 + n.below(2), 1 + n.below(3));
        let padded = (windows - 1) * stride + dilation * (kernel - 1) + 1 + n.below(stride);
        let before = n.below(padded.min(3));
        let after = n.below((padded - before).min(3));
        (conv.stride[i], conv.padding[i], conv.dilation[i]) = (stride, (before, after), dilation);
        x.push(Dim::Fixed(padded - before - after));
        weight.push(Dim::Fixed(kernel));
        y.push(Dim::Fixed(windows));
    }
    let optional = [n.maybe(f32s([Dim::Fixed(out)])), n.maybe(f32s(y))];
    (Op::Conv(conv), [Some(f32s(x)), Some(f32s(weight))].into_iter().chain(optional).collect())
}

fn conv_transpose(n: &mut Numbers) -> (Op, Vec<Option<ValueType>>) {
    let groups = 1 + n.below(2);
    let (kernel, stride, dilation, length) = (1 + n.below(3), 1 + n.below(3), 1 + n.below(2), 1 + n.below(4));
    let whole = (length - 1) * stride + dilation * (kernel - 1) + 1;
    let before = n.below(whole);
    let conv = ConvTranspose {
        stride: vec![stride],
        dilation: vec![dilation],
        padding: vec![(before, n.below(whole - before))],
        output_padding: vec![n.below(stride.max(dilation))],
        groups,
        activation: n.activation(),
    };
    let (inner, each) = (n.below(3), n.below(3));
    let x = [n.samples(), Dim::Fixed(groups * inner), Dim::Fixed(length)];
    let bias = n.maybe(f32s([groups * each]));
    (Op::ConvTranspose(conv), vec![Some(f32s(x)), Some(f32s([groups * inner, each, kernel])), bias])
}

fn attention(n: &mut Numbers) -> (Op, Vec<Option<ValueType>>) {
    let (samples, heads) = (n.samples(), 1 + n.below(3));
    let (queries, keys) = (Dim::Fixed(n.length()), Dim::Fixed(n.length()));
    let (d, dv) = (Dim::Fixed(heads * n.below(4)), Dim::Fixed(heads * n.below(4)));
    let mask = n.narrowed(&[samples, Dim::Fixed(heads), queries, keys]);
    let inputs = vec![
        Some(f32s([samples, queries, d])),
        Some(f32s([samples, keys, d])),
        Some(f32s([samples, keys, dv])),
        n.maybe(f32s(mask)),
        n.maybe(ValueType::new(DType::Bool, [samples, keys])),
    ];
    let scale = n.pick(&[None, Some(0.5)]);
    (Op::Attention(Attention { heads, scale, causal: n.flip() }), inputs)
}

fn pool(n: &mut Numbers, largest: bool) -> (Op, Vec<Option<ValueType>>) {
    let axes = 1 + n.below(2);
    let (mut kernel, mut stride, mut padding, mut dilation) = (vec![], vec![], vec![], vec![]);
    let mut x = vec![n.samples(), Dim::Fixed(n.length())];
    for i in 0..axes {
        kernel.push(1 + n.below(3));
        stride.push(1 + n.below(3));
        padding.push((n.below(kernel[i] / 2 + 1), n.below(kernel[i] / 2 + 1)));
        dilation.push(1 + n.below(2));
        let reach = dilation[i] * (kernel[i] - 1) + 1;
        x.push(Dim::Fixed((reach + n.below(4)).saturating_sub(padding[i].0 + padding[i].1)));
    }
    let op = if largest {
        Op::MaxPool(MaxPool { stride, padding, dilation, ceil: n.flip(), ..MaxPool::new(kernel) })
    } else {
        Op::AveragePool(AveragePool {
            stride,
            padding,
            dilation,
            ceil: n.flip(),
            count_include_pad: n.flip(),
            ..AveragePool::new(kernel)
        })
    };
    (op, vec![Some(f32s(x))])
}

/// The case with one thing about its inputs changed: a length, an element type, the order of axes, an input more or less.
pub fn nearly_fitting(mut case: Case, n: &mut Numbers) -> Case {
    let chosen = n.below(case.inputs.len());
    let Some(ty) = &mut case.inputs[chosen] else {
        case.inputs[chosen] = Some(f32s([Dim::BATCH, Dim::Fixed(2)]));
        return case;
    };
    let mut dims = ty.shape.dims().to_vec();
    match n.below(8) {
        0 => ty.dtype = n.dtype(),
        1 => case.inputs[chosen] = None,
        2 => case.inputs.truncate(chosen),
        3 => case.inputs.push(Some(f32s([Dim::BATCH]))),
        4 if !dims.is_empty() => {
            let by = n.below(dims.len());
            dims.rotate_left(by);
            ty.shape = dims.into();
        }
        _ if !dims.is_empty() => {
            let axis = n.below(dims.len());
            let hostile = [
                Dim::BATCH,
                Dim::Batch(2),
                Dim::Fixed(0),
                Dim::Fixed(1),
                Dim::Fixed(5),
                Dim::Fixed(usize::MAX),
            ];
            dims[axis] = n.pick(&hostile);
            ty.shape = dims.into();
        }
        _ => ty.shape = Shape::from([Dim::BATCH]),
    }
    case
}

/// An operator of the given kind whose attributes and inputs are anything at all.
pub fn hostile(kind: usize, n: &mut Numbers) -> Case {
    const SIZES: [usize; 9] = [0, 1, 2, 3, 4, 7, 1 << 40, usize::MAX / 2, usize::MAX];
    const AXES: [isize; 8] = [0, 1, 2, -1, -2, -4, isize::MIN, isize::MAX];
    let sizes =
        |n: &mut Numbers| (0..n.pick(&[0, 1, 1, 2, 2, 3])).map(|_| n.pick(&SIZES)).collect::<Vec<_>>();
    let pairs = |n: &mut Numbers| sizes(n).into_iter().map(|s| (s, n.pick(&SIZES))).collect::<Vec<_>>();
    let dims = |n: &mut Numbers| -> Vec<Dim> {
        let lengths = [sizes(n), sizes(n)].concat();
        lengths.into_iter().map(|s| if n.below(4) == 0 { Dim::Batch(s) } else { Dim::Fixed(s) }).collect()
    };
    let mut case = fitting(kind, n);
    let epsilon = n.pick(&[f32::NAN, -1.0, f32::INFINITY, 0.0]);
    match &mut case.op {
        Op::Conv(op) => {
            (op.stride, op.padding, op.dilation) = (sizes(n), pairs(n), sizes(n));
            op.groups = n.pick(&SIZES);
        }
        Op::ConvTranspose(op) => {
            (op.stride, op.padding, op.dilation) = (vec![n.pick(&SIZES)], pairs(n), sizes(n));
            (op.output_padding, op.groups) = (vec![n.pick(&SIZES)], n.pick(&SIZES));
        }
        Op::MaxPool(op) => {
            (op.kernel, op.stride, op.padding, op.dilation) = (sizes(n), sizes(n), pairs(n), sizes(n))
        }
        Op::AveragePool(op) => (op.kernel, op.stride, op.padding) = (sizes(n), sizes(n), pairs(n)),
        Op::Softmax(op) => op.axis = n.pick(&AXES),
        Op::LayerNorm(op) => (op.axes, op.epsilon) = (n.pick(&SIZES), epsilon),
        Op::RmsNorm(op) => (op.axes, op.epsilon) = (n.pick(&SIZES), epsilon),
        Op::BatchNorm(op) => op.epsilon = epsilon,
        Op::GroupNorm(op) => op.groups = n.pick(&SIZES),
        Op::Attention(op) => (op.heads, op.scale) = (n.pick(&SIZES), Some(epsilon)),
        Op::Reshape(op) => op.shape = dims(n).into(),
        Op::Transpose(op) => op.permutation = sizes(n),
        Op::Concat(op) => op.axis = n.pick(&AXES),
        Op::Slice(op) => {
            (op.axis, op.start, op.end, op.step) =
                (n.pick(&AXES), n.pick(&SIZES), n.pick(&SIZES), n.pick(&SIZES))
        }
        Op::Split(op) => (op.axis, op.sizes) = (n.pick(&AXES), sizes(n)),
        Op::Pad(op) => op.pads = pairs(n),
        Op::Reduce(op) => op.axes = (0..n.below(3)).map(|_| n.pick(&AXES)).collect(),
        _ => {}
    }
    for input in &mut case.inputs {
        match n.below(8) {
            0 => *input = Some(ValueType::new(n.dtype(), dims(n))),
            1 => *input = Some(f32s(sizes(n).as_slice())),
            2 => *input = None,
            _ => {}
        }
    }
    case
}
