//! Graphs made to break a plan: empty axes, hostile sizes and steps, odd masks, many operators. What compiles gives what the
//! reference gives, on every instruction set; what does not is refused.

use paceline_device::{Batch, CompileError, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline_device_cpu::{CpuDevice, Isa};
use paceline_graph::{
    Activation, Attention, AveragePool, Binary, BinaryOp, Concat, Conv, DType, Data, Dim, Embedding, Expand,
    Graph, GraphBuilder, GroupNorm, LayerNorm, Linear, MatMul, MaxPool, Op, Pad, PadMode, Reduce, ReduceOp,
    Reshape, Shape, Slice, Softmax, Split, Tensor, Transpose, Unary, UnaryOp, Value, reference,
};

const N: Dim = Dim::BATCH;

/// A graph under construction, its nodes and values named by number.
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
        let len: usize = shape.iter().product();
        let values: Vec<f32> = (0..len).map(|i| ((i * 7 % 13) as f32 - 6.0) / 6.0).collect();
        self.builder.constant(&name, Tensor::new(shape, values).unwrap()).unwrap()
    }

    fn ops(&mut self, op: Op, inputs: &[Option<Value>]) -> Vec<Value> {
        let name = self.name();
        self.builder.add_many(&name, op, inputs).unwrap()
    }

    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        let inputs: Vec<Option<Value>> = inputs.iter().copied().map(Some).collect();
        self.ops(op, &inputs)[0]
    }

    fn reshape(&mut self, x: Value, dims: &[Dim]) -> Value {
        self.op(Op::Reshape(Reshape { shape: dims.to_vec().into() }), &[x])
    }

    fn expand(&mut self, x: Value, dims: &[Dim]) -> Value {
        self.op(Op::Expand(Expand { shape: dims.to_vec().into() }), &[x])
    }

    fn turn(&mut self, x: Value, permutation: &[usize]) -> Value {
        self.op(Op::Transpose(Transpose { permutation: permutation.to_vec() }), &[x])
    }

    fn slice(&mut self, x: Value, axis: isize, [start, end, step]: [usize; 3]) -> Value {
        self.op(Op::Slice(Slice { axis, start, end, step }), &[x])
    }

    fn graph(mut self, outputs: &[Value]) -> Graph {
        for &value in outputs {
            let name = self.name();
            self.builder.output(&name, value).unwrap();
        }
        self.builder.finish().unwrap()
    }
}

fn elements(dtype: DType, len: usize, seed: usize) -> Data {
    let number = |i: usize| (i * 31 + seed * 17) % 23;
    match dtype {
        DType::I64 => (0..len).map(|i| number(i) as i64 - 3).collect::<Vec<_>>().into(),
        DType::Bool => (0..len).map(|i| number(i) < 7).collect::<Vec<_>>().into(),
        _ => (0..len).map(|i| number(i) as f32 / 8.0 - 1.3).collect::<Vec<_>>().into(),
    }
}

fn assert_close(got: &Data, want: &Data, what: &str) {
    match (got, want) {
        (Data::F32(got), Data::F32(want)) => {
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let close = (got - want).abs() <= 1e-4 * want.abs().max(1.0);
                let same = got == want || (got.is_nan() && want.is_nan());
                assert!(close || same, "{what}: {got} instead of {want} at {i}");
            }
        }
        _ => assert_eq!(got, want, "{what}"),
    }
}

