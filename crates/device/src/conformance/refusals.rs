//! What a device must refuse: batches that do not fit, and graphs that it cannot run.

#![allow(clippy::single_range_in_vec_init, reason = "one span of samples is meant, not a list of them")]

use paceline_graph::{DType, Graph, GraphBuilder, GraphError, Source, Tensor, Value};

use super::execution::Span;
use super::trial::Trial;
use crate::{Batch, CompileError, CompileOptions, Device, DeviceError, Part, UnsupportedNode, View, ViewMut};

/// How the last part of a batch is spoiled; `false` where the case has nothing to spoil that way.
type Spoil = fn(&mut Part<'_>) -> bool;

const SPOILED: [(&str, Spoil); 8] = [
    ("an input is missing", |part| part.inputs.pop().is_some()),
    ("there is an input too many", |part| {
        part.inputs.push(View::F32(&[0.0]));
        true
    }),
    ("an output is missing", |part| part.outputs.pop().is_some()),
    ("an input is one element short", |part| {
        let Some(view) = part.inputs.last_mut().filter(|view| !view.is_empty()) else { return false };
        *view = view.slice(0, view.len() - 1);
        true
    }),
    ("an output is one element short", |part| {
        part.outputs.last_mut().filter(|view| !view.is_empty()).is_some_and(|view| {
            let short = view.len() - 1;
            *view = std::mem::replace(view, ViewMut::F32(&mut [])).slice(0, short);
            true
        })
    }),
    ("an input has another type", |part| {
        let Some(view) = part.inputs.first_mut() else { return false };
        *view = match view.dtype() {
            DType::F32 => View::I64(&[]),
            _ => View::F32(&[]),
        };
        true
    }),
    ("a part claims a sample more than it has", |part| {
        part.samples += 1;
        true
    }),
    ("a part claims more samples than memory can hold", |part| {
        part.samples = usize::MAX / 2;
        true
    }),
];

impl Trial<'_> {
    /// Batches that do not fit are refused with the right error, touch nothing, and leave the session as it was.
    pub(super) fn wrong_batches(&self) -> Result<(), String> {
        let mut session = self.open()?;
        let max = self.program.batch_sizes().max();
        // A sound part comes first, where there is room for one: its outputs must stay untouched too.
        let spans: Vec<Span> = if max > 1 { vec![0..1, 0..1] } else { vec![0..1] };
        let expect = |what: &str, result: Result<(), DeviceError>, untouched: bool| match result {
            Ok(()) => Err(format!("a batch in which {what} was executed")),
            Err(DeviceError::Batch(_)) if untouched => Ok(()),
            Err(DeviceError::Batch(_)) => {
                Err(format!("a batch in which {what} was refused, but its outputs were written"))
            }
            Err(other) => Err(format!("a batch in which {what}: expected DeviceError::Batch, got '{other}'")),
        };
        for (what, spoil) in SPOILED {
            let mut execution = self.execution(&spans);
            let mut parts = execution.parts();
            if !parts.last_mut().is_some_and(spoil) {
                continue;
            }
            let mut batch = Batch::new();
            parts.into_iter().for_each(|part| batch.push(part));
            let result = session.launch(&mut batch);
            drop(batch);
            expect(what, result, execution.is_untouched())?;
            self.run(&mut *session, self.execution(&[0..1]), &[0..1])
                .map_err(|message| format!("after a batch in which {what} was refused: {message}"))?;
        }
        let too_many: Vec<Span> = vec![0..1; max + 1];
        let mut execution = self.execution(&too_many);
        let result = session.launch(&mut execution.batch());
        expect(&format!("{} samples are more than {max}", max + 1), result, execution.is_untouched())?;
        self.run(&mut *session, self.execution(&[0..1]), &[0..1])
            .map_err(|message| format!("after a batch of too many samples was refused: {message}"))
    }
}

/// Whether a refusal to compile is sound: it names nodes of the graph, each once, with a reason, and all of them. (Its operators
/// may be others than the graph's, as nodes are fused before a device sees them.) To see that it does not stop at the first, the graph is compiled a second time with every node in it twice.
pub(super) fn check_unsupported(
    device: &dyn Device,
    graph: &Graph,
    options: &CompileOptions,
    nodes: &[UnsupportedNode],
) -> Result<(), String> {
    if nodes.is_empty() {
        return Err("the graph was refused as unsupported, but no node is named".into());
    }
    for node in nodes {
        if !graph.nodes().iter().any(|known| known.name == node.node) {
            return Err(format!("'{}' is named as unsupported; the graph has no such node", node.node));
        }
        if node.reason.trim().is_empty() {
            return Err(format!("node '{}' was refused without a reason", node.node));
        }
    }
    let twice = doubled(graph).map_err(|error| format!("the graph cannot be doubled: {error}"))?;
    let refused = match device.compile(&twice, options) {
        Err(CompileError::Unsupported { nodes, .. }) => nodes,
        Err(other) => {
            return Err(format!("with every node twice, expected an unsupported graph, got '{other}'"));
        }
        Ok(_) => return Err("the graph is refused, but with every node twice it compiles".into()),
    };
    let mut names: Vec<&str> = refused.iter().map(|node| node.node.as_str()).collect();
    let mut expected: Vec<String> =
        nodes.iter().flat_map(|node| COPIES.map(|copy| format!("{}{copy}", node.node))).collect();
    names.sort_unstable();
    expected.sort_unstable();
    if names != expected {
        return Err(format!("with every node twice, expected the refused nodes {expected:?}, got {names:?}"));
    }
    Ok(())
}

/// What the names in the two halves of a doubled graph end in.
const COPIES: [&str; 2] = ["#1", "#2"];

/// A graph that computes everything twice, with inputs and weights of its own each time: no device can make one of
/// the two, nor fuse them otherwise than the one.
fn doubled(graph: &Graph) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new();
    for copy in COPIES {
        let mut copied: Vec<Option<Value>> = vec![None; graph.values().len()];
        for &input in graph.inputs() {
            let info = graph.value(input);
            let (name, shape) = (format!("{}{copy}", info.name), info.ty.shape.clone());
            copied[input.index()] = Some(builder.input(&name, info.ty.dtype, shape)?);
        }
        for (index, info) in graph.values().iter().enumerate() {
            if let Source::Constant(tensor) = &info.source {
                copied[index] =
                    Some(builder.constant(&format!("{}{copy}", info.name), Tensor::clone(tensor))?);
            }
        }
        for node in graph.nodes() {
            let from: Vec<_> = node.inputs.iter().map(|v| v.and_then(|v| copied[v.index()])).collect();
            let made = builder.add_many(&format!("{}{copy}", node.name), node.op.clone(), &from)?;
            node.outputs.iter().zip(made).for_each(|(&value, new)| copied[value.index()] = Some(new));
        }
        for output in graph.outputs() {
            let value = copied[output.value.index()].expect("nodes are in order");
            builder.output(&format!("{}{copy}", output.name), value)?;
        }
    }
    builder.finish()
}
