//! Shape rules of the operators that move elements.

use paceline_graph::{Concat, DType, Op, Pad, PadMode, Reshape, Slice, Split, Transpose};

use crate::notation::{check_shapes, shape};

const MAX: usize = usize::MAX;

#[test]
fn reshape() {
    let to = |text: &str| Op::Reshape(Reshape { shape: shape(text) });
    check_shapes(&[
        (to("32N, 256"), "f32[N, 32, 256]", Ok("f32[32N, 256]")),
        (to("N, 32"), "f32[4N, 8]", Ok("f32[N, 32]")),
        (to("2N, 3"), "f32[N, 6]", Ok("f32[2N, 3]")),
        (to("6N"), "i64[N, 6]", Ok("i64[6N]")),
        (to("N"), "bool[N, 1, 1]", Ok("bool[N]")),
        (to("2, 3, N, 4"), "f32[6, N, 4]", Ok("f32[2, 3, N, 4]")),
        (to("2, 2N, 2"), "f32[2, N, 4]", Ok("f32[2, 2N, 2]")),
        (to("6"), "f32[2, 3]", Ok("f32[6]")),
        (to(""), "f32[1, 1]", Ok("f32[]")),
        (to("N, 5, 0"), "f32[N, 0]", Ok("f32[N, 5, 0]")),
        (
            to("N, 7"),
            "f32[N, 6]",
            Err("as many elements (6 for each sample), got x f32[N, 6] and the shape [N, 7]"),
        ),
        (to("N, 6"), "f32[6]", Err("keeps samples apart")),
        (to("6"), "f32[N, 6]", Err("keeps samples apart")),
        (to("6, N"), "f32[N, 6]", Err("keeps samples apart")),
        (to("3, N, 4"), "f32[6, N, 2]", Err("keeps samples apart")),
        (to("N, 2N"), "f32[N, 2]", Err("at most one axis")),
        (to("0N, 5"), "f32[N, 0]", Err("at least 1, of the batch")),
        (to("N, 18446744073709551615, 2"), "f32[N, 6]", Err("as many elements")),
    ]);
}

#[test]
fn transpose() {
    let by = |permutation: &[usize]| Op::Transpose(Transpose { permutation: permutation.to_vec() });
    check_shapes(&[
        (by(&[0, 2, 1]), "f32[N, 3, 4]", Ok("f32[N, 4, 3]")),
        (by(&[2, 0, 1]), "i64[5N, 3, 4]", Ok("i64[4, 5N, 3]")),
        (by(&[]), "bool[]", Ok("bool[]")),
        (by(&[0, 1]), "f32[N, 3, 4]", Err("each of 0..3 once, got [0, 1] for x f32[N, 3, 4]")),
        (by(&[0, 1, 1]), "f32[N, 3, 4]", Err("each of 0..3 once")),
        (by(&[0, 1, 3]), "f32[N, 3, 4]", Err("each of 0..3 once")),
        (by(&[0, MAX]), "f32[N, 3]", Err("each of 0..2 once")),
    ]);
}

#[test]
fn concat() {
    let along = |axis| Op::Concat(Concat { axis });
    check_shapes(&[
        (along(1), "f32[N, 2, 5]; f32[N, 4, 5]", Ok("f32[N, 6, 5]")),
        (along(-1), "i64[N, 2]; i64[N, 0]; i64[N, 1]", Ok("i64[N, 3]")),
        (along(0), "bool[2, N]", Ok("bool[2, N]")),
        (along(0), "f32[N, 2]; f32[N, 2]", Err("an axis that is not the batch")),
        (along(0), "f32[3, 2]; f32[N, 2]", Err("axis 0, which is not the batch")),
        (along(0), "f32[N, 2]; f32[3, 2]", Err("an axis that is not the batch")),
        (along(1), "f32[N, 2]; f32[2N, 2]", Err("equal in type and in every axis but axis 1")),
        (along(1), "f32[N, 2]; f32[1, 2]", Err("equal in type and in every axis but axis 1")),
        (along(1), "f32[N, 2]; i64[N, 2]", Err("equal in type")),
        (along(1), "f32[N, 2]; f32[N, 2, 1]", Err("equal in type and in every axis")),
        (along(1), "f32[N, 2, 1]; f32[N, 2]", Err("equal in type and in every axis")),
        (along(2), "f32[N, 2]; f32[N, 2]", Err("an axis from -2 to 1")),
        (along(0), "f32[18446744073709551615]; f32[1]", Err("equal in type")),
        (along(0), "f32[]", Err("at least one axis")),
        (along(1), "", Err("at least one input")),
        (along(1), "f32[N, 2]; -", Err("got 2 inputs, 1 of them left out")),
    ]);
}

