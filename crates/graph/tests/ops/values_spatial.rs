//! Evaluations of convolution and pooling.

use paceline_graph::{
    Activation, AveragePool, Binary, BinaryOp, Concat, Conv, ConvTranspose, GlobalAveragePool, Linear,
    MaxPool, Pad, PadMode, Reduce, ReduceOp, Slice, Tensor, Transpose, Unary,
};

use crate::notation::{apply, assert_close, assert_values, random, tensor, values};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn cut(x: &Tensor, axis: isize, start: usize, length: usize) -> Tensor {
    apply(Slice { axis, start, end: start + length, step: 1 }, &[x])
}

#[test]
fn conv_1d_is_linear_on_unfolded_windows() {
    let (channels, out, kernel) = (3, 4, 3);
    for (length, stride, padding, dilation) in
        [(7, 1, (0, 0), 1), (9, 2, (1, 2), 1), (8, 3, (2, 0), 2), (5, 1, (4, 4), 4)]
    {
        let x = random(&[2, channels, length], 1);
        let (weight, bias) = (random(&[out, channels, kernel], 2), random(&[out], 3));
        let conv =
            Conv { stride: vec![stride], padding: vec![padding], dilation: vec![dilation], ..Conv::new(1) };
        let got = apply(conv, &[&x, &weight, &bias]);

        let padded = apply(Pad { pads: vec![(0, 0), (0, 0), padding], mode: PadMode::Constant(0.0) }, &[&x]);
        let reach = dilation * (kernel - 1) + 1;
        let rows: Vec<Tensor> = (0..=padded.shape()[2] - reach)
            .step_by(stride)
            .map(|start| {
                let taps = Slice { axis: 2, start, end: start + reach, step: dilation };
                apply(taps, &[&padded]).reshaped([2, 1, channels * kernel]).unwrap()
            })
            .collect();
        let unfolded = apply(Concat { axis: 1 }, &rows.iter().collect::<Vec<_>>());
        let flat = weight.clone().reshaped([out, channels * kernel]).unwrap();
        let by_linear = apply(Linear::default(), &[&unfolded, &flat, &bias]);
        let expected = apply(Transpose { permutation: vec![0, 2, 1] }, &[&by_linear]);
        assert_close(&got, &expected, 1e-6);
    }
}

#[test]
fn conv_2d_by_hand() {
    let x = tensor(&[1, 1, 3, 3], (1..=9).map(|i| i as f32).collect());
    let weight = tensor(&[1, 1, 2, 2], vec![1.0, 10.0, 100.0, 1000.0]);
    assert_values(&apply(Conv::new(2), &[&x, &weight]), &[5421.0, 6532.0, 8754.0, 9865.0]);
    let conv = Conv { stride: vec![2, 1], padding: vec![(1, 0), (0, 1)], ..Conv::new(2) };
    let got = apply(conv, &[&x, &weight]);
    assert_eq!(got.shape(), [1, 1, 2, 3]);
    assert_values(&got, &[2100.0, 3200.0, 300.0, 8754.0, 9865.0, 906.0]);
    let dilated = Conv { dilation: vec![2, 2], ..Conv::new(2) };
    assert_values(&apply(dilated, &[&x, &weight]), &[9731.0]);
}

#[test]
fn groups_are_convolutions_side_by_side() {
    let (x, weight, bias) = (random(&[2, 6, 5], 1), random(&[4, 3, 2], 2), random(&[4], 3));
    let got = apply(Conv { groups: 2, ..Conv::new(1) }, &[&x, &weight, &bias]);
    let halves = [0, 1].map(|half| {
        let (x, weight) = (cut(&x, 1, half * 3, 3), cut(&weight, 0, half * 2, 2));
        apply(Conv::new(1), &[&x, &weight, &cut(&bias, 0, half * 2, 2)])
    });
    assert_eq!(got, apply(Concat { axis: 1 }, &[&halves[0], &halves[1]]));

    let (x, weight) = (random(&[2, 4, 5], 4), random(&[4, 3, 2], 5));
    let conv = ConvTranspose { groups: 2, stride: vec![2], ..ConvTranspose::new(1) };
    let got = apply(conv.clone(), &[&x, &weight]);
    let halves = [0, 1].map(|half| {
        let one = ConvTranspose { groups: 1, ..conv.clone() };
        apply(one, &[&cut(&x, 1, half * 2, 2), &cut(&weight, 0, half * 2, 2)])
    });
    assert_eq!(got, apply(Concat { axis: 1 }, &[&halves[0], &halves[1]]));
}

