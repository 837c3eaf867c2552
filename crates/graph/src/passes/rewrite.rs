//! Rebuilds a graph with some of its nodes replaced: what every pass is written on.
//!
//! A pass is a *rule*: given one node, the [`Site`] of a possible pattern whose last node it is, it says what computes the same
//! result, in terms of values that the graph already has. Because every replacement is equal to what it replaces, the
//! replacements of one round are independent of each other; what no output needs any more is left out. Rounds repeat until the
//! rule finds nothing.
//!
//! **Traps.** A rule may refer only to values computed before its node. A node whose replacement is not smaller in some
//! measure makes the rounds run to their bound.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::site::{Site, Uses};
use crate::{Graph, GraphBuilder, GraphError, Node, Op, Source, Tensor, Value, ValueType};

/// An input of a replacing node, or a replacing output.
pub(super) enum Operand {
    /// A value of the graph.
    Value(Value),
    /// A constant that the graph does not have yet. The name is made unique; the same tensor is added once.
    New(String, Arc<Tensor>),
    /// The result, of this type, of a further node. The name is made unique.
    Node(String, Op, Vec<Option<Operand>>, ValueType),
}

impl Operand {
    /// Element type and shape.
    pub(super) fn ty(&self, graph: &Graph) -> ValueType {
        match self {
            Operand::Value(value) => graph.value(*value).ty.clone(),
            Operand::New(_, tensor) => ValueType::new(tensor.dtype(), tensor.shape()),
            Operand::Node(.., ty) => ty.clone(),
        }
    }

    fn values(&self) -> Vec<Value> {
        match self {
            Operand::Value(value) => vec![*value],
            Operand::New(..) => Vec::new(),
            Operand::Node(_, _, inputs, _) => inputs.iter().flatten().flat_map(Operand::values).collect(),
        }
    }
}

/// What takes the place of a node.
pub(super) enum Replacement {
    /// These values, one for each output.
    Outputs(Vec<Operand>),
    /// A node under the same name, with outputs of the same types.
    Node(Op, Vec<Option<Operand>>),
}

impl Replacement {
    /// A node of values that the graph already has.
    pub(super) fn node(op: Op, inputs: &[Option<Value>]) -> Self {
        Replacement::Node(op, inputs.iter().map(|v| v.map(Operand::Value)).collect())
    }

    /// Another value in the place of the only output.
    pub(super) fn value(value: Value) -> Self {
        Replacement::Outputs(vec![Operand::Value(value)])
    }

    fn values(&self) -> Vec<Value> {
        match self {
            Replacement::Outputs(outputs) => outputs.iter().flat_map(Operand::values).collect(),
            Replacement::Node(_, inputs) => inputs.iter().flatten().flat_map(Operand::values).collect(),
        }
    }
}

/// Applies `rule` to every node, in order, until it finds nothing more.
///
/// Each round replaces something by something smaller, so there are at most as many rounds as nodes.
pub(super) fn rewrite(
    graph: &Graph,
    mut rule: impl FnMut(&Site<'_>) -> Option<Replacement>,
) -> Result<Graph, GraphError> {
    let mut current = rebuild(graph, &HashMap::new())?;
    for _ in 0..graph.nodes().len() {
        let replacements = matches(&current, &mut rule);
        if replacements.is_empty() {
            break;
        }
        current = rebuild(&current, &replacements)?;
    }
    Ok(current)
}

fn matches(
    graph: &Graph,
    rule: &mut impl FnMut(&Site<'_>) -> Option<Replacement>,
) -> HashMap<usize, Replacement> {
    let uses = Uses::of(graph);
    (0..graph.nodes().len())
        .filter_map(|index| rule(&Site::new(graph, &uses, index)).map(|replacement| (index, replacement)))
        .collect()
}

/// The graph with `replacements` in the place of its nodes and without what its outputs do not need. Inputs and outputs stay.
pub(super) fn rebuild(
    graph: &Graph,
    replacements: &HashMap<usize, Replacement>,
) -> Result<Graph, GraphError> {
    let needed = needed(graph, replacements);
    let mut rebuilt = Rebuilt::new(graph, &needed);
    for &value in graph.inputs() {
        let info = graph.value(value);
        let input = rebuilt.builder.input(&info.name, info.ty.dtype, info.ty.shape.clone())?;
        rebuilt.mapped[value.index()] = Some(input);
    }
    for (index, node) in graph.nodes().iter().enumerate() {
        if node.outputs.iter().any(|v| needed[v.index()]) {
            rebuilt.node(node, replacements.get(&index), &needed)?;
        }
    }
    for output in graph.outputs() {
        let value = rebuilt.value(output.value)?;
        rebuilt.builder.output(&output.name, value)?;
    }
    rebuilt.builder.finish()
}

/// Which values the outputs need, given the replacements.
fn needed(graph: &Graph, replacements: &HashMap<usize, Replacement>) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    for output in graph.outputs() {
        needed[output.value.index()] = true;
    }
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        if !node.outputs.iter().any(|v| needed[v.index()]) {
            continue;
        }
        match replacements.get(&index) {
            Some(replacement) => replacement.values().iter().for_each(|v| needed[v.index()] = true),
            None => node.inputs.iter().flatten().for_each(|v| needed[v.index()] = true),
        }
    }
    needed
}

