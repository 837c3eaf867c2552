//! Integers that depend on which sample they belong to: what exporters make of indices along the batch axis.
//!
//! `torch.arange(batch)` becomes a Range up to the number of samples, which is then reshaped, multiplied, added to and joined with other
//! indices, until it picks elements of a tensor with GatherND or Gather. Each number is `each * n + fixed` for sample `n`. That
//! every sample picks from itself shows in the indices, and the picking is one of known places then.

use paceline_graph::{DType, Data, Dim, Element, Op, Shape, Tensor, ValueType, by_type};

use super::lowering::{Lowered, Lowering};
use super::ops::layout::take;
use super::registry::Lower;
use super::trouble::Trouble;
use super::value::{Affine, Item, Symbolic, integers};

/// Integers of which each depends on its sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sampled {
    /// One axis is the batch.
    pub ty: ValueType,
    /// Of one sample, in row-major order: `each` is the factor of the sample's number. `None` where they are not of this kind, and
    /// only their shape can be used.
    pub elements: Option<Vec<Affine>>,
}

impl Sampled {
    /// The elements of one sample, where they are the same for every sample.
    pub(crate) fn of_every_sample(&self) -> Option<Tensor> {
        let elements: Vec<i64> =
            self.elements.as_ref()?.iter().map(|element| element.constant()).collect::<Option<_>>()?;
        Some(
            Tensor::new(self.ty.shape.resolve(1), of_type(self.ty.dtype, elements))
                .expect("as many elements"),
        )
    }
}

/// Integers as elements of a type.
fn of_type(dtype: DType, values: Vec<i64>) -> Data {
    fn converted<T: Element>(_: &[T], values: Vec<i64>) -> Data {
        Data::of(values.into_iter().map(|value| T::from_integer(value.into())).collect::<Vec<T>>())
    }
    by_type!(Data, &Data::zeros(dtype, 0), of => converted(of, values))
}

/// The numbers of the samples, `0..N`.
pub(crate) fn sample_numbers() -> Item {
    let ty = ValueType::new(DType::I64, [Dim::BATCH]);
    Item::Sampled(Sampled { ty, elements: Some(vec![Affine { each: 1, fixed: 0 }]) })
}

/// The outputs of a node of which an input depends on its sample.
pub(crate) fn evaluate(l: &mut Lowering<'_>, lower: Lower) -> Lowered {
    match (l.node.op_type.as_str(), l.inputs.as_slice()) {
        ("Shape" | "Size", _) => lower(l),
        ("GatherND", [Some(data @ Item::Graph(_)), Some(Item::Sampled(indices))]) => {
            let (data, indices) = (data.clone(), indices.clone());
            gather_nd(l, &data, &indices)
        }
        ("Gather", [Some(data @ Item::Graph(_)), Some(Item::Sampled(indices))]) => {
            let (data, indices) = (data.clone(), indices.clone());
            gather(l, &data, &indices)
        }
        _ => match by_example(l, lower) {
            Err(Trouble::Refused(_)) if all_same(l) => {
                for index in 0..l.inputs.len() {
                    if let Some(Item::Sampled(sampled)) = l.inputs[index].clone() {
                        let value = l.building.value(&Item::Sampled(sampled))?;
                        l.inputs[index] = Some(Item::Graph(value));
                    }
                }
                lower(l)
            }
            outputs => outputs,
        },
    }
}

/// Whether what depends on its sample does so in form only.
fn all_same(l: &Lowering<'_>) -> bool {
    l.inputs.iter().flatten().all(|item| match item {
        Item::Sampled(sampled) => sampled.of_every_sample().is_some(),
        _ => true,
    })
}

fn as_data() -> Trouble {
    Trouble::refused("samples that are computed alike", "the number of a sample as data")
}

