//! What reference evaluations share: reading inputs, sums and maxima, making results.

use crate::{DType, Data, Element, Elements, Tensor, by_type};

/// A required input.
pub(super) fn tensor<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> &'a Tensor {
    inputs[index].expect("the shape rule checks that required inputs are there")
}

/// An optional input; it may be left out at the end of the list as well.
pub(super) fn optional<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a Tensor> {
    inputs.get(index).copied().flatten()
}

/// The elements of a required f32 input.
pub(super) fn f32s<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> &'a [f32] {
    elements(tensor(inputs, index))
}

/// The elements of an optional f32 input.
pub(super) fn optional_f32s<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a [f32]> {
    optional(inputs, index).map(elements)
}

/// A result of these elements.
pub(super) fn result(shape: &[usize], data: impl Into<Data>) -> Tensor {
    Tensor::new(shape, data).expect("an evaluation computes as many elements as the shape rule says")
}

/// A result rounded to f32, once.
pub(super) fn rounded(shape: &[usize], values: impl IntoIterator<Item = f64>) -> Tensor {
    result(shape, values.into_iter().map(|v| v as f32).collect::<Vec<f32>>())
}

/// The elements of any type as f64, each the nearest one.
pub(super) fn reals(tensor: &Tensor) -> Vec<f64> {
    by_type!(Data, tensor.data(), v => v.iter().map(|x| x.to_f64()).collect())
}

/// The elements of an integer type, or bool, as they are.
pub(super) fn integers(tensor: &Tensor) -> Vec<i128> {
    by_type!(Data, tensor.data(), v => v.iter().map(|x| x.to_integer()).collect())
}

/// A result of these numbers, each rounded to the element type once.
pub(super) fn real_result(dtype: DType, shape: &[usize], values: impl IntoIterator<Item = f64>) -> Tensor {
    fn fill<T: Element>(mut to: Elements<T>, values: impl IntoIterator<Item = f64>) -> Data {
        to.extend(values.into_iter().map(T::from_f64));
        T::data(to)
    }
    result(shape, by_type!(Data, Data::zeros(dtype, 0), v => fill(v, values)))
}

/// A result of these integers, each modulo the range of the element type.
pub(super) fn integer_result(
    dtype: DType,
    shape: &[usize],
    values: impl IntoIterator<Item = i128>,
) -> Tensor {
    fn fill<T: Element>(mut to: Elements<T>, values: impl IntoIterator<Item = i128>) -> Data {
        to.extend(values.into_iter().map(T::from_integer));
        T::data(to)
    }
    result(shape, by_type!(Data, Data::zeros(dtype, 0), v => fill(v, values)))
}

/// A result of numbers that are exact in f64, of any element type.
pub(super) fn number_result(dtype: DType, shape: &[usize], values: impl IntoIterator<Item = f64>) -> Tensor {
    if dtype.is_float() {
        real_result(dtype, shape, values)
    } else {
        integer_result(dtype, shape, values.into_iter().map(|x| x as i128))
    }
}

/// The sum in order, beginning with 0 (the standard library's begins with -0).
pub(super) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |sum, value| sum + value)
}

/// The larger one; NaN if one is NaN.
pub(super) fn maximum(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

fn elements(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("the shape rule checks element types")
}
