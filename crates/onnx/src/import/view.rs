//! Tensors whose axes are, in the model, in another order or merged: `[T, N, 768]` and `[N * 12, T, 64]` for what is `[N, T, 12, 64]` here.
//!
//! Models move the batch axis behind others, or merge it with its neighbours, because some operators want it so; they do what treats every
//! row or matrix alike, and undo it. A graph could not have some of these tensors without mixing samples, and what is
//! computed in them is hard to recognise. So the tensor is kept with the batch axis first and its axes apart (the *base*), and
//! what the model sees is a *view* of it: for each of its axes, those of the base that it consists of.

use paceline_graph::{Dim, MatMul, Op, Reshape, Shape, Slice, Split, ValueType};

use super::lowering::{Lowered, Lowering};
use super::registry::Lower;
use super::symbolic;
use super::trouble::Trouble;
use super::value::Item;

/// A tensor as the model sees it, and as it is.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// As it is: axis 0 is the batch, and no other depends on it.
    base: Box<Item>,
    /// For each axis that the model sees, the axes of the base that it consists of; none for an axis of length 1.
    axes: Vec<Vec<usize>>,
    /// The type that the model sees.
    pub ty: ValueType,
}

/// A Reshape or Transpose of a tensor, where that moves the batch axis or merges it; `None` where it is better done.
pub(crate) fn reshaped(l: &mut Lowering<'_>, x: &Item, to: &[Dim]) -> Result<Option<Item>, Trouble> {
    let Some(view) = whole(l, x) else { return Ok(None) };
    let Some(view) = view.reshape(l, to)? else { return Ok(None) };
    Ok(view.moves_batch().then_some(Item::View(view)))
}

/// The same for a Transpose.
pub(crate) fn transposed(
    l: &mut Lowering<'_>,
    x: &Item,
    permutation: &[usize],
) -> Result<Option<Item>, Trouble> {
    let Some(view) = whole(l, x) else { return Ok(None) };
    let view = view.transpose(permutation);
    if !view.moves_batch() {
        return Ok(None);
    }
    // The axes other than the batch are as the model wants them.
    let order: Vec<usize> = view.axes.iter().flatten().copied().collect();
    let base_order: Vec<usize> =
        std::iter::once(0).chain(order.iter().copied().filter(|&axis| axis != 0)).collect();
    let base = l.transpose(&view.base, base_order.clone())?;
    let place = |axis: usize| base_order.iter().position(|&other| other == axis).expect("a permutation");
    let axes = view.axes.iter().map(|axes| axes.iter().map(|&axis| place(axis)).collect()).collect();
    Ok(Some(Item::View(View { base: Box::new(base), axes, ..view })))
}

/// A tensor of a graph as a view of itself, if axis 0 is its batch.
fn whole(l: &Lowering<'_>, x: &Item) -> Option<View> {
    let ty = l.ty(x);
    let batched = matches!(x, Item::Graph(_)) && ty.shape.dims().first() == Some(&Dim::BATCH);
    let axes = (0..ty.shape.rank()).map(|axis| vec![axis]).collect();
    (batched && !ty.shape.dims().contains(&Dim::Fixed(0))).then(|| View {
        base: Box::new(x.clone()),
        axes,
        ty,
    })
}

impl View {
    /// Whether the batch axis is not by itself in front.
    fn moves_batch(&self) -> bool {
        self.axes.first().is_none_or(|first| first[..] != [0])
    }

    /// The tensor itself, where the model sees it as it is.
    fn settled(self) -> Item {
        match self.axes.iter().enumerate().all(|(index, axes)| axes[..] == [index]) {
            true => *self.base,
            false => Item::View(self),
        }
    }

    fn transpose(&self, permutation: &[usize]) -> View {
        let dims: Vec<Dim> = permutation.iter().map(|&axis| self.ty.shape.dims()[axis]).collect();
        View {
            base: self.base.clone(),
            axes: permutation.iter().map(|&axis| self.axes[axis].clone()).collect(),
            ty: ValueType::new(self.ty.dtype, Shape::from(dims)),
        }
    }

    /// The view under another shape; `None` where an axis would consist of parts that are no axes.
    fn reshape(&self, l: &mut Lowering<'_>, to: &[Dim]) -> Result<Option<View>, Trouble> {
        let dims = l.dims(&self.base);
        let Some(cut) = cut(&dims, &self.axes, to) else { return Ok(None) };
        let base = l.reshape(&self.base, cut.dims)?;
        let ty = ValueType::new(self.ty.dtype, Shape::from(to.to_vec()));
        View { base: Box::new(base), axes: cut.axes, ty }.compact(l).map(Some)
    }

