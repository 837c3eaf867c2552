//! Small integers that stand for floating-point numbers: `number = (integer - zero_point) * scale`.

use super::Operator;
use super::check::{Arguments, fixed};
use super::index::{elements, offsets, strides};
use super::operands::{f32s, integer_result, integers, optional, result, rounded, tensor};
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Numbers to integers: `x / scale` rounded to the nearest, the even one of two, plus the zero point, held to the type's range. NaN
/// becomes the zero point.
///
/// Inputs: `x`, `scale`, optional `zero_point` of the output's type (0 without). Both have one element, or one for each index of `axis`,
/// or, with blocks, the shape of `x` with that axis shortened to the number of blocks. Source: ONNX QuantizeLinear-21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantize {
    /// The element type of the output: i8, u8, i16 or u16.
    pub to: DType,
    /// The axis along which scales differ, which may not be the batch.
    pub axis: usize,
    /// Elements along the axis that share a scale, where scales have the axes of `x`; 0 where they do not.
    pub block: usize,
}

/// Integers to numbers: `(x - zero_point) * scale`.
///
/// Inputs: `x` (i8, u8, i16, u16 or i32), `scale` (f32), optional `zero_point` of `x`'s type, both shaped as for [`Quantize`]. Source: ONNX
/// DequantizeLinear-21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequantize {
    /// The axis along which scales differ, which may not be the batch.
    pub axis: usize,
    /// Elements along the axis that share a scale, where scales have the axes of `x`; 0 where they do not.
    pub block: usize,
}

/// Numbers to u8, with the scale and the zero point that their range, which includes 0, asks for.
///
/// Input: `x` without a batch, as the range is that of all elements, of which there is at least one. Outputs: the integers (u8), the
/// scale (f32) and the zero point (u8), both without axes. Source: ONNX DynamicQuantizeLinear-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DynamicQuantize {}

/// Checks that `scale`, and `zero_point` where there is one, fit `x`.
fn check_scale(
    arguments: &Arguments<'_, 2, 1>,
    axis: usize,
    block: usize,
    zero_point: DType,
) -> Result<(), Problem> {
    let ([x, scale], [zero]) = (arguments.required, arguments.optional);
    arguments.dtype("scale", scale, DType::F32)?;
    if let Some(zero) = zero {
        arguments.dtype("zero_point", zero, zero_point)?;
        arguments.expect(zero.shape == scale.shape, || "a scale and a zero point of one shape".into())?;
    }
    let dims = x.shape.dims();
    let of_axis = match dims.get(axis) {
        Some(&Dim::Fixed(length)) => Some(length),
        _ => None,
    };
    let fits = match (block, fixed(scale.shape.dims()).as_deref(), of_axis) {
        (0, Some([] | [1]), _) => true,
        (0, Some(&[length]), Some(axis)) => length == axis,
        (1.., _, Some(length)) => {
            let mut blocks = dims.to_vec();
            blocks[axis] = Dim::Fixed(length.div_ceil(block));
            scale.shape.dims() == blocks
        }
        _ => false,
    };
    arguments.expect(fits, || {
        format!("a scale of one element, one for each index of axis {axis}, or one for each block of {block}")
    })
}

/// For each element of `x`, the offset of its scale.
fn scales(x: &[usize], scale: &[usize], axis: usize, block: usize) -> Vec<usize> {
    if block == 0 {
        let length = elements(scale);
        let inner = elements(x.get(axis + 1..).unwrap_or_default());
        return (0..elements(x)).map(|at| if length == 1 { 0 } else { at / inner % length }).collect();
    }
    let steps = strides(scale);
    let mut others = steps.clone();
    others[axis] = 0;
    let (length, inner) = (x[axis], elements(&x[axis + 1..]));
    let along = |at: usize| at / inner % length / block * steps[axis];
    offsets(x, &others).into_iter().enumerate().map(|(at, offset)| offset + along(at)).collect()
}

