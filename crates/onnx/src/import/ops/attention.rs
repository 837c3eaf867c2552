//! Attention, and what goes with it in transformers: rotary positions and gated activations.
//!
//! Attention is written in the pieces that exporters emit, which the passes recognise.

use paceline_graph::{
    BinaryOp, Classify, Compare, CompareOp, Concat, DType, Dim, Expand, MatMul, Op, Pad, PadMode, Slice,
    Softmax, Tensor, UnaryOp, Where,
};

use super::elementwise::{convert, scaled};
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// Scores that may be looked at as a second output: which of them, by ONNX's number.
const WITH_SOFTCAP: i64 = 1;
const WITH_MASK: i64 = 2;
const WEIGHTS: i64 = 3;

/// Lengths: of the queries, of the keys and of the keys that come before the others.
#[derive(Clone, Copy)]
struct Lengths {
    queries: usize,
    keys: usize,
    past: usize,
}

/// Up to four outputs: the result, all keys, all values, and the scores.
pub(crate) fn attention(l: &mut Lowering<'_>) -> Lowered {
    let (q, k, v) = (l.input(0)?, l.input(1)?, l.input(2)?);
    let is_flat = l.rank(&q) == 3;
    let q = apart(l, &q, "q_num_heads")?;
    let (k, v) = (apart(l, &k, "kv_num_heads")?, apart(l, &v, "kv_num_heads")?);
    let past = l.optional(4).map_or(Ok(0), |past| l.length(&past, 2))?;
    let (k, v) = (after(l, 4, k)?, after(l, 5, v)?);
    let (batch, [query_heads, queries, width]) = heads(l, &q)?;
    let (_, [key_heads, keys, _]) = heads(l, &k)?;
    let lengths = Lengths { queries, keys, past };
    let (all_keys, all_values) =
        (repeated(l, &k, query_heads, key_heads)?, repeated(l, &v, query_heads, key_heads)?);

    let turned = l.transpose(&all_keys, vec![0, 1, 3, 2])?;
    let product = l.add(Op::MatMul(MatMul {}), &[&q, &turned])?;
    let mut scores = scaled(l, product, l.float("scale", 1.0 / (width as f32).sqrt())?)?;
    let mode = l.int("qk_matmul_output_mode", 0)?;
    let mut shown = scores.clone();
    let cap = l.float("softcap", 0.0)?;
    if cap > 0.0 {
        let small = scaled(l, scores, 1.0 / cap)?;
        let bent = l.unary(UnaryOp::Tanh, &small)?;
        scores = scaled(l, bent, cap)?;
    }
    if mode == WITH_SOFTCAP {
        shown = scores.clone();
    }
    let masks = masks(l, batch, lengths)?;
    for mask in &masks {
        let mask = added(l, mask, &scores)?;
        scores = l.binary(BinaryOp::Add, &scores, &mask)?;
    }
    if mode == WITH_MASK {
        shown = scores.clone();
    }
    let mut weights = l.add(Op::Softmax(Softmax { axis: -1 }), &[&scores])?;
    if !masks.is_empty() {
        // A query that may see no key gets nothing.
        let (missing, zero) =
            (l.add(Op::Classify(Classify::IsNan), &[&weights])?, l.scalar(l.dtype(&weights), 0.0));
        weights = l.add(Op::Where(Where {}), &[&missing, &zero, &weights])?;
    }
    if mode == WEIGHTS {
        shown = weights.clone();
    }
    let mut y = l.add(Op::MatMul(MatMul {}), &[&weights, &all_values])?;
    if is_flat {
        let (_, [_, _, value_width]) = heads(l, &y)?;
        y = l.transpose(&y, vec![0, 2, 1, 3])?;
        y = l.reshape(&y, vec![batch, Dim::Fixed(queries), Dim::Fixed(query_heads * value_width)])?;
    }
    Ok(vec![y, k, v, shown])
}

/// [N, T, heads * d] as [N, heads, T, d]; what has four axes is that already.
fn apart(l: &mut Lowering<'_>, x: &Item, heads: &str) -> Result<Item, Trouble> {
    match l.dims(x)[..] {
        [_, _, _, _] => Ok(x.clone()),
        [batch, length, Dim::Fixed(width)] => {
            let count = usizes(&[l.int(heads, 0)?], heads)?[0];
            if count == 0 || !width.is_multiple_of(count) {
                return Err(Trouble::refused(format!("{heads} that divides {width}"), format!("{count}")));
            }
            let apart = l.reshape(x, vec![batch, length, Dim::Fixed(count), Dim::Fixed(width / count)])?;
            l.transpose(&apart, vec![0, 2, 1, 3])
        }
        _ => Err(Trouble::refused("[N, T, heads * d] or [N, heads, T, d]", l.ty(x).to_string())),
    }
}

/// The batch axis, and the number of heads, of positions, and of elements of each.
fn heads(l: &Lowering<'_>, x: &Item) -> Result<(Dim, [usize; 3]), Trouble> {
    match l.dims(x)[..] {
        [batch, Dim::Fixed(heads), Dim::Fixed(length), Dim::Fixed(width)] => {
            Ok((batch, [heads, length, width]))
        }
        _ => Err(Trouble::refused("[N, heads, T, d]", l.ty(x).to_string())),
    }
}