    /// Joins axes of the base that the model only sees together.
    fn compact(self, l: &mut Lowering<'_>) -> Result<View, Trouble> {
        let dims = l.dims(&self.base);
        let follows =
            |axis: usize| self.axes.iter().any(|axes| axes.windows(2).any(|pair| pair == [axis - 1, axis]));
        let mut joined: Vec<Dim> = Vec::new();
        let mut place = Vec::new();
        for (axis, &dim) in dims.iter().enumerate() {
            match (joined.last_mut(), dim) {
                (Some(Dim::Fixed(last)), Dim::Fixed(length)) if axis > 1 && follows(axis) => *last *= length,
                _ => joined.push(dim),
            }
            place.push(joined.len() - 1);
        }
        let axes = self.axes.iter().map(|axes| {
            let mut axes: Vec<usize> = axes.iter().map(|&axis| place[axis]).collect();
            axes.dedup();
            axes
        });
        let axes = axes.collect();
        Ok(View { base: Box::new(l.reshape(&self.base, joined)?), axes, ty: self.ty })
    }

    /// The tensor with its axes in the order in which the model sees them, but not merged, and how many make each axis.
    fn apart(&self, l: &mut Lowering<'_>) -> Result<(Item, Vec<usize>), Trouble> {
        let order: Vec<usize> = self.axes.iter().flatten().copied().collect();
        let dims = l.dims(&self.base);
        // Axes of length 1 that the model does not see are dropped.
        let (order, base) = if order.len() == dims.len() {
            (order, (*self.base).clone())
        } else {
            let kept: Vec<usize> = (0..dims.len()).filter(|axis| order.contains(axis)).collect();
            let base = l.reshape(&self.base, kept.iter().map(|&axis| dims[axis]).collect())?;
            let place = |axis: &usize| kept.iter().position(|other| other == axis).expect("it is kept");
            (order.iter().map(place).collect(), base)
        };
        Ok((l.transpose(&base, order)?, self.axes.iter().map(Vec::len).collect()))
    }

    /// The tensor as the model sees it. An error where samples would be mixed.
    pub(crate) fn merged(&self, l: &mut Lowering<'_>) -> Result<Item, Trouble> {
        let (apart, _) = self.apart(l)?;
        if l.dims(&apart) == self.ty.shape.dims() {
            return Ok(apart);
        }
        l.add(Op::Reshape(Reshape { shape: self.ty.shape.clone() }), &[&apart])
    }

    /// Whether the last axis that the model sees is the last of the base.
    fn keeps_last(&self, l: &Lowering<'_>) -> bool {
        self.axes.last().is_some_and(|last| last[..] == [l.rank(&self.base) - 1])
    }

    /// The view of another base that differs in its last axis.
    fn with_base(&self, l: &Lowering<'_>, base: Item) -> Item {
        let ty = l.ty(&base);
        let mut dims = self.ty.shape.dims().to_vec();
        if let (Some(last), Some(own)) = (dims.last_mut(), ty.shape.dims().last()) {
            *last = *own;
        }
        let ty = ValueType::new(ty.dtype, Shape::from(dims));
        Item::View(View { base: Box::new(base), axes: self.axes.clone(), ty })
    }
}

/// The axes of a base cut so that each axis of a shape consists of whole ones.
struct Cut {
    dims: Vec<Dim>,
    axes: Vec<Vec<usize>>,
}

