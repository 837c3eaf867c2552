//! Evaluations of elementwise functions, products, normalisations, attention, look-up and reductions.

use paceline_graph::{
    Activation, Attention, BatchNorm, Binary, BinaryOp, Embedding, GroupNorm, LayerNorm, Linear, MatMul, Op,
    Reduce, ReduceOp, Reshape, RmsNorm, Softmax, Tensor, Transpose, Unary, UnaryOp,
};

use crate::notation::{apply, apply_all, assert_close, assert_values, random, shape, tensor, values};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn binary(op: BinaryOp, a: &Tensor, b: &Tensor) -> Tensor {
    apply(Binary(op), &[a, b])
}

#[test]
fn unary_functions_have_their_values() {
    let x = [-INF, -2.0, -0.5, 0.0, 1.0, 3.0, INF, NAN];
    let table: [(UnaryOp, [f32; 8]); 10] = [
        (UnaryOp::Relu, [0.0, 0.0, 0.0, 0.0, 1.0, 3.0, INF, NAN]),
        (UnaryOp::Gelu, [NAN, -0.04550026, -0.15426877, 0.0, 0.8413447, 2.9959502, INF, NAN]),
        (UnaryOp::GeluTanh, [NAN, -0.045402, -0.154286, 0.0, 0.841192, 2.9963627, INF, NAN]),
        (UnaryOp::Silu, [NAN, -0.23840584, -0.18877033, 0.0, 0.7310586, 2.8577223, INF, NAN]),
        (UnaryOp::Sigmoid, [0.0, 0.11920292, 0.37754068, 0.5, 0.7310586, 0.95257413, 1.0, NAN]),
        (UnaryOp::Tanh, [-1.0, -0.9640276, -0.46211717, 0.0, 0.7615942, 0.9950548, 1.0, NAN]),
        (UnaryOp::Exp, [0.0, 0.13533528, 0.60653067, 1.0, std::f32::consts::E, 20.085537, INF, NAN]),
        (UnaryOp::Sqrt, [NAN, NAN, NAN, 0.0, 1.0, 1.7320508, INF, NAN]),
        (UnaryOp::Erf, [-1.0, -0.9953223, -0.5204999, 0.0, 0.8427008, 0.9999779, 1.0, NAN]),
        (UnaryOp::Neg, [INF, 2.0, 0.5, 0.0, -1.0, -3.0, -INF, NAN]),
    ];
    for (op, expected) in table {
        let got = apply(Unary(op), &[&tensor(&[8], x.to_vec())]);
        assert_close(&got, &tensor(&[8], expected.to_vec()), 1e-6);
    }
}

#[test]
fn gelu_keeps_its_precision_in_the_tail() {
    // x * Phi(x) for x = -8, where 1 + erf(x / sqrt 2) has lost every digit that f32 holds.
    let got = values(&apply(Unary(UnaryOp::Gelu), &[&Tensor::scalar(-8.0)]))[0];
    assert!((got / -4.976_768e-15 - 1.0).abs() < 1e-5, "{got:e}");
}

#[test]
fn binary_functions_broadcast() {
    let a = tensor(&[2, 1], vec![6.0, -8.0]);
    let b = tensor(&[3], vec![1.0, 2.0, -4.0]);
    for (op, expected) in [
        (BinaryOp::Add, [7.0, 8.0, 2.0, -7.0, -6.0, -12.0]),
        (BinaryOp::Sub, [5.0, 4.0, 10.0, -9.0, -10.0, -4.0]),
        (BinaryOp::Mul, [6.0, 12.0, -24.0, -8.0, -16.0, 32.0]),
        (BinaryOp::Div, [6.0, 3.0, -1.5, -8.0, -4.0, 2.0]),
    ] {
        let got = binary(op, &a, &b);
        assert_eq!(got.shape(), [2, 3]);
        assert_values(&got, &expected);
    }
}

#[test]
fn integers_wrap() {
    let a = Tensor::new([2], vec![i64::MAX, 3]).unwrap();
    let b = Tensor::new([1], vec![2i64]).unwrap();
    for (op, expected) in
        [(BinaryOp::Add, [i64::MIN + 1, 5]), (BinaryOp::Sub, [i64::MAX - 2, 1]), (BinaryOp::Mul, [-2, 6])]
    {
        assert_eq!(binary(op, &a, &b).as_i64(), Some(&expected[..]));
    }
}

