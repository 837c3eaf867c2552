//! What PyTorch answers, as graphs with inputs and outputs: the cases that this crate's and every device's tests share.
//!
//! `tests/golden/README.md` of this crate says how the files come about and what is in them.

mod arguments;
mod attention;
mod compare;
mod layer;
mod model;
mod operator;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use paceline_graph::{Graph, GraphError, Shape, Tensor, Value};

use crate::file::{self, Contents};
use crate::{BuildError, Scope, StateDict, StateDictError, build};
use arguments::Arguments;
pub use compare::{Difference, Tolerance};

/// The folder of the committed cases.
pub const GOLDEN_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data");

/// One construction, one call, and what PyTorch answered.
#[derive(Clone, Debug)]
pub struct GoldenCase {
    /// The file's name without its extension.
    pub name: String,
    /// The layer, operator or model with its weights.
    pub graph: Graph,
    /// The inputs, in the graph's order.
    pub inputs: Vec<Tensor>,
    /// PyTorch's outputs, in the graph's order.
    pub outputs: Vec<Tensor>,
    /// How many times larger than usual the effect of rounding in f32 is: 1 for all but a few.
    pub amplification: f64,
}

/// The cases in which rounding in f32 counts for more, which PyTorch's own answers are subject to.
const AMPLIFIED: [(&str, f64); 2] = [
    // A row near 300 with a deviation of 1: the mean's last bit is 3e-5 of the deviation.
    ("LayerNorm_extreme", 10.0),
    // Scores of about a thousand: their last bits are 1e-4 in the exponent.
    ("MultiheadAttention_self_large_scores", 100.0),
];

/// Why the cases of a folder could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The folder could not be listed.
    #[error("cannot list '{}': {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// There is no case in the folder.
    #[error("'{}' holds no .safetensors file", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// A case could not be read, or is of a kind that is not known here.
    #[error("golden case '{}': {problem}", path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
}

/// What is wrong with a golden case.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error(transparent)]
    State(#[from] StateDictError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the description in its header is wrong: {0}")]
    Description(#[from] serde_json::Error),
    #[error("expected {expected}, got {got}")]
    Content { expected: String, got: String },
}

impl From<GraphError> for Problem {
    fn from(error: GraphError) -> Self {
        Problem::Build(error.into())
    }
}

impl Problem {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Problem::Content { expected: expected.into(), got: got.into() }
    }
}

/// Every case of a folder such as [`GOLDEN_DIR`], by name.
pub fn golden_cases(folder: impl AsRef<Path>) -> Result<Vec<GoldenCase>, GoldenError> {
    let folder = folder.as_ref();
    let failed = |error| GoldenError::Folder { folder: folder.into(), error };
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    paths.sort();
    if paths.is_empty() {
        return Err(GoldenError::Empty { folder: folder.into() });
    }
    let case = |path: PathBuf| {
        read_case(&path).map_err(|problem| GoldenError::Case { path, problem: problem.into() })
    };
    paths.into_iter().map(case).collect()
}

impl GoldenCase {
    /// Whether `outputs`, in the graph's order, are PyTorch's; if not, the worst element.
    pub fn check(&self, outputs: &[Tensor], tolerance: Tolerance) -> Result<(), Difference> {
        compare::check(outputs, &self.outputs, tolerance.times(self.amplification))
    }
}