fn cut(base: &[Dim], axes: &[Vec<usize>], to: &[Dim]) -> Option<Cut> {
    if to.contains(&Dim::Fixed(0)) {
        return None;
    }
    // For each axis of the base the parts that it is cut into, and for each axis of the shape which parts it has.
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); base.len()];
    let mut taken: Vec<Vec<(usize, usize)>> = vec![Vec::new(); to.len()];
    let mut order = axes.iter().flatten().copied().peekable();
    let mut left = 0;
    let mut current = None;
    for (taken, dim) in taken.iter_mut().zip(to) {
        let (mut need, mut need_batch) = (dim.per_sample(), dim.is_batch());
        while need > 1 || need_batch {
            if current.is_none() {
                let axis = order.next()?;
                left = base[axis].per_sample();
                current = Some(axis);
            }
            let axis = current?;
            if base[axis].is_batch() {
                if !need_batch {
                    return None;
                }
                need_batch = false;
            }
            let part = if need.is_multiple_of(left) {
                left
            } else if left.is_multiple_of(need) {
                need
            } else {
                return None;
            };
            if part == 1 && left > 1 {
                // The batch is wanted, and does not come next.
                return None;
            }
            taken.push((axis, parts[axis].len()));
            parts[axis].push(part);
            need /= part;
            left /= part;
            if left == 1 {
                current = None;
            }
        }
    }
    if current.is_some() || order.any(|axis| base[axis] != Dim::Fixed(1)) {
        return None;
    }
    let mut first = Vec::new();
    let mut dims = Vec::new();
    for (axis, parts) in parts.iter().enumerate() {
        first.push(dims.len());
        match base[axis] {
            Dim::Batch(_) => dims.push(base[axis]),
            Dim::Fixed(1) if parts.is_empty() => dims.push(Dim::Fixed(1)),
            Dim::Fixed(_) => dims.extend(parts.iter().map(|&part| Dim::Fixed(part))),
        }
    }
    let place = |&(axis, part): &(usize, usize)| first[axis] + part;
    Some(Cut { dims, axes: taken.iter().map(|parts| parts.iter().map(place).collect()).collect() })
}

/// The outputs of a node of which an input is a view.
pub(crate) fn evaluate(l: &mut Lowering<'_>, lower: Lower) -> Lowered {
    let views: Vec<View> = l
        .inputs
        .iter()
        .flatten()
        .filter_map(|item| match item {
            Item::View(view) => Some(view.clone()),
            _ => None,
        })
        .collect();
    let first = views[0].clone();
    let is_first = matches!(l.inputs.first(), Some(Some(Item::View(_))));
    let rank = first.ty.shape.rank();
    match l.node.op_type.as_str() {
        "Shape" | "Size" => return lower(l),
        "Transpose" => {
            let permutation = match l.ints("perm")? {
                Some(axes) => axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
                None => (0..rank).rev().collect(),
            };
            return Ok(vec![first.transpose(&permutation).settled()]);
        }
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" if is_first => {
            let to = super::ops::layout::new_dims(l)?;
            if let Some(view) = first.reshape(l, &to)? {
                return Ok(vec![view.settled()]);
            }
        }
        "Gather" if is_first => {
            if let Some(picked) = pick(l, &first)? {
                return Ok(vec![picked]);
            }
        }
        "Split" if is_first => {
            if let Some(pieces) = split(l, &first)? {
                return Ok(pieces);
            }
        }
        "MatMul" if views.len() == 2 => {
            if let Some(product) = product(l, &views[0], &views[1])? {
                return Ok(vec![product]);
            }
        }
        _ if treats_rows_alike(l, &first)? => {
            for input in &mut l.inputs {
                if let Some(Item::View(view)) = input {
                    *input = Some((*view.base).clone());
                }
            }
            let outputs = lower(l)?;
            return Ok(outputs.into_iter().map(|base| first.with_base(l, base)).collect());
        }
        _ => {}
    }
    for index in 0..l.inputs.len() {
        if let Some(Item::View(view)) = l.inputs[index].clone() {
            l.inputs[index] = Some(view.merged(l)?);
        }
    }
    symbolic::evaluate(l, lower)
}

/// Whether the node does the same to every row of the last axis, or to every element.
fn treats_rows_alike(l: &Lowering<'_>, first: &View) -> Result<bool, Trouble> {
    if !first.keeps_last(l) {
        return Ok(false);
    }
    let last = |item: &Item| {
        let dims = l.dims(item);
        dims.iter().rev().skip(1).all(|&dim| dim == Dim::Fixed(1)) && dims.len() <= first.ty.shape.rank()
    };
    let alike = |item: &Item| match item {
        Item::View(other) => other.axes == first.axes && l.dims(&other.base) == l.dims(&first.base),
        other => last(other),
    };
    let at = |index: usize| l.inputs.get(index).and_then(Option::as_ref);
    let plain = |index: usize| at(index).is_none_or(|item| !matches!(item, Item::View(_)));
    let is_first = matches!(at(0), Some(Item::View(_)));
    Ok(match l.node.op_type.as_str() {
        "Gemm" => {
            let bias = at(2).is_none_or(last);
            is_first
                && first.ty.shape.rank() == 2
                && plain(1)
                && plain(2)
                && bias
                && !l.flag("transA", false)?
        }
        "MatMul" => is_first && plain(1) && at(1).is_some_and(|b| l.rank(b) == 2),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Where" | "PRelu" | "Relu" | "Gelu"
        | "Sigmoid" | "Tanh" | "Erf" | "Sqrt" | "Exp" | "Neg" | "Clip" | "HardSwish" | "HardSigmoid"
        | "LeakyRelu" | "Elu" | "Cast" | "Identity" | "Dropout" | "IsNaN" => {
            l.inputs.iter().flatten().all(alike)
        }
        "LayerNormalization" => l.int("axis", -1)? == -1 && l.node.output.len() == 1,
        "Softmax" => l.opset >= 13 && l.int("axis", -1)? == -1,
        _ => false,
    })
}

