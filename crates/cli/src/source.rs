//! Where a model comes from: a name, or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use paceline::Graph;
use paceline::nn;
use paceline::onnx::{self, BatchAxis, FreeAxis, ImportOptions};

use serde::{Deserialize, Serialize};

use crate::args::FileOptions;
use crate::arrays::read_npy;
use crate::output::is_same;

/// Where a model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A model of ours.
    Named(nn::Model),
    /// An ONNX file.
    File(PathBuf),
}

/// A model as a graph, and what is known of its origin.
pub struct Loaded {
    /// The model.
    pub graph: Graph,
    /// What a user may want to know.
    pub notes: Vec<String>,
    /// What wrote the file, and in which version of the operator set; `None` for a model of ours.
    pub origin: Option<String>,
}

/// A file and how it is read, as a worker is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelFile {
    pub path: String,
    pub options: FileOptions,
}

impl std::str::FromStr for Source {
    type Err = String;

    /// A path has a separator or the extension `onnx`; anything else is a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = Path::new(text);
        let is_path = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
            || text.contains(std::path::is_separator);
        match is_path {
            true => Ok(Source::File(path.into())),
            false => nn::Model::by_name(text).map(Source::Named).map_err(|error| {
                format!("{error}; a model of one's own is a path to an ONNX file, such as ./{text}.onnx")
            }),
        }
    }
}

impl Source {
    /// What the model is called.
    pub fn name(&self) -> String {
        match self {
            Source::Named(model) => model.name().into(),
            Source::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        matches!(self, Source::File(_))
    }

    /// Whether both are the same model.
    pub fn is_same(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Named(one), Source::Named(other)) => one.name() == other.name(),
            (Source::File(one), Source::File(other)) => one == other || is_same(one, other),
            _ => false,
        }
    }

    /// As it is given on the command line.
    pub fn text(&self) -> String {
        match self {
            Source::Named(model) => model.name().into(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// The model, whose graph has its weights where it is a file, and what a user may want to know of that.
    pub fn model(&self, options: &FileOptions, seed: u64) -> Result<(nn::Model, Vec<String>)> {
        match self {
            Source::Named(model) => Ok((model.clone(), Vec::new())),
            Source::File(_) => {
                let Loaded { graph, notes, origin } = self.load(options, seed)?;
                Ok((nn::Model::new(self.name(), origin.unwrap_or_default(), graph), notes))
            }
        }
    }

    /// The axes of a file whose length neither it nor the options say.
    pub fn free_axes(&self, options: &FileOptions) -> Result<Vec<FreeAxis>> {
        match self {
            Source::Named(_) => Ok(Vec::new()),
            Source::File(path) => {
                let import = options.import()?;
                let axes = onnx::Source::open(path).and_then(|file| file.free_axes(&import));
                axes.with_context(|| format!("cannot use '{}'", path.display()))
            }
        }
    }

    /// The model as a graph; weights of a model of ours are drawn from `seed`.
    pub fn load(&self, options: &FileOptions, seed: u64) -> Result<Loaded> {
        match self {
            Source::Named(model) => {
                if !options.are_default() {
                    bail!(
                        "--dim, --bind and --batch-axis are for ONNX files, got the model '{}'",
                        model.name()
                    );
                }
                Ok(Loaded { graph: model.graph(seed)?, notes: Vec::new(), origin: None })
            }
            Source::File(path) => {
                let model = onnx::Model::from_onnx_with(path, &options.import()?)
                    .with_context(|| format!("cannot use '{}'", path.display()))?;
                let origin = match model.producer() {
                    "" => format!("ONNX opset {}", model.opset()),
                    producer => format!("ONNX opset {}, written by {producer}", model.opset()),
                };
                let notes = model.notes().to_vec();
                Ok(Loaded { notes, origin: Some(origin), graph: model.into_graph() })
            }
        }
    }
}

impl FileOptions {
    /// Whether nothing is chosen.
    pub fn are_default(&self) -> bool {
        self.dims.is_empty() && self.bound.is_empty() && self.batch_axis.is_none()
    }

    fn import(&self) -> Result<ImportOptions> {
        let batch = match self.batch_axis.as_deref() {
            None => BatchAxis::Auto,
            Some("none") => BatchAxis::None,
            Some(name) => BatchAxis::Named(name.into()),
        };
        let mut options = ImportOptions::default().batch(batch);
        for (name, length) in once(&self.dims, "--dim")? {
            options = options.dim(name, *length);
        }
        for (name, file) in once(&self.bindings()?, "--bind")? {
            options = options.bind(name, read_npy(Path::new(file))?);
        }
        Ok(options)
    }

    /// The files whose arrays are bound.
    pub fn bound_files(&self) -> Vec<PathBuf> {
        self.bindings().into_iter().flatten().map(|(_, file)| file.into()).collect()
    }

    /// Inputs by name, and files.
    fn bindings(&self) -> Result<Vec<(String, &str)>> {
        self.bound
            .iter()
            .map(|bound| match bound.rsplit_once('=') {
                Some((name, file)) => Ok((name.to_string(), file)),
                None => bail!("expected --bind NAME=FILE.npy, got '{bound}'"),
            })
            .collect()
    }
}

/// What has a name, if each has one of its own.
fn once<'g, T>(given: &'g [(String, T)], option: &str) -> Result<&'g [(String, T)]> {
    let twice =
        (1..given.len()).find(|&index| given[..index].iter().any(|(name, _)| *name == given[index].0));
    match twice {
        Some(index) => bail!("'{}' is given twice with {option}", given[index].0),
        None => Ok(given),
    }
}
