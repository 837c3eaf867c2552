//! Conversion of element types.

use super::Operator;
use super::check::Arguments;
use super::operands::{integer_result, integers, real_result, reals, tensor};
use crate::{DType, Problem, Tensor, ValueType};

/// The same elements as another type.
///
/// Floating-point numbers become integers towards zero; beyond the type's range they saturate, and NaN gives 0 (ONNX leaves both
/// open). Integers wrap. What is not 0 is `true`. Source: ONNX Cast-24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// The element type of the output.
    pub to: DType,
}

impl Operator for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let [x] = Arguments::<1>::new(inputs, ["x"], [])?.required;
        Ok(vec![ValueType::new(self.to, x.shape.clone())])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (x, shape) = (tensor(inputs, 0), &outputs[0]);
        vec![if x.dtype().is_float() {
            real_result(self.to, shape, reals(x))
        } else {
            integer_result(self.to, shape, integers(x))
        }]
    }
}
