//! Finds attention where it arrives as products, a softmax, and heads split and merged by reshaping and transposing.

use super::layout::{Layout, layout_along, origins};
use super::rewrite::{Operand, Replacement, rewrite};
use super::site::{Site, close};
use crate::{
    Attention, BinaryOp, Classify, DType, Dim, Graph, GraphError, Op, Reshape, Shape, Softmax, Value,
    ValueType,
};

/// Recognises [`Attention`] in `merge(softmax(split(q) split(k)^T * scale + mask) split(v))`, where
///
/// - the products have one leading axis for the samples and one for the heads, `[n, heads, t, d]`, or one for both,
///   `[n * heads, t, d]`, and do not broadcast;
/// - `split` and `merge` are any Reshapes and Transposes that together order the elements as from `[n, t, heads * d]` to
///   heads and back; the result is `[n, t, heads * d]` or `[n * t, heads * d]`. A query, key or value that exists only under
///   another shape with the same order of elements is reshaped. A single head needs neither;
/// - `scale`, if any, is a product of constants of one element, multiplied into or dividing the scores, and the queries or keys
///   before or after they are split;
/// - `mask`, if any, is added after the scale, in either order, and broadcasts to the scores. A constant mask of `-inf` above the
///   diagonal and zeros elsewhere becomes [`Attention::causal`]. A constant mask that hides all keys from some query is left as
///   it is, because the pieces answer such a query with NaN and Attention with zeros;
/// - Softmax is over the keys; what is NaN after it may be replaced by zeros.
///
/// Nothing from the scores to the result may be used elsewhere or be an output; the split queries, keys and values may.
///
/// **The one difference**: a mask that is computed or given at run time, and then hides all keys from some query, gives that query
/// zeros where the pieces give NaN. This is what torch.nn.functional.scaled_dot_product_attention, from which such pieces come,
/// does. Likewise a key that the mask hides has no part in Attention, where the pieces multiply its value by zero, which differs
/// when that value is not finite. Where NaN is replaced by zeros after the softmax, a query whose scores are NaN for other reasons
/// gets zeros from the pieces and NaN from Attention, which hides nothing.
pub fn recognise_attention(graph: &Graph) -> Result<Graph, GraphError> {
    let several_heads = rewrite(graph, |site| {
        if !matches!(site.op(), Op::Reshape(_) | Op::Transpose(_)) {
            return None;
        }
        attention(site)
    })?;
    rewrite(&several_heads, |site| {
        let one_head = matches!(site.op(), Op::MatMul(_)) && site.ty(site.output()).shape.rank() == 3;
        one_head.then(|| attention(site))?
    })
}

/// The lengths of the axes of an attention.
struct Extents {
    samples: Dim,
    heads: usize,
    /// The leading axes of the products.
    lead: Vec<Dim>,
}

impl Extents {
    /// The shape of an operand or result of a product.
    fn product(&self, rows: Dim, columns: Dim) -> Shape {
        self.lead.iter().copied().chain([rows, columns]).collect::<Vec<_>>().into()
    }

    /// `[n, t, heads * d]`
    fn packed(&self, length: Dim, each: usize) -> Shape {
        Shape::from([self.samples, length, Dim::Fixed(self.heads * each)])
    }

    /// `[n, t, heads, d]`
    fn split(&self, length: Dim, each: usize) -> Shape {
        Shape::from([self.samples, length, Dim::Fixed(self.heads), Dim::Fixed(each)])
    }
}

fn attention(site: &Site<'_>) -> Option<Replacement> {
    let merge = origins(site, site.output(), |_| None);
    let context = *merge.last()?;
    let [weights, value] = product(site, context)?;
    let extents = merged(site, &merge)?;
    let [.., queries, value_size] = *site.ty(context).shape.dims() else { return None };
    let (weights_shape, keys) = match *site.ty(weights).shape.dims() {
        [.., _, keys] => (extents.product(queries, keys), keys),
        _ => return None,
    };
    let scores = softmax_argument(site, weights)?;
    let Scores { product: [query, key], scale, mask } = scores_of(site, scores)?;
    let [.., size] = *site.ty(query).shape.dims() else { return None };
    let sound = site.ty(weights).shape == weights_shape
        && site.ty(scores).shape == weights_shape
        && site.ty(query).shape == extents.product(queries, size)
        && site.ty(key).shape == extents.product(size, keys)
        && site.ty(value).shape == extents.product(keys, value_size);
    let leaves: Vec<Value> = [query, key, value].into_iter().chain(mask).collect();
    if !sound || !site.encloses(&leaves) {
        return None;
    }

    let (size, value_size) = (fixed(size)?, fixed(value_size)?);
    let (q, q_scale) = packed(site, query, &extents, (queries, size), [0, 2, 1, 3])?;
    let (k, k_scale) = packed(site, key, &extents, (keys, size), [0, 2, 3, 1])?;
    let v =
        packed_along(site, &origins(site, value, |_| None), &extents, (keys, value_size), [0, 2, 1, 3])?.0;
    let scale = scale * q_scale * k_scale;
    let usual = close(scale, 1.0 / (size as f64).sqrt());
    let causal = mask.is_some_and(|mask| is_causal(site, mask));
    let mask = match mask.filter(|_| !causal) {
        Some(mask) => Some(usable_mask(site, mask, &extents)?),
        None => None,
    };

    let op =
        Op::Attention(Attention { heads: extents.heads, scale: (!usual).then_some(scale as f32), causal });
    let inputs: Vec<Option<Operand>> =
        [Some(q), Some(k), Some(v)].into_iter().chain(mask.map(Some)).collect();
    let result = ValueType::new(DType::F32, extents.packed(queries, value_size));
    let types: Vec<Option<ValueType>> = inputs.iter().map(|o| o.as_ref().map(|o| o.ty(site.graph))).collect();
    let types: Vec<Option<&ValueType>> = types.iter().map(Option::as_ref).collect();
    if !op.infer(&types).is_ok_and(|types| types == [result.clone()]) {
        return None;
    }
    if *site.ty(site.output()) == result {
        return Some(Replacement::Node(op, inputs));
    }
    let name = format!("{}.attention", site.node().name);
    let attention = Operand::Node(name, op, inputs, result);
    let reshape = Reshape { shape: site.ty(site.output()).shape.clone() };
    Some(Replacement::Node(Op::Reshape(reshape), vec![Some(attention)]))
}

