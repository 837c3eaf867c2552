//! Pooling over windows of one to three spatial axes.
//!
//! Output lengths are those of [`crate::Conv`]. With `ceil` they are rounded up: a last window may reach over the padded end, if it
//! begins before the end of the axis. A padding may be at most half its kernel, as in PyTorch.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::elements;
use super::operands::{f32s, maximum, number_result, reals, result, rounded, sum, tensor};
use super::window::{Windows, counts, covered, image};
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Largest element of each window; NaN if one is NaN. Padding counts as `-inf`.
///
/// Input: `x [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` of numbers; with `indices`, f32 without batch. Source: ONNX MaxPool-22,
/// torch.nn.MaxPool1d, MaxPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between the elements of a window.
    pub dilation: Vec<usize>,
    /// Whether output lengths are rounded up.
    pub ceil: bool,
    /// Whether there is a second output: where in `x`, flattened, each largest element is (i64), -1 in a window without one.
    pub indices: bool,
}

/// Mean of each window.
///
/// Input: `x [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]`. Source: ONNX AveragePool-22, torch.nn.AvgPool1d, AvgPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between the elements of a window.
    pub dilation: Vec<usize>,
    /// Whether output lengths are rounded up.
    pub ceil: bool,
    /// Whether padding counts as zeros in the mean (PyTorch's default) or is left out.
    pub count_include_pad: bool,
}

/// `(sum |x|^p)^(1 / p)` of each window; padding counts as 0.
///
/// Input: `x [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]`. Source: ONNX LpPool-22, torch.nn.LPPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LpPool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between the elements of a window.
    pub dilation: Vec<usize>,
    /// Whether output lengths are rounded up.
    pub ceil: bool,
    /// The power, at least 1.
    pub p: u32,
}

/// Mean over all spatial axes, which stay with length 1.
///
/// Input: `x [N, C, ...]`. Output: `[N, C, 1...]`. Source: ONNX GlobalAveragePool-1, torch.nn.AdaptiveAvgPool1d(1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePool {}

/// The shape of the output, for windows over the spatial axes of the input.
fn pooled(windows: &[Windows], arguments: &Arguments<'_, 1>) -> Result<Vec<Dim>, Problem> {
    let (samples, channels, lengths) = image(arguments, windows.len())?;
    if let Some(w) = windows.iter().find(|w| w.padding.0.max(w.padding.1) > w.kernel / 2) {
        let got = format!("padding {:?} with kernel {}", w.padding, w.kernel);
        return Err(Problem::new("a padding of at most half its kernel", got));
    }
    let counts = counts(arguments, windows, &lengths)?.into_iter().map(Dim::Fixed);
    Ok([samples, Dim::Fixed(channels)].into_iter().chain(counts).collect())
}

/// Each element of the output, as `pool` computes it from the window's index, the offset of its plane, and the elements in the
/// plane that it covers, those in the padding left out.
fn pool<T: Copy>(
    windows: &[Windows],
    x_shape: &[usize],
    shape: &[usize],
    pool: impl Fn(usize, usize, &[(usize, usize)]) -> T,
) -> Vec<T> {
    let (lengths, counts) = (&x_shape[2..], &shape[2..]);
    let (planes, length, places) = (elements(&shape[..2]), elements(lengths), elements(counts));
    let mut of_places = Vec::with_capacity(planes * places);
    for place in 0..places {
        let taps = covered(windows, lengths, counts, place);
        of_places.extend((0..planes).map(|plane| pool(place, plane * length, &taps)));
    }
    (0..planes * places).map(|at| of_places[at % places * planes + at / places]).collect()
}

macro_rules! windows {
    ($($pool:ident),*) => { $(
        impl $pool {
            fn windows(&self) -> Result<Vec<Windows>, Problem> {
                let windows = Windows::new(&self.kernel, &self.stride, &self.padding, &self.dilation)?;
                Ok(windows.into_iter().map(|windows| Windows { ceil: self.ceil, ..windows }).collect())
            }
        }
    )* };
}

windows!(MaxPool, AveragePool, LpPool);

impl MaxPool {
    /// Windows of this size that do not overlap, without padding.
    pub fn new(kernel: Vec<usize>) -> Self {
        let axes = kernel.len();
        MaxPool {
            stride: kernel.clone(),
            kernel,
            padding: vec![(0, 0); axes],
            dilation: vec![1; axes],
            ceil: false,
            indices: false,
        }
    }
}

