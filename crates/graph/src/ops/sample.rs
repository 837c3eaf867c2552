//! Elements of an image at computed places, and determinants: what has no family.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::{elements, strides};
use super::operands::{f32s, real_result, reals, rounded, tensor};
use super::resize::cubic;
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Elements of images at the places that a grid names, in coordinates from -1 to 1.
///
/// Inputs: `x [N, C, H, W]` or `[N, C, D, H, W]`, `grid [N, out..., axes]`, whose last axis holds a place, the coordinate along the last axis
/// of `x` first. Output: `[N, C, out...]`. Source: ONNX GridSample-22, torch.nn.functional.grid_sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridSample {
    /// Which elements a result is made of.
    pub mode: GridMode,
    /// What lies outside an image.
    pub outside: Outside,
    /// Whether -1 and 1 are the centres of the first and last elements, or the outer edges of those.
    pub align_corners: bool,
}

/// Which elements a result is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridMode {
    /// The nearest one, the even one of two.
    Nearest,
    /// The nearest two along each axis.
    Linear,
    /// The nearest four along each axis, by the cubic convolution with coefficient -0.75.
    Cubic,
}

/// What lies outside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Zeros.
    Zeros,
    /// What is at its border.
    Border,
    /// The image, mirrored at its border.
    Reflection,
}

/// The determinants of the matrices in the last two axes, neither of which may be the batch.
///
/// Input: `x [..., n, n]` of f32 or f64. Output: `[...]`. Source: ONNX Det-22, torch.linalg.det.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Det {}

impl GridSample {
    /// The first and the last place of an axis of this length.
    fn borders(&self, length: usize) -> (f64, f64) {
        let length = length as f64;
        if self.align_corners { (0.0, length - 1.0) } else { (-0.5, length - 0.5) }
    }

    /// Where a coordinate lies in an axis of this length. As the original does, in f32.
    fn place(&self, coordinate: f32, length: usize) -> f64 {
        let size = length as f32;
        let place = if self.align_corners {
            (coordinate + 1.0) / 2.0 * (size - 1.0)
        } else {
            ((coordinate + 1.0) * size - 1.0) / 2.0
        };
        let place = f64::from(if self.mode == GridMode::Nearest { place.round_ties_even() } else { place });
        let (low, high) = self.borders(length);
        match self.outside {
            Outside::Border if !(low..=high).contains(&place) => place.clamp(0.0, length as f64 - 1.0),
            Outside::Reflection => reflect(place, low, high),
            _ => place,
        }
    }

    /// The element at a whole place, if there is one.
    fn element(&self, place: f64, length: usize) -> Option<usize> {
        let last = length as f64 - 1.0;
        let (low, high) = self.borders(length);
        match self.outside {
            _ if (0.0..=last).contains(&place) => Some(place as usize),
            Outside::Zeros => None,
            Outside::Border => Some(place.clamp(0.0, last) as usize),
            Outside::Reflection => Some(reflect(place, low, high).clamp(0.0, last) as usize),
        }
    }

    /// The elements of one axis that a coordinate is made of, with their weights.
    fn taps(&self, coordinate: f32, length: usize) -> Vec<(Option<usize>, f64)> {
        let place = self.place(coordinate, length);
        if place.is_nan() {
            return vec![(Some(0), f64::NAN)];
        }
        let floor = place.floor();
        let (range, weight): (_, fn(f64) -> f64) = match self.mode {
            GridMode::Nearest => return vec![(self.element(place, length), 1.0)],
            GridMode::Linear => (0..2, |distance| 1.0 - distance),
            GridMode::Cubic => (-1..3, |distance| cubic(distance, -0.75)),
        };
        range
            .map(|i| floor + f64::from(i))
            .map(|at| (self.element(at, length), weight((place - at).abs())))
            .collect()
    }
}

/// A place mirrored at two borders until it lies between them.
fn reflect(place: f64, low: f64, high: f64) -> f64 {
    let span = high - low;
    if span <= 0.0 || !place.is_finite() {
        return if place.is_nan() { place } else { low };
    }
    let around = (place - low).rem_euclid(2.0 * span);
    low + around.min(2.0 * span - around)
}

