//! The requests that one execution serves: where their inputs lie and where their results go.

use paceline_graph::{DType, Data};
use smallvec::SmallVec;

use crate::{BatchError, Port, Signature};

/// Elements of one input of one caller, row-major.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the variants are the element types")]
pub enum View<'a> {
    F32(&'a [f32]),
    I64(&'a [i64]),
    Bool(&'a [bool]),
}

/// Where the rows of one output of one caller go, row-major.
#[derive(Debug)]
#[allow(missing_docs, reason = "the variants are the element types")]
pub enum ViewMut<'a> {
    F32(&'a mut [f32]),
    I64(&'a mut [i64]),
    Bool(&'a mut [bool]),
}

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

impl<'a> View<'a> {
    /// All elements of a tensor.
    pub fn of(data: &'a Data) -> Self {
        match data {
            Data::F32(v) => View::F32(v),
            Data::I64(v) => View::I64(v),
            Data::Bool(v) => View::Bool(v),
            other => unreachable!("{} tensors have no view", other.dtype()),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            View::F32(_) => DType::F32,
            View::I64(_) => DType::I64,
            View::Bool(_) => DType::Bool,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            View::F32(v) => v.len(),
            View::I64(v) => v.len(),
            View::Bool(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements `start..end`.
    ///
    /// # Panics
    /// When the range lies outside.
    pub fn slice(self, start: usize, end: usize) -> Self {
        match self {
            View::F32(v) => View::F32(&v[start..end]),
            View::I64(v) => View::I64(&v[start..end]),
            View::Bool(v) => View::Bool(&v[start..end]),
        }
    }
}

impl<'a> ViewMut<'a> {
    /// All elements of a tensor.
    pub fn of(data: &'a mut Data) -> Self {
        match data {
            Data::F32(v) => ViewMut::F32(v),
            Data::I64(v) => ViewMut::I64(v),
            Data::Bool(v) => ViewMut::Bool(v),
            other => unreachable!("{} tensors have no view", other.dtype()),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            ViewMut::F32(_) => DType::F32,
            ViewMut::I64(_) => DType::I64,
            ViewMut::Bool(_) => DType::Bool,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            ViewMut::F32(v) => v.len(),
            ViewMut::I64(v) => v.len(),
            ViewMut::Bool(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
