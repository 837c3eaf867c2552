//! `paceline run`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use paceline::Tensor;
use paceline::graph::{Data, Element, by_type};
use paceline::onnx::FreeAxis;
use paceline::seam::{CompileOptions, Port, Signature};

use crate::Verdict;
use crate::args::Run;
use crate::arrays::{npy, npz, read_npy, read_npz};
use crate::execution::execute;
use crate::output::{Directory, Target, print, tell};
use crate::subjects::device_of;

/// Elements of an output that are printed; of a larger one the first ones are.
const MOST_PRINTED: usize = 32;

/// Computes a model's outputs.
pub fn run(arguments: &Run) -> Result<Verdict> {
    let mut given = Given::default();
    for input in &arguments.inputs {
        given.add(input)?;
    }
    let mut file = arguments.file.clone();
    // What nobody says the length of has the length that the inputs have.
    for axis in arguments.model.free_axes(&file)? {
        if let Some(length) = given.length(&axis) {
            file.dims.push((axis.name, length));
        }
    }
    let loaded = arguments.model.load(&file, arguments.seed)?;
    for note in &loaded.notes {
        tell(format_args!("note: {note}"));
    }
    let device = device_of(arguments.isa)?;
    let name = arguments.model.name();
    let options = CompileOptions::default();
    let program =
        device.compile(&loaded.graph, &options).with_context(|| format!("the device cannot run '{name}'"))?;
    let signature = program.signature().clone();
    let (inputs, samples) = given.inputs(&signature)?;
    if samples > program.batch_sizes().max() {
        bail!("expected at most {} samples, got {samples}; split the inputs", program.batch_sizes().max());
    }
    let names: Vec<&str> = signature.outputs.iter().map(|port| port.name.as_str()).collect();
    let place = arguments.output.as_deref().map(|path| Place::open(path, &names)).transpose()?;
    let outputs = execute(&mut *program.open()?, &signature, &inputs, samples)?;
    match place {
        None => {
            print(&names.iter().zip(&outputs).map(|(name, tensor)| shown(name, tensor)).collect::<String>())?
        }
        Some(place) => place.save(&names, &outputs)?,
    }
    Ok(Verdict::Right)
}

/// What the user gives, by name; the empty name stands for the only input.
#[derive(Default)]
struct Given(BTreeMap<String, Content>);

enum Content {
    Array(Tensor),
    /// As they were typed.
    Numbers(Vec<String>),
}

impl Given {
    /// `NAME=FILE.npy`, `NAME=1,2,3`, `FILE.npz`, or without a name for a model with one input.
    fn add(&mut self, text: &str) -> Result<()> {
        // A name may have '=' in it, a file rarely does.
        let (name, value) = text.rsplit_once('=').unwrap_or(("", text));
        let path = Path::new(value);
        let extension =
            path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let mut insert = |name: &str, content| match self.0.insert(name.into(), content) {
            Some(_) => Err(anyhow::anyhow!("input '{name}' is given twice")),
            None => Ok(()),
        };
        match extension.as_str() {
            "npy" => insert(name, Content::Array(read_npy(path)?)),
            "npz" if name.is_empty() => read_npz(path)?
                .into_iter()
                .try_for_each(|(name, tensor)| insert(&name, Content::Array(tensor))),
            "npz" => bail!("an .npz file has names of its own: --input {value} instead of --input {text}"),
            _ => {
                let numbers: Vec<String> = value.split(',').map(|number| number.trim().to_string()).collect();
                if numbers.iter().any(|number| number.parse::<f64>().is_err()) {
                    bail!("expected NAME=FILE.npy, FILE.npz or NAME=NUMBER,NUMBER,..., got '{text}'");
                }
                insert(name, Content::Numbers(numbers))
            }
        }
    }

    /// The length of an axis in the first array that has it.
    fn length(&self, axis: &FreeAxis) -> Option<usize> {
        axis.places.iter().find_map(|(input, index)| {
            let content = self.0.get(input).or_else(|| self.0.get(""))?;
            let Content::Array(array) = content else { return None };
            array.shape().get(*index).copied()
        })
    }

    /// The inputs in the model's order, and how many samples they are.
    fn inputs(mut self, signature: &Signature) -> Result<(Vec<Tensor>, usize)> {
        if let [only] = &signature.inputs[..]
            && let Some(content) = self.0.remove("")
            && self.0.insert(only.name.clone(), content).is_some()
        {
            bail!("input '{}' is given twice, once without its name", only.name);
        }
        let names =
            || signature.inputs.iter().map(|port| format!("'{}'", port.name)).collect::<Vec<_>>().join(", ");
        if let Some(name) =
            self.0.keys().find(|name| !signature.inputs.iter().any(|port| port.name == **name))
        {
            bail!("expected the inputs {}, got '{name}'", names());
        }
        let mut samples: Option<(usize, &str)> = None;
        let mut inputs = Vec::new();
        for port in &signature.inputs {
            let content = self.0.remove(&port.name);
            let content = content.with_context(|| {
                format!(
                    "expected the inputs {}, got none for '{}'; give it with --input {}=FILE.npy",
                    names(),
                    port.name,
                    port.name
                )
            })?;
            let tensor = tensor(content, port, signature.batched)?;
            let own = if signature.batched { tensor.shape()[0] } else { 1 };
            if own == 0 {
                bail!("expected one sample or more, got none: axis 0 of '{}' is 0", port.name);
            }
            match samples {
                Some((before, name)) if before != own => {
                    bail!(
                        "expected as many samples in every input, got {before} of '{name}' and {own} of '{}'",
                        port.name
                    );
                }
                _ => samples = Some((own, &port.name)),
            }
            inputs.push(tensor);
        }
        Ok((inputs, samples.map_or(1, |(samples, _)| samples)))
    }
}