/// Computes the node for two and for three samples, and concludes from these what it is for any number. A number that is not
/// `each * n + fixed` in both is given up; its shape is kept.
pub(crate) fn by_example(l: &mut Lowering<'_>, lower: Lower) -> Lowered {
    super::symbolic::spend(l)?;
    let given = l.inputs.clone();
    let mut examples = Vec::new();
    for samples in [2, 3] {
        let known = given.iter().map(|item| item.as_ref().map(|item| example(item, samples)).transpose());
        l.inputs = known.collect::<Result<_, _>>()?;
        let outputs = lower(l);
        l.inputs = given.clone();
        examples.push(outputs?);
    }
    l.inputs = given;
    let pairs = examples[0].iter().zip(&examples[1]);
    pairs.map(|(two, three)| conclude(two, three)).collect()
}

/// A value for so many samples.
fn example(item: &Item, samples: usize) -> Result<Item, Trouble> {
    Ok(match item {
        Item::Known(_) => item.clone(),
        Item::Symbolic(Symbolic { shape, elements }) => {
            let of = |affine: &Affine| affine.at(samples as i64);
            let values = elements.iter().map(of).collect::<Option<Vec<_>>>().ok_or_else(as_data)?;
            Item::known(Tensor::new(shape.clone(), values).expect("as many"))
        }
        Item::Sampled(sampled) => {
            let dims = sampled.ty.shape.dims();
            let axis = sampled.ty.shape.batch_axis().expect("one axis is the batch");
            let elements = sampled.elements.as_ref().ok_or_else(as_data)?;
            if dims[axis] != Dim::BATCH {
                return Err(as_data());
            }
            let inner: usize = dims[axis + 1..].iter().map(|dim| dim.per_sample()).product();
            let outer: usize = dims[..axis].iter().map(|dim| dim.per_sample()).product();
            let mut values = Vec::with_capacity(elements.len() * samples);
            for o in 0..outer {
                for n in 0..samples as i64 {
                    let part = &elements[o * inner..(o + 1) * inner];
                    for affine in part {
                        values.push(affine.at(n).ok_or_else(as_data)?);
                    }
                }
            }
            let data = of_type(sampled.ty.dtype, values);
            Item::known(Tensor::new(sampled.ty.shape.resolve(samples), data).expect("as many elements"))
        }
        Item::Graph(_) | Item::View(_) => return Err(as_data()),
    })
}

/// What a value is for any number of samples, given what it is for two and for three.
fn conclude(two: &Item, three: &Item) -> Result<Item, Trouble> {
    let (Item::Known(two), Item::Known(three)) = (two, three) else { return Err(as_data()) };
    let differing: Vec<usize> =
        (0..two.shape().len()).filter(|&i| two.shape().get(i) != three.shape().get(i)).collect();
    if two.shape().len() != three.shape().len() {
        return Err(as_data());
    }
    let [axis] = differing[..] else {
        // The same for two as for three samples: it does not depend on them.
        return if two == three { Ok(Item::Known(three.clone())) } else { Err(as_data()) };
    };
    let length = (two.shape()[axis], three.shape()[axis]);
    if length.0 % 2 != 0 || length.0 / 2 * 3 != length.1 {
        return Err(as_data());
    }
    let each = length.0 / 2;
    let mut dims: Vec<Dim> = two.shape().iter().map(|&length| Dim::Fixed(length)).collect();
    dims[axis] = Dim::Batch(each);
    let ty = ValueType::new(two.dtype(), Shape::from(dims));
    let elements = (each == 1).then(|| affine(two, three, axis)).flatten();
    Ok(Item::Sampled(Sampled { ty, elements }))
}

/// Each element of a sample as `each * n + fixed`, where they all are.
fn affine(two: &Tensor, three: &Tensor, axis: usize) -> Option<Vec<Affine>> {
    let inner: usize = two.shape()[axis + 1..].iter().product();
    let outer: usize = two.shape()[..axis].iter().product();
    let (of_two, of_three) = (integers(two)?, integers(three)?);
    let mut elements = Vec::with_capacity(outer * inner);
    for o in 0..outer {
        for i in 0..inner {
            let at = |values: &[i64], samples: usize, n: usize| values[(o * samples + n) * inner + i];
            let fixed = at(&of_three, 3, 0);
            let element = Affine { each: at(&of_three, 3, 1).checked_sub(fixed)?, fixed };
            let value = |n: i64| element.at(n);
            if Some(at(&of_three, 3, 2)) != value(2)
                || Some(at(&of_two, 2, 0)) != value(0)
                || Some(at(&of_two, 2, 1)) != value(1)
            {
                return None;
            }
            elements.push(element);
        }
    }
    Some(elements)
}

