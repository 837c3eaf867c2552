//! Pooling over windows of one or two spatial axes.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::elements;
use super::operands::{f32s, maximum, rounded, sum, tensor};
use super::window::{Windows, counts, covered, image};
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Largest element of each window; NaN if one is NaN. Padding counts as `-inf`.
///
/// Input: `x [N, C, L]` or `[N, C, H, W]`. Output lengths as for [`crate::Conv`]. A padding may be at most half its kernel, as in
/// PyTorch. Source: torch.nn.MaxPool1d, MaxPool2d.
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
}

/// Mean of each window.
///
/// Input: `x [N, C, L]` or `[N, C, H, W]`. Output lengths as for [`crate::Conv`]. A padding may be at most half its kernel, as in
/// PyTorch. Source: torch.nn.AvgPool1d, AvgPool2d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Window length, one a spatial axis.
    pub kernel: Vec<usize>,
    /// Step between windows.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// Whether padding counts as zeros in the mean (PyTorch's default) or is left out.
    pub count_include_pad: bool,
}

/// Mean over all spatial axes, which stay with length 1.
///
/// Input: `x [N, C, ...]`. Output: `[N, C, 1...]`. Source: ONNX GlobalAveragePool-1, torch.nn.AdaptiveAvgPool1d(1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePool {}

/// The output's type, for windows over the spatial axes of the input.
fn pooled(windows: &[Windows], inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
    let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
    let (samples, channels, lengths) = image(&arguments, windows.len())?;
    if let Some(w) = windows.iter().find(|w| w.padding.0.max(w.padding.1) > w.kernel / 2) {
        let got = format!("padding {:?} with kernel {}", w.padding, w.kernel);
        return Err(Problem::new("a padding of at most half its kernel", got));
    }
    let counts = counts(&arguments, windows, &lengths)?.into_iter().map(Dim::Fixed);
    let dims: Vec<Dim> = [samples, Dim::Fixed(channels)].into_iter().chain(counts).collect();
    Ok(vec![ValueType::new(DType::F32, dims)])
}

/// The output, each element computed by `pool` from the elements of its window that do not lie in the padding.
fn pool(
    windows: &[Windows],
    x: &Tensor,
    shape: &[usize],
    pool: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Tensor {
    let lengths = &x.shape()[2..];
    let windows = covered(windows, lengths, &shape[2..]);
    let (x, length) = (f32s(&[Some(x)], 0), elements(lengths));
    let pool = &pool;
    let values = (0..elements(&shape[..2])).flat_map(|plane| {
        let plane = &x[plane * length..(plane + 1) * length];
        windows.iter().map(move |window| pool(&mut window.iter().map(|&(_, i)| f64::from(plane[i]))))
    });
    rounded(shape, values)
}

impl MaxPool {
    fn windows(&self) -> Result<Vec<Windows>, Problem> {
        Windows::new(&self.kernel, &self.stride, &self.padding, &self.dilation)
    }
}

impl AveragePool {
    fn windows(&self) -> Result<Vec<Windows>, Problem> {
        Windows::new(&self.kernel, &self.stride, &self.padding, &vec![1; self.kernel.len()])
    }
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        pooled(&self.windows()?, inputs)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let windows = self.windows().expect("as in infer");
        vec![pool(&windows, tensor(inputs, 0), &outputs[0], |elements| {
            elements.fold(f64::NEG_INFINITY, maximum)
        })]
    }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        pooled(&self.windows()?, inputs)
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let windows = self.windows().expect("as in infer");
        let taps = elements(&self.kernel);
        vec![pool(&windows, tensor(inputs, 0), &outputs[0], |elements| {
            let elements: Vec<f64> = elements.collect();
            let divisor = if self.count_include_pad { taps } else { elements.len() };
            sum(elements) / divisor as f64
        })]
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
