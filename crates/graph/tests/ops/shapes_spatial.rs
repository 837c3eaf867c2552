//! Shape rules of convolution and pooling.

use paceline_graph::{
    AveragePool, Conv, ConvTranspose, Coordinates, GlobalAveragePool, MaxPool, Op, Resize, ResizeAxis,
    ResizeMode,
};

use crate::notation::check_shapes;

const MAX: usize = usize::MAX;

#[test]
fn conv() {
    let conv = |change: fn(&mut Conv)| {
        let mut conv = Conv::new(1);
        change(&mut conv);
        Op::Conv(conv)
    };
    let conv2 = |change: fn(&mut Conv)| {
        let mut conv = Conv::new(2);
        change(&mut conv);
        Op::Conv(conv)
    };
    check_shapes(&[
        (conv(|_| ()), "f32[N, 4, 9]; f32[6, 4, 3]", Ok("f32[N, 6, 7]")),
        (conv(|c| c.padding = vec![(1, 2)]), "f32[5N, 4, 9]; f32[6, 4, 3]; f32[6]", Ok("f32[5N, 6, 10]")),
        (
            conv(|c| (c.stride, c.dilation) = (vec![2], vec![3])),
            "f32[2, 4, 10]; f32[6, 4, 3]",
            Ok("f32[2, 6, 2]"),
        ),
        (conv(|c| c.groups = 2), "f32[N, 4, 9]; f32[6, 2, 3]; -; f32[N, 6, 7]", Ok("f32[N, 6, 7]")),
        (conv(|c| c.padding = vec![(1, 1)]), "f32[N, 4, 1]; f32[6, 4, 3]", Ok("f32[N, 6, 1]")),
        (conv(|_| ()), "f32[N, 0, 9]; f32[6, 0, 3]", Ok("f32[N, 6, 7]")),
        (
            conv2(|c| (c.stride, c.padding) = (vec![1, 2], vec![(0, 0), (1, 0)])),
            "f32[N, 1, 5, 6]; f32[2, 1, 3, 2]",
            Ok("f32[N, 2, 3, 3]"),
        ),
        (conv(|_| ()), "f32[N, 4, 9]; f32[6, 3, 3]", Err("weight [M, 4, kernel...] to match x in 1 groups")),
        (conv(|_| ()), "f32[N, 4, 9]; f32[6, 4, 3, 3]", Err("a weight of 3 axes")),
        (conv(|_| ()), "f32[3, 4, 9]; f32[N, 4, 3]", Err("none of which is the batch")),
        (conv(|_| ()), "f32[4, 9]; f32[6, 4, 3]", Err("x [N, C, L]")),
        (conv(|_| ()), "f32[4, N, 9]; f32[6, 4, 3]", Err("only axis 0 may be the batch")),
        (conv(|_| ()), "f32[4, 4, N]; f32[6, 4, 3]", Err("only axis 0 may be the batch")),
        (conv2(|_| ()), "f32[N, 4, 9]; f32[6, 4, 3]", Err("x [N, C, H, W]")),
        (Op::Conv(Conv::new(3)), "f32[N, 4, 2, 2, 2]; f32[6, 4, 1, 1, 1]", Ok("f32[N, 6, 2, 2, 2]")),
        (
            Op::Conv(Conv::new(4)),
            "f32[N, 4, 2, 2, 2, 2]; f32[6, 4, 1, 1, 1, 1]",
            Err("one to three spatial axes"),
        ),
        (Op::Conv(Conv::new(0)), "f32[N, 4]; f32[6, 4]", Err("one to three spatial axes")),
        (conv(|_| ()), "f32[N, 4, 2]; f32[6, 4, 3]", Err("fit into the padded axes, got kernels [3]")),
        (conv(|_| ()), "f32[N, 4, 9]; f32[6, 4, 0]", Err("kernels, strides and dilations of at least 1")),
        (conv(|c| c.stride = vec![0]), "f32[N, 4, 9]; f32[6, 4, 3]", Err("strides [0]")),
        (conv(|c| c.dilation = vec![0]), "f32[N, 4, 9]; f32[6, 4, 3]", Err("dilations [0]")),
        (conv(|c| c.padding = vec![]), "f32[N, 4, 9]; f32[6, 4, 3]", Err("one stride, padding and dilation")),
        (conv(|c| c.padding = vec![(MAX, 1)]), "f32[N, 4, 9]; f32[6, 4, 3]", Err("fit into the padded axes")),
        (conv(|c| c.dilation = vec![MAX]), "f32[N, 4, 9]; f32[6, 4, 3]", Err("fit into the padded axes")),
        (
            conv(|c| c.groups = 3),
            "f32[N, 4, 9]; f32[6, 4, 3]",
            Err("divides the 4 channels of x, got 3 groups"),
        ),
        (conv(|c| c.groups = 4), "f32[N, 4, 9]; f32[6, 1, 3]", Err("divides the 6 channels of the weight")),
        (conv(|c| c.groups = 0), "f32[N, 4, 9]; f32[6, 4, 3]", Err("0 groups")),
        (conv(|_| ()), "f32[N, 4, 9]; f32[6, 4, 3]; f32[4]", Err("bias [6] to match weight")),
        (
            conv(|_| ()),
            "f32[N, 4, 9]; f32[6, 4, 3]; -; f32[N, 6, 9]",
            Err("residual [N, 6, 7] to match the output"),
        ),
        (conv(|_| ()), "f32[N, 4, 9]", Err("inputs x, weight, optional bias, optional residual")),
        (conv(|_| ()), "i64[N, 4, 9]; f32[6, 4, 3]", Err("x, weight of numbers, one type for all")),
        (conv(|_| ()), "i32[N, 4, 9]; i32[6, 4, 3]", Ok("i32[N, 6, 7]")),
        (conv(|_| ()), "f64[N, 4, 9]; f64[6, 4, 3]", Err("f32, or integers without an activation")),
    ]);
}