#[test]
fn conv_adds_the_residual_and_then_activates() {
    let (x, weight, bias) = (random(&[2, 3, 4, 5], 1), random(&[4, 3, 2, 2], 2), random(&[4], 3));
    let residual = random(&[2, 4, 3, 4], 4);
    let plain = apply(Conv::new(2), &[&x, &weight, &bias]);
    let expected = apply(Binary(BinaryOp::Add), &[&plain, &residual]);
    let expected = apply(Unary(Activation::Silu.unary()), &[&expected]);
    let fused = Conv { activation: Some(Activation::Silu), ..Conv::new(2) };
    assert_close(&apply(fused, &[&x, &weight, &bias, &residual]), &expected, 1e-6);
}

#[test]
fn conv_transpose_by_hand() {
    let x = tensor(&[1, 1, 2], vec![1.0, 2.0]);
    let weight = tensor(&[1, 2, 3], vec![1.0, 10.0, 100.0, 3.0, 5.0, 7.0]);
    let bias = tensor(&[2], vec![0.5, -0.5]);
    let conv = ConvTranspose { stride: vec![2], output_padding: vec![1], ..ConvTranspose::new(1) };
    let got = apply(conv.clone(), &[&x, &weight]);
    assert_eq!(got.shape(), [1, 2, 6]);
    assert_values(&got, &[1.0, 10.0, 102.0, 20.0, 200.0, 0.0, 3.0, 5.0, 13.0, 10.0, 14.0, 0.0]);
    let trimmed = ConvTranspose { padding: vec![(1, 2)], ..conv.clone() };
    assert_values(&apply(trimmed, &[&x, &weight, &bias]), &[10.5, 102.5, 20.5, 4.5, 12.5, 9.5]);
    let dilated = ConvTranspose { dilation: vec![2], ..ConvTranspose::new(1) };
    assert_values(
        &apply(dilated, &[&x, &weight]),
        &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 3.0, 6.0, 5.0, 10.0, 7.0, 14.0],
    );
    let active = ConvTranspose { activation: Some(Activation::Relu), ..conv };
    let minus = tensor(&[2], vec![-15.0, -4.0]);
    assert_values(
        &apply(active, &[&x, &weight, &minus]),
        &[0.0, 0.0, 87.0, 5.0, 185.0, 0.0, 0.0, 1.0, 9.0, 6.0, 10.0, 0.0],
    );
}

