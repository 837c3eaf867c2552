//! Owned, dense, row-major tensors.

use std::sync::Arc;

use crate::dim::checked_elements;
use crate::{DType, Element, Elements, Store, by_dtype, by_type, element_types};

/// A dense row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

macro_rules! data {
    ($($variant:ident($ty:ty, $name:literal, $doc:literal),)*) => {
        /// A tensor's elements in row-major order.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Data {
            $(#[doc = concat!("Elements of [`DType::", stringify!($variant), "`].")] $variant(Elements<$ty>),)*
        }

        impl Data {
            /// The element type.
            pub fn dtype(&self) -> DType {
                match self {
                    $(Data::$variant(_) => DType::$variant,)*
                }
            }

            /// `len` zeros (`false` for booleans).
            pub fn zeros(dtype: DType, len: usize) -> Self {
                match dtype {
                    $(DType::$variant => Data::$variant(vec![<$ty>::default(); len].into()),)*
                }
            }
        }
    };
}

element_types!(data);

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

/// Conversions for the usual types only, so that `vec![1.0, 2.0]` is f32 and `vec![1, 2]` is i64 without more ado; for the
/// others there is [`Data::of`].
macro_rules! from_vec {
    ($($ty:ty),*) => { $(
        impl From<Vec<$ty>> for Data {
            fn from(v: Vec<$ty>) -> Self {
                Data::of(v)
            }
        }
    )* };
}

from_vec!(f32, i64, bool);

impl Data {
    /// Elements of any type.
    pub fn of<T: Element>(elements: Vec<T>) -> Self {
        T::data(elements.into())
    }

    /// Elements that lie in a store; `None` where its bytes are no such elements, see [`Elements::stored`].
    pub fn stored(dtype: DType, store: Arc<dyn Store>) -> Option<Self> {
        by_dtype!(dtype, T => Elements::<T>::stored(store).map(T::data))
    }

    /// Whether the elements lie in a store.
    pub fn is_stored(&self) -> bool {
        by_type!(Data, self, v => v.is_stored())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        by_type!(Data, self, v => v.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        Tensor { shape: Vec::new(), data: Data::of(vec![value]) }
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

    /// Gives back memory for the elements, where they can be had again when they are next read: pages of a mapped file.
    pub fn release(&self) {
        by_type!(Data, &self.data, v => v.release());
    }

    /// The elements, to be overwritten.
    pub fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }

    /// The elements, without the shape.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements, when they are of this type.
    pub fn elements<T: Element>(&self) -> Option<&[T]> {
        T::of(&self.data)
    }

    /// The elements, when they are [`DType::F32`].
    pub fn as_f32(&self) -> Option<&[f32]> {
        self.elements()
    }

    /// The elements, when they are [`DType::I64`].
    pub fn as_i64(&self) -> Option<&[i64]> {
        self.elements()
    }

    /// The elements, when they are [`DType::Bool`].
    pub fn as_bool(&self) -> Option<&[bool]> {
        self.elements()
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
