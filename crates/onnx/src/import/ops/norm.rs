//! Softmax and the normalisations.

use paceline_graph::{
    BatchNorm, BinaryOp, DType, Dim, GroupNorm, Hardmax, LayerNorm, LogSoftmax, Lrn, Op, ReduceOp, RmsNorm,
    Softmax, UnaryOp,
};

use super::reduce::over;
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

pub(crate) fn batch_norm(l: &mut Lowering<'_>) -> Lowered {
    if l.flag("training_mode", false)? {
        return Err(Trouble::unsupported("training"));
    }
    let [x, weight, bias, mean, variance] = [l.input(0)?, l.input(1)?, l.input(2)?, l.input(3)?, l.input(4)?];
    let op = Op::BatchNorm(BatchNorm { epsilon: l.float("epsilon", 1e-5)? });
    Ok(vec![l.add(op, &[&x, &mean, &variance, &weight, &bias])?])
}

/// How many axes from `axis` on there are.
fn trailing(l: &Lowering<'_>, rank: usize) -> Result<usize, Trouble> {
    Ok(rank - l.axis(l.int("axis", -1)?, rank)?)
}

/// The result of a normalisation with a scale and a shift that may be broadcast.
fn affine(
    l: &mut Lowering<'_>,
    norm: impl Fn(bool) -> Op,
    x: &Item,
    axes: usize,
    weight: Option<&Item>,
    bias: Option<&Item>,
) -> Result<Item, Trouble> {
    let rank = l.rank(x);
    let normalised = l.dims(x)[rank - axes..].to_vec();
    let whole = [weight, bias].into_iter().flatten().all(|item| l.dims(item) == normalised);
    if whole {
        return l.add_given(norm(true), &[Some(x), weight, bias]);
    }
    let mut y = l.add(norm(false), &[x])?;
    if let Some(weight) = weight {
        y = l.binary(BinaryOp::Mul, &y, weight)?;
    }
    if let Some(bias) = bias {
        y = l.binary(BinaryOp::Add, &y, bias)?;
    }
    Ok(y)
}

/// Up to three outputs: the normalised elements, the means, and one over the deviations.
pub(crate) fn layer_norm(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight, bias) = (l.input(0)?, l.optional(1), l.optional(2));
    let rank = l.rank(&x);
    let axes = trailing(l, rank)?;
    let epsilon = l.float("epsilon", 1e-5)?;
    let op = |_| Op::LayerNorm(LayerNorm { axes, epsilon });
    let mut outputs = vec![affine(l, op, &x, axes, weight.as_ref(), bias.as_ref())?];
    if l.node.output.len() > 1 {
        let over_axes = Some((rank - axes..rank).collect::<Vec<_>>());
        let mean = over(l, ReduceOp::Mean, &x, over_axes.clone(), true)?;
        let centred = l.binary(BinaryOp::Sub, &x, &mean)?;
        let squares = l.binary(BinaryOp::Mul, &centred, &centred)?;
        let variance = over(l, ReduceOp::Mean, &squares, over_axes, true)?;
        let epsilon = l.scalar(DType::F32, f64::from(epsilon));
        let raised = l.binary(BinaryOp::Add, &variance, &epsilon)?;
        let deviation = l.unary(UnaryOp::Sqrt, &raised)?;
        outputs.extend([mean, l.unary(UnaryOp::Reciprocal, &deviation)?]);
    }
    Ok(outputs)
}

pub(crate) fn rms_norm(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight) = (l.input(0)?, l.optional(1));
    let axes = trailing(l, l.rank(&x))?;
    let epsilon = l.float("epsilon", 1e-5)?;
    Ok(vec![affine(l, |_| Op::RmsNorm(RmsNorm { axes, epsilon }), &x, axes, weight.as_ref(), None)?])
}

/// Each channel is a group of its own.
pub(crate) fn instance_norm(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight, bias) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let groups = l.length(&x, 1)?;
    let op = Op::GroupNorm(GroupNorm { groups, epsilon: l.float("epsilon", 1e-5)? });
    Ok(vec![l.add(op, &[&x, &weight, &bias])?])
}

