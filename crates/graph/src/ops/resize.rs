//! Resampling along axes: images made larger or smaller.

use super::Operator;
use super::check::Arguments;
use super::index::elements;
use super::operands::{real_result, reals, tensor};
use crate::{Dim, Problem, Tensor, ValueType};

/// Resamples some axes, none of which may be the batch, one after the other.
///
/// Input: numbers of any type; where elements are mixed, integers are cut off towards zero. Source: ONNX Resize-19, whose `sizes`
/// and `scales` become a length and a scale for each axis; torch.nn.functional.interpolate.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// The axes that are resampled.
    pub axes: Vec<ResizeAxis>,
    /// Which elements a new one is made of.
    pub mode: ResizeMode,
    /// Where a new element lies among the old ones.
    pub coordinates: Coordinates,
    /// Whether the window of [`ResizeMode::Linear`] and [`ResizeMode::Cubic`] is widened where the axis becomes shorter.
    pub antialias: bool,
    /// Whether elements outside the axis have no part; otherwise they are what is at its ends.
    pub exclude_outside: bool,
}

/// One resampled axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizeAxis {
    /// Which axis.
    pub axis: usize,
    /// Its length in the output.
    pub length: usize,
    /// How much longer it is meant to become; the length may be rounded.
    pub scale: f64,
}

/// Which elements a new one is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResizeMode {
    /// The nearest one.
    Nearest(Rounding),
    /// The nearest two, by distance.
    Linear,
    /// The nearest four, by the cubic convolution with this coefficient: -0.75 in ONNX and PyTorch.
    Cubic(f32),
}

/// Which of two neighbours counts as the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearer one, of two equally near ones the one before.
    HalfDown,
    /// The nearer one, of two equally near ones the one after.
    HalfUp,
    /// The one before.
    Floor,
    /// The one after.
    Ceil,
}

/// Where a new element lies among the old ones, by ONNX's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coordinates {
    /// `(x + 1 / 2) / scale - 1 / 2`
    HalfPixel,
    /// The same, with the old and the new axis centred on each other where the length was rounded.
    HalfPixelSymmetric,
    /// The same as [`HalfPixel`](Coordinates::HalfPixel), but `-1 / 2` where the new length is 1.
    PytorchHalfPixel,
    /// `x / scale`
    Asymmetric,
    /// The first and last elements of both axes lie upon each other.
    AlignCorners,
    /// A part of each axis, from `start` to `end` as parts of its length, is stretched over the new one; new elements outside the
    /// axis are `outside`.
    TfCropAndResize {
        /// Start and end, one pair a resampled axis, in their order.
        region: [(f32, f32); 4],
        /// What elements outside the axis are.
        outside: f32,
    },
}

impl Coordinates {
    /// Where element `x` of the new axis lies in the old one of `length` elements; `None` where it is given from outside.
    fn of(self, x: usize, length: usize, index: usize, axis: ResizeAxis) -> Option<f64> {
        let (x, old, new) = (x as f64, length as f64, axis.scale * length as f64);
        let half_pixel = (x + 0.5) / axis.scale - 0.5;
        Some(match self {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::PytorchHalfPixel if new == 1.0 => -0.5,
            Coordinates::PytorchHalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => old / 2.0 * (1.0 - axis.length as f64 / new) + half_pixel,
            Coordinates::Asymmetric => x / axis.scale,
            Coordinates::AlignCorners if new == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (old - 1.0) / (new - 1.0),
            Coordinates::TfCropAndResize { region, .. } => {
                let (start, end) = (f64::from(region[index].0), f64::from(region[index].1));
                let step = if new == 1.0 { 0.5 } else { x / (new - 1.0) };
                let place = (step * (end - start) + start) * (old - 1.0);
                return (0.0..=old - 1.0).contains(&place).then_some(place);
            }
        })
    }
}