/// The shape of what is picked: that of the indices, then the rest of the data's.
fn picked(indices: &[Dim], rest: &[Dim]) -> Vec<Dim> {
    indices.iter().chain(rest).copied().collect()
}

/// Each index names its own sample first: what follows picks within that sample.
fn gather_nd(l: &mut Lowering<'_>, data: &Item, indices: &Sampled) -> Lowered {
    let (dims, data_dims) = (indices.ty.shape.dims().to_vec(), l.dims(data));
    let elements = indices.elements.as_ref().ok_or_else(as_data)?;
    let (Some(&Dim::Fixed(parts)), Some(&Dim::BATCH), Some(&Dim::BATCH), 0) =
        (dims.last(), dims.first(), data_dims.first(), l.int("batch_dims", 0)?)
    else {
        return Err(as_data());
    };
    if parts == 0 || parts > data_dims.len() {
        return Err(as_data());
    }
    let mut within = Vec::new();
    for index in elements.chunks(parts) {
        let rest: Option<Vec<i64>> = index[1..].iter().map(|part| part.constant()).collect();
        match (index[0], rest) {
            (Affine { each: 1, fixed: 0 }, Some(rest)) => within.extend(rest),
            _ => return Err(as_data()),
        }
    }
    let count = elements.len() / parts;
    let rest = &data_dims[parts..];
    let to = picked(&dims[..dims.len() - 1], rest);
    if parts == 1 {
        let own: Vec<Dim> =
            std::iter::once(Dim::BATCH).chain([Dim::Fixed(1)]).chain(rest.iter().copied()).collect();
        let own = l.reshape(data, own)?;
        let all = picked(&[Dim::BATCH, Dim::Fixed(count)], rest);
        let all = l.add(Op::Expand(paceline_graph::Expand { shape: all.into() }), &[&own])?;
        return Ok(vec![l.reshape(&all, to)?]);
    }
    // The axes that are picked along, as one.
    let mut flat = vec![0i64; count];
    let mut together = 1usize;
    for (part, dim) in data_dims[1..parts].iter().enumerate() {
        let Dim::Fixed(length) = *dim else { return Err(as_data()) };
        together = together.checked_mul(length).ok_or_else(as_data)?;
        for (place, index) in flat.iter_mut().zip(within.chunks(parts - 1)) {
            let index = if index[part] < 0 { index[part] + length as i64 } else { index[part] };
            if !(0..length as i64).contains(&index) {
                return Err(Trouble::refused(format!("indices below {length}"), format!("{index}")));
            }
            *place = *place * length as i64 + index;
        }
    }
    let merged = picked(&[Dim::BATCH, Dim::Fixed(together)], rest);
    let merged = l.reshape(data, merged)?;
    let taken = take(l, &merged, 1, &flat)?;
    Ok(vec![l.reshape(&taken, to)?])
}

/// The batch axis is merged with another, and each index names a place of its own sample.
fn gather(l: &mut Lowering<'_>, data: &Item, indices: &Sampled) -> Lowered {
    let (dims, data_dims) = (indices.ty.shape.dims().to_vec(), l.dims(data));
    let elements = indices.elements.as_ref().ok_or_else(as_data)?;
    let (Some(&Dim::Batch(together)), Some(&Dim::BATCH), 0) =
        (data_dims.first(), dims.first(), l.axis(l.int("axis", 0)?, data_dims.len())?)
    else {
        return Err(as_data());
    };
    let within = |index: &Affine| {
        (index.each == together as i64 && (0..together as i64).contains(&index.fixed)).then_some(index.fixed)
    };
    let places: Vec<i64> = elements.iter().map(within).collect::<Option<_>>().ok_or_else(as_data)?;
    let rest = &data_dims[1..];
    let apart = picked(&[Dim::BATCH, Dim::Fixed(together)], rest);
    let apart = l.reshape(data, apart)?;
    let taken = take(l, &apart, 1, &places)?;
    Ok(vec![l.reshape(&taken, picked(&dims, rest))?])
}