/// A graph being rebuilt from another.
struct Rebuilt<'g> {
    graph: &'g Graph,
    builder: GraphBuilder,
    /// The new value of each old one.
    mapped: Vec<Option<Value>>,
    /// The constants that the old graph does not have, by the address of the tensor, which `Operand::New` keeps alive.
    added: HashMap<*const Tensor, Value>,
    /// Names that constants have, or that constants of the old graph will have.
    constant_names: HashSet<String>,
    /// Names that nodes have, or that nodes of the old graph will have.
    node_names: HashSet<String>,
}

impl<'g> Rebuilt<'g> {
    fn new(graph: &'g Graph, needed: &[bool]) -> Self {
        let constant_names = graph
            .values()
            .iter()
            .zip(needed)
            .filter(|(info, needed)| **needed && matches!(info.source, Source::Constant(_)))
            .map(|(info, _)| info.name.clone())
            .collect();
        Rebuilt {
            graph,
            builder: GraphBuilder::new(),
            mapped: vec![None; graph.values().len()],
            added: HashMap::new(),
            constant_names,
            node_names: graph.nodes().iter().map(|node| node.name.clone()).collect(),
        }
    }

    fn node(
        &mut self,
        node: &Node,
        replacement: Option<&Replacement>,
        needed: &[bool],
    ) -> Result<(), GraphError> {
        let (op, inputs) = match replacement {
            Some(Replacement::Outputs(outputs)) => {
                for (old, new) in node.outputs.iter().zip(outputs) {
                    if needed[old.index()] {
                        self.mapped[old.index()] = Some(self.operand(new)?);
                    }
                }
                return Ok(());
            }
            Some(Replacement::Node(op, operands)) => (op, self.operands(operands)?),
            None => {
                let inputs = node.inputs.iter().map(|v| v.map(|v| self.value(v)).transpose());
                (&node.op, inputs.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let outputs = self.builder.add_many(&node.name, op.clone(), &inputs)?;
        for (old, new) in node.outputs.iter().zip(outputs) {
            debug_assert_eq!(
                self.graph.value(*old).ty,
                *self.builder.value_type(new),
                "the replacement of node '{}' has another type",
                node.name
            );
            self.mapped[old.index()] = Some(new);
        }
        Ok(())
    }

    fn operands(&mut self, operands: &[Option<Operand>]) -> Result<Vec<Option<Value>>, GraphError> {
        operands.iter().map(|o| o.as_ref().map(|o| self.operand(o)).transpose()).collect()
    }

    fn operand(&mut self, operand: &Operand) -> Result<Value, GraphError> {
        match operand {
            Operand::Value(value) => self.value(*value),
            Operand::New(name, tensor) => {
                if let Some(&value) = self.added.get(&Arc::as_ptr(tensor)) {
                    return Ok(value);
                }
                let name = unique(name, &mut self.constant_names);
                let value = self.builder.constant(&name, Arc::clone(tensor))?;
                self.added.insert(Arc::as_ptr(tensor), value);
                Ok(value)
            }
            Operand::Node(name, op, inputs, _) => {
                let inputs = self.operands(inputs)?;
                let name = unique(name, &mut self.node_names);
                self.builder.add(&name, op.clone(), &inputs)
            }
        }
    }

    /// The new value of an old one; a constant is added when it is first asked for.
    fn value(&mut self, old: Value) -> Result<Value, GraphError> {
        if let Some(value) = self.mapped[old.index()] {
            return Ok(value);
        }
        let info = self.graph.value(old);
        let Source::Constant(tensor) = &info.source else {
            unreachable!("'{}' is used before it is computed", info.name)
        };
        let value = self.builder.constant(&info.name, Arc::clone(tensor))?;
        self.mapped[old.index()] = Some(value);
        Ok(value)
    }
}

/// `name`, or where that is taken `name.1`, `name.2` and so on; taken from now on.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let unique = std::iter::once(name.to_string())
        .chain((1..).map(|i| format!("{name}.{i}")))
        .find(|name| !taken.contains(name))
        .expect("some number is free");
    taken.insert(unique.clone());
    unique
}