/// The operands of the matrix product that computes `value`.
fn product(site: &Site<'_>, value: Value) -> Option<[Value; 2]> {
    let node = site.producer(value)?;
    matches!(node.op, Op::MatMul(_)).then_some([node.input(0)?, node.input(1)?])
}

/// The extents of an attention whose heads `chain` merges: from the result back to the product with the values.
fn merged(site: &Site<'_>, chain: &[Value]) -> Option<Extents> {
    let (result, context) = (&site.ty(site.output()).shape, &site.ty(*chain.last()?).shape);
    let [ref lead @ .., queries, each] = *context.dims() else { return None };
    let each = fixed(each).filter(|&each| each > 0)?;
    let width = fixed(*result.dims().last()?).filter(|width| width % each == 0)?;
    let heads = width / each;
    let samples = match *lead {
        [samples, Dim::Fixed(count)] if count == heads => samples,
        [Dim::Batch(count)] if heads > 0 && count % heads == 0 => Dim::Batch(count / heads),
        [Dim::Fixed(count)] if heads > 0 && count % heads == 0 => Dim::Fixed(count / heads),
        _ => return None,
    };
    let extents = Extents { samples, heads, lead: lead.to_vec() };
    let flat = match (samples, queries) {
        (Dim::Batch(n), Dim::Fixed(t)) => Dim::Batch(n * t),
        (Dim::Fixed(n), Dim::Fixed(t)) => Dim::Fixed(n * t),
        _ => return None,
    };
    let shaped =
        *result == extents.packed(queries, each) || *result == Shape::from([flat, Dim::Fixed(width)]);
    let heads_first = Shape::from([samples, Dim::Fixed(heads), queries, Dim::Fixed(each)]);
    let expected = Layout::contiguous(&heads_first)?.permuted(&[0, 2, 1, 3]).reshaped(result)?;
    (shaped && layout_along(site, chain)? == expected).then_some(extents)
}

/// What Softmax over the last axis is taken of. Its NaN may be replaced by zeros: exporters do so for queries whose keys are all
/// hidden, to which Attention answers with zeros.
fn softmax_argument(site: &Site<'_>, value: Value) -> Option<Value> {
    let node = site.producer(without_nan(site, value).unwrap_or(value))?;
    let Op::Softmax(Softmax { axis }) = node.op else { return None };
    (axis == -1 || axis == site.ty(value).shape.rank() as isize - 1).then(|| node.input(0))?
}

/// `x` of `where(isnan(x), 0, x)`.
fn without_nan(site: &Site<'_>, value: Value) -> Option<Value> {
    let node = site.producer(value).filter(|node| matches!(node.op, Op::Where(_)))?;
    let (condition, zero, x) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let question = site.producer(condition)?;
    let sound = question.op == Op::Classify(Classify::IsNan)
        && question.input(0) == Some(x)
        && site.scalar(zero) == Some(0.0)
        && site.ty(x) == site.ty(value);
    sound.then_some(x)
}

/// `product * scale + mask`
struct Scores {
    product: [Value; 2],
    scale: f64,
    mask: Option<Value>,
}

fn scores_of(site: &Site<'_>, value: Value) -> Option<Scores> {
    let scaled = |value: Value, mask: Option<Value>| {
        let factors = site.product(value, &[]);
        let &[only] = factors.factors.as_slice() else { return None };
        Some(Scores { product: product(site, only)?, scale: factors.coefficient, mask })
    };
    scaled(value, None).or_else(|| {
        site.commuted(value, BinaryOp::Add).find_map(|[scores, mask]| {
            let unmasked = scaled(scores, Some(mask))?;
            (site.ty(scores) == site.ty(value)).then_some(unmasked)
        })
    })
}

