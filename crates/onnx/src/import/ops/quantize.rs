//! Small integers that stand for floating-point numbers, and products of them.

use paceline_graph::{BinaryOp, Conv, DType, Dequantize, Dim, DynamicQuantize, MatMul, Op, Quantize};

use super::conv::attributes;
use super::elementwise::convert;
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;
use crate::tensor::dtype;

/// The axis along which scales differ, and how many elements share one.
fn blocks(l: &Lowering<'_>, x: &Item) -> Result<(usize, usize), Trouble> {
    let rank = l.rank(x);
    let axis = match l.int("axis", 1)? {
        _ if rank <= 1 => 0,
        axis => l.axis(axis, rank)?,
    };
    Ok((axis, usizes(&[l.int("block_size", 0)?], "block_size")?[0]))
}

pub(crate) fn quantize(l: &mut Lowering<'_>) -> Lowered {
    let (x, scale, zero_point) = (l.input(0)?, l.input(1)?, l.optional(2));
    let (axis, block) = blocks(l, &x)?;
    let to = match (&zero_point, l.int("output_dtype", 0)?) {
        (Some(zero_point), _) => l.dtype(zero_point),
        (None, 0) => DType::U8,
        (None, to) => {
            i32::try_from(to).ok().and_then(dtype).ok_or_else(|| Trouble::unsupported("this output type"))?
        }
    };
    let x = convert(l, &x, DType::F32)?;
    let scale = convert(l, &scale, DType::F32)?;
    let op = Op::Quantize(Quantize { to, axis, block });
    Ok(vec![l.add_given(op, &[Some(&x), Some(&scale), zero_point.as_ref()])?])
}

pub(crate) fn dequantize(l: &mut Lowering<'_>) -> Lowered {
    let (x, scale, zero_point) = (l.input(0)?, l.input(1)?, l.optional(2));
    let (axis, block) = blocks(l, &x)?;
    let op = Op::Dequantize(Dequantize { axis, block });
    Ok(vec![l.add_given(op, &[Some(&x), Some(&scale), zero_point.as_ref()])?])
}

pub(crate) fn dynamic_quantize(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    l.add_many(Op::DynamicQuantize(DynamicQuantize {}), &[&x])
}

/// `x - zero_point` as 32-bit integers; the zero point is one, or one for each index of an axis.
fn centred(l: &mut Lowering<'_>, x: &Item, zero_point: Option<&Item>, axis: usize) -> Result<Item, Trouble> {
    let x = convert(l, x, DType::I32)?;
    let Some(zero_point) = zero_point else { return Ok(x) };
    let zero_point = convert(l, zero_point, DType::I32)?;
    let zero_point = along(l, &zero_point, axis, l.rank(&x))?;
    l.binary(BinaryOp::Sub, &x, &zero_point)
}

/// A vector as if it lay along one of so many axes.
fn along(l: &mut Lowering<'_>, x: &Item, axis: usize, rank: usize) -> Result<Item, Trouble> {
    match l.dims(x)[..] {
        [length] => {
            let mut dims = vec![Dim::Fixed(1); rank];
            let place = dims.get_mut(axis);
            *place.ok_or_else(|| Trouble::refused(format!("an axis {axis}"), format!("{rank} axes")))? =
                length;
            l.reshape(x, dims)
        }
        _ => Ok(x.clone()),
    }
}

pub(crate) fn matmul_integer(l: &mut Lowering<'_>) -> Lowered {
    let (a, b) = (l.input(0)?, l.input(1)?);
    let (rows, columns) = (l.rank(&a).saturating_sub(2), l.rank(&b).saturating_sub(1));
    let a = centred(l, &a, l.optional(2).as_ref(), rows)?;
    let b = centred(l, &b, l.optional(3).as_ref(), columns)?;
    Ok(vec![l.add(Op::MatMul(MatMul {}), &[&a, &b])?])
}

pub(crate) fn conv_integer(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight) = (l.input(0)?, l.input(1)?);
    let x = centred(l, &x, l.optional(2).as_ref(), 1)?;
    let weight = centred(l, &weight, l.optional(3).as_ref(), 0)?;
    let op = attributes(l, &x, &weight)?;
    Ok(vec![l.add(Op::Conv(op), &[&x, &weight])?])
}

/// The products of two quantised tensors, quantised again.
fn requantized(
    l: &mut Lowering<'_>,
    product: &Item,
    scales: [&Item; 3],
    zero_point: &Item,
    axis: usize,
) -> Result<Item, Trouble> {
    let rank = l.rank(product);
    let [a, b, y] = scales.map(|scale| convert(l, scale, DType::F32));
    let (a, b, y) = (a?, b?, y?);
    let (a, b) = (along(l, &a, rank.saturating_sub(2), rank)?, along(l, &b, axis, rank)?);
    let scale = l.binary(BinaryOp::Mul, &a, &b)?;
    let product = convert(l, product, DType::F32)?;
    let real = l.binary(BinaryOp::Mul, &product, &scale)?;
    let to = l.dtype(zero_point);
    l.add(Op::Quantize(Quantize { to, axis: 0, block: 0 }), &[&real, &y, zero_point])
}

pub(crate) fn qlinear_matmul(l: &mut Lowering<'_>) -> Lowered {
    let inputs = l.all()?;
    let [a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero] = &inputs[..] else {
        return Err(Trouble::refused("eight inputs", format!("{}", inputs.len())));
    };
    let (rows, columns) = (l.rank(a).saturating_sub(2), l.rank(b).saturating_sub(1));
    let a = centred(l, a, Some(a_zero), rows)?;
    let b = centred(l, b, Some(b_zero), columns)?;
    let product = l.add(Op::MatMul(MatMul {}), &[&a, &b])?;
    let axis = l.rank(&product).saturating_sub(1);
    Ok(vec![requantized(l, &product, [a_scale, b_scale, y_scale], y_zero, axis)?])
}

pub(crate) fn qlinear_conv(l: &mut Lowering<'_>) -> Lowered {
    let inputs: Vec<Item> = (0..8).map(|index| l.input(index)).collect::<Result<_, _>>()?;
    let [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero] = &inputs[..] else {
        unreachable!("there are eight")
    };
    let x = centred(l, x, Some(x_zero), 1)?;
    let weight = centred(l, w, Some(w_zero), 0)?;
    let op: Conv = attributes(l, &x, &weight)?;
    let bias = l.optional(8);
    let product = l.add_given(Op::Conv(op), &[Some(&x), Some(&weight), bias.as_ref()])?;
    Ok(vec![requantized(l, &product, [x_scale, w_scale, y_scale], y_zero, 1)?])
}