impl Operator for GridSample {
    fn name(&self) -> &'static str {
        "GridSample"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::f32(inputs, ["x", "grid"], [])?;
        let [x, grid] = arguments.required;
        let (Some((&samples, rest)), Some((&of_grid, places))) =
            (x.shape.dims().split_first(), grid.shape.dims().split_first())
        else {
            return Err(arguments.problem("x [N, C, H, W] and grid [N, H, W, 2]"));
        };
        let (Some(rest), Some(places)) = (fixed(rest), fixed(places)) else {
            return Err(arguments.problem("x and grid of which only axis 0 may be the batch"));
        };
        let axes = rest.len().saturating_sub(1);
        let fits = (1..=3).contains(&axes) && places.len() == axes + 1 && places[axes] == axes;
        arguments.expect(fits && samples == of_grid && !rest[1..].contains(&0), || {
            "x [N, C, lengths...] of at least one element an axis, and grid [N, out..., axes] with as many axes".into()
        })?;
        let dims = places[..axes].iter().map(|&length| Dim::Fixed(length));
        let dims: Vec<Dim> = [samples, Dim::Fixed(rest[0])].into_iter().chain(dims).collect();
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x_shape, x, grid) = (tensor(inputs, 0).shape(), f32s(inputs, 0), f32s(inputs, 1));
        let (lengths, steps) = (&x_shape[2..], strides(&x_shape[2..]));
        let (axes, image, places) = (lengths.len(), elements(lengths), elements(&outputs[0][2..]));
        let mut values = vec![0.0; elements(&outputs[0])];
        for (row, coordinates) in grid.chunks(axes).enumerate() {
            // Every combination of one element an axis; the grid names the last axis first.
            let taps = (0..axes).fold(vec![(Some(0), 1.0)], |outer: Vec<(Option<usize>, f64)>, axis| {
                let along = self.taps(coordinates[axes - 1 - axis], lengths[axis]);
                let join = |(at, weight): (Option<usize>, f64)| {
                    along.clone().into_iter().map(move |(i, w)| (at.zip(i), weight * w))
                };
                let joined = outer.into_iter().flat_map(join);
                joined.map(|(at, w)| (at.map(|(at, i)| at + i * steps[axis]), w)).collect()
            });
            let (n, place) = (row / places, row % places);
            for c in 0..x_shape[1] {
                let plane = n * x_shape[1] + c;
                let inside = taps.iter().filter_map(|&(at, weight)| Some((at?, weight)));
                values[plane * places + place] =
                    inside.map(|(at, weight)| weight * f64::from(x[plane * image + at])).sum();
            }
        }
        vec![rounded(&outputs[0], values)]
    }
}

impl Operator for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::floats(inputs, ["x"], [])?;
        let [x] = arguments.required;
        match x.shape.dims() {
            [lead @ .., Dim::Fixed(rows), Dim::Fixed(columns)] if rows == columns => {
                Ok(vec![ValueType::new(x.dtype, lead.to_vec())])
            }
            _ => Err(arguments.problem("square matrices x [..., n, n], neither axis of which is the batch")),
        }
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let n = x.shape()[x.shape().len() - 1];
        let values = reals(x);
        let of = |matrix: usize| {
            let mut rows: Vec<Vec<f64>> =
                (0..n).map(|row| values[(matrix * n + row) * n..][..n].to_vec()).collect();
            let mut det = 1.0;
            for column in 0..n {
                // Gaussian elimination with the largest pivot.
                let Some(pivot) =
                    (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))
                else {
                    break;
                };
                if pivot != column {
                    rows.swap(pivot, column);
                    det = -det;
                }
                let (above, below) = rows.split_at_mut(column + 1);
                let top = &above[column];
                det *= top[column];
                if top[column] == 0.0 {
                    break;
                }
                for row in below {
                    let factor = row[column] / top[column];
                    row.iter_mut().zip(top).for_each(|(x, t)| *x -= factor * t);
                }
            }
            det
        };
        vec![real_result(x.dtype(), &outputs[0], (0..elements(&outputs[0])).map(of))]
    }
}
