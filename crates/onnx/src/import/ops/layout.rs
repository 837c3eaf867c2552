//! Operators that move elements and compute nothing.

use paceline_graph::{Concat, Dim, Expand, Gather, Op, Pad, PadMode, Slice, Split, Tensor, Tile, Trilu};

use crate::import::lowering::{Lowered, Lowering, MOST_SIZES, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::{Affine, Item};
use crate::import::view;

pub(crate) fn reshape(l: &mut Lowering<'_>) -> Lowered {
    let (x, dims) = (l.input(0)?, new_dims(l)?);
    if let Some(view) = view::reshaped(l, &x, &dims)? {
        return Ok(vec![view]);
    }
    Ok(vec![l.reshape(&x, dims)?])
}

/// The axes after a Reshape, Flatten, Squeeze or Unsqueeze.
pub(in crate::import) fn new_dims(l: &Lowering<'_>) -> Result<Vec<Dim>, Trouble> {
    let x = l.input(0)?;
    match l.node.op_type.as_str() {
        "Flatten" => flattened(l, &x),
        "Squeeze" => squeezed(l, &x),
        "Unsqueeze" => unsqueezed(l, &x),
        _ => target_dims(l, &x, &l.sizes(1)?),
    }
}

/// The axes that a Reshape asks for: 0 is the input's axis, one may be -1 and takes what is left.
fn target_dims(l: &Lowering<'_>, x: &Item, target: &[Affine]) -> Result<Vec<Dim>, Trouble> {
    let from = l.dims(x);
    let refused = |expected: &str| {
        let target: Vec<String> = target.iter().map(|t| format!("{}N + {}", t.each, t.fixed)).collect();
        let got = format!("{} and the lengths [{}]", l.ty(x), target.join(", "));
        Trouble::refused(expected, got)
    };
    let allow_zero = l.flag("allowzero", false)?;
    let mut dims = Vec::new();
    let mut rest = None;
    for (index, &length) in target.iter().enumerate() {
        dims.push(match length.constant() {
            Some(0) if !allow_zero => {
                *from.get(index).ok_or_else(|| refused("a length of 0 only where the input has an axis"))?
            }
            Some(-1) if rest.is_none() => {
                rest = Some(index);
                Dim::Fixed(1)
            }
            Some(-1) => return Err(refused("at most one length of -1")),
            _ => length.dim().ok_or_else(|| refused("lengths of at least 0, or multiples of the batch"))?,
        });
    }
    if let Some(batch) = l.freed {
        free(&from, &mut dims, rest, batch);
    }
    if let Some(index) = rest {
        let product = |dims: &[Dim]| dims.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.per_sample()));
        let (all, known) = (product(&from), product(&dims));
        let left = match (all, known) {
            (Some(all), Some(known)) if known > 0 && all % known == 0 => all / known,
            _ => return Err(refused("lengths that divide the number of elements")),
        };
        let batched = |dims: &[Dim]| dims.iter().any(|dim| dim.is_batch());
        dims[index] = if batched(&from) && !batched(&dims) { Dim::Batch(left) } else { Dim::Fixed(left) };
    }
    Ok(dims)
}

/// Where a model was exported for one batch size, that size stands in it as a number: the first length that a multiple of it
/// may stand for is the batch's, if what comes before it is as much as before the batch axis of the input.
fn free(from: &[Dim], dims: &mut [Dim], rest: Option<usize>, batch: usize) {
    let Some(axis) = from.iter().position(|dim| dim.is_batch()) else { return };
    if dims.iter().any(|dim| dim.is_batch()) {
        return;
    }
    let before: usize = from[..axis].iter().map(|dim| dim.per_sample()).product();
    let mut product = 1usize;
    for (index, dim) in dims.iter_mut().enumerate() {
        if product == before {
            match *dim {
                _ if rest == Some(index) => return,
                Dim::Fixed(length) if length > 0 && length.is_multiple_of(batch) => {
                    *dim = Dim::Batch(length / batch);
                    return;
                }
                _ => {}
            }
        }
        product = product.saturating_mul(dim.per_sample());
    }
}

