//! Whether a request fits a signature. Everything a device may rely on is checked here, before a request can reach one.

use std::fmt;

use paceline_device::{Port, Signature};
use paceline_graph::{DType, Tensor};
use smallvec::SmallVec;

use crate::loaded::Variant;
use crate::request::Request;

/// What does not fit about a request's inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The model has no such input.
    #[error("unknown input '{name}'; its inputs are {}", Names(expected))]
    Unknown {
        /// The name given.
        name: String,
        /// The model's inputs.
        expected: Vec<String>,
    },
    /// An input was not given.
    #[error("missing input '{name}'; its inputs are {}", Names(expected))]
    Missing {
        /// The name of the input.
        name: String,
        /// The model's inputs.
        expected: Vec<String>,
    },
    /// An input was given twice.
    #[error("input '{name}' was given twice; its inputs are {}", Names(expected))]
    Duplicate {
        /// The name given.
        name: String,
        /// The model's inputs.
        expected: Vec<String>,
    },
    /// An input has the wrong element type.
    #[error("input '{name}': expected elements of {expected}, got {got}")]
    DType {
        /// The name of the input.
        name: String,
        /// The model's element type.
        expected: DType,
        /// The tensor's element type.
        got: DType,
    },
    /// An input has the wrong shape.
    #[error("input '{name}': expected shape {}, got {got:?}", ShapeOf(expected, *batched))]
    Shape {
        /// The name of the input.
        name: String,
        /// The shape of one sample; the whole shape, when the model has no batch axis.
        expected: Vec<usize>,
        /// Whether axis 0 of the tensor counts the samples, before `expected`.
        batched: bool,
        /// The tensor's shape.
        got: Vec<usize>,
    },
    /// The inputs have shapes that go with none of the model's.
    #[error("input '{name}': expected one of the shapes {}, got {got:?}", ShapesOf(expected, *batched))]
    Shapes {
        /// The name of the first input that does not fit.
        name: String,
        /// The shapes of one sample; whole shapes, when the model has no batch axis.
        expected: Vec<Vec<usize>>,
        /// Whether axis 0 of the tensor counts the samples, before `expected`.
        batched: bool,
        /// The tensor's shape.
        got: Vec<usize>,
    },
    /// Two inputs have different numbers of samples.
    #[error("input '{name}' has {got} samples along axis 0, but input '{first}' has {expected}")]
    Samples {
        /// The name of the input.
        name: String,
        /// Its samples.
        got: usize,
        /// The name of the model's first input.
        first: String,
        /// Samples of the first input.
        expected: usize,
    },
    /// An axis that requests choose the length of is longer than the model was loaded for, or empty.
    #[error("axis '{axis}': expected a length of 1 to {most}, got {got}")]
    Length {
        /// The name of the axis.
        axis: String,
        /// The greatest length.
        most: usize,
        /// The length given.
        got: usize,
    },
    /// No program could be made for the lengths that the request chose.
    #[error("there is no program for {lengths}: {problem}")]
    NoProgram {
        /// The lengths.
        lengths: String,
        /// Why it could not be made.
        problem: String,
    },
    /// The request has no sample.
    #[error("the request has no sample: axis 0 of its inputs is 0")]
    NoSamples,
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}'{name}'", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

struct ShapeOf<'a>(&'a [usize], bool);

impl fmt::Display for ShapeOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = self.1.then(|| "N".to_string());
        let axes: Vec<String> = batch.into_iter().chain(self.0.iter().map(usize::to_string)).collect();
        write!(f, "[{}]", axes.join(", "))
    }
}

struct ShapesOf<'a>(&'a [Vec<usize>], bool);

impl fmt::Display for ShapesOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, shape) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, ShapeOf(shape, self.1))?;
        }
        Ok(())
    }
}

/// The inputs of a request that fits.
#[derive(Debug)]
pub(crate) struct Valid {
    /// One for each input of the signature, in its order.
    pub(crate) inputs: SmallVec<[Tensor; 2]>,
    /// Samples along axis 0; 1 when the program has no batch.
    pub(crate) samples: usize,
    /// Which of the model's variants takes samples of this shape.
    pub(crate) variant: usize,
}

