//! Evaluations of the operators that move elements.

use paceline_graph::{Concat, Op, Pad, PadMode, Reshape, Slice, Split, Tensor, Transpose};

use crate::notation::{apply, apply_all, assert_values, random, shape, tensor, values};

fn iota(shape: &[usize]) -> Tensor {
    tensor(shape, (0..shape.iter().product()).map(|i| i as f32).collect())
}

#[test]
fn reshape_keeps_the_order() {
    let y = apply(Reshape { shape: shape("3, 2") }, &[&iota(&[2, 3])]);
    assert_eq!(y.shape(), [3, 2]);
    assert_values(&y, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn transpose_by_hand_and_back() {
    let by = |permutation: &[usize], x: &Tensor| apply(Transpose { permutation: permutation.to_vec() }, &[x]);
    assert_values(&by(&[1, 0], &iota(&[2, 3])), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_values(
        &by(&[2, 0, 1], &iota(&[2, 2, 3])),
        &[0.0, 3.0, 6.0, 9.0, 1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0],
    );
    let x = random(&[2, 3, 4, 5], 1);
    let moved = by(&[2, 0, 3, 1], &x);
    assert_eq!(moved.shape(), [4, 2, 5, 3]);
    assert_eq!(by(&[1, 3, 0, 2], &moved), x);
}

#[test]
fn slice_by_hand() {
    let x = iota(&[2, 5]);
    let slice = |axis, start, end, step| apply(Slice { axis, start, end, step }, &[&x]);
    assert_values(&slice(1, 1, 5, 2), &[1.0, 3.0, 6.0, 8.0]);
    assert_values(&slice(-1, 0, 5, 3), &[0.0, 3.0, 5.0, 8.0]);
    assert_values(&slice(0, 1, 2, usize::MAX), &[5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_values(&slice(1, 5, 5, 1), &[]);
}

#[test]
fn concat_by_hand() {
    let (a, b) = (iota(&[2, 1]), iota(&[2, 2]));
    assert_values(&apply(Concat { axis: 1 }, &[&a, &b]), &[0.0, 0.0, 1.0, 1.0, 2.0, 3.0]);
    assert_values(&apply(Concat { axis: 0 }, &[&b, &b]), &[0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn split_then_concat_is_the_identity() {
    let x = random(&[3, 6, 2], 1);
    for (axis, sizes) in [(0, vec![1, 2]), (1, vec![3, 0, 1, 2]), (-1, vec![2])] {
        let pieces = apply_all(&Op::Split(Split { axis, sizes }), &[Some(&x)]);
        let pieces: Vec<&Tensor> = pieces.iter().collect();
        assert_eq!(apply(Concat { axis }, &pieces), x);
    }
    let pieces = apply_all(&Op::Split(Split { axis: 1, sizes: vec![1, 2] }), &[Some(&iota(&[2, 3]))]);
    assert_values(&pieces[0], &[0.0, 3.0]);
    assert_values(&pieces[1], &[1.0, 2.0, 4.0, 5.0]);
}

#[test]
fn pad_then_slice_is_the_identity() {
    let x = random(&[2, 3, 4], 1);
    let padded = apply(Pad { pads: vec![(0, 1), (2, 0), (1, 3)], mode: PadMode::Constant(9.0) }, &[&x]);
    assert_eq!(padded.shape(), [3, 5, 8]);
    assert_eq!(values(&padded).iter().filter(|&&v| v == 9.0).count(), 3 * 5 * 8 - 24);
    let cuts = [(0, 0, 2), (1, 2, 5), (2, 1, 5)];
    let back =
        cuts.iter().fold(padded, |t, &(axis, start, end)| apply(Slice { axis, start, end, step: 1 }, &[&t]));
    assert_eq!(back, x);
    let edges =
        apply(Pad { pads: vec![(1, 0), (0, 1)], mode: PadMode::Constant(f64::NAN) }, &[&iota(&[1, 2])]);
    assert_values(&edges, &[f32::NAN, f32::NAN, f32::NAN, 0.0, 1.0, f32::NAN]);
    assert_values(
        &apply(Pad { pads: vec![(1, 1)], mode: PadMode::Constant(7.0) }, &[&iota(&[0])]),
        &[7.0, 7.0],
    );
}

#[test]
fn integers_and_booleans_move_alike() {
    let transpose = Transpose { permutation: vec![1, 0] };
    let x = Tensor::new([2, 2], vec![1i64, 2, 3, 4]).unwrap();
    assert_eq!(apply(transpose.clone(), &[&x]).as_i64(), Some(&[1, 3, 2, 4][..]));
    assert_eq!(apply(Concat { axis: 0 }, &[&x, &x]).as_i64(), Some(&[1, 2, 3, 4, 1, 2, 3, 4][..]));
    let x = Tensor::new([2, 2], vec![true, true, false, true]).unwrap();
    assert_eq!(apply(transpose, &[&x]).as_bool(), Some(&[true, false, true, true][..]));
    assert_eq!(
        apply(Concat { axis: 1 }, &[&x, &x]).as_bool(),
        Some(&[true, true, true, true, false, true, false, true][..])
    );
}
