use paceline_graph::passes::drop_identities;
use paceline_graph::{Cast, Concat, DType, Dim, Expand, Op, Pad, PadMode, Slice, Split, Tile, UnaryOp};

use crate::support::{Tolerance, check};

#[test]
fn chains_are_shortened_and_identities_dropped() {
    check(
        drop_identities,
        Tolerance::Bits,
        &[
            (
                "transposes that cancel",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.transpose(x, &[1, 2, 0]);
                    let y = p.transpose(y, &[2, 0, 1]);
                    vec![p.unary(UnaryOp::Relu, y)]
                },
                "Relu",
            ),
            (
                "transposes that compose",
                |p| {
                    let x = p.input(&[3, 4, 5]);
                    let y = p.transpose(x, &[0, 2, 3, 1]);
                    vec![p.transpose(y, &[0, 2, 1, 3])]
                },
                "Transpose",
            ),
            (
                "a transpose alone",
                |p| {
                    let x = p.input(&[3, 4]);
                    vec![p.transpose(x, &[0, 2, 1])]
                },
                "Transpose",
            ),
            (
                "a transpose of an axis of length 1",
                |p| {
                    let x = p.input(&[3, 1]);
                    vec![p.transpose(x, &[0, 2, 1])]
                },
                "Reshape",
            ),
            (
                "a transpose of nothing",
                |p| {
                    let x = p.input(&[3]);
                    vec![p.transpose(x, &[0, 1])]
                },
                "",
            ),
            (
                "a reshape of a reshape",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.reshape(x, [Dim::Batch(12)]);
                    vec![p.reshape(y, p.batched(&[2, 6]))]
                },
                "Reshape",
            ),
            (
                "a reshape there and back",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.reshape(x, p.batched(&[12]));
                    vec![p.reshape(y, p.batched(&[3, 4]))]
                },
                "",
            ),
            (
                "a reshape between transposes that cancel around it",
                |p| {
                    let x = p.input(&[6, 4]);
                    let y = p.transpose(x, &[0, 2, 1]);
                    let y = p.reshape(y, p.batched(&[4, 2, 3]));
                    vec![p.transpose(y, &[0, 2, 3, 1])]
                },
                "Reshape",
            ),
            (
                "a transpose that a reshape makes another",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.reshape(x, p.batched(&[12]));
                    let y = p.reshape(y, p.batched(&[3, 4]));
                    vec![p.transpose(y, &[0, 2, 1])]
                },
                "Transpose",
            ),
            (
                "two transposes with a reshape between that do not cancel",
                |p| {
                    let x = p.input(&[6, 4]);
                    let y = p.transpose(x, &[0, 2, 1]);
                    let y = p.reshape(y, p.batched(&[6, 4]));
                    vec![p.transpose(y, &[0, 2, 1])]
                },
                "Transpose Reshape Transpose",
            ),
            (
                "a chain whose middle is returned",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.transpose(x, &[0, 2, 1]);
                    let z = p.transpose(y, &[0, 2, 1]);
                    vec![p.unary(UnaryOp::Relu, z), y]
                },
                "Transpose Relu",
            ),
            (
                "the batch moved and brought back",
                |p| {
                    let x = p.input(&[3, 4]);
                    let y = p.transpose(x, &[1, 0, 2]);
                    let y = p.reshape(y, [Dim::Fixed(3), Dim::Batch(2), Dim::Fixed(2)]);
                    let y = p.reshape(y, [Dim::Fixed(3), Dim::BATCH, Dim::Fixed(4)]);
                    vec![p.transpose(y, &[1, 0, 2])]
                },
                "",
            ),
            (
                "slices, pads, splits and concats of everything",
                |p| {
                    let x = p.input(&[4]);
                    let y = p.node(Op::Slice(Slice { axis: 1, start: 0, end: 4, step: 1 }), &[x]);
                    let y =
                        p.node(Op::Pad(Pad { pads: vec![(0, 0); 2], mode: PadMode::Constant(3.0) }), &[y]);
                    let y = p.node(Op::Split(Split { axis: 1, sizes: vec![4] }), &[y]);
                    let y = p.node(Op::Concat(Concat { axis: 1 }), &[y]);
                    let y = p.node(Op::Cast(Cast { to: DType::F32 }), &[y]);
                    let y = p.node(Op::Expand(Expand { shape: p.batched(&[4]) }), &[y]);
                    let y = p.node(Op::Tile(Tile { repeats: vec![1, 1] }), &[y]);
                    vec![p.unary(UnaryOp::Relu, y)]
                },
                "Relu",
            ),
            (
                "slices, pads, splits and concats of less or more",
                |p| {
                    let x = p.input(&[4]);
                    let y = p.node(Op::Slice(Slice { axis: 1, start: 0, end: 3, step: 1 }), &[x]);
                    let y = p.node(Op::Slice(Slice { axis: 1, start: 0, end: 3, step: 2 }), &[y]);
                    let y = p.node(
                        Op::Pad(Pad { pads: vec![(0, 0), (0, 1)], mode: PadMode::Constant(3.0) }),
                        &[y],
                    );
                    let parts = p.node_with(Op::Split(Split { axis: 1, sizes: vec![1, 2] }), &[Some(y)]);
                    vec![p.node(Op::Concat(Concat { axis: 1 }), &[parts[0], parts[0]]), parts[1]]
                },
                "Slice Slice Pad Split Concat",
            ),
            (
                "an odd number of negations",
                |p| {
                    let x = p.input(&[4]);
                    let y = (0..5).fold(x, |y, _| p.unary(UnaryOp::Neg, y));
                    vec![y, x]
                },
                "Neg",
            ),
        ],
    );
}
