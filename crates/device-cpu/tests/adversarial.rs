//! Graphs made to break a plan: empty axes, hostile sizes and steps, odd masks, many operators. What compiles gives what the
//! reference gives, on every instruction set; what does not is refused.

use paceline_device::{Batch, CompileError, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline_device_cpu::{CpuDevice, Isa};
use paceline_graph::testing::Pieces;
use paceline_graph::{
    Activation, Attention, AveragePool, Binary, BinaryOp, Concat, Conv, DType, Data, Dim, Embedding, Expand,
    Graph, GroupNorm, LayerNorm, Linear, MatMul, MaxPool, Op, Pad, PadMode, Reduce, ReduceOp, Slice, Softmax,
    Split, Tensor, TopK, Unary, UnaryOp, Value, reference,
};

const N: Dim = Dim::BATCH;

fn slice(s: &mut Pieces, x: Value, axis: isize, [start, end, step]: [usize; 3]) -> Value {
    s.node(Op::Slice(Slice { axis, start, end, step }), &[x])
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

type Build = fn(&mut Pieces) -> Vec<Value>;

fn reduce(op: ReduceOp, axes: &[isize]) -> Op {
    Op::Reduce(Reduce { op, axes: axes.to_vec(), keep_dims: false })
}

fn attention(heads: usize, causal: bool) -> Op {
    Op::Attention(Attention { heads, scale: None, causal })
}

/// Axes of length 0, beside what results and beside axes of hostile length.
const EMPTY: &[(&str, Build)] = &[
    ("sums of nothing", |s| {
        let x = s.input(&[0, 3]);
        let all = s.node(reduce(ReduceOp::Sum, &[1, 2]), &[x]);
        vec![s.node(reduce(ReduceOp::Mean, &[1]), &[x]), s.node(reduce(ReduceOp::Sum, &[1]), &[x]), all]
    }),
    ("a product over an empty axis", |s| {
        let (a, b) = (s.input(&[3, 0]), s.input(&[0, 5]));
        let turned = s.input(&[5, 0]);
        let turned = s.transpose(turned, &[0, 2, 1]);
        vec![s.node(MATMUL, &[a, b]), s.node(MATMUL, &[a, turned])]
    }),
    ("linear from nothing", |s| {
        let (x, w, b) = (s.input(&[2, 0]), s.random(&[5, 0], 1.0), s.random(&[5], 1.0));
        let r = s.input(&[2, 5]);
        let op = Op::Linear(Linear { activation: Some(Activation::Relu), ..Linear::default() });
        vec![s.node(op.clone(), &[x, w, b]), s.node(op, &[x, w, b, r])]
    }),
    ("attention without keys", |s| {
        let (q, k, v) = (s.input(&[3, 4]), s.input(&[0, 4]), s.input(&[0, 6]));
        let (mask, padding) = (s.input(&[2, 3, 0]), s.input_of(DType::Bool, &[0]));
        let masked =
            s.node_with(attention(2, true), &[Some(q), Some(k), Some(v), Some(mask), Some(padding)])[0];
        vec![s.node(attention(2, false), &[q, k, v]), masked]
    }),
    ("attention of no width", |s| {
        let (q, k, v) = (s.input(&[3, 0]), s.input(&[5, 0]), s.input(&[5, 4]));
        vec![s.node(attention(2, false), &[q, k, v])]
    }),
    ("attention without queries, or values", |s| {
        let (q, k, v) = (s.input(&[0, 4]), s.input(&[5, 4]), s.input(&[5, 0]));
        let wide = s.input(&[3, 4]);
        vec![s.node(attention(2, false), &[q, k, k]), s.node(attention(2, false), &[wide, k, v])]
    }),
    ("a convolution without channels", |s| {
        let (x, w, b) = (s.input(&[0, 7]), s.random(&[4, 0, 3], 1.0), s.random(&[4], 1.0));
        let conv = Op::Conv(Conv { padding: vec![(1, 1)], ..Conv::new(1) });
        let (y, none) = (s.input(&[2, 7]), s.random(&[0, 2, 3], 1.0));
        vec![s.node(conv.clone(), &[x, w, b]), s.node(conv, &[y, none])]
    }),
    ("pools of padding", |s| {
        let x = s.input(&[2, 0]);
        let padding = vec![(1, 1)];
        let max = MaxPool { stride: vec![1], padding: padding.clone(), ..MaxPool::new(vec![2]) };
        let mean =
            AveragePool { stride: vec![1], padding, count_include_pad: false, ..AveragePool::new(vec![2]) };
        vec![s.node(Op::MaxPool(max), &[x]), s.node(Op::AveragePool(mean), &[x])]
    }),
    ("nothing joined, padded and cut", |s| {
        let (x, y) = (s.input(&[0, 3]), s.input(&[2, 3]));
        let joined = s.node(Op::Concat(Concat { axis: 1 }), &[x, y, x]);
        let padded =
            s.node(Op::Pad(Pad { pads: vec![(0, 0), (2, 1), (0, 1)], mode: PadMode::Constant(4.0) }), &[x]);
        let pieces = s.node_with(Op::Split(Split { axis: 1, sizes: vec![0, 2, 0] }), &[Some(y)]);
        vec![joined, padded, pieces[0], pieces[1], pieces[2]]
    }),
    ("normalised nothing", |s| {
        let (x, y) = (s.input(&[4, 0]), s.input(&[0, 4]));
        let norm = s.node(Op::GroupNorm(GroupNorm { groups: 2, epsilon: 1e-5 }), &[x]);
        let layer = s.node(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5 }), &[y]);
        vec![norm, layer, s.node(Op::Softmax(Softmax { axis: 1 }), &[y])]
    }),
    ("an axis of 2^60 beside nothing", |s| {
        let x = s.input(&[0, 1 << 50]);
        let soft = s.node(Op::Softmax(Softmax { axis: 1 }), &[x]);
        let sum = s.node(ADD, &[soft, x]);
        let turned = s.transpose(sum, &[0, 2, 1]);
        vec![s.node(EXP, &[turned]), s.node(reduce(ReduceOp::Sum, &[1, 2]), &[x])]
    }),
    ("indices into an empty table, and none", |s| {
        let (i, none) = (s.input_of(DType::I64, &[3]), s.input_of(DType::I64, &[0]));
        let (empty, flat) = (s.random(&[0, 4], 1.0), s.random(&[5, 0], 1.0));
        let table = s.random(&[5, 4], 1.0);
        let op = Op::Embedding(Embedding {});
        vec![s.node(op.clone(), &[i, empty]), s.node(op.clone(), &[none, table]), s.node(op, &[i, flat])]
    }),
];

