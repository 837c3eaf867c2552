//! Elements picked by computed indices.
//!
//! A negative index counts from the end. One that is out of range gives NaN, or zero where the element type has none: one bad
//! request must fail visibly without failing the others of its batch.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::{elements, offsets, position, strides};
use super::operands::{integers, result, tensor};
use crate::{Data, Dim, Element, Problem, Tensor, ValueType, by_type};

/// Slices of one axis: `out[i..., j..., k...] = data[i..., indices[j...], k...]`.
///
/// Inputs: `data` of any type, `indices` (i64 or i32) of any shape. Output: `data`'s axes with `axis`, which may not be the batch,
/// replaced by those of `indices`. Source: ONNX Gather-13, torch.index_select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

/// One element for each index: `out[i, j, k] = data[i, indices[i, j, k], k]` for axis 1 of three.
///
/// Inputs: `data` of any type, `indices` (i64 or i32) of as many axes, each no longer than `data`'s but for `axis`; an axis that is
/// the batch must be it in both. Output: the shape of `indices`. Source: ONNX GatherElements-13, torch.gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherElements {
    /// The axis; negative counts from the end. It may not be the batch of `data`.
    pub axis: isize,
}

/// Slices at computed positions: `out[b..., i...] = data[b..., indices[b..., i..., :]...]`.
///
/// Inputs: `data` of any type, `indices` (i64 or i32) `[b..., i..., k]`. The first `batch_dims` axes are the same in both; an index of
/// `k` numbers names a place along the `k` axes of `data` after those, none of which may be the batch. Output: `[b..., i...]` and the
/// axes of `data` that are left. Source: ONNX GatherND-13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherNd {
    /// Leading axes in common.
    pub batch_dims: usize,
}

/// Where an index points to in an axis of this length.
pub(super) fn place(index: i128, length: usize) -> Option<usize> {
    let place = if index < 0 { index + length as i128 } else { index };
    usize::try_from(place).ok().filter(|&place| place < length)
}

/// The elements at these offsets; what stands for no element where there is none.
fn pick(data: &Data, places: impl Iterator<Item = Option<usize>>) -> Data {
    fn all<T: Element>(from: &[T], places: impl Iterator<Item = Option<usize>>) -> Data {
        Data::of(places.map(|place| place.map_or(T::missing(), |place| from[place])).collect())
    }
    by_type!(Data, data, from => all(from, places))
}

impl Operator for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["data", "indices"], [])?;
        let [data, indices] = arguments.required;
        arguments.indices("indices", indices)?;
        let (axis, _) = arguments.axis_of_one_sample(self.axis)?;
        let dims = data.shape.dims();
        let dims = [&dims[..axis], indices.shape.dims(), &dims[axis + 1..]].concat();
        arguments.one_batch(&dims)?;
        Ok(vec![ValueType::new(data.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (data, indices) = (tensor(inputs, 0), integers(tensor(inputs, 1)));
        let shape = data.shape();
        let axis = position(self.axis, shape.len());
        let (outer, length, inner) = (elements(&shape[..axis]), shape[axis], elements(&shape[axis + 1..]));
        let places = (0..outer).flat_map(|o| {
            indices.iter().flat_map(move |&index| {
                let row = place(index, length).map(|place| (o * length + place) * inner);
                (0..inner).map(move |i| row.map(|row| row + i))
            })
        });
        vec![result(&outputs[0], pick(data.data(), places))]
    }
}

impl Operator for GatherElements {
    fn name(&self) -> &'static str {
        "GatherElements"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["data", "indices"], [])?;
        let [data, indices] = arguments.required;
        arguments.indices("indices", indices)?;
        let (axis, _) = arguments.axis_of_one_sample(self.axis)?;
        let (from, at) = (data.shape.dims(), indices.shape.dims());
        let fits = |(i, (&from, &at)): (usize, (&Dim, &Dim))| match (from, at) {
            _ if i == axis => true,
            (Dim::Fixed(from), Dim::Fixed(at)) => at <= from,
            (from, at) => at == from,
        };
        arguments.expect(from.len() == at.len() && from.iter().zip(at).enumerate().all(fits), || {
            format!(
                "indices with the axes of data, none longer but axis {axis}, and none the batch in one of them only"
            )
        })?;
        arguments.one_batch(at)?;
        Ok(vec![ValueType::new(data.dtype, at.to_vec())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (data, indices, shape) = (tensor(inputs, 0), integers(tensor(inputs, 1)), &outputs[0]);
        let axis = position(self.axis, shape.len());
        let (length, mut steps) = (data.shape()[axis], strides(data.shape()));
        let along = std::mem::take(&mut steps[axis]);
        let firsts = offsets(shape, &steps);
        let places =
            firsts.iter().zip(indices).map(|(first, index)| Some(first + place(index, length)? * along));
        vec![result(shape, pick(data.data(), places))]
    }
}

impl Operator for GatherNd {
    fn name(&self) -> &'static str {
        "GatherND"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["data", "indices"], [])?;
        let [data, indices] = arguments.required;
        arguments.indices("indices", indices)?;
        let from = data.shape.dims();
        let (Some((&Dim::Fixed(count), at)), common) = (indices.shape.dims().split_last(), self.batch_dims)
        else {
            return Err(arguments.problem("indices whose last axis is not the batch"));
        };
        let fits = common <= at.len() && common.checked_add(count).is_some_and(|end| end <= from.len());
        arguments.expect(fits && from[..common] == at[..common], || {
            format!("indices [b..., i..., k] of {common} axes in common with data, and no more than data has")
        })?;
        let addressed = &from[common..common + count];
        arguments
            .expect(fixed(addressed).is_some(), || "indices of axes of data that are not the batch".into())?;
        let dims = [at, &from[common + count..]].concat();
        arguments.one_batch(&dims)?;
        Ok(vec![ValueType::new(data.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (data, indices) = (tensor(inputs, 0), tensor(inputs, 1));
        let (shape, at) = (data.shape(), indices.shape());
        let (common, count) = (self.batch_dims, at[at.len() - 1]);
        let (outer, rows) = (elements(&shape[..common]), elements(&at[common..at.len() - 1]));
        let addressed = &shape[common..common + count];
        let inner = elements(&shape[common + count..]);
        let indices = integers(indices);
        let places = (0..outer * rows).flat_map(|row| {
            let index = &indices[row * count..(row + 1) * count];
            let first =
                index.iter().zip(addressed).try_fold(row / rows.max(1), |first, (&index, &length)| {
                    Some(first * length + place(index, length)?)
                });
            (0..inner).map(move |i| Some(first? * inner + i))
        });
        vec![result(&outputs[0], pick(data.data(), places))]
    }
}
