//! From an ONNX model to a graph, by partial evaluation.
//!
//! ONNX models compute shapes: they take the length of an axis, add, multiply, gather and concatenate such numbers, and reshape by
//! the result. Everything that is known when the model is read, or depends only on the number of samples, is computed here
//! ([`value::Item`]), so that the graph has nothing but the real computation, with one fixed shape for a sample.
//!
//! A model is first read with a batch axis, if its inputs look as if they had one. If a node then mixes samples, it is read again
//! without, and [`Imported::notes`] says which node it was.

mod boundary;
mod building;
mod lowering;
mod nodes;
mod ops;
mod registry;
mod sampled;
mod scope;
mod symbolic;
mod trouble;
mod unsupported;
mod value;
mod view;

use paceline_graph::{Graph, passes};

pub use self::boundary::FreeAxis;
pub(crate) use self::lowering::scalar;

use self::boundary::Boundary;
use self::building::Building;
use self::nodes::Walk;
use crate::proto::{GraphProto, ModelProto};
use crate::tensor::TensorReader;
use crate::{BatchAxis, ImportOptions, OnnxError, UnsupportedOperator};

/// The oldest operator set that is read.
const OLDEST_OPSET: i64 = 7;

/// Operator sets that a model, or a function, may use: they are searched for every node.
const MOST_OPSETS: usize = 256;

/// A model that was read.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub graph: Graph,
    /// What its user may want to know: why there is no batch axis, what is computed in another type.
    pub notes: Vec<String>,
    /// The length that axis 0 of every input and output has, where it was exported for one batch size. Reading it again with
    /// [`BatchAxis::Freed`] makes that axis the batch; whether the model then computes the same is to be found out by
    /// comparing.
    pub fixed_batch: Option<usize>,
    /// The version of ONNX's own operator set that the model uses.
    pub opset: i64,
    /// Who wrote the model: `pytorch 2.4.0`. May be empty.
    pub producer: String,
}

/// Reads a decoded model.
pub(crate) fn import(
    model: &ModelProto,
    reader: &mut TensorReader,
    options: &ImportOptions,
) -> Result<Imported, OnnxError> {
    let graph = graph_of(model)?;
    let most = model.functions.iter().map(|function| function.opset_import.len()).max().unwrap_or(0);
    if most.max(model.opset_import.len()) > MOST_OPSETS {
        return Err(OnnxError::Bound { what: "operator sets", most: MOST_OPSETS });
    }
    let opset = opset(model)?;
    let boundary = Boundary::new(graph, options)?;
    let mut attempt = |batched: bool| {
        reader.begin();
        attempt(model, graph, &boundary, batched, reader, options)
    };
    let mut notes = Vec::new();
    let imported = if boundary.may_be_batched {
        match attempt(true) {
            Err(error @ (OnnxError::Node { .. } | OnnxError::Graph(_)))
                if options.batch == BatchAxis::Auto =>
            {
                let graph = attempt(false)?;
                notes.push(format!(
                    "no batch axis, so that one request is one execution, because samples cannot be kept apart: {error}"
                ));
                graph
            }
            result => result?,
        }
    } else {
        if let Some(reason) = &boundary.why_not_batched {
            notes.push(format!("no batch axis, so that one request is one execution: {reason}"));
        }
        attempt(false)?
    };
    notes.extend(boundary.notes());
    let graph = passes::eliminate_dead(&imported)?;
    let fixed_batch = boundary.fixed_batch(&graph);
    let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_string();
    Ok(Imported { graph, notes, fixed_batch, opset, producer })
}

/// The axes that a request may choose the length of.
pub(crate) fn free_axes(model: &ModelProto, options: &ImportOptions) -> Result<Vec<FreeAxis>, OnnxError> {
    Ok(Boundary::new(graph_of(model)?, options)?.free_axes())
}

fn graph_of(model: &ModelProto) -> Result<&GraphProto, OnnxError> {
    model.graph.as_ref().ok_or_else(|| OnnxError::NotOnnx { problem: "it has no graph".into() })
}

/// The version of ONNX's own operator set; 0 where the model uses none of it.
fn opset(model: &ModelProto) -> Result<i64, OnnxError> {
    let own =
        model.opset_import.iter().filter(|set| is_onnx_domain(&set.domain)).map(|set| set.version).max();
    match own {
        Some(version) if version < OLDEST_OPSET => Err(OnnxError::Unsupported(vec![UnsupportedOperator {
            operator: "operator set".into(),
            opset: version,
            problem: Some(format!("it is older than {OLDEST_OPSET}; export the model again")),
            unknown: Vec::new(),
            nodes: Vec::new(),
        }])),
        version => Ok(version.unwrap_or(0)),
    }
}

/// Whether a domain is ONNX's own.
pub(crate) fn is_onnx_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn attempt(
    model: &ModelProto,
    proto: &GraphProto,
    boundary: &Boundary,
    batched: bool,
    reader: &mut TensorReader,
    options: &ImportOptions,
) -> Result<Graph, OnnxError> {
    let mut building = Building::new(options.known_bytes);
    let freed = match options.batch {
        BatchAxis::Freed(batch) if batched => Some(batch),
        _ => None,
    };
    let inputs = boundary.inputs(&mut building, batched)?;
    let walk = Walk::new(model, &mut building, reader, freed);
    let outputs = walk.graph(proto, inputs)?;
    for (output, item) in proto.output.iter().zip(outputs) {
        let problem = |trouble| match trouble {
            trouble::Trouble::Model(error) => error,
            trouble::Trouble::Unsupported(problem) | trouble::Trouble::Refused(problem) => {
                OnnxError::Node { node: output.name.clone(), operator: "output".into(), problem }
            }
            trouble::Trouble::Unknown(_) => unreachable!("an output has no inputs"),
        };
        building.output(&output.name, &item).map_err(problem)?;
    }
    Ok(building.finish()?)
}