/// Views, broadcasts and merged axes that leave strides a kernel must not be given.
const VIEWS: &[(&str, Build)] = &[
    ("steps that lead past the end", |s| {
        let x = s.input(&[9, 4]);
        let one = slice(s, x, 1, [8, 9, usize::MAX]);
        let flat = s.reshape(one, [N, 4.into()]);
        let w = s.random(&[3, 4], 1.0);
        vec![one, flat, s.node(Op::Linear(Linear::default()), &[one, w]), s.node(ADD, &[x, one])]
    }),
    ("attention over strided queries, keys and values", |s| {
        let x = s.input(&[9, 24]);
        let (every, pieces) = (slice(s, x, 1, [0, 9, 2]), [0, 8, 16]);
        let [q, k, v] = pieces.map(|at| slice(s, every, 2, [at, at + 8, 1]));
        let column = slice(s, x, 2, [0, 24, 3]);
        vec![s.node(attention(2, true), &[q, k, v]), s.node(attention(4, false), &[column, column, column])]
    }),
    ("attention with another axis merged into the batch", |s| {
        let (x, wide) = (s.input(&[3, 5, 8]), s.input(&[3, 7, 8]));
        let q = s.reshape(x, [Dim::Batch(3), 5.into(), 8.into()]);
        let k = s.reshape(wide, [Dim::Batch(3), 7.into(), 8.into()]);
        let (full, rows) = (s.input(&[3, 2, 5, 7]), s.input(&[3, 1, 1, 7]));
        let full = s.reshape(full, [Dim::Batch(3), 2.into(), 5.into(), 7.into()]);
        let rows = s.reshape(rows, [Dim::Batch(3), 1.into(), 1.into(), 7.into()]);
        let shared = s.random(&[1, 2, 1, 7], 1.0);
        let padding = s.input_of(DType::Bool, &[3, 7]);
        let padding = s.reshape(padding, [Dim::Batch(3), 7.into()]);
        let masks = [Some(full), Some(rows), Some(shared), None];
        let attend = |mask| {
            let y = s.node_with(attention(2, true), &[Some(q), Some(k), Some(k), mask, Some(padding)])[0];
            s.reshape(y, [N, 3.into(), 5.into(), 8.into()])
        };
        masks.into_iter().map(attend).collect()
    }),
    ("a mask and a padding that are views", |s| {
        let (x, mask) = (s.input(&[5, 8]), s.input(&[5, 5, 2]));
        let mask = s.transpose(mask, &[0, 3, 2, 1]);
        let padding = s.input_of(DType::Bool, &[5, 2]);
        let padding = slice(s, padding, 2, [1, 2, 1]);
        let padding = s.reshape(padding, [N, 5.into()]);
        vec![s.node_with(attention(2, false), &[Some(x), Some(x), Some(x), Some(mask), Some(padding)])[0]]
    }),
    ("a residual, a bias and a weight that are computed", |s| {
        let (x, r, w) = (s.input(&[4, 3]), s.input(&[5, 4]), s.random(&[3, 5], 1.0));
        let w = s.node(EXP, &[w]);
        let w = s.transpose(w, &[1, 0]);
        let (r, b) = (s.transpose(r, &[0, 2, 1]), s.random(&[5, 2], 1.0));
        let b = s.node(EXP, &[b]);
        let b = slice(s, b, 1, [1, 2, 1]);
        let b = s.reshape(b, [5usize]);
        let op = Op::Linear(Linear { activation: Some(Activation::Gelu), ..Linear::default() });
        vec![s.node(op, &[x, w, b, r])]
    }),
    ("products that broadcast", |s| {
        let (a, b, c) = (s.input(&[2, 1, 3, 4]), s.random(&[5, 4, 2], 1.0), s.input(&[2, 3, 4]));
        let (row, column) = (s.random(&[3], 1.0), s.transpose(c, &[0, 1, 3, 2]));
        let turned = s.node(EXP, &[b]);
        let turned = s.transpose(turned, &[0, 2, 1]);
        let turned = s.transpose(turned, &[0, 2, 1]);
        vec![s.node(MATMUL, &[a, b]), s.node(MATMUL, &[column, row]), s.node(MATMUL, &[a, turned])]
    }),
    ("products with a row that is repeated along the sums", |s| {
        // Few rows: whatever the registers, some of these are two tiles.
        let row = s.input(&[1, 32]);
        let rows = s.node(Op::Expand(Expand { shape: [N, 7.into(), 32.into()].into() }), &[row]);
        let lefts = [8, 12, 20].map(|count| s.input(&[count, 7]));
        lefts.map(|left| s.node(MATMUL, &[left, rows])).to_vec()
    }),
    ("sums that broadcast both ways", |s| {
        let (a, b) = (s.input(&[3, 1, 5]), s.random(&[1, 4, 1], 1.0));
        let (c, d) = (s.input(&[5, 3]), s.random(&[7, 1, 1], 1.0));
        let c = s.transpose(c, &[0, 2, 1]);
        let c = s.reshape(c, [N, 3.into(), 1.into(), 5.into()]);
        let rows = s.node(ADD, &[b, a]);
        let strided = slice(s, rows, 3, [1, 5, 2]);
        let column = slice(s, a, 3, [2, 3, 1]);
        let (d, rows) = (s.node(EXP, &[d]), s.node(ADD, &[rows, c]));
        let flat = s.reshape(d, [7usize, 1]);
        let last = s.input(&[1, 9]);
        let last = s.node(ADD, &[last, flat]);
        vec![rows, s.node(ADD, &[strided, column]), last]
    }),
];

