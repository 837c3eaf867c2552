use paceline_graph::passes::recognise_attention;
use paceline_graph::testing::{Pieces, patterns};
use paceline_graph::{Classify, Dim, Op, Shape, Softmax, Value, Where};

use crate::support::{Tolerance, assert_same, check, labels};

const ROUNDING: Tolerance = Tolerance::Relative(1e-5);

/// Queries of length 3, keys and values of length 5, two heads of 4 and values of 3.
fn operands(p: &mut Pieces) -> [Value; 3] {
    [p.input(&[3, 8]), p.input(&[5, 8]), p.input(&[5, 6])]
}

#[test]
fn every_order_and_place_of_the_scale_is_recognised() {
    for variant in 0..patterns::ATTENTION {
        for (masked, batched) in [(false, true), (true, true), (true, false)] {
            let mut p = Pieces::new(variant as u64);
            p.batch = if batched { Dim::BATCH } else { Dim::Fixed(2) };
            let qkv = operands(&mut p);
            let mask = masked.then(|| p.random(&[3, 5], 2.0));
            let y = patterns::attention(&mut p, qkv, 2, mask, variant);
            let before = p.finish(&[y]);
            let after = recognise_attention(&before).expect("a valid graph");
            let expected = if masked { "Attention(2)+mask" } else { "Attention(2)" };
            assert_eq!(labels(&after), expected, "variant {variant}");
            assert_eq!(after.nodes()[0].name, before.nodes().last().expect("nodes").name);
            assert_same(expected, &before, &after, ROUNDING, 11);
        }
    }
}

/// `[n, t, heads * d]` as `[n, heads, t, d]`, or the axes in another order.
fn split(p: &mut Pieces, x: Value, heads: usize, order: [usize; 4]) -> Value {
    let dims = p.dims(x);
    let x = p.reshape(x, p.batched(&[dims[1], heads, dims[2] / heads]));
    p.transpose(x, &order)
}

/// The pieces with two heads, without a scale: split query, key and value, scores, weights and result.
fn pieces(p: &mut Pieces, [q, k, v]: [Value; 3], mask: Option<Value>, softmax: isize) -> [Value; 6] {
    let q = split(p, q, 2, [0, 2, 1, 3]);
    let k = split(p, k, 2, [0, 2, 3, 1]);
    let v = split(p, v, 2, [0, 2, 1, 3]);
    let product = p.matmul(q, k);
    let scores = match mask {
        Some(mask) => p.add(product, mask),
        None => product,
    };
    let weights = p.node(Op::Softmax(Softmax { axis: softmax }), &[scores]);
    let context = p.matmul(weights, v);
    let merged = p.transpose(context, &[0, 2, 1, 3]);
    let dims = p.dims(merged);
    [q, k, v, product, weights, p.reshape(merged, p.batched(&[dims[1], dims[2] * dims[3]]))]
}

/// The result, with NaN in the weights replaced.
fn guarded(p: &mut Pieces, [q, k, v]: [Value; 3], replacement: f64) -> Value {
    let q = split(p, q, 2, [0, 2, 1, 3]);
    let k = split(p, k, 2, [0, 2, 3, 1]);
    let v = split(p, v, 2, [0, 2, 1, 3]);
    let scores = p.matmul(q, k);
    let weights = p.softmax(scores);
    let is_nan = p.node(Op::Classify(Classify::IsNan), &[weights]);
    let replacement = p.scalar(replacement);
    let weights = p.node(Op::Where(Where {}), &[is_nan, replacement, weights]);
    let context = p.matmul(weights, v);
    let merged = p.transpose(context, &[0, 2, 1, 3]);
    let dims = p.dims(merged);
    p.reshape(merged, p.batched(&[dims[1], dims[2] * dims[3]]))
}

fn mask_of(p: &mut Pieces, shape: &[usize], hidden: fn(usize, usize) -> bool) -> Value {
    let keys = shape[shape.len() - 1];
    let count: usize = shape.iter().product();
    let element = |i: usize| if hidden(i / keys, i % keys) { f32::NEG_INFINITY } else { 0.0 };
    p.elements(shape, (0..count).map(element).collect())
}