/// Compiles and runs a graph for batches of several sizes, whole and in parts, and compares with the reference.
fn check(what: &str, graph: &Graph) {
    for isa in Isa::available() {
        let device = CpuDevice::with_isa(isa).unwrap();
        let program = device.compile(graph, &CompileOptions::default()).unwrap();
        let mut session = program.clone().open().unwrap();
        let signature = program.signature().clone();
        for parts in [&[][..], &[0], &[1], &[5], &[1, 0, 2, 1]] {
            let samples: usize = parts.iter().sum();
            let inputs: Vec<Tensor> = signature
                .inputs
                .iter()
                .enumerate()
                .map(|(seed, port)| {
                    let shape = [&[samples], &port.shape[..]].concat();
                    Tensor::new(shape, elements(port.dtype, port.elements * samples, seed)).unwrap()
                })
                .collect();
            let mut outputs: Vec<Vec<Data>> = parts
                .iter()
                .map(|n| signature.outputs.iter().map(|p| Data::zeros(p.dtype, p.elements * n)).collect())
                .collect();
            let mut batch = Batch::new();
            let mut row = 0;
            for (&samples, outputs) in parts.iter().zip(&mut outputs) {
                let ports = inputs.iter().zip(&signature.inputs);
                batch.push(Part {
                    samples,
                    inputs: ports
                        .map(|(t, p)| {
                            View::of(t.data()).slice(row * p.elements, (row + samples) * p.elements)
                        })
                        .collect(),
                    outputs: outputs.iter_mut().map(ViewMut::of).collect(),
                });
                row += samples;
            }
            execute(&mut *session, &mut batch).unwrap();
            drop(batch);
            let wanted = reference::evaluate(graph, &inputs).unwrap();
            for (index, (port, want)) in signature.outputs.iter().zip(&wanted).enumerate() {
                let mut row = 0;
                for (&samples, outputs) in parts.iter().zip(&outputs) {
                    let (from, to) = (row * port.elements, (row + samples) * port.elements);
                    let want = match want.data() {
                        Data::F32(v) => Data::of(v[from..to].to_vec()),
                        Data::I64(v) => Data::of(v[from..to].to_vec()),
                        Data::Bool(v) => Data::of(v[from..to].to_vec()),
                        other => panic!("{} is not tested", other.dtype()),
                    };
                    assert_close(&outputs[index], &want, &format!("{what} on {isa}, output {index}"));
                    row += samples;
                }
            }
        }
    }
}

const EXP: Op = Op::Unary(Unary(UnaryOp::Tanh));
const ADD: Op = Op::Binary(Binary(BinaryOp::Add));
const MATMUL: Op = Op::MatMul(MatMul {});

type Build = fn(&mut Sketch) -> Vec<Value>;

fn reduce(op: ReduceOp, axes: &[isize]) -> Op {
    Op::Reduce(Reduce { op, axes: axes.to_vec(), keep_dims: false })
}

fn attention(heads: usize, causal: bool) -> Op {
    Op::Attention(Attention { heads, scale: None, causal })
}