#[test]
fn what_is_odd_gives_what_the_reference_gives() {
    for (what, build) in EMPTY.iter().chain(VIEWS) {
        let mut pieces = Pieces::new(7);
        let outputs = build(&mut pieces);
        check(what, &pieces.finish(&outputs));
    }
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let cases: &[(&str, Build)] = &[
        ("an input", |s| {
            let x = s.input(&[1 << 60]);
            vec![s.node(EXP, &[x])]
        }),
        ("a right operand of one column", |s| {
            let (a, b) = (s.input(&[1, 1 << 60]), s.input(&[1 << 60, 1]));
            vec![s.node(MATMUL, &[a, b])]
        }),
        ("what padding makes", |s| {
            let x = s.input(&[3]);
            let padded =
                s.node(Op::Pad(Pad { pads: vec![(0, 0), (1 << 61, 0)], mode: PadMode::Constant(0.0) }), &[x]);
            vec![s.node(reduce(ReduceOp::Sum, &[1]), &[padded])]
        }),
        ("what a broadcast makes", |s| {
            let (a, b) = (s.input(&[1 << 20, 1]), s.input(&[1, 1 << 20]));
            let sum = s.node(ADD, &[a, b]);
            vec![s.node(reduce(ReduceOp::Max, &[1, 2]), &[sum])]
        }),
        ("keys", |s| {
            let (q, k) = (s.input(&[1, 1]), s.input(&[usize::MAX / 4, 1]));
            vec![s.node(attention(1, false), &[q, k, k])]
        }),
        ("the axis beside one of length 0, of more than one sample", |s| {
            let x = s.input(&[0, usize::MAX]);
            let sorted = s.node_with(Op::TopK(TopK { axis: 1, k: 0, largest: true }), &[Some(x)]);
            vec![sorted[0]]
        }),
    ];
    for (what, build) in cases {
        let mut pieces = Pieces::new(7);
        let outputs = build(&mut pieces);
        let refused = CpuDevice::new().compile(&pieces.finish(&outputs), &CompileOptions::default());
        assert!(matches!(refused, Err(CompileError::TooLarge { .. })), "{what}: {:?}", refused.err());
    }
}

