//! Elements written to computed places of a copy.
//!
//! A negative index counts from the end; what is written to a place out of range is dropped. Writes to one place happen in
//! the order of the updates.

use super::Operator;
use super::check::{Arguments, fixed};
use super::gather::place;
use super::index::{elements, offsets, position, strides};
use super::operands::{integers, maximum, result, tensor};
use crate::{DType, Data, Dim, Element, Problem, Tensor, ValueType, by_type};

/// What becomes of an element that is written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scatter {
    /// It is replaced.
    #[default]
    Replace,
    /// The update is added.
    Add,
    /// It is multiplied with the update.
    Mul,
    /// The larger one stays.
    Max,
    /// The smaller one stays.
    Min,
}

/// `data` with one element written for each index: `out[i, indices[i, j, k], k] = updates[i, j, k]` for axis 1 of three.
///
/// Inputs: `data` of any type, `indices` (i64 or i32) and `updates`, both of one shape of as many axes, each no longer than `data`'s
/// but for `axis`; an axis that is the batch must be it in all three. Output: `data`'s shape. Source: ONNX ScatterElements-18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterElements {
    /// The axis, which may not be the batch; negative counts from the end.
    pub axis: isize,
    /// What becomes of an element that is written to.
    pub reduction: Scatter,
}

/// `data` with slices written at computed positions: `out[indices[i..., :]...] = updates[i...]`.
///
/// Inputs: `data` of any type, `indices` (i64 or i32) `[i..., k]`, `updates` `[i...]` and the axes of `data` after the first `k`. None of
/// those `k` axes, nor any of `indices`, may be the batch. Output: `data`'s shape. Source: ONNX ScatterND-18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterNd {
    /// What becomes of an element that is written to.
    pub reduction: Scatter,
}

impl Scatter {
    fn of<T: Element>(self, old: T, update: T) -> T {
        let real = |f: fn(f64, f64) -> f64| T::from_f64(f(old.to_f64(), update.to_f64()));
        let whole = |f: fn(i128, i128) -> i128| T::from_integer(f(old.to_integer(), update.to_integer()));
        let float = T::DTYPE.is_float();
        match self {
            Scatter::Replace => update,
            Scatter::Add if float => real(|a, b| a + b),
            Scatter::Add => whole(|a, b| a + b),
            Scatter::Mul if float => real(|a, b| a * b),
            Scatter::Mul => whole(i128::wrapping_mul),
            Scatter::Max if float => real(maximum),
            Scatter::Max => whole(i128::max),
            Scatter::Min if float => real(|a, b| -maximum(-a, -b)),
            Scatter::Min => whole(i128::min),
        }
    }

    fn check<const R: usize>(self, arguments: &Arguments<'_, R>, data: &ValueType) -> Result<(), Problem> {
        arguments.expect(data.dtype != DType::Bool || self == Scatter::Replace, || {
            "numbers, where updates are not just written".into()
        })
    }

    /// `data` with each update written to its place.
    fn apply(self, data: &Tensor, updates: &Tensor, places: impl Iterator<Item = Option<usize>>) -> Tensor {
        fn write<T: Element>(
            to: &mut [T],
            updates: &[T],
            places: impl Iterator<Item = Option<usize>>,
            by: Scatter,
        ) {
            for (&update, place) in updates.iter().zip(places) {
                if let Some(place) = place {
                    to[place] = by.of(to[place], update);
                }
            }
        }
        let mut all = data.data().clone();
        by_type!(
            Data, &mut all, Data, updates.data(),
            (to, updates) => write(to, updates, places, self),
            else unreachable!("the shape rule checks that data and updates have one type")
        );
        result(data.shape(), all)
    }
}

impl Operator for ScatterElements {
    fn name(&self) -> &'static str {
        "ScatterElements"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<3>::new(inputs, ["data", "indices", "updates"], [])?;
        let [data, indices, updates] = arguments.required;
        arguments.indices("indices", indices)?;
        arguments.expect(updates.dtype == data.dtype, || "data and updates of one type".into())?;
        self.reduction.check(&arguments, data)?;
        let (axis, _) = arguments.axis_of_one_sample(self.axis)?;
        let (to, at) = (data.shape.dims(), indices.shape.dims());
        let fits = |(i, (&to, &at)): (usize, (&Dim, &Dim))| match (to, at) {
            (Dim::Fixed(to), Dim::Fixed(at)) => i == axis || at <= to,
            (to, at) => at == to,
        };
        let alike = to.len() == at.len() && to.iter().zip(at).enumerate().all(fits);
        arguments.expect(alike && indices.shape == updates.shape, || {
            format!(
                "indices and updates of one shape with the axes of data, none longer but axis {axis}, and none the batch in \
                 one of them only"
            )
        })?;
        Ok(vec![data.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (data, indices, updates) = (tensor(inputs, 0), tensor(inputs, 1), tensor(inputs, 2));
        let shape = &outputs[0];
        let axis = position(self.axis, shape.len());
        let (length, mut steps) = (shape[axis], strides(shape));
        let along = std::mem::take(&mut steps[axis]);
        let firsts = offsets(indices.shape(), &steps);
        let places = firsts
            .iter()
            .zip(integers(indices))
            .map(|(first, index)| Some(first + place(index, length)? * along));
        vec![self.reduction.apply(data, updates, places)]
    }
}

impl Operator for ScatterNd {
    fn name(&self) -> &'static str {
        "ScatterND"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<3>::new(inputs, ["data", "indices", "updates"], [])?;
        let [data, indices, updates] = arguments.required;
        arguments.indices("indices", indices)?;
        arguments.expect(updates.dtype == data.dtype, || "data and updates of one type".into())?;
        self.reduction.check(&arguments, data)?;
        let dims = data.shape.dims();
        let (Some(at), Some(count)) = (
            fixed(indices.shape.dims()).filter(|at| !at.is_empty()),
            indices.shape.dims().last().map(|d| d.per_sample()).filter(|&count| count <= dims.len()),
        ) else {
            return Err(arguments.problem("indices [i..., k], none the batch, of no more axes than data has"));
        };
        arguments.expect(fixed(&dims[..count]).is_some(), || {
            format!("data of which the first {count} axes, which are written to by index, are not the batch")
        })?;
        let lead = at[..at.len() - 1].iter().map(|&length| Dim::Fixed(length));
        let expected: Vec<Dim> = lead.chain(dims[count..].iter().copied()).collect();
        arguments.shape("updates", Some(updates), &expected, "indices and data")?;
        Ok(vec![data.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (data, at, updates) = (tensor(inputs, 0), tensor(inputs, 1).shape(), tensor(inputs, 2));
        let count = at[at.len() - 1];
        let (addressed, inner) = (&outputs[0][..count], elements(&outputs[0][count..]));
        let indices = integers(tensor(inputs, 1));
        let places = (0..elements(&at[..at.len() - 1])).flat_map(|row| {
            let index = &indices[row * count..(row + 1) * count];
            let first = index
                .iter()
                .zip(addressed)
                .try_fold(0, |first, (&index, &length)| Some(first * length + place(index, length)?));
            (0..inner).map(move |i| Some(first? * inner + i))
        });
        vec![self.reduction.apply(data, updates, places)]
    }
}
