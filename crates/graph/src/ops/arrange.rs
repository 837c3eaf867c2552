//! Operators that repeat elements, or replace them by their place.

use super::Operator;
use super::binary::walk;
use super::broadcast::broadcast;
use super::check::Arguments;
use super::gather::place;
use super::index::{elements, offsets, strides};
use super::operands::{integers, result, tensor};
use crate::{Data, Dim, Problem, Shape, Tensor, ValueType, axis_position, by_type};

/// The same elements broadcast to a shape, which may have the batch where the input has an axis of length 1, or none.
///
/// Input: any type, of a shape that broadcasts to `shape`. Source: ONNX Expand-13, torch.Tensor.expand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expand {
    /// The shape of the output.
    pub shape: Shape,
}

/// The tensor repeated along its axes; the batch is not repeated.
///
/// Input: any type. Source: ONNX Tile-13, torch.Tensor.repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// How often, one an axis; 1 for the batch.
    pub repeats: Vec<usize>,
}

/// The upper or lower triangle of the matrices in the last two axes, neither of which may be the batch; the rest is zero.
///
/// Input: any type, at least two axes. Source: ONNX Trilu-14, torch.triu, torch.tril.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trilu {
    /// The upper triangle, or the lower one.
    pub upper: bool,
    /// The diagonal up to which the triangle goes: 0 the main one, above it positive.
    pub diagonal: i64,
}

/// An axis of length `depth` in which the place that an index names is `on` and all others are `off`.
///
/// Inputs: `indices` (i64 or i32), `values [2]` of any type: off and on. A negative index counts from the end; one out of range names
/// no place. Output: the axes of `indices` with the new one. Source: ONNX OneHot-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHot {
    /// Where the new axis is in the output; negative counts from the end.
    pub axis: isize,
    /// Its length.
    pub depth: usize,
}

impl Operator for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let to = self.shape.dims();
        let valid = !to.contains(&Dim::Batch(0)) && self.shape.elements_per_sample().is_some();
        if !valid || broadcast(x.shape.dims(), to).as_deref() != Some(to) {
            let got = format!("{arguments} and the shape {}", self.shape);
            return Err(Problem::new("a shape that x broadcasts to", got));
        }
        Ok(vec![ValueType::new(x.dtype, self.shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let from = walk(x, &outputs[0]);
        vec![result(&outputs[0], taken(x, &from))]
    }
}

/// The elements of `x` at these offsets.
fn taken(x: &Tensor, offsets: &[usize]) -> Data {
    by_type!(Data, x.data(), v => Data::of(offsets.iter().map(|&i| v[i]).collect()))
}

impl Operator for Tile {
    fn name(&self) -> &'static str {
        "Tile"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let problem =
            |expected: &str| Problem::new(expected, format!("repeats {:?} of {arguments}", self.repeats));
        if self.repeats.len() != x.shape.rank() {
            return Err(problem("one number of repeats for each axis"));
        }
        let repeated = |(&dim, &repeats): (&Dim, &usize)| match dim {
            Dim::Fixed(length) => length
                .checked_mul(repeats)
                .map(Dim::Fixed)
                .ok_or_else(|| problem("lengths that fit in memory")),
            Dim::Batch(_) if repeats == 1 => Ok(dim),
            Dim::Batch(_) => Err(problem("a batch that is not repeated")),
        };
        let dims = x.shape.dims().iter().zip(&self.repeats).map(repeated).collect::<Result<Vec<_>, _>>()?;
        Ok(vec![ValueType::new(x.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        // Each axis as two: how often, and its own length.
        let split: Vec<usize> =
            self.repeats.iter().zip(x.shape()).flat_map(|(&repeats, &length)| [repeats, length]).collect();
        let steps: Vec<usize> = strides(x.shape()).into_iter().flat_map(|stride| [0, stride]).collect();
        vec![result(shape, taken(x, &offsets(&split, &steps)))]
    }
}

impl Operator for Trilu {
    fn name(&self) -> &'static str {
        "Trilu"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::new(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let matrices = matches!(x.shape.dims(), [.., Dim::Fixed(_), Dim::Fixed(_)]);
        arguments.expect(matrices, || "x [..., rows, columns], neither of which is the batch".into())?;
        Ok(vec![x.clone()])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let [.., rows, columns] = shape[..] else { unreachable!("the shape rule checks the axes") };
        let mut data = tensor(inputs, 0).data().clone();
        let inside = |at: usize| {
            let (row, column) = ((at / columns % rows) as i128, (at % columns) as i128);
            let above = column - row - i128::from(self.diagonal);
            if self.upper { above >= 0 } else { above <= 0 }
        };
        by_type!(Data, &mut data, v => {
            v.iter_mut().enumerate().filter(|(at, _)| !inside(*at)).for_each(|(_, x)| *x = Default::default());
        });
        vec![result(shape, data)]
    }
}

impl Operator for OneHot {
    fn name(&self) -> &'static str {
        "OneHot"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::new(inputs, ["indices", "values"], [])?;
        let [indices, values] = arguments.required;
        arguments.indices("indices", indices)?;
        arguments.shape("values", Some(values), &[Dim::Fixed(2)], "off and on")?;
        let mut dims = indices.shape.dims().to_vec();
        let axis = axis_position(self.axis, dims.len() + 1).ok_or_else(|| {
            Problem::new("an axis of the output", format!("axis {} for {arguments}", self.axis))
        })?;
        dims.insert(axis, Dim::Fixed(self.depth));
        Ok(vec![ValueType::new(values.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (indices, values, shape) = (integers(tensor(inputs, 0)), tensor(inputs, 1), &outputs[0]);
        let axis = axis_position(self.axis, shape.len()).expect("as in infer");
        let inner = elements(&shape[axis + 1..]);
        let chosen: Vec<usize> = (0..elements(shape))
            .map(|at| {
                let (outer, depth) = (at / inner / self.depth, at / inner % self.depth);
                usize::from(place(indices[outer * inner + at % inner], self.depth) == Some(depth))
            })
            .collect();
        vec![result(shape, taken(values, &chosen))]
    }
}