fn read_case(path: &Path) -> Result<GoldenCase, Problem> {
    let failed = |error| StateDictError::Read { path: path.into(), error };
    let reader = BufReader::new(File::open(path).map_err(failed)?);
    let Contents { tensors, metadata } = file::read(reader, failed)?;
    let about = metadata.get("case").ok_or_else(|| Problem::new("a header entry 'case'", "none"))?;
    let mut about = Arguments::new(serde_json::from_str(about)?)?;
    about.take::<String>("torch")?;

    let mut state = Vec::new();
    let mut call = Call {
        inputs: BTreeMap::new(),
        forward: Arguments::new(about.required("forward")?)?,
        constant: vec![],
    };
    call.constant = call.forward.take("constant")?.unwrap_or_default();
    let mut expected = BTreeMap::new();
    for (name, tensor) in tensors {
        match name.split_once('.') {
            Some(("state", name)) => state.push((name.to_string(), tensor)),
            Some(("input", name)) => drop(call.inputs.insert(name.to_string(), tensor)),
            Some(("output", name)) => drop(expected.insert(name.to_string(), tensor)),
            _ => return Err(Problem::new("tensors of 'state', 'input' and 'output'", name)),
        }
    }
    let state = StateDict::new(state)?;
    let kind: String = about.required("kind")?;
    let arguments = about.required("args")?;
    about.finish()?;

    let graph = if let Some(name) = kind.strip_prefix("op.") {
        operator::graph(name, Arguments::new(arguments)?, &call)?
    } else if let Some(name) = kind.strip_prefix("model.") {
        model::graph(name, Arguments::new(arguments)?, &state)?
    } else if attention::KINDS.contains(&kind.as_str()) {
        attention::graph(&kind, Arguments::new(arguments)?, &state, &mut call)?
    } else {
        let layer = layer::from_description(&kind, arguments)?;
        build(&layer, &state, |scope| {
            let x = call.declare(scope, "input")?;
            let y = layer.forward(scope, x)?;
            scope.output("output", y)
        })?
    };
    call.forward.finish()?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let inputs = call.inputs_of(&graph)?;
    let outputs = outputs_of(&graph, expected)?;
    let amplification = AMPLIFIED.iter().find(|(case, _)| *case == name).map_or(1.0, |&(_, factor)| factor);
    Ok(GoldenCase { name, graph, inputs, outputs, amplification })
}

/// How the module was called.
struct Call {
    inputs: BTreeMap<String, Tensor>,
    /// Inputs that belong to the graph.
    constant: Vec<String>,
    forward: Arguments,
}

impl Call {
    /// The input `name` as a value of the graph.
    fn declare(&self, scope: &mut Scope<'_>, name: &str) -> Result<Value, BuildError> {
        match self.declare_if_given(scope, name)? {
            Some(value) => Ok(value),
            None => Err(scope.problem(format!("a tensor 'input.{name}'"), "none")),
        }
    }

    fn declare_if_given(&self, scope: &mut Scope<'_>, name: &str) -> Result<Option<Value>, BuildError> {
        let Some(tensor) = self.inputs.get(name) else {
            return Ok(None);
        };
        if self.constant.iter().any(|constant| constant == name) {
            return scope.constant(name, tensor.clone()).map(Some);
        }
        let per_sample = tensor.shape().get(1..).unwrap_or_default();
        scope.input(name, tensor.dtype(), Shape::batched(per_sample)).map(Some)
    }

    /// The inputs in the graph's order; all that are not constants must be used.
    fn inputs_of(mut self, graph: &Graph) -> Result<Vec<Tensor>, Problem> {
        for name in &self.constant {
            self.inputs.remove(name);
        }
        let names = graph.inputs().iter().map(|&value| &graph.value(value).name);
        let inputs = names
            .map(|name| {
                self.inputs.remove(name).ok_or_else(|| Problem::new(format!("an input '{name}'"), "none"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        match self.inputs.keys().next() {
            Some(unused) => Err(Problem::new("inputs that the graph uses", unused)),
            None => Ok(inputs),
        }
    }
}

/// The expected outputs in the graph's order. A lone one is called `output`, whatever the graph calls it.
fn outputs_of(graph: &Graph, mut expected: BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, Problem> {
    let names: Vec<&str> = match graph.outputs() {
        [_] => vec!["output"],
        outputs => outputs.iter().map(|output| output.name.as_str()).collect(),
    };
    let outputs = names
        .iter()
        .map(|name| expected.remove(*name).ok_or_else(|| Problem::new(format!("an output '{name}'"), "none")))
        .collect::<Result<Vec<_>, _>>()?;
    match expected.keys().next() {
        Some(surplus) => Err(Problem::new(format!("outputs {names:?}"), surplus)),
        None => Ok(outputs),
    }
}