/// Keys or values after those that an input has from before.
fn after(l: &mut Lowering<'_>, index: usize, x: Item) -> Result<Item, Trouble> {
    match l.optional(index) {
        Some(past) => l.add(Op::Concat(Concat { axis: 2 }), &[&past, &x]),
        None => Ok(x),
    }
}

/// Each head for as many heads of queries as share it.
fn repeated(l: &mut Lowering<'_>, x: &Item, to: usize, from: usize) -> Result<Item, Trouble> {
    if to == from {
        return Ok(x.clone());
    }
    if from == 0 || !to.is_multiple_of(from) {
        return Err(Trouble::refused(format!("heads of keys that divide {to}"), format!("{from}")));
    }
    let (batch, [_, length, width]) = heads(l, x)?;
    let shape = |repeats: usize| [from, repeats, length, width].map(Dim::Fixed);
    let one = l.reshape(x, [batch].into_iter().chain(shape(1)).collect())?;
    let all: Vec<Dim> = [batch].into_iter().chain(shape(to / from)).collect();
    let all = l.add(Op::Expand(Expand { shape: all.into() }), &[&one])?;
    l.reshape(&all, vec![batch, Dim::Fixed(to), Dim::Fixed(length), Dim::Fixed(width)])
}

/// What scores are hidden: true where one may be seen, or a number to be added.
fn masks(l: &mut Lowering<'_>, batch: Dim, lengths: Lengths) -> Result<Vec<Item>, Trouble> {
    let mut masks = Vec::new();
    if let Some(mask) = l.optional(3) {
        masks.push(padded(l, mask, lengths.keys)?);
    }
    let causal = l.flag("is_causal", false)?;
    let windows = [l.int("left_window_size", -1)?, l.int("right_window_size", -1)?];
    let seen = match l.optional(6) {
        Some(_) if windows != [-1, -1] => {
            return Err(Trouble::unsupported("windows together with nonpad_kv_seqlen"));
        }
        Some(seen) => seen,
        None => {
            if causal || windows != [-1, -1] {
                masks.push(window(l, lengths, causal, windows)?);
            }
            return Ok(masks);
        }
    };
    // Key j is seen where j < seen, and by query i of a causal one where j - i + queries - 1 < seen.
    let seen = convert(l, &seen, DType::I64)?;
    let seen = l.reshape(&seen, vec![batch, Dim::Fixed(1), Dim::Fixed(1), Dim::Fixed(1)])?;
    let Lengths { queries, keys, .. } = lengths;
    let less = |l: &mut Lowering<'_>, rows: usize, at: &dyn Fn(i64, i64) -> i64| {
        let places = table(l, rows, keys, at)?;
        l.add(Op::Compare(Compare(CompareOp::Less)), &[&places, &seen])
    };
    masks.push(less(l, 1, &|_, j| j)?);
    if causal {
        masks.push(less(l, queries, &|i, j| j - i + queries as i64 - 1)?);
    }
    Ok(masks)
}

/// A mask as long as the keys: those that it does not mention are hidden.
fn padded(l: &mut Lowering<'_>, mask: Item, keys: usize) -> Result<Item, Trouble> {
    let rank = l.rank(&mask);
    if rank == 0 {
        return Err(Trouble::refused("a mask of keys", "one without axes"));
    }
    let missing = keys.saturating_sub(l.length(&mask, rank - 1)?);
    if missing == 0 {
        return Ok(mask);
    }
    let hidden = if l.dtype(&mask) == DType::Bool { 0.0 } else { f64::NEG_INFINITY };
    let mut pads = vec![(0, 0); rank];
    pads[rank - 1] = (0, missing);
    l.add(Op::Pad(Pad { pads, mode: PadMode::Constant(hidden) }), &[&mask])
}

/// Whether query i, which is at `past + i`, sees key j: not what comes after it, nor what is too far before or after.
fn window(
    l: &mut Lowering<'_>,
    lengths: Lengths,
    causal: bool,
    [left, right]: [i64; 2],
) -> Result<Item, Trouble> {
    let past = lengths.past as i64;
    let sees = |i: i64, j: i64| {
        let before = past + i - j;
        (!causal || before >= 0) && (left < 0 || before <= left) && (right < 0 || -before <= right)
    };
    let numbers = table(l, lengths.queries, lengths.keys, &|i, j| i64::from(sees(i, j)))?;
    convert(l, &numbers, DType::Bool)
}

/// A known matrix of integers.
fn table(
    l: &mut Lowering<'_>,
    rows: usize,
    columns: usize,
    at: &dyn Fn(i64, i64) -> i64,
) -> Result<Item, Trouble> {
    l.spend_on(&[rows, columns])?;
    let element = |index: usize| at((index / columns) as i64, (index % columns) as i64);
    let elements: Vec<i64> = (0..rows * columns).map(element).collect();
    Ok(Item::known(Tensor::new([rows, columns], elements).expect("as many elements")))
}