/// Axes of length 0, beside what results and beside axes of hostile length.
const EMPTY: &[(&str, Build)] = &[
    ("sums of nothing", |s| {
        let x = s.x(&[0, 3]);
        let all = s.op(reduce(ReduceOp::Sum, &[1, 2]), &[x]);
        vec![s.op(reduce(ReduceOp::Mean, &[1]), &[x]), s.op(reduce(ReduceOp::Sum, &[1]), &[x]), all]
    }),
    ("a product over an empty axis", |s| {
        let (a, b) = (s.x(&[3, 0]), s.x(&[0, 5]));
        let turned = s.x(&[5, 0]);
        let turned = s.turn(turned, &[0, 2, 1]);
        vec![s.op(MATMUL, &[a, b]), s.op(MATMUL, &[a, turned])]
    }),
    ("linear from nothing", |s| {
        let (x, w, b) = (s.x(&[2, 0]), s.weight(&[5, 0]), s.weight(&[5]));
        let r = s.x(&[2, 5]);
        let op = Op::Linear(Linear { activation: Some(Activation::Relu), ..Linear::default() });
        vec![s.op(op.clone(), &[x, w, b]), s.op(op, &[x, w, b, r])]
    }),
    ("attention without keys", |s| {
        let (q, k, v) = (s.x(&[3, 4]), s.x(&[0, 4]), s.x(&[0, 6]));
        let (mask, padding) = (s.x(&[2, 3, 0]), s.input(DType::Bool, &[0]));
        let masked = s.ops(attention(2, true), &[Some(q), Some(k), Some(v), Some(mask), Some(padding)])[0];
        vec![s.op(attention(2, false), &[q, k, v]), masked]
    }),
    ("attention of no width", |s| {
        let (q, k, v) = (s.x(&[3, 0]), s.x(&[5, 0]), s.x(&[5, 4]));
        vec![s.op(attention(2, false), &[q, k, v])]
    }),
    ("attention without queries, or values", |s| {
        let (q, k, v) = (s.x(&[0, 4]), s.x(&[5, 4]), s.x(&[5, 0]));
        let wide = s.x(&[3, 4]);
        vec![s.op(attention(2, false), &[q, k, k]), s.op(attention(2, false), &[wide, k, v])]
    }),
    ("a convolution without channels", |s| {
        let (x, w, b) = (s.x(&[0, 7]), s.weight(&[4, 0, 3]), s.weight(&[4]));
        let conv = Op::Conv(Conv { padding: vec![(1, 1)], ..Conv::new(1) });
        let (y, none) = (s.x(&[2, 7]), s.weight(&[0, 2, 3]));
        vec![s.op(conv.clone(), &[x, w, b]), s.op(conv, &[y, none])]
    }),
    ("pools of padding", |s| {
        let x = s.x(&[2, 0]);
        let padding = vec![(1, 1)];
        let max = MaxPool { stride: vec![1], padding: padding.clone(), ..MaxPool::new(vec![2]) };
        let mean =
            AveragePool { stride: vec![1], padding, count_include_pad: false, ..AveragePool::new(vec![2]) };
        vec![s.op(Op::MaxPool(max), &[x]), s.op(Op::AveragePool(mean), &[x])]
    }),
    ("nothing joined, padded and cut", |s| {
        let (x, y) = (s.x(&[0, 3]), s.x(&[2, 3]));
        let joined = s.op(Op::Concat(Concat { axis: 1 }), &[x, y, x]);
        let padded =
            s.op(Op::Pad(Pad { pads: vec![(0, 0), (2, 1), (0, 1)], mode: PadMode::Constant(4.0) }), &[x]);
        let pieces = s.ops(Op::Split(Split { axis: 1, sizes: vec![0, 2, 0] }), &[Some(y)]);
        vec![joined, padded, pieces[0], pieces[1], pieces[2]]
    }),
    ("normalised nothing", |s| {
        let (x, y) = (s.x(&[4, 0]), s.x(&[0, 4]));
        let norm = s.op(Op::GroupNorm(GroupNorm { groups: 2, epsilon: 1e-5 }), &[x]);
        let layer = s.op(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5 }), &[y]);
        vec![norm, layer, s.op(Op::Softmax(Softmax { axis: 1 }), &[y])]
    }),
    ("an axis of 2^60 beside nothing", |s| {
        let x = s.x(&[0, 1 << 60]);
        let soft = s.op(Op::Softmax(Softmax { axis: 1 }), &[x]);
        let sum = s.op(ADD, &[soft, x]);
        let turned = s.turn(sum, &[0, 2, 1]);
        vec![s.op(EXP, &[turned]), s.op(reduce(ReduceOp::Sum, &[1, 2]), &[x])]
    }),
    ("indices into an empty table, and none", |s| {
        let (i, none) = (s.input(DType::I64, &[3]), s.input(DType::I64, &[0]));
        let (empty, flat) = (s.weight(&[0, 4]), s.weight(&[5, 0]));
        let table = s.weight(&[5, 4]);
        let op = Op::Embedding(Embedding {});
        vec![s.op(op.clone(), &[i, empty]), s.op(op.clone(), &[none, table]), s.op(op, &[i, flat])]
    }),
];

