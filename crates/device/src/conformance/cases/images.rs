//! Images between convolutions: what follows one, and what is then convolved again, whatever the order in which a device keeps
//! their elements. What a case returns may be kept otherwise than what it only uses, so most return their last value alone.

use paceline_graph::{
    Activation, AveragePool, BatchNorm, Binary, BinaryOp, Compare, CompareOp, Concat, Conv, Dim,
    GlobalAveragePool, GroupNorm, LayerNorm, MaxPool, Op, Reduce, ReduceOp, Reshape, Slice, Softmax, Split,
    Transpose, Unary, UnaryOp, Value, Where,
};

use super::super::sketch::Sketch;
use super::super::{Case, Kind, Tolerance, Values};

const TOLERANCE: Tolerance = Tolerance::of(2e-5);
const N: Dim = Dim::Batch(1);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (channels, height, width) in [(19, 6, 9), (1, 5, 4), (33, 1, 1), (3, 7, 7)] {
        let size = format!("{channels}x{height}x{width}");
        let mut add = |name: &str, follow: &Follow<'_>| {
            let mut s = Sketch::new();
            let x = s.x(&[2, height, width]);
            let y = conv(&mut s, x, [2, channels], [3, 3], 1, None);
            for value in follow(&mut s, y, &[channels, height, width]) {
                s.output(value);
            }
            cases.push(s.case(format!("Images/{name}-{size}"), Kind::Operator).within(TOLERANCE).at_most(5));
        };
        elements(&mut add);
        windows(&mut add);
        axes(&mut add);
    }
    cases
}

/// Makes the results of a case out of the result of a convolution, of the given shape.
type Follow<'a> = dyn Fn(&mut Sketch, Value, &[usize]) -> Vec<Value> + 'a;
/// Adds a case of that name.
type Add<'a> = dyn FnMut(&str, &Follow<'_>) + 'a;

fn elements(add: &mut Add<'_>) {
    add("unary", &|s, y, shape| {
        let root = s.op(Op::Unary(Unary(UnaryOp::Abs)), &[y]);
        let root = s.op(Op::Unary(Unary(UnaryOp::Sqrt)), &[root]);
        vec![pointwise(s, root, shape[0]), root]
    });
    add("binary", &|s, y, shape| {
        let &[channels, height, width] = shape else { unreachable!("an image") };
        let other = s.x(shape);
        let mut sums = Vec::new();
        let vectors: [&[usize]; 5] =
            [&[1, channels, 1, 1], &[1, 1, height, width], &[width], &[channels, height, 1], &[]];
        for vector in vectors {
            let vector = s.constant(vector, Values::Uniform(-1.0, 1.0));
            let product = s.op(Op::Binary(Binary(BinaryOp::Mul)), &[y, vector]);
            let difference = s.op(Op::Binary(Binary(BinaryOp::Sub)), &[other, product]);
            sums.push(s.op(Op::Binary(Binary(BinaryOp::Max)), &[difference, y]));
        }
        let all =
            s.ops(Op::Concat(Concat { axis: 1 }), &sums.iter().map(|&v| Some(v)).collect::<Vec<_>>())[0];
        vec![pointwise(s, all, 5 * channels), sums[4]]
    });
    add("gate", &|s, y, shape| {
        let mean = s.op(Op::GlobalAveragePool(GlobalAveragePool {}), &[y]);
        let gate = conv(s, mean, [shape[0], shape[0]], [1, 1], 1, Some(Activation::Sigmoid));
        let gated = s.op(Op::Binary(Binary(BinaryOp::Mul)), &[gate, y]);
        vec![pointwise(s, gated, shape[0])]
    });
    add("choice", &|s, y, shape| {
        let x = s.x(shape);
        let larger = s.op(Op::Compare(Compare(CompareOp::Greater)), &[y, x]);
        let chosen = s.op(Op::Where(Where {}), &[larger, y, x]);
        vec![pointwise(s, chosen, shape[0])]
    });
    add("residual", &|s, y, shape| {
        let weight = s.weight(&[shape[0], shape[0], 1, 1]);
        let x = s.x(shape);
        let of_input = s.op_with(Op::Conv(Conv::new(2)), &[Some(y), Some(weight), None, Some(x)]);
        let relu = Conv { activation: Some(Activation::Relu), ..Conv::new(2) };
        let again = s.op_with(Op::Conv(relu), &[Some(of_input), Some(weight), None, Some(y)]);
        vec![pointwise(s, again, shape[0]), of_input]
    });
}

