//! The requests that one execution serves: where their inputs lie and where their results go.

use paceline_graph::{DType, Data, by_type, element_types};
use smallvec::SmallVec;

use crate::{BatchError, Port, Signature};

macro_rules! views {
    ($($variant:ident($ty:ty, $name:literal, $doc:literal),)*) => {
        /// Elements of one input of one caller, row-major.
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "the variants are the element types")]
        pub enum View<'a> {
            $($variant(&'a [$ty]),)*
        }

        /// Where the rows of one output of one caller go, row-major.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the variants are the element types")]
        pub enum ViewMut<'a> {
            $($variant(&'a mut [$ty]),)*
        }

        impl<'a> View<'a> {
            /// All elements of a tensor.
            pub fn of(data: &'a Data) -> Self {
                match data {
                    $(Data::$variant(v) => View::$variant(v),)*
                }
            }

            /// The element type.
            pub fn dtype(&self) -> DType {
                match self {
                    $(View::$variant(_) => DType::$variant,)*
                }
            }

            /// Elements `start..end`.
            ///
            /// # Panics
            /// When the range lies outside.
            pub fn slice(self, start: usize, end: usize) -> Self {
                match self {
                    $(View::$variant(v) => View::$variant(&v[start..end]),)*
                }
            }
        }

        impl<'a> ViewMut<'a> {
            /// All elements of a tensor.
            pub fn of(data: &'a mut Data) -> Self {
                match data {
                    $(Data::$variant(v) => ViewMut::$variant(v),)*
                }
            }

            /// The element type.
            pub fn dtype(&self) -> DType {
                match self {
                    $(ViewMut::$variant(_) => DType::$variant,)*
                }
            }

            /// Elements `start..end`.
            ///
            /// # Panics
            /// When the range lies outside.
            pub fn slice(self, start: usize, end: usize) -> Self {
                match self {
                    $(ViewMut::$variant(v) => ViewMut::$variant(&mut v[start..end]),)*
                }
            }
        }
    };
}

element_types!(views);

/// One caller's share of a batch.
#[derive(Debug)]
pub struct Part<'a> {
    /// Rows along the batch axis; 1 when the program has no batch.
    pub samples: usize,
    /// One a program input, in the signature's order.
    pub inputs: SmallVec<[View<'a>; 4]>,
    /// One a program output, in the signature's order.
    pub outputs: SmallVec<[ViewMut<'a>; 2]>,
}

/// The parts that one execution serves, in order.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    parts: SmallVec<[Part<'a>; 1]>,
    open_to_help: bool,
}

impl<'a> Batch<'a> {
    /// A batch without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch without parts, with room for this many.
    pub fn with_capacity(parts: usize) -> Self {
        Batch { parts: SmallVec::with_capacity(parts), open_to_help: false }
    }

    /// A batch of one part.
    pub fn of(part: Part<'a>) -> Self {
        let mut batch = Self::new();
        batch.push(part);
        batch
    }

    /// Adds a caller's share.
    pub fn push(&mut self, part: Part<'a>) {
        self.parts.push(part);
    }

    /// Opens the execution of this batch to threads that call [`Program::help`](crate::Program::help), or closes it. Closed to
    /// begin with: a session then pays nothing for the possibility.
    pub fn open_to_help(&mut self, open: bool) {
        self.open_to_help = open;
    }

    /// Whether threads that call [`Program::help`](crate::Program::help) may take part in the execution.
    pub fn is_open_to_help(&self) -> bool {
        self.open_to_help
    }

    /// Samples of all parts; saturates.
    pub fn samples(&self) -> usize {
        self.parts.iter().fold(0, |samples, part| samples.saturating_add(part.samples))
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The parts, in order, to write their outputs.
    pub fn parts_mut(&mut self) -> &mut [Part<'a>] {
        &mut self.parts
    }

    /// Whether every part has the inputs and outputs of `signature`, of the right types and lengths, and there are at most
    /// `max_samples`. A session calls this before it trusts a batch.
    pub fn check(&self, signature: &Signature, max_samples: usize) -> Result<(), BatchError> {
        if self.samples() > max_samples {
            return Err(BatchError::TooManySamples { max: max_samples, got: self.samples() });
        }
        for part in &self.parts {
            if part.inputs.len() != signature.inputs.len() || part.outputs.len() != signature.outputs.len() {
                return Err(BatchError::Ports {
                    expected: (signature.inputs.len(), signature.outputs.len()),
                    got: (part.inputs.len(), part.outputs.len()),
                });
            }
            for (port, view) in signature.inputs.iter().zip(&part.inputs) {
                check_port(port, part.samples, view.dtype(), view.len())?;
            }
            for (port, view) in signature.outputs.iter().zip(&part.outputs) {
                check_port(port, part.samples, view.dtype(), view.len())?;
            }
        }
        Ok(())
    }
}

fn check_port(port: &Port, samples: usize, dtype: DType, len: usize) -> Result<(), BatchError> {
    if dtype != port.dtype || Some(len) != port.elements.checked_mul(samples) {
        return Err(BatchError::Port {
            name: port.name.clone(),
            samples,
            expected: (port.dtype, port.elements.saturating_mul(samples)),
            got: (dtype, len),
        });
    }
    Ok(())
}

impl View<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        by_type!(View, self, v => v.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, copied.
    pub fn to_data(self) -> Data {
        by_type!(View, self, v => Data::of(v.to_vec()))
    }

    /// Appends the elements to `data`.
    ///
    /// # Panics
    /// When the element types differ.
    pub fn append_to(self, data: &mut Data) {
        by_type!(
            View, self, Data, &mut *data,
            (v, to) => to.to_mut().extend_from_slice(v),
            else panic!("{} is not appended to {}", self.dtype(), data.dtype())
        );
    }
}

impl ViewMut<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        by_type!(ViewMut, self, v => v.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Overwrites the elements.
    ///
    /// # Panics
    /// When lengths or element types differ.
    pub fn copy_from(&mut self, view: View<'_>) {
        let dtype = self.dtype();
        by_type!(
            ViewMut, self, View, view,
            (to, from) => to.copy_from_slice(from),
            else panic!("{} is not copied to {dtype}", view.dtype())
        );
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::fake::rows;

    #[test]
    fn a_batch_counts_the_samples_that_its_parts_have_now() {
        let (x, mut y) = ([0.0; 4], [0.0; 4]);
        let (inputs, outputs) = (smallvec![View::F32(&x)], smallvec![ViewMut::F32(&mut y)]);
        let mut batch = Batch::of(Part { samples: 2, inputs, outputs });
        assert_eq!((batch.samples(), batch.check(&rows(2), 2)), (2, Ok(())));
        batch.parts_mut()[0].samples = 1;
        assert_eq!(batch.samples(), 1);
        assert!(matches!(batch.check(&rows(2), 2), Err(BatchError::Port { .. })));
    }

    #[test]
    fn samples_that_overflow_are_too_many() {
        let empty = |samples| Part {
            samples,
            inputs: smallvec![View::F32(&[])],
            outputs: smallvec![ViewMut::F32(&mut [])],
        };
        let mut batch = Batch::of(empty(usize::MAX));
        batch.push(empty(2));
        assert_eq!(batch.check(&rows(0), 8), Err(BatchError::TooManySamples { max: 8, got: usize::MAX }));
    }
}