/// Views, broadcasts and merged axes that leave strides a kernel must not be given.
const VIEWS: &[(&str, Build)] = &[
    ("steps that lead past the end", |s| {
        let x = s.x(&[9, 4]);
        let one = s.slice(x, 1, [8, 9, usize::MAX]);
        let flat = s.reshape(one, &[N, 4.into()]);
        let w = s.weight(&[3, 4]);
        vec![one, flat, s.op(Op::Linear(Linear::default()), &[one, w]), s.op(ADD, &[x, one])]
    }),
    ("attention over strided queries, keys and values", |s| {
        let x = s.x(&[9, 24]);
        let (every, pieces) = (s.slice(x, 1, [0, 9, 2]), [0, 8, 16]);
        let [q, k, v] = pieces.map(|at| s.slice(every, 2, [at, at + 8, 1]));
        let column = s.slice(x, 2, [0, 24, 3]);
        vec![s.op(attention(2, true), &[q, k, v]), s.op(attention(4, false), &[column, column, column])]
    }),
    ("attention with another axis merged into the batch", |s| {
        let (x, wide) = (s.x(&[3, 5, 8]), s.x(&[3, 7, 8]));
        let q = s.reshape(x, &[Dim::Batch(3), 5.into(), 8.into()]);
        let k = s.reshape(wide, &[Dim::Batch(3), 7.into(), 8.into()]);
        let (full, rows) = (s.x(&[3, 2, 5, 7]), s.x(&[3, 1, 1, 7]));
        let full = s.reshape(full, &[Dim::Batch(3), 2.into(), 5.into(), 7.into()]);
        let rows = s.reshape(rows, &[Dim::Batch(3), 1.into(), 1.into(), 7.into()]);
        let shared = s.weight(&[1, 2, 1, 7]);
        let padding = s.input(DType::Bool, &[3, 7]);
        let padding = s.reshape(padding, &[Dim::Batch(3), 7.into()]);
        let masks = [Some(full), Some(rows), Some(shared), None];
        let attend = |mask| {
            let y = s.ops(attention(2, true), &[Some(q), Some(k), Some(k), mask, Some(padding)])[0];
            s.reshape(y, &[N, 3.into(), 5.into(), 8.into()])
        };
        masks.into_iter().map(attend).collect()
    }),
    ("a mask and a padding that are views", |s| {
        let (x, mask) = (s.x(&[5, 8]), s.x(&[5, 5, 2]));
        let mask = s.turn(mask, &[0, 3, 2, 1]);
        let padding = s.input(DType::Bool, &[5, 2]);
        let padding = s.slice(padding, 2, [1, 2, 1]);
        let padding = s.reshape(padding, &[N, 5.into()]);
        vec![s.ops(attention(2, false), &[Some(x), Some(x), Some(x), Some(mask), Some(padding)])[0]]
    }),
    ("a residual, a bias and a weight that are computed", |s| {
        let (x, r, w) = (s.x(&[4, 3]), s.x(&[5, 4]), s.weight(&[3, 5]));
        let w = s.op(EXP, &[w]);
        let w = s.turn(w, &[1, 0]);
        let (r, b) = (s.turn(r, &[0, 2, 1]), s.weight(&[5, 2]));
        let b = s.op(EXP, &[b]);
        let b = s.slice(b, 1, [1, 2, 1]);
        let b = s.reshape(b, &[5.into()]);
        let op = Op::Linear(Linear { activation: Some(Activation::Gelu), ..Linear::default() });
        vec![s.op(op, &[x, w, b, r])]
    }),
    ("products that broadcast", |s| {
        let (a, b, c) = (s.x(&[2, 1, 3, 4]), s.weight(&[5, 4, 2]), s.x(&[2, 3, 4]));
        let (row, column) = (s.weight(&[3]), s.turn(c, &[0, 1, 3, 2]));
        let turned = s.op(EXP, &[b]);
        let turned = s.turn(turned, &[0, 2, 1]);
        let turned = s.turn(turned, &[0, 2, 1]);
        vec![s.op(MATMUL, &[a, b]), s.op(MATMUL, &[column, row]), s.op(MATMUL, &[a, turned])]
    }),
    ("products with a row that is repeated along the sums", |s| {
        // Few rows: whatever the registers, some of these are two tiles.
        let row = s.x(&[1, 32]);
        let rows = s.expand(row, &[N, 7.into(), 32.into()]);
        let lefts = [8, 12, 20].map(|count| s.x(&[count, 7]));
        lefts.map(|left| s.op(MATMUL, &[left, rows])).to_vec()
    }),
    ("sums that broadcast both ways", |s| {
        let (a, b) = (s.x(&[3, 1, 5]), s.weight(&[1, 4, 1]));
        let (c, d) = (s.x(&[5, 3]), s.weight(&[7, 1, 1]));
        let c = s.turn(c, &[0, 2, 1]);
        let c = s.reshape(c, &[N, 3.into(), 1.into(), 5.into()]);
        let rows = s.op(ADD, &[b, a]);
        let strided = s.slice(rows, 3, [1, 5, 2]);
        let column = s.slice(a, 3, [2, 3, 1]);
        let (d, rows) = (s.op(EXP, &[d]), s.op(ADD, &[rows, c]));
        let flat = s.reshape(d, &[7.into(), 1.into()]);
        let last = s.x(&[1, 9]);
        let last = s.op(ADD, &[last, flat]);
        vec![rows, s.op(ADD, &[strided, column]), last]
    }),
];