#[test]
fn conv_transpose_is_the_adjoint_of_conv() {
    let dot = |a: &Tensor, b: &Tensor| -> f64 {
        assert_eq!(a.shape(), b.shape());
        values(a).iter().zip(values(b)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    // The output padding is what the stride leaves over.
    for (length, stride, padding, dilation, groups, output_padding) in
        [(8, 1, (0, 0), 1, 1, 0), (9, 2, (1, 0), 1, 2, 1), (10, 3, (2, 1), 2, 1, 2), (7, 2, (1, 1), 3, 2, 0)]
    {
        let conv = Conv {
            stride: vec![stride],
            padding: vec![padding],
            dilation: vec![dilation],
            groups,
            ..Conv::new(1)
        };
        let transposed = ConvTranspose {
            stride: vec![stride],
            padding: vec![padding],
            dilation: vec![dilation],
            output_padding: vec![output_padding],
            groups,
            ..ConvTranspose::new(1)
        };
        let (x, weight) = (random(&[2, 4, length], 1), random(&[6, 4 / groups, 3], 2));
        let convolved = apply(conv, &[&x, &weight]);
        let y = random(convolved.shape(), 3);
        let back = apply(transposed, &[&y, &weight]);
        let (left, right) = (dot(&convolved, &y), dot(&x, &back));
        assert!((left - right).abs() < 1e-4 * left.abs().max(1.0), "{left} {right}");
    }
}

#[test]
fn average_pool_is_a_convolution_with_equal_weights() {
    let x = random(&[2, 3, 6, 7], 1);
    let pool = |count_include_pad| AveragePool {
        stride: vec![1, 2],
        padding: vec![(1, 0), (1, 1)],
        count_include_pad,
        ..AveragePool::new(vec![2, 3])
    };
    let conv = Conv { stride: vec![1, 2], padding: vec![(1, 0), (1, 1)], groups: 3, ..Conv::new(2) };
    let weight = tensor(&[3, 1, 2, 3], vec![1.0 / 6.0; 18]);
    let counted = apply(pool(true), &[&x]);
    assert_close(&counted, &apply(conv, &[&x, &weight]), 1e-6);
    let share = apply(pool(true), &[&tensor(x.shape(), vec![1.0; x.len()])]);
    assert_close(&apply(pool(false), &[&x]), &apply(Binary(BinaryOp::Div), &[&counted, &share]), 1e-5);
}

#[test]
fn pools_by_hand() {
    let x = tensor(&[1, 1, 5], vec![1.0, -3.0, 5.0, NAN, 2.0]);
    let max = |kernel, stride, padding, dilation| {
        let (kernel, stride, dilation) = (vec![kernel], vec![stride], vec![dilation]);
        apply(MaxPool { stride, padding: vec![padding], dilation, ..MaxPool::new(kernel) }, &[&x])
    };
    assert_values(&max(2, 1, (0, 0), 1), &[1.0, 5.0, NAN, NAN]);
    assert_values(&max(3, 2, (1, 1), 1), &[1.0, NAN, NAN]);
    assert_values(&max(2, 1, (0, 0), 2), &[5.0, NAN, 5.0]);
    assert_values(&max(2, 1, (1, 1), 5), &[2.0, 1.0]);
    let mean = |count_include_pad| {
        let (kernel, stride, padding) = (vec![3], vec![2], vec![(1, 1)]);
        apply(
            AveragePool { stride, padding, count_include_pad, ..AveragePool::new(kernel) },
            &[&cut(&x, 2, 0, 3)],
        )
    };
    assert_close(&mean(true), &tensor(&[1, 1, 2], vec![-2.0 / 3.0, 2.0 / 3.0]), 1e-6);
    assert_values(&mean(false), &[-1.0, 1.0]);
}

#[test]
fn max_pool_in_two_dimensions() {
    let x = tensor(&[1, 1, 3, 3], vec![-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -INF]);
    let pool = MaxPool { padding: vec![(0, 1), (0, 1)], ..MaxPool::new(vec![2, 2]) };
    assert_values(&apply(pool, &[&x]), &[-1.0, -3.0, -7.0, -INF]);
}

#[test]
fn windows_that_meet_only_padding() {
    let x = random(&[1, 1, 4], 1);
    let pool = MaxPool { stride: vec![1], padding: vec![(1, 1)], dilation: vec![5], ..MaxPool::new(vec![2]) };
    assert_values(&apply(pool, &[&x]), &[-INF]);
    let nothing = tensor(&[1, 1, 0], vec![]);
    let average = |count_include_pad| AveragePool {
        stride: vec![1],
        padding: vec![(1, 1)],
        count_include_pad,
        ..AveragePool::new(vec![2])
    };
    assert_values(&apply(average(true), &[&nothing]), &[0.0]);
    assert_values(&apply(average(false), &[&nothing]), &[NAN]);
    assert_values(&apply(GlobalAveragePool {}, &[&nothing]), &[NAN]);
}

#[test]
fn global_average_pool_is_a_mean_over_the_spatial_axes() {
    let x = random(&[2, 3, 4, 5], 1);
    let mean = Reduce { op: ReduceOp::Mean, axes: vec![2, 3], keep_dims: true };
    assert_eq!(apply(GlobalAveragePool {}, &[&x]), apply(mean, &[&x]));
}