/// The least and the largest integer of a small type.
fn range(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::I8 => (-128.0, 127.0),
        DType::U8 => (0.0, 255.0),
        DType::I16 => (-32768.0, 32767.0),
        _ => (0.0, 65535.0),
    }
}

/// `x / scale` as f32 has it, rounded to the nearest whole number; 0 for NaN.
fn steps(x: f32, scale: f32) -> f64 {
    let steps = f64::from((x / scale).round_ties_even());
    if steps.is_nan() { 0.0 } else { steps }
}

impl Operator for Quantize {
    fn name(&self) -> &'static str {
        "QuantizeLinear"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2, 1>::new(inputs, ["x", "scale"], ["zero_point"])?;
        let [x, _] = arguments.required;
        arguments.dtype("x", x, DType::F32)?;
        if !matches!(self.to, DType::I8 | DType::U8 | DType::I16 | DType::U16) {
            return Err(Problem::new("i8, u8, i16 or u16 to quantise to", self.to.to_string()));
        }
        check_scale(&arguments, self.axis, self.block, self.to)?;
        Ok(vec![ValueType::new(self.to, x.shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (scale, zero) = (f32s(inputs, 1), optional(inputs, 2).map(integers));
        let places = scales(&outputs[0], tensor(inputs, 1).shape(), self.axis, self.block);
        let (low, high) = range(self.to);
        let values = f32s(inputs, 0).iter().zip(places).map(|(&x, at)| {
            let zero = zero.as_ref().map_or(0.0, |zero| zero[at] as f64);
            (steps(x, scale[at]) + zero).clamp(low, high) as i128
        });
        vec![integer_result(self.to, &outputs[0], values)]
    }
}

impl Operator for Dequantize {
    fn name(&self) -> &'static str {
        "DequantizeLinear"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2, 1>::new(inputs, ["x", "scale"], ["zero_point"])?;
        let [x, _] = arguments.required;
        let small = matches!(x.dtype, DType::I8 | DType::U8 | DType::I16 | DType::U16 | DType::I32);
        arguments.expect(small, || "x of i8, u8, i16, u16 or i32".into())?;
        check_scale(&arguments, self.axis, self.block, x.dtype)?;
        Ok(vec![ValueType::new(DType::F32, x.shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (scale, zero) = (f32s(inputs, 1), optional(inputs, 2).map(integers));
        let places = scales(&outputs[0], tensor(inputs, 1).shape(), self.axis, self.block);
        let values = integers(tensor(inputs, 0)).into_iter().zip(places).map(|(x, at)| {
            let zero = zero.as_ref().map_or(0, |zero| zero[at]);
            (x - zero) as f64 * f64::from(scale[at])
        });
        vec![rounded(&outputs[0], values)]
    }
}

impl Operator for DynamicQuantize {
    fn name(&self) -> &'static str {
        "DynamicQuantizeLinear"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<1>::f32(inputs, ["x"], [])?;
        let [x] = arguments.required;
        arguments.expect(x.shape.batch_axis().is_none(), || {
            "x without a batch, as all its elements decide on the scale".into()
        })?;
        arguments.expect(x.shape.elements_per_sample() != Some(0), || "at least one element".into())?;
        let scalar = |dtype| ValueType::new(dtype, [0usize; 0]);
        Ok(vec![ValueType::new(DType::U8, x.shape.clone()), scalar(DType::F32), scalar(DType::U8)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let x = f32s(inputs, 0);
        let (least, largest) = x.iter().fold((0.0f32, 0.0f32), |(a, b), &x| (a.min(x), b.max(x)));
        let scale = if least == largest { 1.0 / 255.0 } else { (largest - least) / 255.0 };
        let zero = f64::from((-least / scale).round_ties_even()).clamp(0.0, 255.0);
        let values = x.iter().map(|&x| (steps(x, scale) + zero).clamp(0.0, 255.0) as i128);
        vec![
            integer_result(DType::U8, &outputs[0], values),
            result(&[], vec![scale]),
            integer_result(DType::U8, &[], [zero as i128]),
        ]
    }
}