/// Takes the inputs of a request that fits one of the variants, in the signature's order; leaves them where they are when it does
/// not.
pub(crate) fn validate(variants: &[Variant], request: &mut Request<'_>) -> Result<Valid, InputError> {
    arrange(&variants[0].signature, request)?;
    let (samples, variant) = choose_variant(variants, request)?;
    let inputs = std::mem::take(&mut request.inputs);
    Ok(Valid { inputs: inputs.into_iter().map(|(_, tensor)| tensor).collect(), samples, variant })
}

/// The samples of inputs in order, and the variant that they fit.
fn choose_variant(variants: &[Variant], request: &Request<'_>) -> Result<(usize, usize), InputError> {
    let mut shapes: Option<InputError> = None;
    for (index, variant) in variants.iter().enumerate() {
        match count_samples(&variant.signature, request) {
            Ok(samples) => return Ok((samples, index)),
            Err(InputError::Shape { name, expected, batched, got }) => match &mut shapes {
                Some(InputError::Shapes { expected: all, .. }) => all.push(expected),
                _ => shapes = Some(InputError::Shapes { name, expected: vec![expected], batched, got }),
            },
            Err(other) => return Err(other),
        }
    }
    match shapes {
        Some(InputError::Shapes { name, mut expected, batched, got }) if expected.len() == 1 => {
            Err(InputError::Shape { name, expected: expected.remove(0), batched, got })
        }
        Some(error) => Err(error),
        None => unreachable!("a model has at least one variant"),
    }
}

/// Puts the inputs in order, when each is given once.
fn arrange(signature: &Signature, request: &mut Request<'_>) -> Result<(), InputError> {
    let (ports, inputs) = (&signature.inputs, &mut request.inputs);
    if ports.len() == inputs.len()
        && ports.iter().zip(inputs.iter()).all(|(port, (name, _))| port.name == *name)
    {
        return Ok(());
    }
    let expected = || ports.iter().map(|port| port.name.clone()).collect();
    for (i, &(name, _)) in inputs.iter().enumerate() {
        if !ports.iter().any(|port| port.name == name) {
            return Err(InputError::Unknown { name: name.to_string(), expected: expected() });
        }
        if inputs[..i].iter().any(|(earlier, _)| *earlier == name) {
            return Err(InputError::Duplicate { name: name.to_string(), expected: expected() });
        }
    }
    if let Some(port) = ports.iter().find(|port| !inputs.iter().any(|(name, _)| *name == port.name)) {
        return Err(InputError::Missing { name: port.name.clone(), expected: expected() });
    }
    inputs.sort_by_key(|(name, _)| ports.iter().position(|port| port.name == *name));
    Ok(())
}

/// The samples of inputs in order.
fn count_samples(signature: &Signature, request: &Request<'_>) -> Result<usize, InputError> {
    let mut samples = None;
    for (port, (_, tensor)) in signature.inputs.iter().zip(&request.inputs) {
        let got = check_tensor(port, tensor, signature.batched)?;
        let expected = *samples.get_or_insert(got);
        if got != expected {
            let first = signature.inputs[0].name.clone();
            return Err(InputError::Samples { name: port.name.clone(), got, first, expected });
        }
    }
    match samples.unwrap_or(1) {
        0 => Err(InputError::NoSamples),
        samples => Ok(samples),
    }
}

