//! Operators that move elements and compute nothing.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::{elements, offsets, position, strides};
use super::operands::{result, tensor};
use crate::{Data, Dim, Element, Problem, Shape, Tensor, ValueType, by_type};

/// The same elements in row-major order under another shape. Elements of different samples stay apart: what comes before
/// the batch axis must have the same number of elements in both shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The new shape.
    pub shape: Shape,
}

/// Permutes the axes: output axis `i` is input axis `permutation[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// Each of `0..rank` once.
    pub permutation: Vec<usize>,
}

/// Joins tensors, equal but for one axis, along that axis, which may not be the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: isize,
}

/// Elements `start, start + step, ...` before `end` of one axis, which may not be the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// First element taken.
    pub start: usize,
    /// First element not taken; at most the axis's length.
    pub end: usize,
    /// Distance between elements taken, at least 1.
    pub step: usize,
}

/// Cuts one axis, which may not be the batch, into consecutive pieces: one output a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The axis; negative counts from the end.
    pub axis: isize,
    /// Lengths of the pieces; their sum is the axis's length.
    pub sizes: Vec<usize>,
}

/// Adds elements before and after the axes; the batch axis takes none.
///
/// Input: any type. Source: ONNX Pad-25, torch.nn.functional.pad.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Elements added before and after each axis.
    pub pads: Vec<(usize, usize)>,
    /// What the added elements are.
    pub mode: PadMode,
}

/// What the elements are that [`Pad`] adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This number, towards zero for integers; whether it is not 0 for booleans.
    Constant(f64),
    /// The first or last element of the axis.
    Edge,
    /// The elements of the axis mirrored at its first or last element, which is not repeated: at most one less than it has.
    Reflect,
    /// The elements of the axis as if it were closed to a ring.
    Wrap,
}

impl PadMode {
    /// Which element of an axis of this length lies `place` elements behind the beginning of the padded axis; `None` for a constant.
    fn source(self, place: usize, before: usize, length: usize) -> Option<usize> {
        let inside = place as i128 - before as i128;
        let last = length as i128 - 1;
        let source = match self {
            _ if (0..=last).contains(&inside) => inside,
            PadMode::Constant(_) => return None,
            PadMode::Edge => inside.clamp(0, last),
            PadMode::Reflect if last == 0 => 0,
            PadMode::Reflect => {
                let around = inside.rem_euclid(2 * last);
                around.min(2 * last - around)
            }
            PadMode::Wrap => inside.rem_euclid(last + 1),
        };
        Some(source as usize)
    }
}

/// The element at each of `offsets`, in order.
fn gather(data: &Data, offsets: &[usize]) -> Data {
    by_type!(Data, data, v => Data::of(offsets.iter().map(|&i| v[i]).collect()))
}

/// Writes the elements of `data`, in order, to `offsets` of `to`, which has the same element type.
fn scatter(data: &Data, to: &mut Data, offsets: &[usize]) {
    by_type!(
        Data, data, Data, to,
        (v, to) => offsets.iter().zip(v).for_each(|(&i, &v)| to[i] = v),
        else unreachable!("the shape rule checks that the element types are equal")
    );
}

/// The elements of `x` that lie in a box of shape `shape` which starts at `start` along `axis` and takes each `step`th
/// element there.
fn cut(x: &Tensor, axis: usize, start: usize, step: usize, shape: &[usize]) -> Tensor {
    let mut strides = strides(x.shape());
    let stride = strides[axis];
    // Saturates where a step leads past the end, and is then never taken.
    strides[axis] = stride.saturating_mul(step);
    let taken: Vec<usize> =
        offsets(shape, &strides).into_iter().map(|offset| start * stride + offset).collect();
    result(shape, gather(x.data(), &taken))
}

/// Writes `x` into `to`, of shape `shape`, so that the first element of `x` comes to lie at the index `start`.
fn paste(x: &Tensor, to: &mut Data, shape: &[usize], start: &[usize]) {
    if x.is_empty() {
        return;
    }
    let strides = strides(shape);
    let first: usize = start.iter().zip(&strides).map(|(start, stride)| start * stride).sum();
    let places: Vec<usize> = offsets(x.shape(), &strides).into_iter().map(|offset| first + offset).collect();
    scatter(x.data(), to, &places);
}