/// Until operator set 21 scale and bias are given for each group, from then on for each channel.
pub(crate) fn group_norm(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight, bias) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let groups = match usizes(&[l.int("num_groups", 0)?], "num_groups")?[..] {
        [groups] if groups > 0 => groups,
        _ => return Err(Trouble::refused("num_groups of at least 1", "0")),
    };
    let op = Op::GroupNorm(GroupNorm { groups, epsilon: l.float("epsilon", 1e-5)? });
    let per_channel = [Dim::Fixed(l.length(&x, 1)?)];
    if l.dims(&weight) == per_channel && l.dims(&bias) == per_channel {
        return Ok(vec![l.add(op, &[&x, &weight, &bias])?]);
    }
    let dims = l.dims(&x);
    let normalised = l.add(op, &[&x])?;
    let each: usize = dims[1..].iter().map(|dim| dim.per_sample()).product::<usize>() / groups;
    let grouped = l.reshape(&normalised, vec![dims[0], Dim::Fixed(groups), Dim::Fixed(each)])?;
    let column = vec![Dim::Fixed(groups), Dim::Fixed(1)];
    let (weight, bias) = (l.reshape(&weight, column.clone())?, l.reshape(&bias, column)?);
    let scaled = l.binary(BinaryOp::Mul, &grouped, &weight)?;
    let shifted = l.binary(BinaryOp::Add, &scaled, &bias)?;
    Ok(vec![l.reshape(&shifted, dims)?])
}

pub(crate) fn lrn(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let op = Lrn {
        size: usizes(&[l.int("size", 0)?], "size")?[0],
        alpha: l.float("alpha", 1e-4)?,
        beta: l.float("beta", 0.75)?,
        bias: l.float("bias", 1.0)?,
    };
    Ok(vec![l.add(Op::Lrn(op), &[&x])?])
}

/// Elements divided by the norm of an axis.
pub(crate) fn lp_norm(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let axis = l.axis(l.int("axis", -1)?, l.rank(&x))?;
    let op = match l.int("p", 2)? {
        1 => ReduceOp::L1,
        2 => ReduceOp::L2,
        p => return Err(Trouble::unsupported(format!("p = {p}"))),
    };
    let norm = over(l, op, &x, Some(vec![axis]), true)?;
    // What is all zero stays so.
    let zero = l.scalar(l.dtype(&x), 0.0);
    let one = l.scalar(l.dtype(&x), 1.0);
    let empty =
        l.add(Op::Compare(paceline_graph::Compare(paceline_graph::CompareOp::Equal)), &[&norm, &zero])?;
    let divisor = l.add(Op::Where(paceline_graph::Where {}), &[&empty, &one, &norm])?;
    Ok(vec![l.binary(BinaryOp::Div, &x, &divisor)?])
}

/// `(x - mean) / deviation` over some axes.
pub(crate) fn mean_variance_norm(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(&x);
    let axes = l.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mean = over(l, ReduceOp::Mean, &x, Some(axes.clone()), true)?;
    let centred = l.binary(BinaryOp::Sub, &x, &mean)?;
    let squares = l.binary(BinaryOp::Mul, &centred, &centred)?;
    let variance = over(l, ReduceOp::Mean, &squares, Some(axes), true)?;
    let deviation = l.unary(UnaryOp::Sqrt, &variance)?;
    let epsilon = l.scalar(l.dtype(&x), 1e-9);
    let divisor = l.binary(BinaryOp::Add, &deviation, &epsilon)?;
    Ok(vec![l.binary(BinaryOp::Div, &centred, &divisor)?])
}

/// Softmax and its relatives; before operator set 13 over all axes from `axis` on together.
pub(crate) fn softmax(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(&x);
    let kind = l.node.op_type.clone();
    let op = |axis: isize| match kind.as_str() {
        "Softmax" => Op::Softmax(Softmax { axis }),
        "LogSoftmax" => Op::LogSoftmax(LogSoftmax { axis }),
        _ => Op::Hardmax(Hardmax { axis }),
    };
    let axis = l.axis(l.int("axis", if l.opset < 13 { 1 } else { -1 })?, rank)?;
    if l.opset >= 13 || axis + 1 == rank {
        return Ok(vec![l.add(op(axis as isize), &[&x])?]);
    }
    let dims = l.dims(&x);
    let together = dims[axis..].iter().try_fold(1, |n: usize, dim| match dim {
        Dim::Fixed(length) => n.checked_mul(*length),
        Dim::Batch(_) => None,
    });
    let together =
        together.ok_or_else(|| Trouble::refused("axes of which none is the batch", "the batch"))?;
    let flat = dims[..axis].iter().copied().chain([Dim::Fixed(together)]).collect();
    let flat = l.reshape(&x, flat)?;
    let y = l.add(op(-1), &[&flat])?;
    Ok(vec![l.reshape(&y, dims)?])
}