/// A tensor that fits an input.
fn tensor(content: Content, port: &Port, batched: bool) -> Result<Tensor> {
    let lengths: Vec<String> = port.shape.iter().map(usize::to_string).collect();
    let expected = match batched {
        true => format!("{}[{}]", port.dtype, [vec!["N".into()], lengths].concat().join(", ")),
        false => format!("{}[{}]", port.dtype, lengths.join(", ")),
    };
    match content {
        Content::Numbers(numbers) => {
            let samples = numbers.len().checked_div(port.elements).unwrap_or(0);
            if numbers.len() != samples * port.elements || !batched && samples != 1 {
                bail!("input '{}': expected {expected}, got {} numbers", port.name, numbers.len());
            }
            let shape: Vec<usize> =
                batched.then_some(samples).into_iter().chain(port.shape.iter().copied()).collect();
            Ok(Tensor::new(shape, of_numbers(port, &numbers)?)?)
        }
        Content::Array(tensor) => {
            let own = tensor.shape();
            let fits = if batched {
                own.split_first().is_some_and(|(_, rest)| rest == port.shape)
            } else {
                own == port.shape
            };
            if tensor.dtype() != port.dtype || !fits {
                bail!("input '{}': expected {expected}, got {}{own:?}", port.name, tensor.dtype());
            }
            Ok(tensor)
        }
    }
}

/// Numbers as elements of an input; integers to their last digit.
fn of_numbers(port: &Port, numbers: &[String]) -> Result<Data> {
    fn converted<T: Element>(_: &[T], numbers: &[String]) -> Option<Data> {
        let convert = |number: &String| match T::DTYPE.is_float() {
            true => Some(T::from_f64(number.parse().ok()?)),
            false => {
                let integer: i128 = number.parse().ok()?;
                Some(T::from_integer(integer)).filter(|element| element.to_integer() == integer)
            }
        };
        numbers.iter().map(convert).collect::<Option<Vec<T>>>().map(Data::of)
    }
    let data = by_type!(Data, &Data::zeros(port.dtype, 0), of => converted(of, numbers));
    data.with_context(|| {
        format!("input '{}': expected numbers that fit {}, got {}", port.name, port.dtype, numbers.join(","))
    })
}

fn shown(name: &str, tensor: &Tensor) -> String {
    let values: Vec<String> = by_type!(Data, tensor.data(), values => values.iter().take(MOST_PRINTED).map(|value| value.to_string()).collect());
    let more = if tensor.len() > MOST_PRINTED { ", ..." } else { "" };
    format!("{name} {}{:?}: {}{more}\n", tensor.dtype(), tensor.shape(), values.join(", "))
}

/// Where outputs are written, which could be written to when it was opened.
enum Place {
    Archive(PathBuf, Target),
    /// The names of the files, without their extension.
    Files(Directory, Vec<String>),
}

impl Place {
    /// An archive where the path ends in .npz, else a directory with a file for each output.
    fn open(path: &Path, names: &[&str]) -> Result<Place> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
            return Ok(Place::Archive(path.into(), Target::open(path, "--output")?));
        }
        let plain = |name: &&str| {
            name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
        };
        let files: Vec<String> = names.iter().map(plain).map(|name: String| name + ".npy").collect();
        if let Some(twice) = (1..files.len()).find(|&index| files[..index].contains(&files[index])) {
            bail!(
                "two outputs would be written to '{}'; write an archive instead: --output FILE.npz",
                files[twice]
            );
        }
        let own: Vec<&str> = files.iter().map(String::as_str).collect();
        Ok(Place::Files(Directory::open(path, "--output", &own, &[])?, files))
    }

    fn save(self, names: &[&str], outputs: &[Tensor]) -> Result<()> {
        match self {
            Place::Archive(path, target) => {
                let archive = npz(names.iter().copied().zip(outputs))?;
                target.write(|file| file.write_all(&archive))?;
                tell(format_args!("wrote {}", path.display()));
            }
            Place::Files(directory, files) => {
                for (file, tensor) in files.iter().zip(outputs) {
                    let path = directory.write(file, npy(tensor))?;
                    tell(format_args!("wrote {}", path.display()));
                }
            }
        }
        Ok(())
    }
}