/// The axes with `axis` replaced by one of length `length`.
fn with_length(dims: &[Dim], axis: usize, length: usize) -> Shape {
    let mut dims = dims.to_vec();
    dims[axis] = Dim::Fixed(length);
    dims.into()
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let problem =
            |expected: String| Problem::new(expected, format!("{arguments} and the shape {}", self.shape));
        let dims = self.shape.dims();
        if dims.iter().filter(|d| d.is_batch()).count() > 1 || dims.contains(&Dim::Batch(0)) {
            return Err(problem(
                "a shape in which at most one axis is a multiple, of at least 1, of the batch".into(),
            ));
        }
        let per_sample = x.shape.elements_per_sample();
        if per_sample.is_none() || self.shape.elements_per_sample() != per_sample {
            let count = per_sample.map_or("a".into(), |n| n.to_string());
            return Err(problem(format!("a shape of as many elements ({count} for each sample)")));
        }
        let before = |shape: &Shape| {
            let axis = shape.batch_axis()?;
            fixed(&shape.dims()[..axis]).map(|dims| elements(&dims))
        };
        if before(&x.shape) != before(&self.shape) {
            return Err(problem(
                "a shape that keeps samples apart: a batch axis in both or in neither, after equally many elements"
                    .into(),
            ));
        }
        Ok(vec![ValueType::new(x.dtype, self.shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        vec![result(&outputs[0], tensor(inputs, 0).data().clone())]
    }
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.shape.rank()) {
            let expected = format!("a permutation with each of 0..{} once", x.shape.rank());
            return Err(Problem::new(expected, format!("{:?} for {arguments}", self.permutation)));
        }
        let dims: Vec<Dim> = self.permutation.iter().map(|&axis| x.shape.dims()[axis]).collect();
        Ok(vec![ValueType::new(x.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let strides = strides(x.shape());
        let permuted: Vec<usize> = self.permutation.iter().map(|&axis| strides[axis]).collect();
        vec![result(&outputs[0], gather(x.data(), &offsets(&outputs[0], &permuted)))]
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let given: Vec<&ValueType> = inputs.iter().copied().flatten().collect();
        let list = given.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if given.is_empty() || given.len() != inputs.len() {
            let got = format!("{} inputs, {} of them left out", inputs.len(), inputs.len() - given.len());
            return Err(Problem::new("at least one input, and none left out", got));
        }
        let (axis, _) = Arguments::<1>::new(&inputs[..1], ["x"], [])?.axis_of_one_sample(self.axis)?;
        let first = given[0];
        let mut joined = 0usize;
        for ty in &given {
            let dims = ty.shape.dims();
            let alike = ty.dtype == first.dtype
                && dims.len() == first.shape.rank()
                && (0..dims.len()).all(|i| i == axis || dims[i] == first.shape.dims()[i]);
            let length = match dims.get(axis) {
                Some(&Dim::Fixed(length)) if alike => joined.checked_add(length),
                _ => None,
            };
            joined = length.ok_or_else(|| {
                let expected =
                    format!("inputs equal in type and in every axis but axis {axis}, which is not the batch");
                Problem::new(expected, list.clone())
            })?;
        }
        Ok(vec![ValueType::new(first.dtype, with_length(first.shape.dims(), axis, joined))])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let axis = position(self.axis, shape.len());
        let mut data = Data::zeros(tensor(inputs, 0).dtype(), elements(shape));
        let mut start = vec![0; shape.len()];
        for x in inputs.iter().flatten() {
            paste(x, &mut data, shape, &start);
            start[axis] += x.shape()[axis];
        }
        vec![result(shape, data)]
    }
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let (axis, length) = arguments.axis_of_one_sample(self.axis)?;
        let Slice { start, end, step, .. } = *self;
        if step == 0 || start > end || end > length {
            let expected =
                format!("start <= end <= {length}, the length of axis {axis}, and a step of at least 1");
            return Err(Problem::new(
                expected,
                format!("start {start}, end {end}, step {step} for {arguments}"),
            ));
        }
        let taken = (end - start).div_ceil(step);
        Ok(vec![ValueType::new(x.dtype, with_length(x.shape.dims(), axis, taken))])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let axis = position(self.axis, outputs[0].len());
        vec![cut(tensor(inputs, 0), axis, self.start, self.step, &outputs[0])]
    }
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        "Split"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let (axis, length) = arguments.axis_of_one_sample(self.axis)?;
        let total = self.sizes.iter().try_fold(0usize, |total, &size| total.checked_add(size));
        if self.sizes.is_empty() || total != Some(length) {
            let expected =
                format!("at least one size, the sum of all being {length}, the length of axis {axis}");
            return Err(Problem::new(expected, format!("sizes {:?} for {arguments}", self.sizes)));
        }
        let piece = |&size| ValueType::new(x.dtype, with_length(x.shape.dims(), axis, size));
        Ok(self.sizes.iter().map(piece).collect())
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let axis = position(self.axis, x.shape().len());
        let mut start = 0;
        let piece = |shape: &Vec<usize>| {
            let piece = cut(x, axis, start, 1, shape);
            start += shape[axis];
            piece
        };
        outputs.iter().map(piece).collect()
    }
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let dims = x.shape.dims();
        let problem = |expected: &str| Problem::new(expected, format!("{self:?} for {arguments}"));
        if self.pads.len() != dims.len() {
            return Err(problem("a pair of pads for each axis"));
        }
        let padded = |(&dim, &(before, after)): (&Dim, &(usize, usize))| match dim {
            _ if (before, after) == (0, 0) => Ok(dim),
            Dim::Fixed(0) if !matches!(self.mode, PadMode::Constant(_)) => {
                Err(problem("an axis with elements to be repeated"))
            }
            Dim::Fixed(length) => length
                .checked_add(before)
                .and_then(|length| length.checked_add(after))
                .map(Dim::Fixed)
                .ok_or_else(|| problem("pads after which the lengths fit in memory")),
            Dim::Batch(_) => Err(problem("no pads on the axis that is the batch")),
        };
        let dims = dims.iter().zip(&self.pads).map(padded).collect::<Result<Vec<Dim>, Problem>>()?;
        Ok(vec![ValueType::new(x.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        fn fill<T: Element>(from: &[T], sources: Vec<Option<usize>>, mode: PadMode) -> Data {
            let constant =
                if let PadMode::Constant(value) = mode { T::from_f64(value) } else { T::default() };
            Data::of(sources.into_iter().map(|source| source.map_or(constant, |i| from[i])).collect())
        }
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let axes = self.pads.iter().zip(shape).zip(x.shape());
        let sources = axes.fold(vec![Some(0)], |outer, ((&(before, _), &padded), &length)| {
            let along = |outer: Option<usize>| {
                (0..padded).map(move |place| Some(outer? * length + self.mode.source(place, before, length)?))
            };
            outer.into_iter().flat_map(along).collect()
        });
        vec![result(shape, by_type!(Data, x.data(), v => fill(v, sources, self.mode)))]
    }
}