const PIECES: &str =
    "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Softmax MatMul Transpose Reshape";
const MASKED_PIECES: &str =
    "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Add Softmax MatMul Transpose Reshape";

#[test]
fn masks() {
    check(
        recognise_attention,
        ROUNDING,
        &[
            (
                "no scale is a scale of one",
                |p| {
                    let qkv = operands(p);
                    vec![pieces(p, qkv, None, -1)[5]]
                },
                "Attention(2)+scale",
            ),
            (
                "what is NaN for want of keys replaced by zeros",
                |p| {
                    let qkv = operands(p);
                    vec![guarded(p, qkv, 0.0)]
                },
                "Attention(2)+scale",
            ),
            (
                "what is NaN for want of keys replaced by something else",
                |p| {
                    let qkv = operands(p);
                    vec![guarded(p, qkv, 1.0)]
                },
                "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Softmax IsNaN Where MatMul Transpose Reshape",
            ),
            (
                "a mask for each head",
                |p| {
                    let qkv = operands(p);
                    let mask = p.random(&[2, 1, 5], 1.0);
                    vec![pieces(p, qkv, Some(mask), 3)[5]]
                },
                "Attention(2)+mask+scale",
            ),
            (
                "a mask for each sample",
                |p| {
                    let (qkv, mask) = (operands(p), p.input(&[1, 1, 5]));
                    vec![pieces(p, qkv, Some(mask), -1)[5]]
                },
                "Attention(2)+mask+scale",
            ),
            (
                "what lies above the diagonal",
                |p| {
                    let qkv = operands(p);
                    let mask = mask_of(p, &[1, 1, 3, 5], |query, key| key > query);
                    vec![pieces(p, qkv, Some(mask), -1)[5]]
                },
                "Attention(2)+causal+scale",
            ),
            (
                "what lies on the diagonal",
                |p| {
                    let qkv = operands(p);
                    let mask = mask_of(p, &[3, 5], |query, key| key == query);
                    vec![pieces(p, qkv, Some(mask), -1)[5]]
                },
                "Attention(2)+mask+scale",
            ),
            (
                "a query without keys, which the pieces answer with NaN",
                |p| {
                    let qkv = operands(p);
                    let mask = mask_of(p, &[3, 5], |query, _| query == 1);
                    vec![pieces(p, qkv, Some(mask), -1)[5]]
                },
                MASKED_PIECES,
            ),
        ],
    );
}

#[test]
fn shapes_around_the_heads() {
    check(
        recognise_attention,
        ROUNDING,
        &[
            (
                "one head, without splits",
                |p| {
                    let [q, k, v] = [p.input(&[3, 4]), p.input(&[5, 4]), p.input(&[5, 6])];
                    let k = p.transpose(k, &[0, 2, 1]);
                    let scores = p.matmul(q, k);
                    let half = p.scalar(0.5);
                    let scores = p.mul(scores, half);
                    let weights = p.softmax(scores);
                    vec![p.matmul(weights, v)]
                },
                "Attention(1)",
            ),
            (
                "one head with a mask for each sample",
                |p| {
                    let [q, k, v] = [p.input(&[3, 4]), p.input(&[5, 4]), p.input(&[5, 6])];
                    let mask = p.input(&[3, 5]);
                    let k = p.transpose(k, &[0, 2, 1]);
                    let scores = p.matmul(q, k);
                    let scores = p.add(mask, scores);
                    let weights = p.softmax(scores);
                    vec![p.matmul(weights, v)]
                },
                "Reshape Attention(1)+mask+scale",
            ),
            (
                "samples and positions in one axis before and after",
                |p| {
                    let x = p.input(&[3, 8]);
                    let x = p.reshape(x, Shape::from([Dim::Batch(3), Dim::Fixed(8)]));
                    let parts = [0; 3].map(|_| {
                        let y = p.linear(x, 8, true);
                        let y = p.reshape(y, p.batched(&[3, 2, 4]));
                        p.transpose(y, &[0, 2, 1, 3])
                    });
                    let k = p.transpose(parts[1], &[0, 1, 3, 2]);
                    let scores = p.matmul(parts[0], k);
                    let weights = p.softmax(scores);
                    let y = p.matmul(weights, parts[2]);
                    let y = p.transpose(y, &[0, 2, 1, 3]);
                    let y = p.reshape(y, Shape::from([Dim::Batch(3), Dim::Fixed(8)]));
                    let y = p.linear(y, 8, true);
                    vec![p.reshape(y, p.batched(&[3, 8]))]
                },
                "Reshape Linear+bias Linear+bias Linear+bias Reshape Reshape Reshape Attention(2)+scale Reshape \
                 Linear+bias Reshape",
            ),
            (
                "the split keys are returned: they stay for that",
                |p| {
                    let qkv = operands(p);
                    let [_, k, .., y] = pieces(p, qkv, None, -1);
                    vec![y, k]
                },
                "Reshape Transpose Attention(2)+scale",
            ),
            (
                "the same value as queries, keys and values",
                |p| {
                    let x = p.input(&[3, 8]);
                    vec![pieces(p, [x; 3], None, -1)[5]]
                },
                "Attention(2)+scale",
            ),
        ],
    );
}