#[test]
fn matmul_of_matrices_and_vectors() {
    let a = tensor(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = tensor(&[3, 2], vec![1.0, 0.0, 2.0, -1.0, 0.0, 3.0]);
    let v = tensor(&[3], vec![1.0, -1.0, 2.0]);
    assert_values(&apply(MatMul {}, &[&a, &b]), &[5.0, 7.0, 14.0, 13.0]);
    assert_values(&apply(MatMul {}, &[&a, &v]), &[5.0, 11.0]);
    assert_values(&apply(MatMul {}, &[&v, &b]), &[-1.0, 7.0]);
    assert_values(&apply(MatMul {}, &[&v, &v]), &[6.0]);
    let nothing = apply(MatMul {}, &[&tensor(&[2, 0], vec![]), &tensor(&[0, 2], vec![])]);
    assert_values(&nothing, &[0.0; 4]);
}

#[test]
fn matmul_broadcasts_the_leading_axes() {
    let (a, b) = (random(&[2, 1, 3, 5], 1), random(&[4, 5, 2], 2));
    let got = apply(MatMul {}, &[&a, &b]);
    assert_eq!(got.shape(), [2, 4, 3, 2]);
    for i in 0..2 {
        for j in 0..4 {
            let a = tensor(&[3, 5], values(&a)[i * 15..][..15].to_vec());
            let b = tensor(&[5, 2], values(&b)[j * 10..][..10].to_vec());
            let part = tensor(&[3, 2], values(&got)[(i * 4 + j) * 6..][..6].to_vec());
            assert_eq!(apply(MatMul {}, &[&a, &b]), part);
        }
    }
}

#[test]
fn linear_is_a_product_a_sum_and_an_activation() {
    let (x, w) = (random(&[2, 3, 7], 1), random(&[5, 7], 2));
    let (bias, residual) = (random(&[5], 3), random(&[2, 3, 5], 4));
    let transposed = apply(Transpose { permutation: vec![1, 0] }, &[&w]);
    let product = apply(MatMul {}, &[&x, &transposed]);
    assert_eq!(apply(Linear::default(), &[&x, &w]), product);
    let as_right_operand = Linear { transposed: true, ..Linear::default() };
    assert_eq!(apply(as_right_operand, &[&x, &transposed]), product);
    let sum = binary(BinaryOp::Add, &binary(BinaryOp::Add, &product, &bias), &residual);
    assert_close(&apply(Linear::default(), &[&x, &w, &bias, &residual]), &sum, 1e-6);
    for activation in [
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
    ] {
        let fused = Linear { activation: Some(activation), ..Linear::default() };
        let expected = apply(Unary(activation.unary()), &[&sum]);
        assert_close(&apply(fused, &[&x, &w, &bias, &residual]), &expected, 1e-6);
    }
    let with_residual_alone =
        apply_all(&Op::Linear(Linear::default()), &[Some(&x), Some(&w), None, Some(&residual)]);
    assert_close(&with_residual_alone[0], &binary(BinaryOp::Add, &product, &residual), 1e-6);
}

#[test]
fn softmax_is_a_distribution_that_a_shift_leaves_alone() {
    let x = random(&[3, 4, 5], 1);
    for axis in [-3, 1, 2] {
        let y = apply(Softmax { axis }, &[&x]);
        let total = apply(Reduce { op: ReduceOp::Sum, axes: vec![axis], keep_dims: false }, &[&y]);
        assert_close(&total, &tensor(total.shape(), vec![1.0; total.len()]), 1e-6);
        let shifted = binary(BinaryOp::Add, &x, &Tensor::scalar(64.0));
        assert_close(&apply(Softmax { axis }, &[&shifted]), &y, 1e-5);
    }
    let x = tensor(&[2, 2], vec![0.0, 3f32.ln(), -1e30, 1e30]);
    assert_close(&apply(Softmax { axis: 1 }, &[&x]), &tensor(&[2, 2], vec![0.25, 0.75, 0.0, 1.0]), 1e-6);
    assert_close(&apply(Softmax { axis: 0 }, &[&x]), &tensor(&[2, 2], vec![1.0, 0.0, 0.0, 1.0]), 1e-6);
}

#[test]
fn softmax_without_a_largest_finite_element_is_not_a_number() {
    let x = tensor(&[4, 2], vec![-INF, -INF, INF, 0.0, NAN, 0.0, -INF, 0.0]);
    assert_values(&apply(Softmax { axis: 1 }, &[&x]), &[NAN, NAN, NAN, NAN, NAN, NAN, 0.0, 1.0]);
}

#[test]
fn layer_norm_is_invariant_to_shift_and_scale() {
    let x = random(&[3, 2, 5], 1);
    let norm = |axes| LayerNorm { axes, epsilon: 0.0 };
    let y = apply(norm(2), &[&x]);
    for row in values(&y).chunks(10) {
        let mean = row.iter().sum::<f32>() / 10.0;
        let variance = row.iter().map(|v| v * v).sum::<f32>() / 10.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
    let scaled = binary(BinaryOp::Mul, &x, &Tensor::scalar(4.0));
    let moved = binary(BinaryOp::Add, &scaled, &Tensor::scalar(-3.0));
    assert_close(&apply(norm(2), &[&moved]), &y, 1e-5);
    let flat = apply(Reshape { shape: shape("3, 10") }, &[&x]);
    assert_eq!(values(&apply(norm(1), &[&flat])), values(&y));
}

#[test]
fn layer_norm_and_rms_norm_by_hand() {
    let x = tensor(&[2, 2], vec![1.0, 5.0, -2.0, -2.0]);
    let (weight, bias) = (tensor(&[2], vec![10.0, 2.0]), tensor(&[2], vec![0.5, -1.0]));
    // Means 3 and -2, variances 4 and 0; with epsilon 12, deviations 4 and sqrt 12.
    let norm = LayerNorm { axes: 1, epsilon: 12.0 };
    assert_values(&apply(norm, &[&x, &weight, &bias]), &[-4.5, 0.0, 0.5, -1.0]);
    assert_values(&apply(norm, &[&x, &weight]), &[-5.0, 1.0, 0.0, 0.0]);
    let biased = apply_all(&Op::LayerNorm(norm), &[Some(&x), None, Some(&bias)]);
    assert_values(&biased[0], &[0.0, -0.5, 0.5, -1.0]);
    // Mean squares 13 and 4; with epsilon 12, roots 5 and 4.
    let norm = RmsNorm { axes: 1, epsilon: 12.0 };
    assert_values(&apply(norm, &[&x]), &[0.2, 1.0, -0.5, -0.5]);
    assert_values(&apply(norm, &[&x, &weight]), &[2.0, 2.0, -5.0, -1.0]);
}

#[test]
fn batch_norm_by_hand() {
    let x = tensor(&[1, 2, 2], vec![1.0, 5.0, -2.0, 7.0]);
    let (mean, variance) = (tensor(&[2], vec![1.0, -2.0]), tensor(&[2], vec![3.0, 8.0]));
    let (weight, bias) = (tensor(&[2], vec![10.0, 2.0]), tensor(&[2], vec![0.5, -1.0]));
    let norm = BatchNorm { epsilon: 1.0 };
    assert_values(&apply(norm, &[&x, &mean, &variance]), &[0.0, 2.0, 0.0, 3.0]);
    assert_values(&apply(norm, &[&x, &mean, &variance, &weight, &bias]), &[0.5, 20.5, -1.0, 5.0]);
}

#[test]
fn group_norm_of_one_group_is_layer_norm_of_a_sample() {
    let x = random(&[2, 6, 5], 1);
    let (weight, bias) = (random(&[6], 2), random(&[6], 3));
    let whole = apply(LayerNorm { axes: 2, epsilon: 0.1 }, &[&x]);
    assert_eq!(apply(GroupNorm { groups: 1, epsilon: 0.1 }, &[&x]), whole);

    let split = apply(Reshape { shape: shape("2, 3, 10") }, &[&x]);
    let thirds = apply(LayerNorm { axes: 1, epsilon: 0.1 }, &[&split]);
    let thirds = apply(Reshape { shape: shape("2, 6, 5") }, &[&thirds]);
    assert_eq!(apply(GroupNorm { groups: 3, epsilon: 0.1 }, &[&x]), thirds);

    let column = |t: &Tensor| t.clone().reshaped([6, 1]).unwrap();
    let scaled = binary(BinaryOp::Add, &binary(BinaryOp::Mul, &thirds, &column(&weight)), &column(&bias));
    assert_close(&apply(GroupNorm { groups: 3, epsilon: 0.1 }, &[&x, &weight, &bias]), &scaled, 1e-5);
}

/// Attention from other operators: heads taken apart, scores, softmax, mixture, heads put together.
fn attention_from_pieces(heads: usize, q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Tensor {
    let apart = |t: &Tensor| {
        let &[n, length, width] = t.shape() else { unreachable!() };
        let t = t.clone().reshaped([n, length, heads, width / heads]).unwrap();
        apply(Transpose { permutation: vec![0, 2, 1, 3] }, &[&t])
    };
    let (q, k, v) = (apart(q), apart(k), apart(v));
    let scale = Tensor::scalar(1.0 / (q.shape()[3] as f32).sqrt());
    let k = apply(Transpose { permutation: vec![0, 1, 3, 2] }, &[&k]);
    let mut scores = binary(BinaryOp::Mul, &apply(MatMul {}, &[&q, &k]), &scale);
    if let Some(mask) = mask {
        scores = binary(BinaryOp::Add, &scores, mask);
    }
    let mixed = apply(MatMul {}, &[&apply(Softmax { axis: -1 }, &[&scores]), &v]);
    let mixed = apply(Transpose { permutation: vec![0, 2, 1, 3] }, &[&mixed]);
    let &[n, length, heads, each] = mixed.shape() else { unreachable!() };
    mixed.reshaped([n, length, heads * each]).unwrap()
}

fn attention(heads: usize, causal: bool, inputs: &[Option<&Tensor>]) -> Tensor {
    apply_all(&Op::Attention(Attention { heads, scale: None, causal }), inputs).swap_remove(0)
}

#[test]
fn attention_equals_its_pieces() {
    let (q, k, v) = (random(&[2, 3, 6], 1), random(&[2, 5, 6], 2), random(&[2, 5, 4], 3));
    assert_close(
        &attention(2, false, &[Some(&q), Some(&k), Some(&v)]),
        &attention_from_pieces(2, &q, &k, &v, None),
        1e-5,
    );
    for mask_shape in [&[3, 5][..], &[2, 1, 1, 5], &[2, 3, 1], &[]] {
        let mask = random(mask_shape, 4);
        assert_close(
            &attention(2, false, &[Some(&q), Some(&k), Some(&v), Some(&mask)]),
            &attention_from_pieces(2, &q, &k, &v, Some(&mask)),
            1e-5,
        );
    }
    let scaled = Attention { heads: 1, scale: Some(0.0), causal: false };
    let mean = Reduce { op: ReduceOp::Mean, axes: vec![1], keep_dims: true };
    let mean = binary(BinaryOp::Add, &apply(mean, &[&v]), &tensor(&[3, 1], vec![0.0; 3]));
    assert_close(&apply(scaled, &[&q, &k, &v]), &mean, 1e-6);
}

#[test]
fn causal_and_padded_attention_equal_additive_masks() {
    let (q, k, v) = (random(&[2, 4, 6], 1), random(&[2, 5, 6], 2), random(&[2, 5, 6], 3));
    let causal = (0..20).map(|i| if i % 5 > i / 5 { -INF } else { 0.0 }).collect();
    let causal = tensor(&[4, 5], causal);
    assert_close(
        &attention(3, true, &[Some(&q), Some(&k), Some(&v)]),
        &attention_from_pieces(3, &q, &k, &v, Some(&causal)),
        1e-5,
    );
    let ignored = [false, true, false, true, false, true, false, false, false, true];
    let padding = Tensor::new([2, 5], ignored.to_vec()).unwrap();
    let added = tensor(&[2, 1, 1, 5], ignored.iter().map(|&i| if i { -INF } else { 0.0 }).collect());
    assert_close(
        &attention(3, false, &[Some(&q), Some(&k), Some(&v), None, Some(&padding)]),
        &attention_from_pieces(3, &q, &k, &v, Some(&added)),
        1e-5,
    );
}

#[test]
fn masked_keys_have_no_part_in_attention() {
    let (q, k, v) = (random(&[1, 2, 3], 1), random(&[1, 3, 3], 2), random(&[1, 3, 3], 3));
    let padding = Tensor::new([1, 3], vec![false, true, false]).unwrap();
    let masked = attention(1, false, &[Some(&q), Some(&k), Some(&v), None, Some(&padding)]);
    let spoiled = |t: &Tensor| {
        let mut data = values(t).to_vec();
        data[3..6].copy_from_slice(&[NAN, INF, -INF]);
        tensor(t.shape(), data)
    };
    let got = attention(1, false, &[Some(&q), Some(&spoiled(&k)), Some(&spoiled(&v)), None, Some(&padding)]);
    assert_eq!(got, masked);

    let all = Tensor::new([1, 3], vec![true; 3]).unwrap();
    assert_values(&attention(1, false, &[Some(&q), Some(&k), Some(&v), None, Some(&all)]), &[0.0; 6]);
    let mask = tensor(&[2, 1], vec![0.0, -INF]);
    let half = attention(1, false, &[Some(&q), Some(&k), Some(&v), Some(&mask)]);
    assert!(values(&half)[..3].iter().all(|&v| v != 0.0));
    assert_eq!(values(&half)[3..], [0.0; 3]);
    let no_keys =
        attention(1, false, &[Some(&q), Some(&random(&[1, 0, 3], 4)), Some(&random(&[1, 0, 3], 5))]);
    assert_values(&no_keys, &[0.0; 6]);
}

#[test]
fn embedding_marks_bad_indices() {
    let weight = tensor(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let indices = Tensor::new([5], vec![2i64, 0, -1, 3, i64::MIN]).unwrap();
    let got = apply(Embedding {}, &[&indices, &weight]);
    assert_eq!(got.shape(), [5, 2]);
    assert_values(&got, &[5.0, 6.0, 1.0, 2.0, NAN, NAN, NAN, NAN, NAN, NAN]);
}

#[test]
fn reductions_by_hand() {
    let x = tensor(&[2, 3], vec![1.0, -2.0, 4.0, 0.5, INF, NAN]);
    let reduce = |op, axes: &[isize]| apply(Reduce { op, axes: axes.to_vec(), keep_dims: false }, &[&x]);
    assert_values(&reduce(ReduceOp::Sum, &[1]), &[3.0, NAN]);
    assert_values(&reduce(ReduceOp::Mean, &[-1]), &[1.0, NAN]);
    assert_values(&reduce(ReduceOp::Max, &[1]), &[4.0, NAN]);
    assert_values(&reduce(ReduceOp::Max, &[0]), &[1.0, INF, NAN]);
    assert_values(&reduce(ReduceOp::Sum, &[0]), &[1.5, INF, NAN]);
    assert_values(&reduce(ReduceOp::Max, &[0, 1]), &[NAN]);
    let nothing = tensor(&[2, 0], vec![]);
    let of_nothing = |op| apply(Reduce { op, axes: vec![1], keep_dims: true }, &[&nothing]);
    assert_values(&of_nothing(ReduceOp::Sum), &[0.0, 0.0]);
    assert_values(&of_nothing(ReduceOp::Mean), &[NAN, NAN]);
}

#[test]
fn reducing_several_axes_is_reducing_each() {
    let x = random(&[3, 4, 2, 5], 1);
    for op in [ReduceOp::Mean, ReduceOp::Sum, ReduceOp::Max] {
        let both = apply(Reduce { op, axes: vec![-1, 1], keep_dims: true }, &[&x]);
        assert_eq!(both.shape(), [3, 1, 2, 1]);
        let one = apply(Reduce { op, axes: vec![1], keep_dims: true }, &[&x]);
        assert_close(&both, &apply(Reduce { op, axes: vec![3], keep_dims: true }, &[&one]), 1e-5);
    }
}

#[test]
fn sums_lose_nothing_before_they_are_rounded() {
    let x = tensor(&[1, 3], vec![1e8, 1.0, -1e8]);
    assert_values(&apply(Reduce { op: ReduceOp::Sum, axes: vec![1], keep_dims: false }, &[&x]), &[1.0]);
    assert_values(&apply(Linear::default(), &[&x, &tensor(&[1, 3], vec![1.0; 3])]), &[1.0]);
}