#[test]
fn slice() {
    let slice = |axis, start, end, step| Op::Slice(Slice { axis, start, end, step });
    check_shapes(&[
        (slice(1, 2, 7, 1), "f32[N, 9, 4]", Ok("f32[N, 5, 4]")),
        (slice(-1, 1, 11, 3), "i64[N, 11]", Ok("i64[N, 4]")),
        (slice(1, 0, 9, MAX), "f32[N, 9]", Ok("f32[N, 1]")),
        (slice(1, 4, 4, 1), "bool[N, 9]", Ok("bool[N, 0]")),
        (slice(0, 0, 2, 1), "f32[3, N]", Ok("f32[2, N]")),
        (slice(0, 0, 1, 1), "f32[N, 9]", Err("an axis that is not the batch")),
        (
            slice(1, 0, 10, 1),
            "f32[N, 9]",
            Err("start <= end <= 9, the length of axis 1, and a step of at least 1"),
        ),
        (slice(1, 5, 4, 1), "f32[N, 9]", Err("got start 5, end 4, step 1 for x f32[N, 9]")),
        (slice(1, 0, 9, 0), "f32[N, 9]", Err("a step of at least 1")),
        (slice(-3, 0, 1, 1), "f32[N, 9]", Err("an axis from -2 to 1")),
    ]);
}

#[test]
fn split() {
    let split = |axis, sizes: &[usize]| Op::Split(Split { axis, sizes: sizes.to_vec() });
    check_shapes(&[
        (split(1, &[3, 2]), "f32[N, 5]", Ok("f32[N, 3]; f32[N, 2]")),
        (split(-2, &[1, 0, 4]), "i64[N, 5, 2]", Ok("i64[N, 1, 2]; i64[N, 0, 2]; i64[N, 4, 2]")),
        (split(1, &[5]), "f32[N, 5]", Ok("f32[N, 5]")),
        (
            split(1, &[3, 3]),
            "f32[N, 5]",
            Err("the sum of all being 5, the length of axis 1, got sizes [3, 3]"),
        ),
        (split(1, &[MAX, 6]), "f32[N, 5]", Err("the sum of all being 5")),
        (split(1, &[]), "f32[N, 0]", Err("at least one size")),
        (split(0, &[1]), "f32[N, 5]", Err("an axis that is not the batch")),
    ]);
}

#[test]
fn pad() {
    let pad = |pads: &[(usize, usize)]| Op::Pad(Pad { pads: pads.to_vec(), mode: PadMode::Constant(0.0) });
    check_shapes(&[
        (pad(&[(0, 0), (1, 3), (0, 2)]), "f32[N, 4, 5]", Ok("f32[N, 8, 7]")),
        (pad(&[(2, 0), (0, 0)]), "f32[0, 3N]", Ok("f32[2, 3N]")),
        (pad(&[]), "f32[]", Ok("f32[]")),
        (pad(&[(1, 0), (0, 0)]), "f32[N, 4]", Err("no pads on the axis that is the batch")),
        (pad(&[(0, 0)]), "f32[N, 4]", Err("a pair of pads for each axis, got Pad { pads: [(0, 0)]")),
        (pad(&[(0, 0), (MAX, 1)]), "f32[N, 4]", Err("fit in memory")),
        (pad(&[(0, 0), (1, 1)]), "i64[N, 4]", Ok("i64[N, 6]")),
    ]);
}

#[test]
fn every_element_type_can_be_moved() {
    for dtype in [DType::F32, DType::I64, DType::Bool] {
        let given = format!("{dtype}[N, 2, 3]");
        check_shapes(&[
            (Op::Reshape(Reshape { shape: shape("N, 6") }), &given, Ok(&format!("{dtype}[N, 6]"))),
            (
                Op::Transpose(Transpose { permutation: vec![1, 0, 2] }),
                &given,
                Ok(&format!("{dtype}[2, N, 3]")),
            ),
            (Op::Concat(Concat { axis: 1 }), &given, Ok(&given)),
            (
                Op::Slice(Slice { axis: 2, start: 0, end: 2, step: 1 }),
                &given,
                Ok(&format!("{dtype}[N, 2, 2]")),
            ),
            (Op::Split(Split { axis: 1, sizes: vec![2] }), &given, Ok(&given)),
        ]);
    }
}