#[test]
fn other_expressions_stay() {
    check(
        recognise_attention,
        ROUNDING,
        &[
            (
                "softmax over the queries",
                |p| {
                    let qkv = operands(p);
                    vec![pieces(p, qkv, None, -2)[5]]
                },
                PIECES,
            ),
            (
                "the weights are returned",
                |p| {
                    let qkv = operands(p);
                    let [.., weights, y] = pieces(p, qkv, None, -1);
                    vec![y, weights]
                },
                PIECES,
            ),
            (
                "the scores are used elsewhere",
                |p| {
                    let qkv = operands(p);
                    let [_, _, _, scores, _, y] = pieces(p, qkv, None, -1);
                    vec![y, p.softmax(scores)]
                },
                "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Softmax MatMul Transpose Reshape Softmax",
            ),
            (
                "heads that are interleaved",
                |p| {
                    let [q, k, v] = operands(p);
                    let q = p.reshape(q, p.batched(&[3, 4, 2]));
                    let q = p.transpose(q, &[0, 3, 1, 2]);
                    let k = split(p, k, 2, [0, 2, 3, 1]);
                    let v = split(p, v, 2, [0, 2, 1, 3]);
                    let scores = p.matmul(q, k);
                    let weights = p.softmax(scores);
                    let y = p.matmul(weights, v);
                    let y = p.transpose(y, &[0, 2, 1, 3]);
                    vec![p.reshape(y, p.batched(&[3, 6]))]
                },
                PIECES,
            ),
            (
                "heads that are not merged",
                |p| {
                    let [q, k, v] = operands(p);
                    let q = split(p, q, 2, [0, 2, 1, 3]);
                    let k = split(p, k, 2, [0, 2, 3, 1]);
                    let v = split(p, v, 2, [0, 2, 1, 3]);
                    let scores = p.matmul(q, k);
                    let weights = p.softmax(scores);
                    vec![p.matmul(weights, v)]
                },
                "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Softmax MatMul",
            ),
            (
                "values that are scaled",
                |p| {
                    let [q, k, v] = operands(p);
                    let half = p.scalar(0.5);
                    let v = p.mul(v, half);
                    vec![pieces(p, [q, k, v], None, -1)[5]]
                },
                "Mul Attention(2)+scale",
            ),
            (
                "a scale after the mask",
                |p| {
                    let [q, k, v] = operands(p);
                    let (mask, half) = (p.random(&[3, 5], 1.0), p.scalar(0.5));
                    let q = split(p, q, 2, [0, 2, 1, 3]);
                    let k = split(p, k, 2, [0, 2, 3, 1]);
                    let v = split(p, v, 2, [0, 2, 1, 3]);
                    let scores = p.matmul(q, k);
                    let scores = p.add(scores, mask);
                    let scores = p.mul(scores, half);
                    let weights = p.softmax(scores);
                    let y = p.matmul(weights, v);
                    let y = p.transpose(y, &[0, 2, 1, 3]);
                    vec![p.reshape(y, p.batched(&[3, 6]))]
                },
                "Reshape Transpose Reshape Transpose Reshape Transpose MatMul Add Mul Softmax MatMul Transpose Reshape",
            ),
        ],
    );
}
