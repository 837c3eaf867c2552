//! Arithmetic with what is known up to the number of samples.

use paceline_graph::{DType, Tensor};

use super::lowering::{Lowered, Lowering};
use super::registry::Lower;
use super::sampled::{self, sample_numbers};
use super::trouble::Trouble;
use super::value::{Affine, Item, Symbolic, integers};
use super::view;

/// The outputs of a node. Where an input depends on the number of samples, the outputs do so too, or the operator takes it as a size.
pub(crate) fn evaluate(l: &mut Lowering<'_>, lower: Lower) -> Lowered {
    if l.inputs.iter().any(|item| matches!(item, Some(Item::View(_)))) {
        return view::evaluate(l, lower);
    }
    if l.inputs.iter().any(|item| matches!(item, Some(Item::Sampled(_)))) {
        return sampled::evaluate(l, lower);
    }
    let is_symbolic = |item: &Option<Item>| matches!(item, Some(Item::Symbolic(_)));
    if !l.inputs.iter().any(is_symbolic) {
        return lower(l);
    }
    spend(l)?;
    match l.node.op_type.as_str() {
        "Add" => each(l, Affine::add),
        "Sub" => each(l, |a, b| a.add(b.negate()?)),
        "Mul" => each(l, Affine::multiply),
        "Div" => each(l, Affine::divide),
        "Equal" => compare(l, |order| order.is_eq()),
        "Less" => compare(l, |order| order.is_lt()),
        "LessOrEqual" => compare(l, |order| order.is_le()),
        "Greater" => compare(l, |order| order.is_gt()),
        "GreaterOrEqual" => compare(l, |order| order.is_ge()),
        "Max" => each(l, |a, b| larger(a, b).map(|(larger, _)| larger)),
        "Min" => each(l, |a, b| larger(a, b).map(|(_, smaller)| smaller)),
        "Neg" => map(l, Affine::negate),
        "Cast" => cast(l),
        "ReduceProd" => fold(l, Affine::fixed(1), Affine::multiply),
        "ReduceSum" => fold(l, Affine::fixed(0), Affine::add),
        "Where" => select(l),
        "Range" => range(l),
        "Gather" | "GatherElements" | "Slice" | "Concat" | "Squeeze" | "Unsqueeze" | "Identity"
        | "Transpose" | "Split" | "Flatten" => moved(l, lower, usize::MAX),
        // What is moved is the first input; the second says how.
        "Reshape" | "Expand" | "Tile" if matches!(l.inputs[0], Some(Item::Symbolic(_))) => moved(l, lower, 1),
        // Indices for every sample.
        "Expand" | "Tile" if matches!(&l.inputs[0], Some(Item::Known(tensor)) if integers(tensor).is_some()) => {
            sampled::by_example(l, lower)
        }
        _ => lower(l),
    }
}

/// Counts what is computed from integers beside others that depend on the batch.
pub(super) fn spend(l: &Lowering<'_>) -> Result<(), Trouble> {
    let elements = |item: &Item| match item {
        Item::Known(tensor) => tensor.len(),
        Item::Symbolic(symbolic) => symbolic.elements.len(),
        Item::Sampled(sampled) => sampled.elements.as_ref().map_or(0, Vec::len),
        Item::Graph(_) | Item::View(_) => 0,
    };
    let all = l.inputs.iter().flatten().map(elements).fold(0, usize::saturating_add);
    Ok(l.building.spend(all.saturating_mul(size_of::<Affine>()))?)
}

/// An input as integers that may depend on the number of samples.
fn symbolic(item: &Item) -> Result<Symbolic, Trouble> {
    match item {
        Item::Symbolic(symbolic) => Ok(symbolic.clone()),
        Item::Known(tensor) => {
            let values = integers(tensor).ok_or_else(|| {
                Trouble::refused("integers beside a number of samples", tensor.dtype().to_string())
            })?;
            Ok(Symbolic {
                shape: tensor.shape().to_vec(),
                elements: values.into_iter().map(Affine::fixed).collect(),
            })
        }
        Item::Graph(_) | Item::Sampled(_) | Item::View(_) => Err(Trouble::refused(
            "numbers that are known when the model is read",
            "the number of samples as data",
        )),
    }
}

fn depends(l: &Lowering<'_>) -> Trouble {
    Trouble::refused(
        "numbers that are a multiple of the number of samples, plus a constant",
        format!("{} of something else", l.node.op_type),
    )
}

/// The larger of two numbers and the smaller one, where that does not depend on the batch.
fn larger(a: Affine, b: Affine) -> Option<(Affine, Affine)> {
    match (a.is_at_least(b), b.is_at_least(a)) {
        (true, _) => Some((a, b)),
        (_, true) => Some((b, a)),
        _ => None,
    }
}

/// A function of two elements, broadcast.
fn pairs<T>(
    l: &Lowering<'_>,
    f: impl Fn(Affine, Affine) -> Option<T>,
) -> Result<(Vec<usize>, Vec<T>), Trouble> {
    let [a, b] = [symbolic(&l.input(0)?)?, symbolic(&l.input(1)?)?];
    let shape = match (a.elements.len(), b.elements.len()) {
        _ if a.shape == b.shape => a.shape.clone(),
        (_, 1) if a.shape.len() >= b.shape.len() => a.shape.clone(),
        (1, _) if b.shape.len() >= a.shape.len() => b.shape.clone(),
        _ => {
            return Err(Trouble::refused(
                "equal shapes, or one number",
                format!("{:?} and {:?}", a.shape, b.shape),
            ));
        }
    };
    let count = a.elements.len().max(b.elements.len());
    let at = |s: &Symbolic, i: usize| s.elements[if s.elements.len() == 1 { 0 } else { i }];
    let count = if a.elements.is_empty() || b.elements.is_empty() { 0 } else { count };
    let results: Option<Vec<T>> = (0..count).map(|i| f(at(&a, i), at(&b, i))).collect();
    Ok((shape, results.ok_or_else(|| depends(l))?))
}