/// All axes before `axis` to one, and all from there on to another.
fn flattened(l: &Lowering<'_>, x: &Item) -> Result<Vec<Dim>, Trouble> {
    let dims = l.dims(x);
    let axis = match l.int("axis", 1)? {
        axis if axis == dims.len() as i64 => dims.len(),
        axis => l.axis(axis, dims.len().max(1))?,
    };
    let merged = |dims: &[Dim]| {
        let lengths = dims.iter().map(|&dim| Affine::of_dim(dim));
        let product = lengths.into_iter().try_fold(Affine::fixed(1), |n, length| n.multiply(length?));
        product
            .and_then(Affine::dim)
            .ok_or_else(|| Trouble::refused("lengths whose product fits in memory", "longer ones"))
    };
    Ok(vec![merged(&dims[..axis])?, merged(&dims[axis..])?])
}

fn squeezed(l: &Lowering<'_>, x: &Item) -> Result<Vec<Dim>, Trouble> {
    let dims = l.dims(x);
    let dropped = match l.ints_or_input("axes", 1, 13)? {
        Some(axes) => axes.iter().map(|&axis| l.axis(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..dims.len()).filter(|&axis| dims[axis] == Dim::Fixed(1)).collect(),
    };
    if let Some(&axis) = dropped.iter().find(|&&axis| dims[axis] != Dim::Fixed(1)) {
        return Err(Trouble::refused("axes of length 1", format!("axis {axis} of {}", l.ty(x))));
    }
    Ok(dims.iter().enumerate().filter(|(axis, _)| !dropped.contains(axis)).map(|(_, &dim)| dim).collect())
}

fn unsqueezed(l: &Lowering<'_>, x: &Item) -> Result<Vec<Dim>, Trouble> {
    let axes = l.ints_or_input("axes", 1, 13)?.ok_or_else(|| Trouble::refused("axes", "none"))?;
    let dims = l.dims(x);
    let rank = dims.len() + axes.len();
    let axes = axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut own = dims.iter().copied();
    let to: Option<Vec<Dim>> =
        (0..rank).map(|axis| if axes.contains(&axis) { Some(Dim::Fixed(1)) } else { own.next() }).collect();
    to.filter(|_| own.next().is_none()).ok_or_else(|| Trouble::refused("different axes", format!("{axes:?}")))
}

pub(crate) fn transpose(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(&x);
    let permutation = match l.ints("perm")? {
        Some(axes) => axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(Trouble::refused(format!("each of {rank} axes once"), format!("{permutation:?}")));
    }
    if let Some(view) = view::transposed(l, &x, &permutation)? {
        return Ok(vec![view]);
    }
    Ok(vec![l.transpose(&x, permutation)?])
}

pub(crate) fn concat(l: &mut Lowering<'_>) -> Lowered {
    let items = l.all()?;
    let axis = l.int("axis", 1)?;
    let [first, ..] = &items[..] else { return Err(Trouble::refused("at least one input", "none")) };
    let axis = l.axis(axis, l.rank(first))?;
    if let [only] = &items[..] {
        return Ok(vec![only.clone()]);
    }
    Ok(vec![l.add(Op::Concat(Concat { axis: axis as isize }), &items.iter().collect::<Vec<_>>())?])
}

pub(crate) fn split(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let axis = l.axis(l.int("axis", 0)?, l.rank(&x))?;
    let length = l.length(&x, axis)?;
    let sizes = split_sizes(l, length)?;
    if sizes.len() == 1 {
        return Ok(vec![x]);
    }
    l.add_many(Op::Split(Split { axis: axis as isize, sizes }), &[&x])
}

/// The lengths of the pieces of an axis.
pub(in crate::import) fn split_sizes(l: &Lowering<'_>, length: usize) -> Result<Vec<usize>, Trouble> {
    if let Some(sizes) = l.ints_or_input("split", 1, 13)? {
        return usizes(&sizes, "lengths");
    }
    let count = usize::try_from(l.int("num_outputs", l.node.output.len() as i64)?).unwrap_or(0);
    let most = length.clamp(1, MOST_SIZES);
    if count == 0 || count > most {
        return Err(Trouble::refused(format!("from 1 to {most} outputs"), format!("{count}")));
    }
    let each = length.div_ceil(count);
    Ok((0..count).map(|i| each.min(length.saturating_sub(i * each))).collect())
}

pub(crate) fn slice(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let dims = l.dims(&x);
    let (starts, ends, axes, steps) = if l.opset < 10 {
        let required =
            |name: &str| l.ints(name)?.ok_or_else(|| Trouble::refused(format!("attribute '{name}'"), "none"));
        let fixed = |ints: Vec<i64>| ints.into_iter().map(Affine::fixed).collect::<Vec<_>>();
        (fixed(required("starts")?), fixed(required("ends")?), l.ints("axes")?, None)
    } else {
        let known = |index: usize| l.optional(index).map(|_| l.known_ints(index)).transpose();
        (l.sizes(1)?, l.sizes(2)?, known(3)?, known(4)?)
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(Trouble::refused(
            "a start, an end and a step for each axis",
            "different numbers of them",
        ));
    }
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = l.axis(axis, dims.len())?;
        x = cut(l, x, axis, start, end, step)?;
    }
    Ok(vec![x])
}