#[test]
fn conv_transpose() {
    let conv = |change: fn(&mut ConvTranspose)| {
        let mut conv = ConvTranspose::new(1);
        change(&mut conv);
        Op::ConvTranspose(conv)
    };
    check_shapes(&[
        (conv(|_| ()), "f32[N, 4, 5]; f32[4, 6, 3]", Ok("f32[N, 6, 7]")),
        (
            conv(|c| {
                (c.stride, c.padding, c.output_padding) = (vec![2], vec![(1, 1)], vec![1]);
                (c.dilation, c.groups) = (vec![2], 2);
            }),
            "f32[3N, 4, 5]; f32[4, 3, 3]; f32[6]",
            Ok("f32[3N, 6, 12]"),
        ),
        (conv(|_| ()), "f32[N, 4, 0]; f32[4, 6, 3]", Err("lengths, of at least 1")),
        (conv(|c| c.padding = vec![(4, 3)]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("lengths, of at least 1")),
        (conv(|c| c.padding = vec![(MAX, MAX)]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("lengths, of at least 1")),
        (conv(|c| c.stride = vec![MAX]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("fit in memory")),
        (conv(|c| c.dilation = vec![MAX]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("fit in memory")),
        (conv(|c| c.groups = 2), "f32[N, 4, 5]; f32[4, 9223372036854775808, 0]", Err("of at least 1")),
        (conv(|c| c.groups = 2), "f32[N, 4, 5]; f32[4, 9223372036854775808, 1]", Err("channels and length")),
        (
            conv(|c| c.output_padding = vec![1]),
            "f32[N, 4, 5]; f32[4, 6, 3]",
            Err("smaller than the stride or the dilation"),
        ),
        (conv(|c| c.output_padding = vec![]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("one output padding")),
        (Op::ConvTranspose(ConvTranspose::new(2)), "f32[N, 4, 5, 5]; f32[4, 6, 3, 3]", Ok("f32[N, 6, 7, 7]")),
        (conv(|_| ()), "f32[N, 4, 5]; f32[3, 6, 3]", Err("weight [4, M / groups, kernel...] to match x")),
        (conv(|c| c.groups = 3), "f32[N, 4, 5]; f32[4, 6, 3]", Err("divides the 4 channels")),
        (conv(|c| c.groups = 0), "f32[N, 4, 5]; f32[4, 6, 3]", Err("0 groups")),
        (conv(|c| c.stride = vec![0]), "f32[N, 4, 5]; f32[4, 6, 3]", Err("strides [0]")),
        (conv(|_| ()), "f32[N, 4, 5]; f32[4, 6, 3]; f32[4]", Err("bias [6]")),
        (conv(|_| ()), "f32[4, 4, N]; f32[4, 6, 3]", Err("only axis 0 may be the batch")),
        (conv(|_| ()), "f32[N, 4, 5]; f32[4, 6, 3]; f32[6]; f32[N, 6, 7]", Err("got 4 inputs")),
    ]);
}

#[test]
fn pools() {
    let max = |kernel, stride, padding, dilation| {
        let (kernel, stride, dilation) = (vec![kernel], vec![stride], vec![dilation]);
        Op::MaxPool(MaxPool { stride, padding: vec![padding], dilation, ..MaxPool::new(kernel) })
    };
    let mean = |kernel: &[usize], stride: &[usize], padding: &[(usize, usize)]| {
        Op::AveragePool(AveragePool {
            stride: stride.to_vec(),
            padding: padding.to_vec(),
            count_include_pad: false,
            ..AveragePool::new(kernel.to_vec())
        })
    };
    let global = || Op::GlobalAveragePool(GlobalAveragePool {});
    check_shapes(&[
        (max(3, 2, (1, 1), 1), "f32[N, 4, 9]", Ok("f32[N, 4, 5]")),
        (max(2, 1, (0, 1), 3), "f32[2N, 4, 9]", Ok("f32[2N, 4, 7]")),
        (max(2, 1, (1, 1), 1), "f32[N, 4, 0]", Ok("f32[N, 4, 1]")),
        (
            max(3, 1, (2, 0), 1),
            "f32[N, 4, 9]",
            Err("at most half its kernel, got padding (2, 0) with kernel 3"),
        ),
        (max(3, 1, (0, 2), 1), "f32[N, 4, 9]", Err("at most half its kernel")),
        (max(10, 1, (0, 0), 1), "f32[N, 4, 9]", Err("fit into the padded axes, got kernels [10]")),
        (max(MAX, 1, (MAX / 2, MAX / 2), 1), "f32[N, 4, 9]", Err("fit into the padded axes")),
        (max(3, 1, (0, 0), MAX), "f32[N, 4, 9]", Err("fit into the padded axes")),
        (max(0, 1, (0, 0), 1), "f32[N, 4, 9]", Err("of at least 1")),
        (max(3, 0, (0, 0), 1), "f32[N, 4, 9]", Err("of at least 1")),
        (max(3, 1, (0, 0), 0), "f32[N, 4, 9]", Err("of at least 1")),
        (max(3, 1, (0, 0), 1), "f32[4, N, 9]", Err("only axis 0 may be the batch")),
        (max(3, 1, (0, 0), 1), "f32[N, 4, 9, 9]", Err("x [N, C, L]")),
        (max(3, 1, (0, 0), 1), "bool[N, 4, 9]", Err("x of numbers")),
        (mean(&[2, 3], &[2, 1], &[(0, 0), (1, 1)]), "f32[N, 4, 7, 5]", Ok("f32[N, 4, 3, 5]")),
        (mean(&[2], &[2], &[(1, 1)]), "f32[3, 4, 7]", Ok("f32[3, 4, 4]")),
        (mean(&[2], &[2], &[(2, 1)]), "f32[3, 4, 7]", Err("at most half its kernel")),
        (mean(&[2], &[2, 2], &[(1, 1)]), "f32[3, 4, 7]", Err("one stride, padding and dilation")),
        (mean(&[], &[], &[]), "f32[3, 4]", Err("one to three spatial axes")),
        (mean(&[8], &[1], &[(0, 0)]), "f32[N, 4, 7]", Err("fit into the padded axes")),
        (mean(&[2], &[1], &[(0, 0)]), "f32[4, 4, N]", Err("only axis 0 may be the batch")),
        (global(), "f32[N, 4, 7]", Ok("f32[N, 4, 1]")),
        (global(), "f32[5N, 4, 7, 3]", Ok("f32[5N, 4, 1, 1]")),
        (global(), "f32[N, 4]", Err("x [N, C, length...]")),
        (global(), "f32[2, N, 4]", Err("only axis 0 may be the batch")),
        (global(), "f32[2, 4, N]", Err("only axis 0 may be the batch")),
        (global(), "i64[N, 4, 7]", Err("x of f32")),
    ]);
}

#[test]
fn resizes() {
    let resize = |length, scale, antialias| {
        let axes = vec![ResizeAxis { axis: 2, length, scale }];
        let (mode, coordinates) = (ResizeMode::Linear, Coordinates::HalfPixel);
        Op::Resize(Resize { axes, mode, coordinates, antialias, exclude_outside: false })
    };
    check_shapes(&[
        (resize(2, 0.25, true), "f32[N, 4, 8]", Ok("f32[N, 4, 2]")),
        (resize(1, 1e-300, false), "f32[N, 4, 8]", Ok("f32[N, 4, 1]")),
        // The window would have 10^300 elements.
        (resize(1, 1e-300, true), "f32[N, 4, 8]", Err("half an element of an axis")),
        (resize(1, 0.0, false), "f32[N, 4, 8]", Err("finite scales above 0")),
        (resize(1, 0.5, false), "f32[N, 4, 0]", Err("axes with elements")),
    ]);
}