/// The packed form of `value`, and the constant that it is multiplied by on the way from there; see [`packed_along`].
fn packed(
    site: &Site<'_>,
    value: Value,
    extents: &Extents,
    lengths: (Dim, usize),
    order: [usize; 4],
) -> Option<(Operand, f64)> {
    let chain = origins(site, value, |value| scaling(site, value).map(|(unscaled, _)| unscaled));
    let (operand, steps) = packed_along(site, &chain, extents, lengths, order)?;
    let scales = chain[..steps].iter().filter_map(|&v| scaling(site, v));
    Some((operand, scales.map(|(_, scale)| scale).product()))
}

/// The packed form `[n, length, heads * each]` that the first value of `chain` is split from, as far along the chain as there is
/// one, and how many steps that is. `order` says how the axes `[n, length, heads, each]` lie in the value.
fn packed_along(
    site: &Site<'_>,
    chain: &[Value],
    extents: &Extents,
    (length, each): (Dim, usize),
    order: [usize; 4],
) -> Option<(Operand, usize)> {
    let packed = ValueType::new(DType::F32, extents.packed(length, each));
    let is_split = |steps: &usize| {
        let expected = Layout::contiguous(&site.ty(chain[*steps]).shape)
            .and_then(|layout| layout.reshaped(&extents.split(length, each)))
            .and_then(|layout| layout.permuted(&order).reshaped(&site.ty(chain[0]).shape));
        expected.is_some() && expected == layout_along(site, &chain[..=*steps])
    };
    let matching: Vec<usize> = (0..chain.len()).rev().filter(is_split).collect();
    match matching.iter().find(|&&steps| *site.ty(chain[steps]) == packed) {
        Some(&steps) => Some((Operand::Value(chain[steps]), steps)),
        None => {
            let &steps = matching.first()?;
            Some((reshape(site, chain[steps], packed)?, steps))
        }
    }
}

/// `value` under another shape.
fn reshape(site: &Site<'_>, value: Value, ty: ValueType) -> Option<Operand> {
    let op = Op::Reshape(Reshape { shape: ty.shape.clone() });
    op.infer(&[Some(site.ty(value))]).ok()?;
    let name = format!("{}.packed", site.graph.value(value).name);
    Some(Operand::Node(name, op, vec![Some(Operand::Value(value))], ty))
}

/// `x` and `scale` of `x * scale` or `x / (1 / scale)` with a constant scale.
fn scaling(site: &Site<'_>, value: Value) -> Option<(Value, f64)> {
    let multiplied =
        site.commuted(value, BinaryOp::Mul).find_map(|[x, scale]| Some((x, site.scalar(scale)?)));
    let divided = || {
        let [x, divisor] = site.binary(value, BinaryOp::Div)?;
        Some((x, 1.0 / site.scalar(divisor)?))
    };
    multiplied.or_else(divided).filter(|&(x, _)| site.ty(x) == site.ty(value))
}

/// Whether a mask is a constant that hides exactly the keys after each query.
fn is_causal(site: &Site<'_>, mask: Value) -> bool {
    let Some((tensor, elements)) = site.graph.constant(mask).and_then(|t| Some((t, t.as_f32()?))) else {
        return false;
    };
    let &[ref lead @ .., queries, keys] = tensor.shape() else { return false };
    let hidden = |index: usize| index % keys > index / keys;
    lead.iter().all(|&d| d == 1)
        && queries > 1
        && keys > 1
        && elements.iter().enumerate().all(|(i, &m)| m == if hidden(i) { f32::NEG_INFINITY } else { 0.0 })
}

/// The mask as Attention takes it, broadcast to `[n, heads, queries, keys]`; `None` where a constant hides all keys from a query.
fn usable_mask(site: &Site<'_>, mask: Value, extents: &Extents) -> Option<Operand> {
    if let Some(tensor) = site.graph.constant(mask) {
        let keys = tensor.shape().last().copied().unwrap_or(1).max(1);
        let hides_all = |row: &[f32]| row.iter().all(|&m| m == f32::NEG_INFINITY);
        if tensor.as_f32()?.chunks(keys).any(hides_all) {
            return None;
        }
    }
    match (extents.lead.as_slice(), site.ty(mask).shape.dims()) {
        (&[both], &[of, rows, columns]) if of != Dim::Fixed(1) => {
            if of != both {
                return None;
            }
            let shape = Shape::from([extents.samples, Dim::Fixed(extents.heads), rows, columns]);
            reshape(site, mask, ValueType::new(DType::F32, shape))
        }
        _ => Some(Operand::Value(mask)),
    }
}

fn fixed(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Fixed(length) => Some(length),
        Dim::Batch(_) => None,
    }
}
