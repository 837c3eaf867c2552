//! Graphs of one step each, or of few, large enough to be shared: every kind of step that costs time.

use paceline_graph::{
    Attention, AveragePool, BatchNorm, Binary, BinaryOp, Cast, Classify, Compare, CompareOp, Concat, Conv,
    ConvTranspose, DType, Embedding, Gather, Graph, GraphBuilder, GroupNorm, LayerNorm, LogSoftmax, MatMul,
    MaxPool, Op, Pad, PadMode, Reduce, ReduceOp, RmsNorm, Shape, Softmax, Tensor, Tile, Transpose, Unary,
    UnaryOp, Value,
};

/// A graph under construction.
#[derive(Default)]
struct Sketch {
    builder: GraphBuilder,
    named: usize,
}

impl Sketch {
    fn name(&mut self) -> String {
        self.named += 1;
        format!("v{}", self.named)
    }

    fn input(&mut self, dtype: DType, per_sample: &[usize]) -> Value {
        let name = self.name();
        self.builder.input(&name, dtype, Shape::batched(per_sample)).unwrap()
    }

    fn x(&mut self, per_sample: &[usize]) -> Value {
        self.input(DType::F32, per_sample)
    }

    fn weight(&mut self, shape: &[usize]) -> Value {
        let name = self.name();
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|i: usize| ((i * 7 % 13) as f32 - 5.0) / 6.0).collect();
        self.builder.constant(&name, Tensor::new(shape, values).unwrap()).unwrap()
    }

    fn op(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Value {
        let name = self.name();
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        self.builder.add(&name, op.into(), &inputs).unwrap()
    }
}