/// Part of one axis; of the batch axis all.
fn cut(
    l: &mut Lowering<'_>,
    x: Item,
    axis: usize,
    start: Affine,
    end: Affine,
    step: i64,
) -> Result<Item, Trouble> {
    let dim = l.dims(&x)[axis];
    let whole =
        Affine::of_dim(dim).ok_or_else(|| Trouble::refused("lengths that an i64 holds", "longer ones"))?;
    if dim.is_batch() {
        let all =
            start == Affine::fixed(0) && end.compare(whole).is_some_and(|order| order.is_ge()) && step == 1;
        return match all || (start == Affine::fixed(0) && end.constant() == Some(i64::MAX) && step == 1) {
            true => Ok(x),
            false => Err(Trouble::refused("all of the batch axis", "a part of it")),
        };
    }
    let length = whole.fixed;
    let (Some(start), Some(end)) = (start.constant(), end.constant()) else {
        return Err(Trouble::refused("a start and an end that do not depend on the batch", "ones that do"));
    };
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    if step == 0 {
        return Err(Trouble::refused("a step that is not 0", "0"));
    }
    if step < 0 {
        let first = from_end(start).min(length - 1);
        let last = if end < -length { -1 } else { from_end(end).max(-1) };
        let count = usize::try_from(first.saturating_sub(last)).unwrap_or(0) / step.unsigned_abs() as usize;
        l.building.spend(count.saturating_add(1).saturating_mul(size_of::<i64>()))?;
        let mut indices = Vec::new();
        let mut index = first;
        while index > last && index >= 0 {
            indices.push(index);
            index = index.saturating_add(step);
        }
        return take(l, &x, axis, &indices);
    }
    let start = from_end(start).clamp(0, length);
    let end = from_end(end).clamp(start, length);
    if (start, end, step) == (0, length, 1) {
        return Ok(x);
    }
    let op = Slice { axis: axis as isize, start: start as usize, end: end as usize, step: step as usize };
    l.add(Op::Slice(op), &[&x])
}

/// Positions of an axis that are at most so many stretches are taken as slices.
const MOST_STRETCHES: usize = 4;

