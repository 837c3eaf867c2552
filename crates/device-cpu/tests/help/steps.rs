//! Graphs of one step each, or of few, large enough to be shared: every kind of step that costs time.

use paceline_graph::testing::Pieces;
use paceline_graph::{
    Attention, AveragePool, BatchNorm, Binary, BinaryOp, Cast, Classify, Compare, CompareOp, Concat, Conv,
    ConvTranspose, DType, Embedding, Gather, Graph, GroupNorm, LayerNorm, LogSoftmax, MatMul, MaxPool, Op,
    Pad, PadMode, Reduce, ReduceOp, RmsNorm, Softmax, Tensor, Tile, Transpose, Unary, UnaryOp, Value,
};

/// A name, how many samples, and what builds the graph.
type Case = (&'static str, usize, fn(&mut Pieces) -> Value);

fn conv(stride: usize, padding: usize, groups: usize) -> Op {
    Op::Conv(Conv { stride: vec![stride; 2], padding: vec![(padding, padding); 2], groups, ..Conv::new(2) })
}

const CASES: &[Case] = &[
    ("a convolution over padding", 1, |s| {
        let (x, w, b) = (s.input(&[17, 37, 41]), s.random(&[70, 17, 3, 3], 1.0), s.random(&[70], 1.0));
        s.node(conv(1, 1, 1), &[x, w, b])
    }),
    ("a convolution over padding, of several chunks", 5, |s| {
        let (x, w) = (s.input(&[32, 40, 40]), s.random(&[24, 32, 3, 3], 1.0));
        s.node(conv(2, 1, 1), &[x, w])
    }),
    ("a convolution of single values", 3, |s| {
        let (x, w) = (s.input(&[40, 23, 29]), s.random(&[90, 40, 1, 1], 1.0));
        s.node(conv(1, 0, 1), &[x, w])
    }),
    ("a convolution of few channels", 1, |s| {
        let (x, w) = (s.input(&[3, 120, 117]), s.random(&[16, 3, 3, 3], 1.0));
        s.node(conv(2, 1, 1), &[x, w])
    }),
    ("a convolution to one value a channel", 9, |s| {
        let (x, w) = (s.input(&[300, 1, 1]), s.random(&[700, 300, 1, 1], 1.0));
        s.node(conv(1, 0, 1), &[x, w])
    }),
    ("a convolution in groups", 2, |s| {
        let (x, w) = (s.input(&[24, 40, 40]), s.random(&[36, 6, 3, 3], 1.0));
        s.node(conv(1, 1, 4), &[x, w])
    }),
    ("a convolution in many small groups", 1, |s| {
        let (x, w) = (s.input(&[120, 24, 24]), s.random(&[120, 2, 3, 3], 1.0));
        s.node(conv(1, 1, 60), &[x, w])
    }),
    ("a depthwise convolution", 2, |s| {
        let (x, w) = (s.input(&[60, 40, 40]), s.random(&[60, 1, 5, 5], 1.0));
        s.node(conv(1, 2, 60), &[x, w])
    }),
    ("a depthwise convolution with steps", 1, |s| {
        let (x, w) = (s.input(&[80, 41, 41]), s.random(&[160, 1, 3, 3], 1.0));
        s.node(conv(2, 1, 80), &[x, w])
    }),
    ("convolutions one behind the other", 2, |s| {
        let (x, a, b, c) = (
            s.input(&[16, 37, 41]),
            s.random(&[24, 16, 3, 3], 1.0),
            s.random(&[70, 24, 3, 3], 1.0),
            s.random(&[24, 70, 3, 3], 1.0),
        );
        let x = s.node(conv(1, 1, 1), &[x, a]);
        let x = s.node(conv(2, 1, 1), &[x, b]);
        s.node(conv(1, 0, 1), &[x, c])
    }),
    ("convolutions one behind the other, of several chunks", 5, |s| {
        let (x, a, b, c) = (
            s.input(&[16, 21, 23]),
            s.random(&[24, 16, 3, 3], 1.0),
            s.random(&[40, 24, 3, 3], 1.0),
            s.random(&[24, 40, 3, 3], 1.0),
        );
        let x = s.node(conv(1, 1, 1), &[x, a]);
        let x = s.node(conv(1, 0, 1), &[x, b]);
        s.node(conv(1, 1, 1), &[x, c])
    }),
    ("convolutions of single values one behind the other", 3, |s| {
        let (x, a, b, c) = (
            s.input(&[40, 23, 29]),
            s.random(&[90, 40, 1, 1], 1.0),
            s.random(&[70, 90, 1, 1], 1.0),
            s.random(&[40, 70, 1, 1], 1.0),
        );
        let x = s.node(conv(1, 0, 1), &[x, a]);
        let x = s.node(conv(1, 0, 1), &[x, b]);
        s.node(conv(2, 0, 1), &[x, c])
    }),
    ("convolutions in groups one behind the other", 2, |s| {
        let (x, a, b, c) = (
            s.input(&[24, 30, 30]),
            s.random(&[36, 6, 3, 3], 1.0),
            s.random(&[80, 9, 3, 3], 1.0),
            s.random(&[80, 2, 3, 3], 1.0),
        );
        let x = s.node(conv(1, 1, 4), &[x, a]);
        let x = s.node(conv(1, 0, 4), &[x, b]);
        s.node(conv(1, 1, 40), &[x, c])
    }),
    ("depthwise convolutions between others", 2, |s| {
        let (x, a, b) =
            (s.input(&[20, 40, 40]), s.random(&[75, 20, 1, 1], 1.0), s.random(&[75, 1, 5, 5], 1.0));
        let (c, d) = (s.random(&[75, 1, 3, 3], 1.0), s.random(&[24, 75, 1, 1], 1.0));
        let x = s.node(conv(1, 0, 1), &[x, a]);
        let x = s.node(conv(1, 2, 75), &[x, b]);
        let x = s.node(conv(2, 1, 75), &[x, c]);
        s.node(conv(1, 0, 1), &[x, d])
    }),
    ("pools, a norm, a function and sums of images behind convolutions", 2, |s| {
        let (x, a, b) =
            (s.input(&[16, 57, 57]), s.random(&[70, 16, 1, 1], 1.0), s.random(&[70, 16, 1, 1], 1.0));
        let (x, y) = (s.node(conv(1, 0, 1), &[x, a]), s.node(conv(1, 0, 1), &[x, b]));
        let (kernel, stride, padding) = (vec![3; 2], vec![1; 2], vec![(1, 1); 2]);
        let op = MaxPool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, indices: false };
        let x = s.node(Op::MaxPool(op), &[x]);
        let (kernel, stride, padding) = (vec![2; 2], vec![1; 2], vec![(0, 1); 2]);
        let count_include_pad = false;
        let op =
            AveragePool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, count_include_pad };
        let y = s.node(Op::AveragePool(op), &[y]);
        let variance = s.elements(&[70], vec![1.5; 70]);
        let [mean, w, b] = [0; 3].map(|_| s.random(&[70], 1.0));
        let y = s.node(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[y, mean, variance, w, b]);
        let y = s.node(Op::Unary(Unary(UnaryOp::GeluTanh)), &[y]);
        let sum = s.node(Op::Binary(Binary(BinaryOp::Add)), &[x, y]);
        let means =
            s.node(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![2, 3], keep_dims: true }), &[sum]);
        let gated = s.node(Op::Binary(Binary(BinaryOp::Mul)), &[sum, means]);
        let w = s.random(&[16, 70, 1, 1], 1.0);
        s.node(conv(1, 0, 1), &[gated, w])
    }),
    ("a transposed convolution", 2, |s| {
        let (x, w) = (s.input(&[32, 300]), s.random(&[32, 24, 8], 1.0));
        let op = ConvTranspose { stride: vec![4], padding: vec![(2, 2)], ..ConvTranspose::new(1) };
        s.node(Op::ConvTranspose(op), &[x, w])
    }),
    ("attention", 2, |s| {
        let [q, k, v] = [100, 130, 130].map(|rows| s.input(&[rows, 96]));
        s.node(Op::Attention(Attention { heads: 3, scale: None, causal: false }), &[q, k, v])
    }),
    ("attention to what came before", 1, |s| {
        let [q, k, v] = [0; 3].map(|_| s.input(&[200, 64]));
        s.node(Op::Attention(Attention { heads: 2, scale: None, causal: true }), &[q, k, v])
    }),
    ("a product of two computed matrices", 1, |s| {
        let (a, b) = (s.input(&[300, 130]), s.input(&[130, 150]));
        s.node(Op::MatMul(MatMul {}), &[a, b])
    }),
    ("products of many computed matrices", 3, |s| {
        let (a, b) = (s.input(&[12, 40, 70]), s.input(&[12, 50, 70]));
        let b = s.node(Op::Transpose(Transpose { permutation: vec![0, 1, 3, 2] }), &[b]);
        s.node(Op::MatMul(MatMul {}), &[a, b])
    }),
    ("softmax along the last axis", 2, |s| {
        let x = s.input(&[90, 333]);
        s.node(Op::Softmax(Softmax { axis: -1 }), &[x])
    }),
    ("softmax along another axis", 1, |s| {
        let x = s.input(&[40, 23, 133]);
        s.node(Op::Softmax(Softmax { axis: 2 }), &[x])
    }),
    ("the logarithm of softmax", 2, |s| {
        let x = s.input(&[200, 333]);
        s.node(Op::LogSoftmax(LogSoftmax { axis: -1 }), &[x])
    }),
    ("layer norm", 3, |s| {
        let (x, w, b) = (s.input(&[300, 333]), s.random(&[333], 1.0), s.random(&[333], 1.0));
        s.node(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5 }), &[x, w, b])
    }),
    ("RMS norm", 1, |s| {
        let (x, w) = (s.input(&[500, 333]), s.random(&[333], 1.0));
        s.node(Op::RmsNorm(RmsNorm { axes: 1, epsilon: 1e-5 }), &[x, w])
    }),
    ("group norm", 2, |s| {
        let (x, w, b) = (s.input(&[48, 41, 41]), s.random(&[48], 1.0), s.random(&[48], 1.0));
        s.node(Op::GroupNorm(GroupNorm { groups: 12, epsilon: 1e-5 }), &[x, w, b])
    }),
    ("batch norm", 2, |s| {
        let x = s.input(&[150, 41, 41]);
        let variance = s.elements(&[150], vec![1.5; 150]);
        let [mean, w, b] = [0; 3].map(|_| s.random(&[150], 1.0));
        s.node(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[x, mean, variance, w, b])
    }),
    ("a maximum of windows", 2, |s| {
        let x = s.input(&[64, 57, 57]);
        let (kernel, stride, padding) = (vec![3; 2], vec![2; 2], vec![(1, 1); 2]);
        let op = MaxPool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, indices: false };
        s.node(Op::MaxPool(op), &[x])
    }),
    ("a mean of windows", 1, |s| {
        let x = s.input(&[64, 57, 57]);
        let (kernel, stride, padding) = (vec![2; 2], vec![2; 2], vec![(0, 1); 2]);
        let count_include_pad = false;
        let op =
            AveragePool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, count_include_pad };
        s.node(Op::AveragePool(op), &[x])
    }),
    ("means", 3, |s| {
        let x = s.input(&[300, 31, 31]);
        s.node(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![2, 3], keep_dims: true }), &[x])
    }),
    ("largest elements across rows", 4, |s| {
        let x = s.input(&[30, 50, 70]);
        s.node(Op::Reduce(Reduce { op: ReduceOp::Max, axes: vec![2], keep_dims: false }), &[x])
    }),
    ("a function", 3, |s| {
        let x = s.input(&[33, 1001]);
        s.node(Op::Unary(Unary(UnaryOp::GeluTanh)), &[x])
    }),
    ("a sum", 1, |s| {
        let (a, b) = (s.input(&[301, 1001]), s.input(&[301, 1001]));
        s.node(Op::Binary(Binary(BinaryOp::Add)), &[a, b])
    }),
    ("factors of channels", 2, |s| {
        let (a, b) = (s.input(&[90, 41, 41]), s.input(&[90, 1, 1]));
        s.node(Op::Binary(Binary(BinaryOp::Mul)), &[a, b])
    }),
    ("comparisons and conversions", 2, |s| {
        let (a, b) = (s.input(&[90, 333]), s.input(&[1, 333]));
        let less = s.node(Op::Compare(Compare(CompareOp::Less)), &[a, b]);
        s.node(Op::Cast(Cast { to: DType::F32 }), &[less])
    }),
    ("choices", 1, |s| {
        let (c, a, b) = (s.input_of(DType::Bool, &[90, 333]), s.input(&[90, 333]), s.input(&[90, 1]));
        s.node(Op::Where(Default::default()), &[c, a, b])
    }),
    ("classes", 1, |s| {
        let x = s.input(&[90, 333]);
        let nan = s.node(Op::Classify(Classify::IsNan), &[x]);
        s.node(Op::Cast(Cast { to: DType::F32 }), &[nan])
    }),
    ("a transposition", 2, |s| {
        let x = s.input(&[230, 517]);
        s.node(Op::Transpose(Transpose { permutation: vec![0, 2, 1] }), &[x])
    }),
    ("heads side by side", 3, |s| {
        let x = s.input(&[12, 100, 64]);
        s.node(Op::Transpose(Transpose { permutation: vec![0, 2, 1, 3] }), &[x])
    }),
    ("rows one behind the other", 1, |s| {
        let (a, b) = (s.input(&[300, 500]), s.input(&[200, 500]));
        s.node(Op::Concat(Concat { axis: 1 }), &[a, b])
    }),
    ("a border", 1, |s| {
        let x = s.input(&[300, 500]);
        let pads = vec![(0, 0), (3, 40), (5, 1)];
        s.node(Op::Pad(Pad { pads, mode: PadMode::Constant(0.5) }), &[x])
    }),
    ("repetitions", 1, |s| {
        let x = s.input(&[100, 500]);
        s.node(Op::Tile(Tile { repeats: vec![1, 3, 2] }), &[x])
    }),
    ("a table", 3, |s| {
        let (indices, table) = (s.input_of(DType::I64, &[200]), s.random(&[40, 300], 1.0));
        s.node(Op::Embedding(Embedding {}), &[indices, table])
    }),
    ("rows picked by number", 2, |s| {
        let data = s.input(&[3, 50, 200]);
        let indices: Vec<i64> = (0..150).map(|i| i * 7 % 53 - 3).collect();
        let indices = s.constant(Tensor::new([150], indices).unwrap());
        s.node(Op::Gather(Gather { axis: 2 }), &[data, indices])
    }),
    ("an operator without a kernel", 4, |s| {
        let x = s.input(&[2000, 2]);
        s.node(Op::Reduce(Reduce { op: ReduceOp::LogSumExp, axes: vec![2], keep_dims: false }), &[x])
    }),
];

/// Name, samples and graph of every case.
pub fn graphs() -> impl Iterator<Item = (&'static str, usize, Graph)> {
    CASES.iter().map(|&(name, samples, build)| {
        let mut pieces = Pieces::new(7);
        let y = build(&mut pieces);
        (name, samples, pieces.finish(&[y]))
    })
}