/// A mask as numbers to be added to scores.
fn added(l: &mut Lowering<'_>, mask: &Item, scores: &Item) -> Result<Item, Trouble> {
    let dtype = l.dtype(scores);
    if l.dtype(mask) != DType::Bool {
        return convert(l, mask, dtype);
    }
    let (seen, hidden) = (l.scalar(dtype, 0.0), l.scalar(dtype, f64::NEG_INFINITY));
    l.add(Op::Where(Where {}), &[mask, &seen, &hidden])
}

/// Pairs of elements turned by angles that depend on their position.
pub(crate) fn rotary_embedding(l: &mut Lowering<'_>) -> Lowered {
    let input = l.input(0)?;
    let given = l.dims(&input);
    // [N, T, heads, d]
    let mut x = match given[..] {
        [_, _, _, _] => l.transpose(&input, vec![0, 2, 1, 3])?,
        _ => {
            let apart = apart(l, &input, "num_heads")?;
            l.transpose(&apart, vec![0, 2, 1, 3])?
        }
    };
    let width = l.length(&x, 3)?;
    let turned = match usizes(&[l.int("rotary_embedding_dim", 0)?], "rotary_embedding_dim")?[0] {
        0 => width,
        turned if turned <= width => turned,
        turned => {
            return Err(Trouble::refused(
                format!("rotary_embedding_dim of at most {width}"),
                format!("{turned}"),
            ));
        }
    };
    let part = |l: &mut Lowering<'_>, x: &Item, start: usize, end: usize, step: usize| {
        l.add(Op::Slice(Slice { axis: 3, start, end, step }), &[x])
    };
    let rest = if turned < width { Some(part(l, &x, turned, width, 1)?) } else { None };
    let (cos, sin) = (angles(l, 1, turned / 2)?, angles(l, 2, turned / 2)?);
    let interleaved = l.flag("interleaved", false)?;
    let (first, second) = match interleaved {
        true => (part(l, &x, 0, turned, 2)?, part(l, &x, 1, turned, 2)?),
        false => (part(l, &x, 0, turned / 2, 1)?, part(l, &x, turned / 2, turned, 1)?),
    };
    let sum = |l: &mut Lowering<'_>, a: &Item, op: BinaryOp, b: &Item| {
        let (a, b) = (l.binary(BinaryOp::Mul, a, &first)?, l.binary(BinaryOp::Mul, b, &second)?);
        l.binary(op, &a, &b)
    };
    let (real, imaginary) = (sum(l, &cos, BinaryOp::Sub, &sin)?, sum(l, &sin, BinaryOp::Add, &cos)?);
    let whole: Vec<Dim> = l.dims(&x)[..3].iter().copied().chain([Dim::Fixed(turned)]).collect();
    x = if interleaved {
        let single: Vec<Dim> = l.dims(&real).into_iter().chain([Dim::Fixed(1)]).collect();
        let (real, imaginary) = (l.reshape(&real, single.clone())?, l.reshape(&imaginary, single)?);
        let pairs = l.add(Op::Concat(Concat { axis: 4 }), &[&real, &imaginary])?;
        l.reshape(&pairs, whole)?
    } else {
        l.add(Op::Concat(Concat { axis: 3 }), &[&real, &imaginary])?
    };
    if let Some(rest) = rest {
        x = l.add(Op::Concat(Concat { axis: 3 }), &[&x, &rest])?;
    }
    Ok(vec![match given.len() {
        4 => l.transpose(&x, vec![0, 2, 1, 3])?,
        _ => l.reshape(&x, given)?,
    }])
}

/// Cosines or sines, [N, T, 1, half]: picked by position, or given for each.
fn angles(l: &mut Lowering<'_>, index: usize, half: usize) -> Result<Item, Trouble> {
    let mut table = l.input(index)?;
    if let Some(positions) = l.optional(3) {
        table = l.add(Op::Gather(paceline_graph::Gather { axis: 0 }), &[&table, &positions])?;
    }
    match l.dims(&table)[..] {
        [batch, length, Dim::Fixed(own)] if own == half => {
            l.reshape(&table, vec![batch, length, Dim::Fixed(1), Dim::Fixed(half)])
        }
        _ => Err(Trouble::refused(format!("angles [N, T, {half}]"), l.ty(&table).to_string())),
    }
}

/// `a * sigmoid(alpha * a) * b`.
pub(crate) fn swiglu(l: &mut Lowering<'_>) -> Lowered {
    let (a, b) = (l.input(0)?, l.input(1)?);
    if l.ty(&a) != l.ty(&b) {
        return Err(Trouble::refused(l.ty(&a).to_string(), l.ty(&b).to_string()));
    }
    let bent = scaled(l, a.clone(), l.float("alpha", 1.0)?)?;
    let gate = l.unary(UnaryOp::Sigmoid, &bent)?;
    let gated = l.binary(BinaryOp::Mul, &a, &gate)?;
    Ok(vec![l.binary(BinaryOp::Mul, &gated, &b)?])
}