#[test]
fn what_is_odd_gives_what_the_reference_gives() {
    for (what, build) in EMPTY.iter().chain(VIEWS) {
        let mut sketch = Sketch::default();
        let outputs = build(&mut sketch);
        check(what, &sketch.graph(&outputs));
    }
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let cases: &[(&str, Build)] = &[
        ("an input", |s| {
            let x = s.x(&[1 << 60]);
            vec![s.op(EXP, &[x])]
        }),
        ("a right operand of one column", |s| {
            let (a, b) = (s.x(&[1, 1 << 60]), s.x(&[1 << 60, 1]));
            vec![s.op(MATMUL, &[a, b])]
        }),
        ("what padding makes", |s| {
            let x = s.x(&[3]);
            let padded =
                s.op(Op::Pad(Pad { pads: vec![(0, 0), (1 << 61, 0)], mode: PadMode::Constant(0.0) }), &[x]);
            vec![s.op(reduce(ReduceOp::Sum, &[1]), &[padded])]
        }),
        ("what a broadcast makes", |s| {
            let (a, b) = (s.x(&[1 << 20, 1]), s.x(&[1, 1 << 20]));
            let sum = s.op(ADD, &[a, b]);
            vec![s.op(reduce(ReduceOp::Max, &[1, 2]), &[sum])]
        }),
        ("keys", |s| {
            let (q, k) = (s.x(&[1, 1]), s.x(&[usize::MAX / 4, 1]));
            vec![s.op(attention(1, false), &[q, k, k])]
        }),
    ];
    for (what, build) in cases {
        let mut sketch = Sketch::default();
        let outputs = build(&mut sketch);
        let refused = CpuDevice::new().compile(&sketch.graph(&outputs), &CompileOptions::default());
        assert!(matches!(refused, Err(CompileError::TooLarge { .. })), "{what}: {:?}", refused.err());
    }
}

#[test]
fn convolutions_of_nothing_but_padding_are_evaluated_without_a_kernel() {
    for groups in [1, 2] {
        let mut s = Sketch::default();
        let (x, w) = (s.x(&[2, 0]), s.weight(&[4, 2 / groups, 3]));
        let conv = Conv { padding: vec![(2, 2)], groups, ..Conv::new(1) };
        let y = s.op(Op::Conv(conv), &[x, w]);
        let graph = s.graph(&[y]);
        check("a convolution of padding", &graph);
        let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
        let [node] = program.without_kernel() else { panic!("{:?}", program.without_kernel()) };
        assert!(node.reason.contains("nothing but padding"), "{node:?}");
    }
}

#[test]
fn images_too_large_for_a_kernel_are_evaluated_without() {
    // One window in each corner of far more padding than the kernels can address, channels first and, behind another
    // convolution, last.
    for behind in [false, true] {
        for (channels, padding) in [(8, 16382), (0, 1 << 40)] {
            let mut s = Sketch::default();
            let mut x = s.x(&[channels, 2, 2]);
            if behind {
                let w = s.weight(&[channels, channels, 1, 1]);
                x = s.op(Op::Conv(Conv::new(2)), &[x, w]);
            }
            let w = s.weight(&[8, channels / 4, 1, 1]);
            let stride = vec![2 * padding + 1; 2];
            let conv = Conv { padding: vec![(padding, padding); 2], stride, groups: 4, ..Conv::new(2) };
            let y = s.op(Op::Conv(conv), &[x, w]);
            let graph = s.graph(&[y]);
            check("a convolution over far more padding than there is image", &graph);
            let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
            let [node] = program.without_kernel() else { panic!("{:?}", program.without_kernel()) };
            assert!(node.reason.contains("with padding"), "{node:?}");
        }
    }
}

#[test]
fn deep_graphs_and_many_axes_compile() {
    let mut s = Sketch::default();
    let mut y = s.x(&[3]);
    for i in 0..3000 {
        let op = if i % 2 == 0 { EXP } else { Op::Unary(Unary(UnaryOp::Relu)) };
        y = s.op(op, &[y]);
    }
    let ones: Vec<Dim> = [N].into_iter().chain([Dim::Fixed(1); 500]).chain([Dim::Fixed(3)]).collect();
    let wide = s.reshape(y, &ones);
    let permutation: Vec<usize> = [0].into_iter().chain((1..502).rev()).collect();
    let turned = s.turn(wide, &permutation);
    let sum = s.op(ADD, &[turned, wide]);
    let graph = s.graph(&[sum]);
    assert!(CpuDevice::new().compile(&graph, &CompileOptions::default()).is_ok());
}
