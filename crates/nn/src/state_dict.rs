//! The weights of a module under PyTorch's names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use paceline_graph::{DType, Tensor};

use crate::random::Random;
use crate::{Initial, Mismatch, Misshapen, Module, Parameter, Parameters, StateDictError, file};

/// Tensors by name: what PyTorch calls a `state_dict`. None of them holds NaN.
///
/// Cheap to clone, and the graphs built from it share its tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    tensors: BTreeMap<String, Arc<Tensor>>,
}

impl StateDict {
    /// A state dict of these tensors; an error that names all those that contain NaN.
    pub fn new(
        tensors: impl IntoIterator<Item = (impl Into<String>, impl Into<Arc<Tensor>>)>,
    ) -> Result<Self, StateDictError> {
        let tensors: BTreeMap<String, Arc<Tensor>> =
            tensors.into_iter().map(|(name, tensor)| (name.into(), tensor.into())).collect();
        let has_nan = |tensor: &Tensor| tensor.as_f32().is_some_and(|v| v.iter().any(|x| x.is_nan()));
        let bad: Vec<String> =
            tensors.iter().filter(|(_, tensor)| has_nan(tensor)).map(|(name, _)| name.clone()).collect();
        if !bad.is_empty() {
            return Err(StateDictError::NotANumber { tensors: bad });
        }
        Ok(StateDict { tensors })
    }

    /// Weights drawn from `seed` with PyTorch's default distributions; the same on every machine.
    ///
    /// # Panics
    /// When a parameter has more elements than memory can hold.
    pub fn random(module: &(impl Module + ?Sized), seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self::filled(module, |parameter| initial(parameter, &mut random))
    }

    /// Like [`StateDict::random`], but what PyTorch starts at zero or one (biases, norms, running statistics) is moved
    /// away by up to a half, so that a test notices when one of them is not used.
    ///
    /// # Panics
    /// As [`StateDict::random`].
    pub fn scattered(module: &(impl Module + ?Sized), seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self::filled(module, |parameter| {
            let mut elements = initial(parameter, &mut random);
            if matches!(parameter.initial, Initial::Zeros | Initial::Ones) {
                elements.iter_mut().for_each(|x| *x += random.uniform(0.5));
            }
            elements
        })
    }

    /// Zeros throughout, for when only the graph's shape matters: the memory is reserved, not touched.
    ///
    /// # Panics
    /// As [`StateDict::random`].
    pub fn zeros(module: &(impl Module + ?Sized)) -> Self {
        Self::filled(module, |parameter| vec![0.0; parameter.elements()])
    }

    /// Reads a safetensors file, such as `safetensors.torch.save_file(module.state_dict(), path)` writes.
    ///
    /// F16, BF16 and F64 become f32; F32, BOOL and integers, signed or not, of 8 to 64 bits stay as they are. Memory is taken only for what the file really
    /// holds, whatever its header says.
    pub fn from_safetensors(path: impl AsRef<Path>) -> Result<Self, StateDictError> {
        let path = path.as_ref();
        let failed = |error| StateDictError::Read { path: path.into(), error };
        let reader = BufReader::new(File::open(path).map_err(failed)?);
        Self::new(file::read(reader, failed)?.tensors)
    }

    /// Reads the content of a safetensors file, as [`StateDict::from_safetensors`] does.
    pub fn from_safetensors_bytes(bytes: &[u8]) -> Result<Self, StateDictError> {
        let failed = |error: std::io::Error| StateDictError::Malformed { problem: error.to_string() };
        Self::new(file::read(bytes, failed)?.tensors)
    }

    /// Writes a safetensors file that PyTorch loads with `load_state_dict(safetensors.torch.load_file(path))`.
    ///
    /// The file appears whole under its name or not at all: it is written beside it first.
    pub fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<(), StateDictError> {
        let path = path.as_ref();
        file::write(self.iter(), path).map_err(|error| StateDictError::Write { path: path.into(), error })
    }

    /// Every difference from what `module` declares, if there is one.
    pub fn check(&self, module: &(impl Module + ?Sized)) -> Result<(), Mismatch> {
        let declared = Parameters::of(module);
        let mut mismatch = Mismatch::default();
        let mut surplus = self.tensors.clone();
        for name in declared.ignored_names() {
            surplus.remove(name);
        }
        for parameter in declared.list() {
            surplus.remove(&parameter.name);
            let Some(tensor) = self.get(&parameter.name) else {
                mismatch.missing.push((parameter.name.clone(), parameter.shape.clone()));
                continue;
            };
            if tensor.shape() != parameter.shape {
                mismatch.misshapen.push(Misshapen {
                    name: parameter.name.clone(),
                    expected: parameter.shape.clone(),
                    got: tensor.shape().to_vec(),
                });
            }
            if tensor.dtype() != DType::F32 {
                mismatch.mistyped.push((parameter.name.clone(), tensor.dtype()));
            }
        }
        mismatch.surplus =
            surplus.into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
        if mismatch.is_empty() { Ok(()) } else { Err(mismatch) }
    }

    /// The tensor under a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Tensor>> {
        self.tensors.get(name)
    }

    /// All tensors by name, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Tensor>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    fn filled(module: &(impl Module + ?Sized), mut fill: impl FnMut(&Parameter) -> Vec<f32>) -> Self {
        let tensor = |parameter: &Parameter| {
            let tensor = Tensor::new(parameter.shape.clone(), fill(parameter));
            Arc::new(tensor.expect("a parameter's elements fit in memory"))
        };
        let declared = Parameters::of(module);
        let names = declared.list().iter().map(|parameter| parameter.name.clone());
        let tensors = names.zip(declared.list().iter().map(tensor)).collect();
        StateDict { tensors }
    }
}

fn initial(parameter: &Parameter, random: &mut Random) -> Vec<f32> {
    let elements = parameter.elements();
    match parameter.initial {
        Initial::Zeros => vec![0.0; elements],
        Initial::Ones => vec![1.0; elements],
        Initial::Uniform { bound } => (0..elements).map(|_| random.uniform(bound)).collect(),
        Initial::Normal { zero_row } => {
            let mut values: Vec<f32> = (0..elements).map(|_| random.normal()).collect();
            let rows = parameter.shape.first().copied().unwrap_or(1);
            if let Some(row) = zero_row.filter(|&row| row < rows) {
                let width = elements / rows;
                values[row * width..(row + 1) * width].fill(0.0);
            }
            values
        }
    }
}
