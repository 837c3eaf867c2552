//! One case: a model, inputs for it, and the outputs that it must have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use paceline::onnx::{BatchAxis, ImportOptions, OnnxError, UnsupportedOperator, read, read_tensor};
use paceline::seam::{Batch, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline::{Graph, Tensor};
use serde::Deserialize;

/// Units in the last place by which half precision may be off where only the result is rounded.
const HALF_UNITS: f64 = 1.0;
/// The same of Attention, where what ONNX says is rounded after every step: scaling, products, softmax.
const HALF_UNITS_OF_ATTENTION: f64 = 2.0;

/// One case.
pub struct Case {
    pub name: String,
    /// The operator that it tests.
    pub operator: String,
    rtol: f64,
    atol: f64,
    /// Element types of the outputs as ONNX writes them, such as `FLOAT16`.
    output_types: Vec<String>,
    /// Inputs or outputs that are no tensors.
    not_tensors: bool,
    directory: PathBuf,
}

/// What came of a case.
pub enum Outcome {
    Pass,
    /// For each reason the operator, and what about it is not supported; nothing where all of it is not.
    Unsupported(Vec<(String, String)>),
    Fail(String),
}

/// What the script that fetches the cases writes beside each.
#[derive(Deserialize)]
struct Description {
    operator: String,
    rtol: f64,
    atol: f64,
    output_types: Vec<String>,
    not_tensors: bool,
}

impl Case {
    /// All cases of a directory, by name.
    pub fn all(directory: &Path) -> Result<Vec<Case>> {
        let entries =
            fs::read_dir(directory).with_context(|| format!("no cases in '{}'", directory.display()))?;
        let mut cases = Vec::new();
        for entry in entries {
            let directory = entry?.path();
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(directory.join("case.json"))?;
            let Description { operator, rtol, atol, output_types, not_tensors } =
                serde_json::from_str(&text)?;
            cases.push(Case { name, operator, rtol, atol, output_types, not_tensors, directory });
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    /// Runs the case on a device.
    pub fn run(&self, device: &dyn Device) -> Result<Outcome> {
        if self.not_tensors {
            let reason = "inputs or outputs that are not tensors";
            return Ok(Outcome::Unsupported(vec![("model".into(), reason.into())]));
        }
        let options = ImportOptions::default().batch(BatchAxis::None);
        for set in 0.. {
            let directory = self.directory.join(format!("test_data_set_{set}"));
            if !directory.is_dir() {
                break;
            }
            match self.check(&directory, options.clone(), device) {
                Ok(()) => {}
                Err(error) => match error.downcast_ref::<OnnxError>() {
                    Some(OnnxError::Unsupported(operators)) => {
                        return Ok(Outcome::Unsupported(operators.iter().map(reason).collect()));
                    }
                    Some(OnnxError::UnboundAxes { .. }) => {
                        return Ok(Outcome::Unsupported(vec![(
                            "model".into(),
                            "axes without a length".into(),
                        )]));
                    }
                    _ => return Ok(Outcome::Fail(one_line(&format!("{error:#}")))),
                },
            }
        }
        Ok(Outcome::Pass)
    }

    /// Reads the model, with the inputs that must be known then bound to their values.
    fn read(&self, given: &[(String, Tensor)], mut options: ImportOptions) -> Result<Graph, OnnxError> {
        loop {
            let error = match read(self.directory.join("model.onnx"), &options) {
                Ok(imported) => return Ok(imported.graph),
                Err(error) => error,
            };
            let OnnxError::Unsupported(operators) = &error else { return Err(error) };
            let unknown: Vec<&String> = operators.iter().flat_map(|operator| &operator.unknown).collect();
            let bound = options.bound.len();
            for (name, tensor) in given.iter().filter(|(name, _)| unknown.contains(&name)) {
                options = options.bind(name, tensor.clone());
            }
            if options.bound.len() == bound {
                return Err(error);
            }
        }
    }

    fn check(&self, directory: &Path, options: ImportOptions, device: &dyn Device) -> Result<()> {
        if !tensors_are_readable(directory) {
            return Err(self
                .read(&[], options)
                .err()
                .map_or_else(|| anyhow::anyhow!("unreadable data"), Into::into));
        }
        let given = tensors(directory, "input")?;
        let graph = &self.read(&given, options)?;
        let inputs: Vec<Tensor> = graph
            .inputs()
            .iter()
            .map(|&value| {
                let name = &graph.value(value).name;
                let found = given.iter().find(|(given, _)| given == name);
                found.map(|(_, tensor)| tensor.clone()).with_context(|| format!("no data for input '{name}'"))
            })
            .collect::<Result<_>>()?;
        let outputs = run(graph, &inputs, device)?;
        let expected = tensors(directory, "output")?;
        for (index, (name, expected)) in expected.iter().enumerate() {
            let position = graph.outputs().iter().position(|output| output.name == *name);
            let got = &outputs[position.with_context(|| format!("no output '{name}'"))?];
            let units = match self.operator.to_ascii_lowercase().ends_with("attention") {
                true => HALF_UNITS_OF_ATTENTION,
                false => HALF_UNITS,
            };
            let half = self.output_types.get(index).and_then(|ty| unit(ty)).map(|unit| units * unit);
            compare(name, got, expected, self.rtol, self.atol, half)?;
        }
        Ok(())
    }
}

/// Whether all tensors are of types that are supported; if not, the model says so better.
fn tensors_are_readable(directory: &Path) -> bool {
    tensors(directory, "input").is_ok() && tensors(directory, "output").is_ok()
}

/// In few words, without the names of nodes.
fn reason(unsupported: &UnsupportedOperator) -> (String, String) {
    let what = match &unsupported.problem {
        Some(problem) => one_line(problem),
        None if unsupported.unknown.is_empty() => String::new(),
        None => "lengths or indices that are computed from data".into(),
    };
    (unsupported.operator.clone(), what)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tensors `input_0.pb` and so on.
fn tensors(directory: &Path, kind: &str) -> Result<Vec<(String, Tensor)>> {
    let mut all = Vec::new();
    for index in 0.. {
        let path = directory.join(format!("{kind}_{index}.pb"));
        if !path.is_file() {
            break;
        }
        all.push(read_tensor(fs::read(path)?)?);
    }
    Ok(all)
}

/// One execution of a graph without a batch axis.
fn run(graph: &Graph, inputs: &[Tensor], device: &dyn Device) -> Result<Vec<Tensor>> {
    let program = device.compile(graph, &CompileOptions::default())?;
    for (port, tensor) in program.signature().inputs.iter().zip(inputs) {
        anyhow::ensure!(
            port.dtype == tensor.dtype() && port.shape == tensor.shape(),
            "input '{}' should be {}{:?}, but the data is {}{:?}",
            port.name,
            port.dtype,
            port.shape,
            tensor.dtype(),
            tensor.shape()
        );
    }
    let zeros = |port: &paceline::seam::Port| Tensor::zeros(port.dtype, port.shape.clone());
    let mut outputs: Vec<Tensor> = program.signature().outputs.iter().map(zeros).collect::<Result<_, _>>()?;
    let mut session = program.open()?;
    let part = Part {
        samples: 1,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    execute(&mut *session, &mut Batch::of(part))?;
    Ok(outputs)
}

/// The unit in the last place of a type of half precision, relative to a number that has the smallest fraction, 1.
fn unit(onnx_type: &str) -> Option<f64> {
    match onnx_type {
        "FLOAT16" => Some(1.0 / 1024.0),
        "BFLOAT16" => Some(1.0 / 128.0),
        _ => None,
    }
}

/// Passes if a result is within tolerance, as `numpy.testing.assert_allclose` says. Results that ONNX computes and rounds in half
/// precision, and we do not, may differ by `half`, relative to what they should be.
fn compare(
    name: &str,
    got: &Tensor,
    expected: &Tensor,
    rtol: f64,
    atol: f64,
    half: Option<f64>,
) -> Result<()> {
    anyhow::ensure!(
        got.dtype() == expected.dtype() && got.shape() == expected.shape(),
        "output '{name}' should be {}{:?}, but is {}{:?}",
        expected.dtype(),
        expected.shape(),
        got.dtype(),
        got.shape()
    );
    let rtol = half.map_or(rtol, |half| rtol.max(half));
    for (index, (got, expected)) in numbers(got).into_iter().zip(numbers(expected)).enumerate() {
        let near = got == expected
            || got.is_nan() && expected.is_nan()
            || (got - expected).abs() <= atol + rtol * expected.abs();
        anyhow::ensure!(near, "output '{name}' should be {expected} at {index}, but is {got}");
    }
    Ok(())
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    use paceline::graph::{Data, Element, by_type};
    by_type!(Data, tensor.data(), values => values.iter().map(|value| value.to_f64()).collect())
}