/// A name, how many samples, and what builds the graph.
type Case = (&'static str, usize, fn(&mut Sketch) -> Value);

fn conv(stride: usize, padding: usize, groups: usize) -> Op {
    Op::Conv(Conv { stride: vec![stride; 2], padding: vec![(padding, padding); 2], groups, ..Conv::new(2) })
}

const CASES: &[Case] = &[
    ("a convolution over padding", 1, |s| {
        let (x, w, b) = (s.x(&[17, 37, 41]), s.weight(&[70, 17, 3, 3]), s.weight(&[70]));
        s.op(conv(1, 1, 1), &[x, w, b])
    }),
    ("a convolution over padding, of several chunks", 5, |s| {
        let (x, w) = (s.x(&[32, 40, 40]), s.weight(&[24, 32, 3, 3]));
        s.op(conv(2, 1, 1), &[x, w])
    }),
    ("a convolution of single values", 3, |s| {
        let (x, w) = (s.x(&[40, 23, 29]), s.weight(&[90, 40, 1, 1]));
        s.op(conv(1, 0, 1), &[x, w])
    }),
    ("a convolution of few channels", 1, |s| {
        let (x, w) = (s.x(&[3, 120, 117]), s.weight(&[16, 3, 3, 3]));
        s.op(conv(2, 1, 1), &[x, w])
    }),
    ("a convolution to one value a channel", 9, |s| {
        let (x, w) = (s.x(&[300, 1, 1]), s.weight(&[700, 300, 1, 1]));
        s.op(conv(1, 0, 1), &[x, w])
    }),
    ("a convolution in groups", 2, |s| {
        let (x, w) = (s.x(&[24, 40, 40]), s.weight(&[36, 6, 3, 3]));
        s.op(conv(1, 1, 4), &[x, w])
    }),
    ("a convolution in many small groups", 1, |s| {
        let (x, w) = (s.x(&[120, 24, 24]), s.weight(&[120, 2, 3, 3]));
        s.op(conv(1, 1, 60), &[x, w])
    }),
    ("a depthwise convolution", 2, |s| {
        let (x, w) = (s.x(&[60, 40, 40]), s.weight(&[60, 1, 5, 5]));
        s.op(conv(1, 2, 60), &[x, w])
    }),
    ("a depthwise convolution with steps", 1, |s| {
        let (x, w) = (s.x(&[80, 41, 41]), s.weight(&[160, 1, 3, 3]));
        s.op(conv(2, 1, 80), &[x, w])
    }),
    ("convolutions one behind the other", 2, |s| {
        let (x, a, b, c) = (
            s.x(&[16, 37, 41]),
            s.weight(&[24, 16, 3, 3]),
            s.weight(&[70, 24, 3, 3]),
            s.weight(&[24, 70, 3, 3]),
        );
        let x = s.op(conv(1, 1, 1), &[x, a]);
        let x = s.op(conv(2, 1, 1), &[x, b]);
        s.op(conv(1, 0, 1), &[x, c])
    }),
    ("convolutions one behind the other, of several chunks", 5, |s| {
        let (x, a, b, c) = (
            s.x(&[16, 21, 23]),
            s.weight(&[24, 16, 3, 3]),
            s.weight(&[40, 24, 3, 3]),
            s.weight(&[24, 40, 3, 3]),
        );
        let x = s.op(conv(1, 1, 1), &[x, a]);
        let x = s.op(conv(1, 0, 1), &[x, b]);
        s.op(conv(1, 1, 1), &[x, c])
    }),
    ("convolutions of single values one behind the other", 3, |s| {
        let (x, a, b, c) = (
            s.x(&[40, 23, 29]),
            s.weight(&[90, 40, 1, 1]),
            s.weight(&[70, 90, 1, 1]),
            s.weight(&[40, 70, 1, 1]),
        );
        let x = s.op(conv(1, 0, 1), &[x, a]);
        let x = s.op(conv(1, 0, 1), &[x, b]);
        s.op(conv(2, 0, 1), &[x, c])
    }),
    ("convolutions in groups one behind the other", 2, |s| {
        let (x, a, b, c) = (
            s.x(&[24, 30, 30]),
            s.weight(&[36, 6, 3, 3]),
            s.weight(&[80, 9, 3, 3]),
            s.weight(&[80, 2, 3, 3]),
        );
        let x = s.op(conv(1, 1, 4), &[x, a]);
        let x = s.op(conv(1, 0, 4), &[x, b]);
        s.op(conv(1, 1, 40), &[x, c])
    }),
    ("depthwise convolutions between others", 2, |s| {
        let (x, a, b) = (s.x(&[20, 40, 40]), s.weight(&[75, 20, 1, 1]), s.weight(&[75, 1, 5, 5]));
        let (c, d) = (s.weight(&[75, 1, 3, 3]), s.weight(&[24, 75, 1, 1]));
        let x = s.op(conv(1, 0, 1), &[x, a]);
        let x = s.op(conv(1, 2, 75), &[x, b]);
        let x = s.op(conv(2, 1, 75), &[x, c]);
        s.op(conv(1, 0, 1), &[x, d])
    }),
    ("pools, a norm, a function and sums of images behind convolutions", 2, |s| {
        let (x, a, b) = (s.x(&[16, 57, 57]), s.weight(&[70, 16, 1, 1]), s.weight(&[70, 16, 1, 1]));
        let (x, y) = (s.op(conv(1, 0, 1), &[x, a]), s.op(conv(1, 0, 1), &[x, b]));
        let (kernel, stride, padding) = (vec![3; 2], vec![1; 2], vec![(1, 1); 2]);
        let op = MaxPool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, indices: false };
        let x = s.op(Op::MaxPool(op), &[x]);
        let (kernel, stride, padding) = (vec![2; 2], vec![1; 2], vec![(0, 1); 2]);
        let count_include_pad = false;
        let op =
            AveragePool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, count_include_pad };
        let y = s.op(Op::AveragePool(op), &[y]);
        let variance = s.name();
        let variance = s.builder.constant(&variance, Tensor::new([70], vec![1.5; 70]).unwrap()).unwrap();
        let [mean, w, b] = [0; 3].map(|_| s.weight(&[70]));
        let y = s.op(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[y, mean, variance, w, b]);
        let y = s.op(Op::Unary(Unary(UnaryOp::GeluTanh)), &[y]);
        let sum = s.op(Op::Binary(Binary(BinaryOp::Add)), &[x, y]);
        let means =
            s.op(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![2, 3], keep_dims: true }), &[sum]);
        let gated = s.op(Op::Binary(Binary(BinaryOp::Mul)), &[sum, means]);
        let w = s.weight(&[16, 70, 1, 1]);
        s.op(conv(1, 0, 1), &[gated, w])
    }),
    ("a transposed convolution", 2, |s| {
        let (x, w) = (s.x(&[32, 300]), s.weight(&[32, 24, 8]));
        let op = ConvTranspose { stride: vec![4], padding: vec![(2, 2)], ..ConvTranspose::new(1) };
        s.op(Op::ConvTranspose(op), &[x, w])
    }),
    ("attention", 2, |s| {
        let [q, k, v] = [100, 130, 130].map(|rows| s.x(&[rows, 96]));
        s.op(Op::Attention(Attention { heads: 3, scale: None, causal: false }), &[q, k, v])
    }),
    ("attention to what came before", 1, |s| {
        let [q, k, v] = [0; 3].map(|_| s.x(&[200, 64]));
        s.op(Op::Attention(Attention { heads: 2, scale: None, causal: true }), &[q, k, v])
    }),
    ("a product of two computed matrices", 1, |s| {
        let (a, b) = (s.x(&[300, 130]), s.x(&[130, 150]));
        s.op(Op::MatMul(MatMul {}), &[a, b])
    }),
    ("products of many computed matrices", 3, |s| {
        let (a, b) = (s.x(&[12, 40, 70]), s.x(&[12, 50, 70]));
        let b = s.op(Op::Transpose(Transpose { permutation: vec![0, 1, 3, 2] }), &[b]);
        s.op(Op::MatMul(MatMul {}), &[a, b])
    }),
    ("softmax along the last axis", 2, |s| {
        let x = s.x(&[90, 333]);
        s.op(Op::Softmax(Softmax { axis: -1 }), &[x])
    }),
    ("softmax along another axis", 1, |s| {
        let x = s.x(&[40, 23, 133]);
        s.op(Op::Softmax(Softmax { axis: 2 }), &[x])
    }),
    ("the logarithm of softmax", 2, |s| {
        let x = s.x(&[200, 333]);
        s.op(Op::LogSoftmax(LogSoftmax { axis: -1 }), &[x])
    }),
    ("layer norm", 3, |s| {
        let (x, w, b) = (s.x(&[300, 333]), s.weight(&[333]), s.weight(&[333]));
        s.op(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5 }), &[x, w, b])
    }),
    ("RMS norm", 1, |s| {
        let (x, w) = (s.x(&[500, 333]), s.weight(&[333]));
        s.op(Op::RmsNorm(RmsNorm { axes: 1, epsilon: 1e-5 }), &[x, w])
    }),
    ("group norm", 2, |s| {
        let (x, w, b) = (s.x(&[48, 41, 41]), s.weight(&[48]), s.weight(&[48]));
        s.op(Op::GroupNorm(GroupNorm { groups: 12, epsilon: 1e-5 }), &[x, w, b])
    }),
    ("batch norm", 2, |s| {
        let x = s.x(&[150, 41, 41]);
        let variance = s.name();
        let variance = s.builder.constant(&variance, Tensor::new([150], vec![1.5; 150]).unwrap()).unwrap();
        let [mean, w, b] = [0; 3].map(|_| s.weight(&[150]));
        s.op(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[x, mean, variance, w, b])
    }),
    ("a maximum of windows", 2, |s| {
        let x = s.x(&[64, 57, 57]);
        let (kernel, stride, padding) = (vec![3; 2], vec![2; 2], vec![(1, 1); 2]);
        let op = MaxPool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, indices: false };
        s.op(Op::MaxPool(op), &[x])
    }),
    ("a mean of windows", 1, |s| {
        let x = s.x(&[64, 57, 57]);
        let (kernel, stride, padding) = (vec![2; 2], vec![2; 2], vec![(0, 1); 2]);
        let count_include_pad = false;
        let op =
            AveragePool { kernel, stride, padding, dilation: vec![1; 2], ceil: false, count_include_pad };
        s.op(Op::AveragePool(op), &[x])
    }),
    ("means", 3, |s| {
        let x = s.x(&[300, 31, 31]);
        s.op(Op::Reduce(Reduce { op: ReduceOp::Mean, axes: vec![2, 3], keep_dims: true }), &[x])
    }),
    ("largest elements across rows", 4, |s| {
        let x = s.x(&[30, 50, 70]);
        s.op(Op::Reduce(Reduce { op: ReduceOp::Max, axes: vec![2], keep_dims: false }), &[x])
    }),
    ("a function", 3, |s| {
        let x = s.x(&[33, 1001]);
        s.op(Op::Unary(Unary(UnaryOp::GeluTanh)), &[x])
    }),
    ("a sum", 1, |s| {
        let (a, b) = (s.x(&[301, 1001]), s.x(&[301, 1001]));
        s.op(Op::Binary(Binary(BinaryOp::Add)), &[a, b])
    }),
    ("factors of channels", 2, |s| {
        let (a, b) = (s.x(&[90, 41, 41]), s.x(&[90, 1, 1]));
        s.op(Op::Binary(Binary(BinaryOp::Mul)), &[a, b])
    }),
    ("comparisons and conversions", 2, |s| {
        let (a, b) = (s.x(&[90, 333]), s.x(&[1, 333]));
        let less = s.op(Op::Compare(Compare(CompareOp::Less)), &[a, b]);
        s.op(Op::Cast(Cast { to: DType::F32 }), &[less])
    }),
    ("choices", 1, |s| {
        let (c, a, b) = (s.input(DType::Bool, &[90, 333]), s.x(&[90, 333]), s.x(&[90, 1]));
        s.op(Op::Where(Default::default()), &[c, a, b])
    }),
    ("classes", 1, |s| {
        let x = s.x(&[90, 333]);
        let nan = s.op(Op::Classify(Classify::IsNan), &[x]);
        s.op(Op::Cast(Cast { to: DType::F32 }), &[nan])
    }),
    ("a transposition", 2, |s| {
        let x = s.x(&[230, 517]);
        s.op(Op::Transpose(Transpose { permutation: vec![0, 2, 1] }), &[x])
    }),
    ("heads side by side", 3, |s| {
        let x = s.x(&[12, 100, 64]);
        s.op(Op::Transpose(Transpose { permutation: vec![0, 2, 1, 3] }), &[x])
    }),
    ("rows one behind the other", 1, |s| {
        let (a, b) = (s.x(&[300, 500]), s.x(&[200, 500]));
        s.op(Op::Concat(Concat { axis: 1 }), &[a, b])
    }),
    ("a border", 1, |s| {
        let x = s.x(&[300, 500]);
        let pads = vec![(0, 0), (3, 40), (5, 1)];
        s.op(Op::Pad(Pad { pads, mode: PadMode::Constant(0.5) }), &[x])
    }),
    ("repetitions", 1, |s| {
        let x = s.x(&[100, 500]);
        s.op(Op::Tile(Tile { repeats: vec![1, 3, 2] }), &[x])
    }),
    ("a table", 3, |s| {
        let (indices, table) = (s.input(DType::I64, &[200]), s.weight(&[40, 300]));
        s.op(Op::Embedding(Embedding {}), &[indices, table])
    }),
    ("rows picked by number", 2, |s| {
        let (data, name) = (s.x(&[3, 50, 200]), s.name());
        let indices: Vec<i64> = (0..150).map(|i| i * 7 % 53 - 3).collect();
        let indices = s.builder.constant(&name, Tensor::new([150], indices).unwrap()).unwrap();
        s.op(Op::Gather(Gather { axis: 2 }), &[data, indices])
    }),
    ("an operator without a kernel", 4, |s| {
        let x = s.x(&[2000, 2]);
        s.op(Op::Reduce(Reduce { op: ReduceOp::LogSumExp, axes: vec![2], keep_dims: false }), &[x])
    }),
];

/// Name, samples and graph of every case.
pub fn graphs() -> impl Iterator<Item = (&'static str, usize, Graph)> {
    CASES.iter().map(|&(name, samples, build)| {
        let mut sketch = Sketch::default();
        let value = build(&mut sketch);
        sketch.builder.output("y", value).unwrap();
        (name, samples, sketch.builder.finish().unwrap())
    })
}