fn each(l: &Lowering<'_>, f: impl Fn(Affine, Affine) -> Option<Affine>) -> Lowered {
    if l.inputs.len() != 2 {
        return Err(depends(l));
    }
    let (shape, elements) = pairs(l, f)?;
    Ok(vec![Symbolic { shape, elements }.item()])
}

fn compare(l: &Lowering<'_>, f: impl Fn(std::cmp::Ordering) -> bool) -> Lowered {
    let (shape, elements) = pairs(l, |a, b| a.compare(b).map(&f))?;
    Ok(vec![Item::known(Tensor::new(shape, elements).expect("as many as the shape has"))])
}

fn map(l: &Lowering<'_>, f: impl Fn(Affine) -> Option<Affine>) -> Lowered {
    let x = symbolic(&l.input(0)?)?;
    let elements: Option<Vec<Affine>> = x.elements.into_iter().map(f).collect();
    Ok(vec![Symbolic { shape: x.shape, elements: elements.ok_or_else(|| depends(l))? }.item()])
}

/// A number of samples stays one as any integer type; as a floating-point number or a truth it would be data.
fn cast(l: &Lowering<'_>) -> Lowered {
    let to = i32::try_from(l.int("to", 0)?).unwrap_or(0);
    match crate::tensor::dtype(to) {
        Some(DType::I64 | DType::I32) => Ok(vec![l.input(0)?]),
        _ => Err(depends(l)),
    }
}

/// All elements to one.
fn fold(l: &Lowering<'_>, first: Affine, f: impl Fn(Affine, Affine) -> Option<Affine>) -> Lowered {
    let x = symbolic(&l.input(0)?)?;
    if x.shape.len() != 1 {
        return Err(depends(l));
    }
    let element = x.elements.into_iter().try_fold(first, f).ok_or_else(|| depends(l))?;
    let shape = if l.flag("keepdims", true)? { vec![1] } else { vec![] };
    Ok(vec![Symbolic { shape, elements: vec![element] }.item()])
}

fn select(l: &Lowering<'_>) -> Lowered {
    let condition = l.known(0)?;
    let condition = condition.as_bool().ok_or_else(|| Trouble::refused("conditions", "something else"))?;
    let [a, b] = [symbolic(&l.input(1)?)?, symbolic(&l.input(2)?)?];
    let longest = [
        (condition.len(), l.dims(&l.input(0)?).len()),
        (a.elements.len(), a.shape.len()),
        (b.elements.len(), b.shape.len()),
    ];
    let (count, rank) = *longest.iter().max().expect("there are three");
    if rank > 1 || longest.iter().any(|&(n, _)| n != 1 && n != count) {
        return Err(depends(l));
    }
    let at = |s: &Symbolic, i: usize| s.elements[if s.elements.len() == 1 { 0 } else { i }];
    let elements = (0..count)
        .map(|i| if condition[if condition.len() == 1 { 0 } else { i }] { at(&a, i) } else { at(&b, i) })
        .collect();
    Ok(vec![Symbolic { shape: vec![count; rank], elements }.item()])
}

/// The numbers of the samples; other ranges of a length that depends on the batch are none of anything.
fn range(l: &Lowering<'_>) -> Lowered {
    let [start, limit, delta] = [symbolic(&l.input(0)?)?, symbolic(&l.input(1)?)?, symbolic(&l.input(2)?)?];
    let whole = Affine { each: 1, fixed: 0 };
    match (&start.elements[..], &limit.elements[..], &delta.elements[..]) {
        ([start], [limit], [delta])
            if (*start, *limit, *delta) == (Affine::fixed(0), whole, Affine::fixed(1)) =>
        {
            Ok(vec![sample_numbers()])
        }
        _ => Err(depends(l)),
    }
}

/// An operator that moves elements: it moves their positions, and the elements follow. Inputs from `sizes` on are no elements.
fn moved(l: &mut Lowering<'_>, lower: Lower, sizes: usize) -> Lowered {
    let mut elements: Vec<Affine> = Vec::new();
    let given = l.inputs.clone();
    let moves_all = l.node.op_type == "Concat";
    for (index, input) in l.inputs.iter_mut().enumerate() {
        let is_symbolic = matches!(input, Some(Item::Symbolic(_)));
        if index >= sizes || !(is_symbolic && index == 0 || moves_all) {
            continue;
        }
        if let Some(item) = input {
            let source = symbolic(item)?;
            let first = elements.len() as i64;
            let positions: Vec<i64> = (0..source.elements.len() as i64).map(|i| first + i).collect();
            *item = Item::known(Tensor::new(source.shape, positions).expect("as many as the shape has"));
            elements.extend(source.elements);
        }
    }
    let nothing_moved = elements.is_empty();
    let outputs = lower(l);
    l.inputs = given;
    if nothing_moved {
        return outputs;
    }
    outputs?
        .into_iter()
        .map(|output| {
            let Item::Known(positions) = output else { return Err(depends(l)) };
            let element = |&position: &i64| elements.get(usize::try_from(position).ok()?).copied();
            let moved = positions.as_i64().and_then(|at| at.iter().map(element).collect::<Option<_>>());
            let moved = moved.ok_or_else(|| depends(l))?;
            Ok(Symbolic { shape: positions.shape().to_vec(), elements: moved }.item())
        })
        .collect()
}
