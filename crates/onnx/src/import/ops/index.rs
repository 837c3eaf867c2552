//! Operators that pick or place elements by index.

use paceline_graph::{
    DType, Dim, Gather, GatherElements, GatherNd, OneHot, Op, ReverseSequence, Scatter, ScatterElements,
    ScatterNd, Tensor,
};

use super::elementwise::convert;
use super::layout::take;
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::{Item, integers};

/// Known indices that are few stretches of an axis are slices of it.
const MOST_STRETCHES: usize = 4;

pub(crate) fn gather(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let axis = l.axis(l.int("axis", 0)?, l.rank(&x))?;
    if let Item::Known(tensor) = &indices
        && let Some(known) = integers(tensor)
        && let Dim::Fixed(length) = l.dims(&x)[axis]
        && !matches!(x, Item::Known(_))
    {
        let dims = l.dims(&x);
        let known: Vec<i64> =
            known.into_iter().map(|i| if i < 0 { i.saturating_add(length as i64) } else { i }).collect();
        let stretches = 1 + known.windows(2).filter(|pair| pair[0].checked_add(1) != Some(pair[1])).count();
        if stretches <= MOST_STRETCHES {
            let taken = take(l, &x, axis, &known)?;
            let own = tensor.shape().iter().map(|&length| Dim::Fixed(length));
            let to = dims[..axis].iter().copied().chain(own).chain(dims[axis + 1..].iter().copied());
            return Ok(vec![l.reshape(&taken, to.collect())?]);
        }
    }
    Ok(vec![l.add(Op::Gather(Gather { axis: axis as isize }), &[&x, &indices])?])
}

pub(crate) fn gather_elements(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let axis = l.axis(l.int("axis", 0)?, l.rank(&x))? as isize;
    Ok(vec![l.add(Op::GatherElements(GatherElements { axis }), &[&x, &indices])?])
}

pub(crate) fn gather_nd(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let batch_dims = usizes(&[l.int("batch_dims", 0)?], "batch_dims")?[0];
    Ok(vec![l.add(Op::GatherNd(GatherNd { batch_dims }), &[&x, &indices])?])
}

fn reduction(l: &Lowering<'_>) -> Result<Scatter, Trouble> {
    Ok(match l.string("reduction", "none")?.as_str() {
        "none" => Scatter::Replace,
        "add" => Scatter::Add,
        "mul" => Scatter::Mul,
        "max" => Scatter::Max,
        "min" => Scatter::Min,
        other => return Err(Trouble::refused("reduction none, add, mul, max or min", format!("'{other}'"))),
    })
}

pub(crate) fn scatter_elements(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices, updates) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let axis = l.axis(l.int("axis", 0)?, l.rank(&x))? as isize;
    let op = Op::ScatterElements(ScatterElements { axis, reduction: reduction(l)? });
    Ok(vec![l.add(op, &[&x, &indices, &updates])?])
}

pub(crate) fn scatter_nd(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices, updates) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let op = Op::ScatterNd(ScatterNd { reduction: reduction(l)? });
    Ok(vec![l.add(op, &[&x, &indices, &updates])?])
}

pub(crate) fn one_hot(l: &mut Lowering<'_>) -> Lowered {
    let (indices, values) = (l.input(0)?, l.input(2)?);
    let depth = match l.known_floats(1)?[..] {
        [depth] if depth >= 0.0 && depth <= f64::from(u32::MAX) => depth as usize,
        _ => return Err(Trouble::refused("one depth of at least 0", "another")),
    };
    let axis = l.axis(l.int("axis", -1)?, l.rank(&indices) + 1)? as isize;
    let indices = convert(l, &indices, DType::I64)?;
    Ok(vec![l.add(Op::OneHot(OneHot { axis, depth }), &[&indices, &values])?])
}

pub(crate) fn reverse_sequence(l: &mut Lowering<'_>) -> Lowered {
    let (x, lengths) = (l.input(0)?, l.input(1)?);
    let rank = l.rank(&x);
    let op = ReverseSequence {
        time_axis: l.axis(l.int("time_axis", 0)?, rank)?,
        batch_axis: l.axis(l.int("batch_axis", 1)?, rank)?,
    };
    Ok(vec![l.add(Op::ReverseSequence(op), &[&x, &lengths])?])
}

/// Slices of an axis, or elements of all, where a known condition holds.
pub(crate) fn compress(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let condition = l.known(1)?;
    let condition = condition.as_bool().ok_or_else(|| Trouble::refused("conditions", "something else"))?;
    let axis = match l.optional_int("axis")? {
        Some(axis) => l.axis(axis, l.rank(&x))?,
        None => {
            x = l.flat(&x)?;
            0
        }
    };
    let kept: Vec<i64> =
        (0i64..).zip(condition).filter(|(_, condition)| **condition).map(|(i, _)| i).collect();
    Ok(vec![take(l, &x, axis, &kept)?])
}

/// Where a known tensor is not zero: an index for each axis in a row.
pub(crate) fn non_zero(l: &mut Lowering<'_>) -> Lowered {
    let x = l.known(0)?;
    l.building.spend(x.len().saturating_mul(size_of::<f64>()))?;
    let shape = x.shape().to_vec();
    let places: Vec<usize> = crate::import::lowering::floats(&x)
        .into_iter()
        .enumerate()
        .filter(|(_, element)| *element != 0.0)
        .map(|(place, _)| place)
        .collect();
    l.building.spend((shape.len() * places.len()).saturating_mul(size_of::<i64>()))?;
    let mut rows = Vec::with_capacity(shape.len() * places.len());
    for axis in 0..shape.len() {
        let inner: usize = shape[axis + 1..].iter().product();
        rows.extend(places.iter().map(|place| (place / inner % shape[axis]) as i64));
    }
    Ok(vec![Item::known(Tensor::new([shape.len(), places.len()], rows).expect("an index for each axis"))])
}