fn windows(add: &mut Add<'_>) {
    for (name, kernel, stride, activation) in [
        ("depthwise-3x3", [3, 3], 1, Some(Activation::HardSwish)),
        ("depthwise-5x5-stride", [5, 5], 2, Some(Activation::Silu)),
        ("depthwise-large", [13, 11], 1, None),
    ] {
        add(name, &|s, y, shape| {
            let depthwise = conv_in_groups(s, y, [shape[0], shape[0]], kernel, stride, activation, shape[0]);
            vec![pointwise(s, depthwise, shape[0])]
        });
    }
    add("depthwise-multiplier", &|s, y, shape| {
        let twice = conv_in_groups(s, y, [shape[0], 2 * shape[0]], [3, 3], 1, None, shape[0]);
        vec![pointwise(s, twice, 2 * shape[0])]
    });
    add("groups", &|s, y, shape| {
        let wide = conv(s, y, [shape[0], 6], [1, 1], 1, None);
        let grouped = conv_in_groups(s, wide, [6, 9], [3, 3], 2, Some(Activation::Relu), 3);
        vec![pointwise(s, grouped, 9)]
    });
    add("stride", &|s, y, shape| {
        let step = conv(s, y, [shape[0], 18], [1, 1], 2, None);
        vec![conv(s, step, [18, 5], [3, 3], 2, None)]
    });
    add("pools", &|s, y, shape| {
        let (stride, padding) = (vec![2, 1], vec![(1, 1), (1, 0)]);
        let max = MaxPool { stride: stride.clone(), padding: padding.clone(), ..MaxPool::new(vec![3, 2]) };
        let largest = s.op(Op::MaxPool(max), &[y]);
        let average = AveragePool { stride, padding, ..AveragePool::new(vec![3, 2]) };
        let mean = s.op(Op::AveragePool(average.clone()), &[y]);
        let left_out = AveragePool { count_include_pad: false, ..average };
        let mean_inside = s.op(Op::AveragePool(left_out), &[y]);
        let all = s.op(Op::Concat(Concat { axis: 1 }), &[largest, mean, mean_inside]);
        vec![pointwise(s, all, 3 * shape[0])]
    });
}

fn axes(add: &mut Add<'_>) {
    add("joined", &|s, y, shape| {
        let x = s.x(shape);
        let channels = s.op(Op::Concat(Concat { axis: 1 }), &[x, y, y]);
        let rows = s.op(Op::Concat(Concat { axis: 2 }), &[y, x]);
        vec![pointwise(s, channels, 3 * shape[0]), pointwise(s, rows, shape[0])]
    });
    add("cut", &|s, y, shape| {
        let twice = conv(s, y, [shape[0], 8], [1, 1], 1, None);
        let pieces = s.ops(Op::Split(Split { axis: 1, sizes: vec![3, 5] }), &[Some(twice)]);
        let columns = s.op(Op::Slice(Slice { axis: 3, start: 0, end: shape[2], step: 2 }), &[pieces[1]]);
        vec![pointwise(s, pieces[0], 3), pointwise(s, columns, 5)]
    });
    add("norms", &|s, y, shape| {
        let double = s.op(Op::Binary(Binary(BinaryOp::Add)), &[y, y]);
        let positive = s.constant(&[shape[0]], Values::Uniform(0.5, 2.0));
        let mean = s.constant(&[shape[0]], Values::Uniform(-1.0, 1.0));
        let batch =
            s.op(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[double, mean, positive, positive, mean]);
        let group = s.op(Op::GroupNorm(GroupNorm { groups: 1, epsilon: 1e-3 }), &[batch]);
        let sum = s.op(Op::Binary(Binary(BinaryOp::Add)), &[group, batch]);
        vec![pointwise(s, sum, shape[0])]
    });
    add("channels-last", &|s, y, shape| {
        let last = s.op(Op::Transpose(Transpose { permutation: vec![0, 2, 3, 1] }), &[y]);
        let norm = s.op(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-3 }), &[last]);
        let soft = s.op(Op::Softmax(Softmax { axis: -1 }), &[norm]);
        let first = s.op(Op::Transpose(Transpose { permutation: vec![0, 3, 1, 2] }), &[soft]);
        let sum = s.op(Op::Binary(Binary(BinaryOp::Add)), &[first, y]);
        vec![pointwise(s, sum, shape[0])]
    });
    add("reduced", &|s, y, _| {
        let reduce = |s: &mut Sketch, op, axes: &[isize], keep_dims| {
            s.op(Op::Reduce(Reduce { op, axes: axes.to_vec(), keep_dims }), &[y])
        };
        vec![
            reduce(s, ReduceOp::Mean, &[2, 3], false),
            reduce(s, ReduceOp::Max, &[3, 2], true),
            reduce(s, ReduceOp::Sum, &[1], true),
            reduce(s, ReduceOp::Min, &[1, 3], false),
        ]
    });
    add("flattened", &|s, y, shape| {
        let elements: usize = shape.iter().product();
        let flat = s.op(Op::Reshape(Reshape { shape: [N, elements.into()].into() }), &[y]);
        let tokens = [N, shape[0].into(), (shape[1] * shape[2]).into()];
        let tokens = s.op(Op::Reshape(Reshape { shape: tokens.into() }), &[y]);
        vec![flat, s.op(Op::Softmax(Softmax { axis: 1 }), &[tokens])]
    });
}

/// A convolution with padding that keeps the size, up to the stride.
fn conv(
    s: &mut Sketch,
    x: Value,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    activation: Option<Activation>,
) -> Value {
    conv_in_groups(s, x, channels, kernel, stride, activation, 1)
}

fn conv_in_groups(
    s: &mut Sketch,
    x: Value,
    [inputs, outputs]: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    activation: Option<Activation>,
    groups: usize,
) -> Value {
    let weight = s.weight(&[outputs, inputs / groups, kernel[0], kernel[1]]);
    let bias = s.weight(&[outputs]);
    let padding = kernel.iter().map(|k| (k / 2, k / 2)).collect();
    let conv = Conv { stride: vec![stride; 2], padding, groups, activation, ..Conv::new(2) };
    s.op(Op::Conv(conv), &[x, weight, bias])
}

/// A pointwise convolution to 17 channels.
fn pointwise(s: &mut Sketch, x: Value, channels: usize) -> Value {
    conv(s, x, [channels, 17], [1, 1], 1, None)
}