impl AveragePool {
    /// Windows of this size that do not overlap, without padding.
    pub fn new(kernel: Vec<usize>) -> Self {
        let axes = kernel.len();
        AveragePool {
            stride: kernel.clone(),
            kernel,
            padding: vec![(0, 0); axes],
            dilation: vec![1; axes],
            ceil: false,
            count_include_pad: true,
        }
    }

    /// The number of taps that the mean of each window is over, where padding counts.
    fn divisors(&self, lengths: &[usize], counts: &[usize]) -> Vec<f64> {
        let windows = self.windows().expect("as in infer");
        windows.iter().zip(lengths).zip(counts).fold(vec![1.0], |outer, ((windows, &length), &count)| {
            let along =
                |outer: f64| (0..count).map(move |window| outer * windows.taps(window, length) as f64);
            outer.into_iter().flat_map(along).collect()
        })
    }
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::numbers(inputs, ["x"], [])?;
        let [x] = arguments.required;
        let dims = pooled(&self.windows()?, &arguments)?;
        arguments
            .expect(x.dtype.is_float() || self.padding.iter().all(|&p| p == (0, 0)) || !self.ceil, || {
                "f32 where windows may lie in the padding only".into()
            })?;
        let values = ValueType::new(x.dtype, dims.clone());
        if !self.indices {
            return Ok(vec![values]);
        }
        arguments.expect(x.shape.batch_axis().is_none(), || {
            "x without a batch, where indices, which count the samples before one, are asked for".into()
        })?;
        Ok(vec![values, ValueType::new(DType::I64, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let windows = self.windows().expect("as in infer");
        let elements = reals(x);
        let largest = |_: usize, plane: usize, taps: &[(usize, usize)]| {
            let first = (f64::NEG_INFINITY, -1);
            taps.iter().fold(first, |(max, at), &(_, i)| {
                let value = elements[plane + i];
                let better = at < 0 || (maximum(max, value) != max && !max.is_nan());
                if better { (value, (plane + i) as i64) } else { (max, at) }
            })
        };
        let (values, indices): (Vec<f64>, Vec<i64>) =
            pool(&windows, x.shape(), shape, largest).into_iter().unzip();
        let values = number_result(x.dtype(), shape, values);
        if self.indices { vec![values, result(shape, indices)] } else { vec![values] }
    }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        Ok(vec![ValueType::new(DType::F32, pooled(&self.windows()?, &arguments)?)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let windows = self.windows().expect("as in infer");
        let divisors = self.divisors(&x.shape()[2..], &shape[2..]);
        let elements = f32s(inputs, 0);
        let mean = |window: usize, plane: usize, taps: &[(usize, usize)]| {
            let divisor = if self.count_include_pad { divisors[window] } else { taps.len() as f64 };
            sum(taps.iter().map(|&(_, i)| f64::from(elements[plane + i]))) / divisor
        };
        vec![rounded(shape, pool(&windows, x.shape(), shape, mean))]
    }
}

impl Operator for LpPool {
    fn name(&self) -> &'static str {
        "LpPool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        arguments.expect(self.p > 0, || "a power of at least 1".into())?;
        Ok(vec![ValueType::new(DType::F32, pooled(&self.windows()?, &arguments)?)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        let windows = self.windows().expect("as in infer");
        let (elements, p) = (f32s(inputs, 0), f64::from(self.p));
        let norm = |_: usize, plane: usize, taps: &[(usize, usize)]| {
            sum(taps.iter().map(|&(_, i)| f64::from(elements[plane + i]).abs().powf(p))).powf(1.0 / p)
        };
        vec![rounded(shape, pool(&windows, x.shape(), shape, norm))]
    }
}

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        match arguments.required[0].shape.dims() {
            [samples, channels @ Dim::Fixed(_), lengths @ ..]
                if fixed(lengths).is_some() && !lengths.is_empty() =>
            {
                let ones = lengths.iter().map(|_| Dim::Fixed(1));
                let dims: Vec<Dim> = [*samples, *channels].into_iter().chain(ones).collect();
                Ok(vec![ValueType::new(DType::F32, dims)])
            }
            _ => Err(arguments.problem("x [N, C, length...], in which only axis 0 may be the batch")),
        }
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let length = elements(&tensor(inputs, 0).shape()[2..]);
        let x = f32s(inputs, 0);
        let mean = |plane: usize| {
            sum(x[plane * length..(plane + 1) * length].iter().map(|&v| f64::from(v))) / length as f64
        };
        vec![rounded(&outputs[0], (0..elements(&outputs[0])).map(mean))]
    }
}