impl Resize {
    /// The weights of the elements around a place that lies `ratio`, above 0 and at most 1, behind the element before it. The first is that of the
    /// element so many before that one as half of them are, less one.
    fn weights(&self, ratio: f64, scale: f64) -> Vec<f64> {
        let scale = if self.antialias { scale.min(1.0) } else { 1.0 };
        let (reach, kernel): (f64, Box<dyn Fn(f64) -> f64>) = match self.mode {
            ResizeMode::Nearest(rounding) => {
                let after = match rounding {
                    _ if ratio == 1.0 => true,
                    Rounding::HalfDown => ratio > 0.5,
                    Rounding::HalfUp => ratio >= 0.5,
                    Rounding::Floor => false,
                    Rounding::Ceil => true,
                };
                return if after { vec![0.0, 1.0] } else { vec![1.0, 0.0] };
            }
            ResizeMode::Linear => (1.0, Box::new(|x: f64| (1.0 - x.abs()).max(0.0))),
            ResizeMode::Cubic(a) => (2.0, Box::new(move |x: f64| cubic(x.abs(), f64::from(a)))),
        };
        let start = (-reach / scale).floor() as i64 + 1;
        let weights: Vec<f64> = (start..2 - start).map(|i| kernel(scale * (i as f64 - ratio))).collect();
        let total: f64 = if self.antialias { weights.iter().sum() } else { 1.0 };
        weights.into_iter().map(|w| w / total).collect()
    }

    /// The elements that element `x` of a new axis is made of, with their weights; `None` where it is given from outside.
    fn taps(&self, x: usize, length: usize, index: usize) -> Option<Vec<(usize, f64)>> {
        let axis = self.axes[index];
        let place = self.coordinates.of(x, length, index, axis)?;
        let before = place.ceil() - 1.0;
        let weights = self.weights(place - before, axis.scale);
        let first = before as i64 + 1 - weights.len() as i64 / 2;
        let mut taps: Vec<(i64, f64)> =
            weights.into_iter().enumerate().map(|(i, w)| (first + i as i64, w)).collect();
        if self.exclude_outside {
            taps.retain(|&(at, _)| (0..length as i64).contains(&at));
            let total: f64 = taps.iter().map(|&(_, w)| w).sum();
            taps.iter_mut().for_each(|(_, w)| *w /= total);
        }
        let last = length as i64 - 1;
        Some(
            taps.into_iter()
                .filter(|&(_, w)| w != 0.0)
                .map(|(at, w)| (at.clamp(0, last) as usize, w))
                .collect(),
        )
    }
}

/// The cubic convolution of Keys (doi 10.1109/TASSP.1981.1163711) for `x >= 0`.
pub(super) fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::numbers(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let mut dims = x.shape.dims().to_vec();
        let problem = |expected: &str| Err(Problem::new(expected, format!("{self:?} of {arguments}")));
        let mut resampled = vec![false; dims.len()];
        for axis in &self.axes {
            let Some(Dim::Fixed(length)) = dims.get_mut(axis.axis) else {
                return problem("axes that x has and that are not the batch");
            };
            if std::mem::replace(&mut resampled[axis.axis], true) {
                return problem("each axis at most once");
            }
            if !(axis.scale.is_finite() && axis.scale > 0.0) || *length == 0 {
                return problem("finite scales above 0 of axes with elements");
            }
            // A widened window has some 1 / scale elements, of which no more than the axis has matter.
            if self.antialias && axis.scale * (*length as f64) < 0.5 {
                return problem("scales that leave half an element of an axis, where its window is widened");
            }
            *length = axis.length;
        }
        match self.coordinates {
            Coordinates::TfCropAndResize { region, outside } => {
                let finite = region.iter().all(|(start, end)| start.is_finite() && end.is_finite());
                if self.axes.len() > region.len() || !finite || outside.is_nan() {
                    return problem("a finite region of at most four axes");
                }
            }
            _ if matches!(self.mode, ResizeMode::Cubic(a) if !a.is_finite()) => {
                return problem("a finite coefficient");
            }
            _ => {}
        }
        Ok(vec![ValueType::new(x.dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = tensor(inputs, 0);
        let (mut shape, mut values) = (x.shape().to_vec(), reals(x));
        let outside = match self.coordinates {
            Coordinates::TfCropAndResize { outside, .. } => f64::from(outside),
            _ => 0.0,
        };
        for (index, axis) in self.axes.iter().enumerate() {
            let (outer, length) = (elements(&shape[..axis.axis]), shape[axis.axis]);
            let inner = elements(&shape[axis.axis + 1..]);
            let taps: Vec<_> = (0..axis.length).map(|x| self.taps(x, length, index)).collect();
            let mut resampled = Vec::with_capacity(outer * axis.length * inner);
            for o in 0..outer {
                for taps in &taps {
                    for i in 0..inner {
                        resampled.push(taps.as_ref().map_or(outside, |taps| {
                            taps.iter().map(|&(at, w)| values[(o * length + at) * inner + i] * w).sum()
                        }));
                    }
                }
            }
            values = resampled;
            shape[axis.axis] = axis.length;
        }
        vec![real_result(x.dtype(), &outputs[0], values)]
    }
}
