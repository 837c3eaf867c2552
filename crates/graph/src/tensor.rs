//! Owned, dense, row-major tensors.

use crate::DType;
use crate::dim::checked_elements;

/// A dense row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// A tensor's elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// Elements of [`DType::F32`].
    F32(Vec<f32>),
    /// Elements of [`DType::I64`].
    I64(Vec<i64>),
    /// Elements of [`DType::Bool`].
    Bool(Vec<bool>),
}

/// Why a tensor could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape and the data disagree.
    #[error("a tensor of shape {shape:?} has {expected} elements, but {got} were given")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// Elements such a shape has.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// The number of elements does not fit in memory.
    #[error("a tensor of shape {shape:?} has more elements than memory can hold")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
    },
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::I64(_) => DType::I64,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` zeros (`false` for booleans).
    pub fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::F32 => Data::F32(vec![0.0; len]),
            DType::I64 => Data::I64(vec![0; len]),
            DType::Bool => Data::Bool(vec![false; len]),
        }
    }
}

impl From<Vec<f32>> for Data {
    fn from(v: Vec<f32>) -> Self {
        Data::F32(v)
    }
}

impl From<Vec<i64>> for Data {
    fn from(v: Vec<i64>) -> Self {
        Data::I64(v)
    }
}

impl From<Vec<bool>> for Data {
    fn from(v: Vec<bool>) -> Self {
        Data::Bool(v)
    }
}

impl Tensor {
    /// A tensor of this shape with these elements in row-major order.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Data>) -> Result<Self, TensorError> {
        let (shape, data) = (shape.into(), data.into());
        let expected = elements(&shape)?;
        if expected != data.len() {
            return Err(TensorError::Length { shape, expected, got: data.len() });
        }
        Ok(Tensor { shape, data })
    }

    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Self, TensorError> {
        let shape = shape.into();
        let data = Data::zeros(dtype, elements(&shape)?);
        Ok(Tensor { shape, data })
    }

    /// A tensor without axes.
    pub fn scalar(value: f32) -> Self {
        Tensor { shape: Vec::new(), data: Data::F32(vec![value]) }
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, to be overwritten.
    pub fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }

    /// The elements, without the shape.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements, when they are [`DType::F32`].
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, when they are [`DType::I64`].
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, when they are [`DType::Bool`].
    pub fn as_bool(&self) -> Option<&[bool]> {
        match &self.data {
            Data::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// The same elements under another shape of as many elements.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self, TensorError> {
        Tensor::new(shape, self.data)
    }
}

/// Number of elements of a shape; an error where that, in bytes, does not fit in `isize`.
fn elements(shape: &[usize]) -> Result<usize, TensorError> {
    checked_elements(shape.iter().copied())
        .filter(|&n| n <= isize::MAX as usize / 8)
        .ok_or_else(|| TensorError::TooLarge { shape: shape.to_vec() })
}