/// The elements at these positions of an axis, one after the other.
pub(in crate::import) fn take(
    l: &mut Lowering<'_>,
    x: &Item,
    axis: usize,
    indices: &[i64],
) -> Result<Item, Trouble> {
    let length = l.length(x, axis)?;
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for &index in indices {
        let index = usize::try_from(index).ok().filter(|&index| index < length);
        let index = index
            .ok_or_else(|| Trouble::refused(format!("indices below {length}"), format!("{indices:?}")))?;
        match stretches.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => stretches.push((index, index + 1)),
        }
    }
    if stretches.len() > MOST_STRETCHES {
        let indices = Item::known(Tensor::new([indices.len()], indices.to_vec()).expect("as many elements"));
        return l.add(Op::Gather(Gather { axis: axis as isize }), &[x, &indices]);
    }
    if stretches.is_empty() {
        stretches.push((0, 0));
    }
    let mut parts = Vec::new();
    for (start, end) in stretches {
        let op = Op::Slice(Slice { axis: axis as isize, start, end, step: 1 });
        parts.push(if (start, end) == (0, length) { x.clone() } else { l.add(op, &[x])? });
    }
    match &parts[..] {
        [only] => Ok(only.clone()),
        _ => l.add(Op::Concat(Concat { axis: axis as isize }), &parts.iter().collect::<Vec<_>>()),
    }
}

pub(crate) fn pad(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let rank = l.rank(&x);
    let mode = l.string("mode", "constant")?;
    let pads = l.ints_or_input("pads", 1, 11)?.ok_or_else(|| Trouble::refused("pads", "none"))?;
    let axes = match l.optional(3) {
        Some(_) if l.opset >= 18 => {
            l.known_ints(3)?.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?
        }
        _ => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Trouble::refused(
            format!("two pads for each of {} axes", axes.len()),
            format!("{pads:?}"),
        ));
    }
    let mut both = vec![(0, 0); rank];
    for (i, &axis) in axes.iter().enumerate() {
        both[axis] = (pads[i], pads[axes.len() + i]);
    }
    for (axis, pads) in both.iter_mut().enumerate() {
        let (begin, end) = *pads;
        if begin < 0 || end < 0 {
            let length = l.length(&x, axis)? as i64;
            let (start, stop) =
                (begin.saturating_neg().max(0), length - end.saturating_neg().clamp(0, length));
            x = cut(l, x, axis, Affine::fixed(start.min(length)), Affine::fixed(stop), 1)?;
            *pads = (begin.max(0), end.max(0));
        }
    }
    let value = if l.opset < 11 {
        f64::from(l.float("value", 0.0)?)
    } else {
        match l.optional(2) {
            Some(_) => l.known_floats(2)?.first().copied().unwrap_or(0.0),
            None => 0.0,
        }
    };
    let pads: Vec<(usize, usize)> =
        both.into_iter().map(|(begin, end)| (begin as usize, end as usize)).collect();
    if pads.iter().all(|&pads| pads == (0, 0)) {
        return Ok(vec![x]);
    }
    let mode = match mode.as_str() {
        "constant" => PadMode::Constant(value),
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "wrap" => PadMode::Wrap,
        other => return Err(Trouble::refused("mode constant, edge, reflect or wrap", format!("'{other}'"))),
    };
    Ok(vec![l.add(Op::Pad(Pad { pads, mode }), &[&x])?])
}

/// The axes that a tensor has when it is broadcast to others, or these where they are longer.
pub(crate) fn expand(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let mut target = Vec::new();
    for length in l.sizes(1)? {
        target.push(
            length.dim().ok_or_else(|| {
                Trouble::refused("lengths of at least 0, or multiples of the batch", "others")
            })?,
        );
    }
    let own = l.dims(&x);
    let rank = own.len().max(target.len());
    let aligned = |dims: &[Dim], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(axis) => dims[axis],
        None => Dim::Fixed(1),
    };
    let freed = l.freed.filter(|_| own.iter().any(|dim| dim.is_batch()));
    let dims: Vec<Dim> = (0..rank)
        .map(|axis| match (aligned(&own, axis), aligned(&target, axis)) {
            (own, Dim::Fixed(1)) => own,
            // The batch size that the model was exported for.
            (own @ Dim::Batch(each), Dim::Fixed(length))
                if freed.is_some_and(|batch| batch.checked_mul(each) == Some(length)) =>
            {
                own
            }
            (_, target) => target,
        })
        .collect();
    if dims == own {
        return Ok(vec![x]);
    }
    Ok(vec![l.add(Op::Expand(Expand { shape: dims.into() }), &[&x])?])
}

