//! Reductions over axes, and what else runs along one.

use paceline_graph::{ArgReduce, BinaryOp, Cumulative, DType, Dim, Op, Reduce, ReduceOp, TopK, UnaryOp};

use crate::import::lowering::{Lowered, Lowering};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// The axes that a reduction is over, as positions in order; `None` where the node asks for no reduction at all.
fn axes(l: &Lowering<'_>, x: &Item) -> Result<Option<Vec<usize>>, Trouble> {
    let rank = l.rank(x);
    let since = if l.node.op_type == "ReduceSum" { 13 } else { 18 };
    let given = l.ints_or_input("axes", 1, since)?.filter(|axes| !axes.is_empty());
    match given {
        None if l.flag("noop_with_empty_axes", false)? => Ok(None),
        None => Ok(Some((0..rank).collect())),
        Some(axes) => {
            let mut axes = axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
            axes.sort_unstable();
            axes.dedup();
            Ok(Some(axes))
        }
    }
}

pub(crate) fn reduce(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let op = match l.node.op_type.as_str() {
        "ReduceMean" => ReduceOp::Mean,
        "ReduceSum" => ReduceOp::Sum,
        "ReduceMax" => ReduceOp::Max,
        "ReduceMin" => ReduceOp::Min,
        "ReduceProd" => ReduceOp::Prod,
        "ReduceL1" => ReduceOp::L1,
        "ReduceL2" => ReduceOp::L2,
        "ReduceSumSquare" => ReduceOp::SumSquare,
        "ReduceLogSum" => ReduceOp::LogSum,
        _ => ReduceOp::LogSumExp,
    };
    let axes = axes(l, &x)?;
    let keep_dims = l.flag("keepdims", true)?;
    if let Some(least) = of_nothing(l, op, &x, axes.as_deref().unwrap_or_default(), keep_dims)? {
        return Ok(vec![least]);
    }
    Ok(vec![over(l, op, &x, axes, keep_dims)?])
}

/// The largest or smallest of no integers is the least or largest that there can be; `None` for other reductions.
fn of_nothing(
    l: &Lowering<'_>,
    op: ReduceOp,
    x: &Item,
    axes: &[usize],
    keep_dims: bool,
) -> Result<Option<Item>, Trouble> {
    let dtype = l.dtype(x);
    let dims = l.dims(x);
    let extreme = match op {
        ReduceOp::Max => f64::NEG_INFINITY,
        ReduceOp::Min => f64::INFINITY,
        _ => return Ok(None),
    };
    let batched = dims.iter().any(|dim| dim.is_batch());
    if dtype.is_float() || batched || !axes.iter().any(|&axis| dims[axis] == Dim::Fixed(0)) {
        return Ok(None);
    }
    let kept = (0..dims.len()).filter_map(|axis| match axes.contains(&axis) {
        true => keep_dims.then_some(1),
        false => Some(dims[axis].per_sample()),
    });
    let extreme = if dtype == DType::Bool { f64::from(u8::from(extreme > 0.0)) } else { extreme };
    l.filled(dtype, extreme, &kept.collect::<Vec<_>>()).map(Some)
}

/// A reduction; over no axes each element is reduced by itself.
pub(super) fn over(
    l: &mut Lowering<'_>,
    op: ReduceOp,
    x: &Item,
    axes: Option<Vec<usize>>,
    keep_dims: bool,
) -> Result<Item, Trouble> {
    if let Some(axes) = axes.filter(|axes| !axes.is_empty()) {
        let axes = axes.into_iter().map(|axis| axis as isize).collect();
        return l.add(Op::Reduce(Reduce { op, axes, keep_dims }), &[x]);
    }
    match op {
        ReduceOp::L1 | ReduceOp::L2 => l.unary(UnaryOp::Abs, x),
        ReduceOp::SumSquare => l.binary(BinaryOp::Mul, x, x),
        ReduceOp::LogSum => l.unary(UnaryOp::Log, x),
        _ => Ok(x.clone()),
    }
}

pub(crate) fn arg_reduce(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let op = ArgReduce {
        axis: l.axis(l.int("axis", 0)?, l.rank(&x))? as isize,
        largest: l.node.op_type == "ArgMax",
        keep_dims: l.flag("keepdims", true)?,
        last: l.flag("select_last_index", false)?,
    };
    Ok(vec![l.add(Op::ArgReduce(op), &[&x])?])
}

pub(crate) fn top_k(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let k = if l.opset < 10 { vec![l.int("k", -1)?] } else { l.known_ints(1)? };
    let k = match k[..] {
        [k] => usize::try_from(k).ok(),
        _ => None,
    };
    let k = k.ok_or_else(|| Trouble::refused("one number k of at least 0", "another"))?;
    let axis = l.axis(l.int("axis", -1)?, l.rank(&x))? as isize;
    l.add_many(Op::TopK(TopK { axis, k, largest: l.flag("largest", true)? }), &[&x])
}

/// Running sums or products.
pub(crate) fn cumulative(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let axis = match l.known_ints(1)?[..] {
        [axis] => l.axis(axis, l.rank(&x))?,
        _ => return Err(Trouble::refused("one axis", "another number of them")),
    };
    let op = Cumulative {
        axis: axis as isize,
        product: l.node.op_type == "CumProd",
        exclusive: l.flag("exclusive", false)?,
        reverse: l.flag("reverse", false)?,
    };
    Ok(vec![l.add(Op::Cumulative(op), &[&x])?])
}