#[test]
fn convolutions_of_nothing_but_padding_are_evaluated_without_a_kernel() {
    for groups in [1, 2] {
        let mut s = Pieces::new(7);
        let (x, w) = (s.input(&[2, 0]), s.random(&[4, 2 / groups, 3], 1.0));
        let conv = Conv { padding: vec![(2, 2)], groups, ..Conv::new(1) };
        let y = s.node(Op::Conv(conv), &[x, w]);
        let graph = s.finish(&[y]);
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
            let mut s = Pieces::new(7);
            let mut x = s.input(&[channels, 2, 2]);
            if behind {
                let w = s.random(&[channels, channels, 1, 1], 1.0);
                x = s.node(Op::Conv(Conv::new(2)), &[x, w]);
            }
            let w = s.random(&[8, channels / 4, 1, 1], 1.0);
            let stride = vec![2 * padding + 1; 2];
            let conv = Conv { padding: vec![(padding, padding); 2], stride, groups: 4, ..Conv::new(2) };
            let y = s.node(Op::Conv(conv), &[x, w]);
            let graph = s.finish(&[y]);
            check("a convolution over far more padding than there is image", &graph);
            let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
            let [node] = program.without_kernel() else { panic!("{:?}", program.without_kernel()) };
            assert!(node.reason.contains("with padding"), "{node:?}");
        }
    }
}

#[test]
fn pools_of_nearly_nothing_but_padding_are_evaluated_without_a_kernel() {
    const HALF: usize = usize::MAX / 4;
    for axes in [1, 2] {
        let mut s = Pieces::new(7);
        let x = s.input(&[2, 3, 5][..1 + axes]);
        let kernel = vec![2 * HALF; axes];
        let (stride, padding) = (vec![1 << 60; axes], vec![(HALF, HALF); axes]);
        let mean = AveragePool {
            stride: stride.clone(),
            padding: padding.clone(),
            ..AveragePool::new(kernel.clone())
        };
        let others = AveragePool { count_include_pad: false, ..mean.clone() };
        let max = MaxPool { stride, padding, ..MaxPool::new(kernel) };
        let pools = [Op::AveragePool(mean), Op::AveragePool(others), Op::MaxPool(max)];
        let outputs: Vec<Value> = pools.into_iter().map(|pool| s.node(pool, &[x])).collect();
        let graph = s.finish(&outputs);
        check("a pool of padding", &graph);
        let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
        assert_eq!(program.without_kernel().len(), 3, "{:?}", program.without_kernel());
    }
}

#[test]
fn strides_beyond_the_image_give_its_first_window() {
    for stride in [100, 1 << 31, (1 << 60) + 1, 1 << 62, usize::MAX] {
        for (axes, groups, channels) in [(1, 1, 2), (1, 4, 4), (1, 4, 8), (2, 1, 4), (2, 4, 4), (2, 4, 8)] {
            let mut s = Pieces::new(5);
            let x = s.input(&[4, 5, 5][..=axes]);
            let w = s.random(&[&[channels, 4 / groups][..], &[3, 3][..axes]].concat(), 1.0);
            let conv = Conv { stride: vec![stride; axes], groups, ..Conv::new(axes) };
            let y = s.node(Op::Conv(conv), &[x, w]);
            let graph = s.finish(&[y]);
            check("a convolution with a stride beyond the image", &graph);
            let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
            assert!(program.without_kernel().is_empty(), "{:?}", program.without_kernel());
        }
    }
}

#[test]
fn deep_graphs_and_many_axes_compile() {
    let mut s = Pieces::new(7);
    let mut y = s.input(&[3]);
    for i in 0..3000 {
        let op = if i % 2 == 0 { EXP } else { Op::Unary(Unary(UnaryOp::Relu)) };
        y = s.node(op, &[y]);
    }
    let ones: Vec<Dim> = [N].into_iter().chain([Dim::Fixed(1); 500]).chain([Dim::Fixed(3)]).collect();
    let wide = s.reshape(y, ones);
    let permutation: Vec<usize> = [0].into_iter().chain((1..502).rev()).collect();
    let turned = s.transpose(wide, &permutation);
    let sum = s.node(ADD, &[turned, wide]);
    let graph = s.finish(&[sum]);
    assert!(CpuDevice::new().compile(&graph, &CompileOptions::default()).is_ok());
}