pub(crate) fn tile(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let repeats = l.sizes(1)?;
    // Repeating once for each sample is a broadcast of an axis of length 1.
    if repeats.iter().any(|repeat| repeat.constant().is_none()) {
        let own = l.dims(&x);
        let dims = own.iter().zip(&repeats).map(|(&dim, &repeat)| match (dim, repeat.constant()) {
            (Dim::Fixed(1), _) => repeat.dim(),
            (dim, Some(1)) => Some(dim),
            _ => None,
        });
        let dims: Option<Vec<Dim>> = dims.collect();
        let dims = dims.filter(|dims| dims.len() == own.len() && repeats.len() == own.len());
        let dims =
            dims.ok_or_else(|| Trouble::refused("an axis of length 1 to repeat for each sample", "others"))?;
        return Ok(vec![l.add(Op::Expand(Expand { shape: dims.into() }), &[&x])?]);
    }
    let repeats = usizes(&l.known_ints(1)?, "repeats")?;
    Ok(vec![l.add(Op::Tile(Tile { repeats }), &[&x])?])
}

pub(crate) fn trilu(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let diagonal = match l.optional(1) {
        Some(_) => l.known_ints(1)?.first().copied().unwrap_or(0),
        None => 0,
    };
    Ok(vec![l.add(Op::Trilu(Trilu { upper: l.flag("upper", true)?, diagonal }), &[&x])?])
}

fn block(l: &Lowering<'_>, x: &Item) -> Result<(Dim, usize, usize, usize, usize), Trouble> {
    let size = usizes(&[l.int("blocksize", 0)?], "blocksize")?[0];
    match l.dims(x)[..] {
        // A larger one divides nothing that fits in memory, and its powers are no numbers.
        [batch, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] if (1..=MOST_SIZES).contains(&size) => {
            Ok((batch, c, h, w, size))
        }
        _ => Err(Trouble::refused("[N, C, H, W] and a blocksize of at least 1", l.ty(x).to_string())),
    }
}

/// Channels become blocks of pixels.
pub(crate) fn depth_to_space(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let (batch, c, h, w, b) = block(l, &x)?;
    let fixed = |lengths: &[usize]| {
        std::iter::once(batch).chain(lengths.iter().map(|&n| Dim::Fixed(n))).collect::<Vec<_>>()
    };
    let (split, permutation) = match l.string("mode", "DCR")?.as_str() {
        "DCR" => ([b, b, c / (b * b), h, w], vec![0, 3, 4, 1, 5, 2]),
        "CRD" => ([c / (b * b), b, b, h, w], vec![0, 1, 4, 2, 5, 3]),
        other => return Err(Trouble::refused("mode DCR or CRD", format!("'{other}'"))),
    };
    let x = l.reshape(&x, fixed(&split))?;
    let x = l.transpose(&x, permutation)?;
    Ok(vec![l.reshape(&x, fixed(&[c / (b * b), h * b, w * b]))?])
}

/// Blocks of pixels become channels.
pub(crate) fn space_to_depth(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let (batch, c, h, w, b) = block(l, &x)?;
    let fixed = |lengths: &[usize]| {
        std::iter::once(batch).chain(lengths.iter().map(|&n| Dim::Fixed(n))).collect::<Vec<_>>()
    };
    let x = l.reshape(&x, fixed(&[c, h / b, b, w / b, b]))?;
    let permutation = match l.string("mode", "DCR")?.as_str() {
        "DCR" => vec![0, 3, 5, 1, 2, 4],
        "CRD" => vec![0, 1, 3, 5, 2, 4],
        other => return Err(Trouble::refused("mode DCR or CRD", format!("'{other}'"))),
    };
    let x = l.transpose(&x, permutation)?;
    Ok(vec![l.reshape(&x, fixed(&[c * b * b, h / b, w / b]))?])
}