/// One place of an axis.
fn pick(l: &mut Lowering<'_>, x: &View) -> Result<Option<Item>, Trouble> {
    let axis = l.axis(l.int("axis", 0)?, x.ty.shape.rank())?;
    let Some(Item::Known(indices)) = l.optional(1) else { return Ok(None) };
    let (&[own], []) = (&x.axes[axis][..], indices.shape()) else { return Ok(None) };
    let (Dim::Fixed(length), [index]) = (l.dims(&x.base)[own], &l.known_ints(1)?[..]) else {
        return Ok(None);
    };
    let index = if *index < 0 { index + length as i64 } else { *index };
    let index = usize::try_from(index).ok().filter(|&index| index < length);
    let start =
        index.ok_or_else(|| Trouble::refused(format!("an index below {length}"), format!("{index:?}")))?;
    let op = Op::Slice(Slice { axis: own as isize, start, end: start + 1, step: 1 });
    let cut = l.add(op, &[&x.base])?;
    let mut dims = l.dims(&cut);
    dims.remove(own);
    let base = l.reshape(&cut, dims)?;
    let mut seen = x.ty.shape.dims().to_vec();
    seen.remove(axis);
    let mut axes = x.axes.clone();
    axes.remove(axis);
    axes.iter_mut().flatten().filter(|other| **other > own).for_each(|other| *other -= 1);
    let ty = ValueType::new(x.ty.dtype, Shape::from(seen));
    Ok(Some(View { base: Box::new(base), axes, ty }.settled()))
}

fn split(l: &mut Lowering<'_>, x: &View) -> Result<Option<Vec<Item>>, Trouble> {
    let axis = l.axis(l.int("axis", 0)?, x.ty.shape.rank())?;
    let &[own] = &x.axes[axis][..] else { return Ok(None) };
    let Dim::Fixed(length) = l.dims(&x.base)[own] else { return Ok(None) };
    let sizes = super::ops::layout::split_sizes(l, length)?;
    let pieces = l.add_many(Op::Split(Split { axis: own as isize, sizes }), &[&x.base])?;
    let pieces = pieces.into_iter().map(|base| {
        let mut dims = x.ty.shape.dims().to_vec();
        dims[axis] = l.dims(&base)[own];
        let ty = ValueType::new(x.ty.dtype, Shape::from(dims));
        Item::View(View { base: Box::new(base), axes: x.axes.clone(), ty })
    });
    Ok(Some(pieces.collect()))
}

/// A product of as many matrices in both, along the same axes.
fn product(l: &mut Lowering<'_>, a: &View, b: &View) -> Result<Option<Item>, Trouble> {
    let matrix = |view: &View| view.axes.iter().rev().take(2).all(|axes| axes.len() == 1);
    let rank = a.axes.len();
    if rank != b.axes.len() || rank < 3 || !matrix(a) || !matrix(b) {
        return Ok(None);
    }
    let ((a_apart, counts), (b_apart, b_counts)) = (a.apart(l)?, b.apart(l)?);
    let (a_dims, b_dims) = (l.dims(&a_apart), l.dims(&b_apart));
    let same = counts[..rank - 2] == b_counts[..rank - 2]
        && a_dims[..a_dims.len() - 2] == b_dims[..b_dims.len() - 2];
    if !same || a_dims.first() != Some(&Dim::BATCH) {
        return Ok(None);
    }
    let base = l.add(Op::MatMul(MatMul {}), &[&a_apart, &b_apart])?;
    let mut next = 0;
    let axes = counts.iter().map(|&count| {
        next += count;
        (next - count..next).collect()
    });
    let mut dims = a.ty.shape.dims().to_vec();
    dims[rank - 1] = b.ty.shape.dims()[rank - 1];
    let ty = ValueType::new(a.ty.dtype, Shape::from(dims));
    Ok(Some(View { base: Box::new(base), axes: axes.collect(), ty }.settled()))
}