/// The tensor's samples.
fn check_tensor(port: &Port, tensor: &Tensor, batched: bool) -> Result<usize, InputError> {
    if tensor.dtype() != port.dtype {
        let name = port.name.clone();
        return Err(InputError::DType { name, expected: port.dtype, got: tensor.dtype() });
    }
    match tensor.shape() {
        [samples, shape @ ..] if batched && shape == port.shape => Ok(*samples),
        shape if !batched && shape == port.shape => Ok(1),
        shape => Err(InputError::Shape {
            name: port.name.clone(),
            expected: port.shape.clone(),
            batched,
            got: shape.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use paceline_device::fake::port;

    use super::*;

    fn variant(batched: bool, width: usize) -> Variant {
        let inputs = vec![port("x", DType::F32, &[width]), port("mask", DType::Bool, &[])];
        let signature = Signature { inputs, outputs: vec![port("y", DType::F32, &[2])], batched };
        Variant { signature: Arc::new(signature), max_samples: 8 }
    }

    fn variants(batched: bool) -> [Variant; 1] {
        [variant(batched, 2)]
    }

    #[test]
    fn of_several_shapes_the_one_that_fits_is_chosen() {
        let variants = [variant(true, 2), variant(true, 5)];
        let request =
            |width| Request::new([("x", zeros(DType::F32, &[3, width])), ("mask", zeros(DType::Bool, &[3]))]);
        for (width, expected) in [(2, 0), (5, 1)] {
            assert_eq!(validate(&variants, &mut request(width)).unwrap().variant, expected);
        }
        let problem = validate(&variants, &mut request(4)).unwrap_err();
        assert_eq!(problem.to_string(), "input 'x': expected one of the shapes [N, 2], [N, 5], got [3, 4]");
    }

    fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
        Tensor::zeros(dtype, shape).unwrap()
    }

    #[test]
    fn a_table_of_refusals() {
        let x = || ("x", zeros(DType::F32, &[3, 2]));
        let mask = || ("mask", zeros(DType::Bool, &[3]));
        let cases = [
            (vec![x()], "missing input 'mask'; its inputs are 'x', 'mask'"),
            (vec![], "missing input 'x'; its inputs are 'x', 'mask'"),
            (vec![x(), mask(), ("z", Tensor::scalar(0.0))], "unknown input 'z'; its inputs are 'x', 'mask'"),
            (vec![x(), mask(), x()], "input 'x' was given twice; its inputs are 'x', 'mask'"),
            (vec![("x", zeros(DType::I64, &[3, 2])), mask()], "input 'x': expected elements of f32, got i64"),
            (vec![("x", zeros(DType::F32, &[3, 4])), mask()], "input 'x': expected shape [N, 2], got [3, 4]"),
            (vec![("x", zeros(DType::F32, &[2])), mask()], "input 'x': expected shape [N, 2], got [2]"),
            (vec![x(), ("mask", zeros(DType::Bool, &[]))], "input 'mask': expected shape [N], got []"),
            (
                vec![x(), ("mask", zeros(DType::Bool, &[4]))],
                "input 'mask' has 4 samples along axis 0, but input 'x' has 3",
            ),
            (
                vec![("x", zeros(DType::F32, &[0, 2])), ("mask", zeros(DType::Bool, &[0]))],
                "the request has no sample: axis 0 of its inputs is 0",
            ),
        ];
        for (inputs, expected) in cases {
            let mut request = Request::new(inputs.clone());
            let problem = validate(&variants(true), &mut request).unwrap_err();
            assert_eq!(problem.to_string(), expected);
            assert_eq!(request.inputs.into_vec(), inputs);
        }
    }

    #[test]
    fn inputs_are_put_in_order() {
        let (x, mask) = (zeros(DType::F32, &[3, 2]), zeros(DType::Bool, &[3]));
        for inputs in [[("x", x.clone()), ("mask", mask.clone())], [("mask", mask.clone()), ("x", x.clone())]]
        {
            let valid = validate(&variants(true), &mut Request::new(inputs)).unwrap();
            assert_eq!(valid.samples, 3);
            assert_eq!(valid.inputs[..], [x.clone(), mask.clone()]);
        }
    }

    #[test]
    fn without_a_batch_axis_the_whole_shape_counts() {
        let request = |shape: &[usize]| {
            Request::new([("x", zeros(DType::F32, shape)), ("mask", zeros(DType::Bool, &[]))])
        };
        assert_eq!(validate(&variants(false), &mut request(&[2])).unwrap().samples, 1);
        let problem = validate(&variants(false), &mut request(&[1, 2])).unwrap_err();
        assert_eq!(problem.to_string(), "input 'x': expected shape [2], got [1, 2]");
    }
}
