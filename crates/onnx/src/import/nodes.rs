//! The walk over the nodes of a graph, of the functions that they call and of the graphs within them.

use std::collections::{HashMap, HashSet};

use super::building::Building;
use super::is_onnx_domain;
use super::lowering::Lowering;
use super::registry::lowering;
use super::scope::{Meaning, Scope};
use super::symbolic;
use super::trouble::Trouble;
use super::unsupported::Unsupported;
use super::value::Item;
use super::view::View;
use crate::OnnxError;
use crate::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};
use crate::tensor::TensorReader;

/// Nodes of a model, with every call of a function counted as the nodes that it stands for.
const MOST_NODES: usize = 1 << 20;
/// A name is kept by the graph, by its nodes and values, and where it is looked up.
const COPIES_OF_NAMES: usize = 6;
/// How deep functions and branches may be nested.
const DEEPEST: usize = 32;

/// The walk.
pub(crate) struct Walk<'m, 'b> {
    building: &'b mut Building,
    reader: &'b mut TensorReader,
    functions: HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>,
    opsets: &'m [OperatorSetIdProto],
    freed: Option<usize>,
    unsupported: Unsupported,
    nodes: usize,
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct Place<'p> {
    opsets: &'p [OperatorSetIdProto],
    /// What the names of nodes begin with.
    prefix: &'p str,
    depth: usize,
}

impl<'m, 'b> Walk<'m, 'b> {
    pub(crate) fn new(
        model: &'m ModelProto,
        building: &'b mut Building,
        reader: &'b mut TensorReader,
        freed: Option<usize>,
    ) -> Self {
        let key = |f: &'m FunctionProto| (f.domain.as_str(), f.name.as_str(), f.overload.as_str());
        Walk {
            building,
            reader,
            functions: model.functions.iter().map(|function| (key(function), function)).collect(),
            opsets: &model.opset_import,
            freed,
            unsupported: Unsupported::default(),
            nodes: 0,
        }
    }

    /// The outputs of the model's graph, given its inputs.
    pub(crate) fn graph(
        mut self,
        graph: &GraphProto,
        inputs: Vec<(String, Item)>,
    ) -> Result<Vec<Item>, OnnxError> {
        let mut scope = Scope::of_graph(graph, inputs, None)?;
        let place = Place { opsets: self.opsets, prefix: "", depth: 0 };
        let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        self.run(&graph.node, &outputs, &mut scope, place)?;
        let mut meanings = self.outputs(&outputs, &mut scope)?;
        for (meaning, name) in meanings.iter_mut().zip(&outputs) {
            if let Meaning::Item(Item::View(view)) = meaning {
                *meaning = Meaning::Item(self.settle(view, name)?);
            }
        }
        let unsupported = self.unsupported.list();
        if !unsupported.is_empty() {
            return Err(OnnxError::Unsupported(unsupported));
        }
        let items = meanings.into_iter().zip(&outputs).map(|(meaning, name)| match meaning {
            Meaning::Item(item) => Ok(item),
            Meaning::Missing => Err(OnnxError::Malformed {
                problem: format!("output '{name}' is of an element type that is not supported"),
            }),
        });
        items.collect()
    }

    /// A view as the tensor that the model sees.
    fn settle(&mut self, view: &View, output: &str) -> Result<Item, OnnxError> {
        let mut lowering = Lowering {
            building: self.building,
            reader: self.reader,
            node: &NodeProto::default(),
            name: output.into(),
            opset: 0,
            inputs: Vec::new(),
            freed: None,
        };
        view.merged(&mut lowering).map_err(|trouble| match trouble {
            Trouble::Model(error) => error,
            Trouble::Unsupported(problem) | Trouble::Refused(problem) => {
                OnnxError::Node { node: output.into(), operator: "output".into(), problem }
            }
            Trouble::Unknown(_) => unreachable!("a view has no sizes to be known"),
        })
    }

    fn outputs(&mut self, names: &[&str], scope: &mut Scope<'_>) -> Result<Vec<Meaning>, OnnxError> {
        let mut meanings = Vec::new();
        for &name in names {
            let meaning = scope.resolve(name, self.building, self.reader)?;
            meanings.push(meaning.ok_or_else(|| OnnxError::Malformed {
                problem: format!("output '{name}' is computed by no node"),
            })?);
        }
        Ok(meanings)
    }

    /// Computes what the outputs need.
    fn run(
        &mut self,
        nodes: &[NodeProto],
        outputs: &[&str],
        scope: &mut Scope<'_>,
        place: Place<'_>,
    ) -> Result<(), OnnxError> {
        if place.depth > DEEPEST {
            return Err(OnnxError::Bound { what: "functions within functions", most: DEEPEST });
        }
        let needed = needed(nodes, outputs);
        for (node, needed) in nodes.iter().zip(needed) {
            if !needed {
                continue;
            }
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                return Err(OnnxError::Bound { what: "nodes", most: MOST_NODES });
            }
            let meanings = self.node(node, nodes, scope, place)?;
            for (name, meaning) in node.output.iter().zip(meanings) {
                if !name.is_empty() {
                    scope.define(name, meaning)?;
                }
            }
        }
        Ok(())
    }

    /// What the outputs of a node mean, as many as it names.
    fn node(
        &mut self,
        node: &NodeProto,
        all: &[NodeProto],
        scope: &mut Scope<'_>,
        place: Place<'_>,
    ) -> Result<Vec<Meaning>, OnnxError> {
        let missing = || vec![Meaning::Missing; node.output.len()];
        let name = node_name(node, place.prefix);
        // The node's name is kept, and its outputs' as names of what they mean.
        let names = node.output.iter().map(String::len).sum::<usize>();
        self.building.spend(name.len().saturating_add(names).saturating_mul(COPIES_OF_NAMES))?;
        let opset = opset(node, place.opsets);
        if opset == 0 && is_onnx_domain(&node.domain) {
            let problem =
                format!("node '{name}' is one of ONNX's operators, but no version of those is given");
            return Err(OnnxError::Malformed { problem });
        }
        let mut inputs = Vec::new();
        let mut known = true;
        for input in &node.input {
            if input.is_empty() {
                inputs.push(None);
                continue;
            }
            match scope.resolve(input, self.building, self.reader)? {
                Some(Meaning::Item(item)) => inputs.push(Some(item)),
                Some(Meaning::Missing) => known = false,
                None => return Err(dangling(&name, input, all)),
            }
        }
        let function = self.functions.get(&(&*node.domain, &*node.op_type, &*node.overload)).copied();
        let lower = if is_onnx_domain(&node.domain) { lowering(&node.op_type) } else { None };
        if function.is_none() && lower.is_none() && node.op_type != "If" {
            self.unsupported.note(node, opset, &name, None, None);
            return Ok(missing());
        }
        if !known {
            return Ok(missing());
        }
        let lowered = if let Some(function) = function {
            return self.function(function, node, inputs, &name, place);
        } else if node.op_type == "If" && is_onnx_domain(&node.domain) {
            match condition(&inputs) {
                Ok(condition) => return self.branch(node, condition, scope, &name, place),
                Err(trouble) => Err(trouble),
            }
        } else {
            let lower = lower.expect("checked above");
            let mut lowering = Lowering {
                building: self.building,
                reader: self.reader,
                node,
                name: name.clone(),
                opset,
                inputs,
                freed: self.freed,
            };
            symbolic::evaluate(&mut lowering, lower)
        };
        match lowered {
            Ok(items) if items.len() >= node.output.len() => {
                Ok(items.into_iter().map(Meaning::Item).collect())
            }
            Ok(items) => {
                let used = node.output.iter().filter(|output| !output.is_empty()).count();
                let problem = format!("{used} outputs, where {} are supported", items.len());
                self.unsupported.note(node, opset, &name, Some(problem), None);
                Ok(missing())
            }
            Err(Trouble::Unsupported(problem)) => {
                self.unsupported.note(node, opset, &name, Some(problem), None);
                Ok(missing())
            }
            Err(Trouble::Unknown(index)) => {
                let unknown = node.input.get(index).map(String::as_str);
                self.unsupported.note(node, opset, &name, None, unknown);
                Ok(missing())
            }
            Err(Trouble::Refused(problem)) => {
                Err(OnnxError::Node { node: name, operator: node.op_type.clone(), problem })
            }
            Err(Trouble::Model(error)) => Err(error),
        }
    }

    /// Computes the nodes of a function in the place of the node that calls it.
    fn function(
        &mut self,
        function: &FunctionProto,
        node: &NodeProto,
        inputs: Vec<Option<Item>>,
        name: &str,
        place: Place<'_>,
    ) -> Result<Vec<Meaning>, OnnxError> {
        let mut scope = Scope::default();
        let mut left_out = HashSet::new();
        let mut inputs = inputs.into_iter();
        for name in &function.input {
            match inputs.next().flatten() {
                Some(item) => scope.define(name, Meaning::Item(item))?,
                None => {
                    left_out.insert(name.as_str());
                }
            }
        }
        // The first of a name counts, and the node's before the function's.
        let attributes: HashMap<&str, &AttributeProto> = (node.attribute.iter())
            .chain(&function.attribute_proto)
            .rev()
            .map(|attribute| (attribute.name.as_str(), attribute))
            .collect();
        let mut nodes = Vec::new();
        for node in &function.node {
            self.building.spend(copied_bytes(node, &attributes))?;
            nodes.push(substituted(node, &attributes, &left_out));
        }
        let prefix = format!("{name}/");
        let opsets = if function.opset_import.is_empty() { place.opsets } else { &function.opset_import };
        let inner = Place { opsets, prefix: &prefix, depth: place.depth + 1 };
        let names: Vec<&str> = function.output.iter().map(String::as_str).collect();
        self.run(&nodes, &names, &mut scope, inner)?;
        let mut outputs = self.outputs(&names, &mut scope)?;
        outputs.truncate(node.output.len());
        Ok(outputs)
    }

    /// Computes one branch of an If in its place.
    fn branch(
        &mut self,
        node: &NodeProto,
        condition: bool,
        scope: &Scope<'_>,
        name: &str,
        place: Place<'_>,
    ) -> Result<Vec<Meaning>, OnnxError> {
        let attribute = if condition { "then_branch" } else { "else_branch" };
        let graph = node.attribute.iter().find(|a| a.name == attribute).and_then(|a| a.g.as_deref());
        let graph = graph.ok_or_else(|| OnnxError::Node {
            node: name.into(),
            operator: "If".into(),
            problem: format!("expected a graph as attribute '{attribute}', got none"),
        })?;
        let mut within = Scope::of_graph(graph, Vec::new(), Some(scope))?;
        let prefix = format!("{name}/");
        let inner = Place { prefix: &prefix, depth: place.depth + 1, ..place };
        let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        self.run(&graph.node, &outputs, &mut within, inner)?;
        self.outputs(&outputs, &mut within)
    }
}

/// Whether each node is needed for the outputs.
fn needed(nodes: &[NodeProto], outputs: &[&str]) -> Vec<bool> {
    let mut names: HashSet<&str> = outputs.iter().copied().collect();
    let mut needed = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate().rev() {
        if node.output.iter().any(|output| names.contains(output.as_str())) {
            needed[index] = true;
            use_all(node, &mut names);
        }
    }
    needed
}

/// Adds what a node and the graphs within it refer to.
fn use_all<'n>(node: &'n NodeProto, names: &mut HashSet<&'n str>) {
    names.extend(node.input.iter().map(String::as_str));
    for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()) {
        names.extend(graph.output.iter().map(|output| output.name.as_str()));
        graph.node.iter().for_each(|node| use_all(node, names));
    }
}

fn node_name(node: &NodeProto, prefix: &str) -> String {
    let own = match node.name.is_empty() {
        false => &node.name,
        true => node.output.iter().find(|output| !output.is_empty()).unwrap_or(&node.op_type),
    };
    format!("{prefix}{own}")
}

fn opset(node: &NodeProto, opsets: &[OperatorSetIdProto]) -> i64 {
    let same = |set: &&OperatorSetIdProto| {
        set.domain == node.domain || (is_onnx_domain(&set.domain) && is_onnx_domain(&node.domain))
    };
    opsets.iter().filter(same).map(|set| set.version).max().unwrap_or(0)
}

/// Why a name has no meaning where a node uses it.
fn dangling(node: &str, input: &str, all: &[NodeProto]) -> OnnxError {
    let later = all.iter().any(|other| other.output.iter().any(|output| output == input));
    let problem = match later {
        true => format!(
            "node '{node}' uses '{input}', which is computed only later: nodes are out of order, or in a cycle"
        ),
        false => format!("node '{node}' uses '{input}', which nothing computes"),
    };
    OnnxError::Malformed { problem }
}

fn condition(inputs: &[Option<Item>]) -> Result<bool, Trouble> {
    let known = match inputs {
        [Some(Item::Known(tensor))] => match tensor.as_bool() {
            Some(&[condition]) => Some(condition),
            _ => {
                return Err(Trouble::refused(
                    "one condition",
                    format!("{}{:?}", tensor.dtype(), tensor.shape()),
                ));
            }
        },
        _ => None,
    };
    known.ok_or(Trouble::Unknown(0))
}

/// About what [`substituted`] makes.
fn copied_bytes(node: &NodeProto, attributes: &HashMap<&str, &AttributeProto>) -> usize {
    let names = |names: &[String]| names.iter().map(|name| size_of::<String>() + name.len()).sum::<usize>();
    let attribute_bytes = |attribute: &AttributeProto| {
        let given = attributes.get(attribute.ref_attr_name.as_str()).copied();
        let lists = |a: &AttributeProto| 8 * (a.ints.len() + a.floats.len() + 4 * a.strings.len());
        // Raw data is shared, numbers in lists are not.
        let tensor = |a: &AttributeProto| {
            let lists = |t: &TensorProto| {
                t.float_data.len()
                    + t.int32_data.len()
                    + t.int64_data.len()
                    + t.double_data.len()
                    + t.uint64_data.len()
            };
            a.t.as_deref().map_or(0, |t| size_of::<TensorProto>() + 8 * lists(t))
        };
        let graph = |a: &AttributeProto| {
            let of = |g: &GraphProto| g.node.iter().map(|node| copied_bytes(node, attributes)).sum::<usize>();
            a.g.as_deref().map_or(0, of)
        };
        let attribute = given.unwrap_or(attribute);
        size_of::<AttributeProto>() + lists(attribute) + tensor(attribute) + graph(attribute)
    };
    let own = size_of::<NodeProto>() + names(&node.input) + names(&node.output) + node.name.len();
    own + node.attribute.iter().map(attribute_bytes).sum::<usize>()
}

/// A node of a function with the attributes of the node that calls it, and without the inputs that this one leaves out.
fn substituted(
    node: &NodeProto,
    attributes: &HashMap<&str, &AttributeProto>,
    left_out: &HashSet<&str>,
) -> NodeProto {
    let mut node = node.clone();
    for input in &mut node.input {
        if left_out.contains(input.as_str()) {
            input.clear();
        }
    }
    node.attribute = std::mem::take(&mut node.attribute)
        .into_iter()
        .filter_map(|mut attribute| {
            if !attribute.ref_attr_name.is_empty() {
                let given = *attributes.get(attribute.ref_attr_name.as_str())?;
                return Some(AttributeProto { name: attribute.name, ..given.clone() });
            }
            if let Some(graph) = attribute.g.as_deref_mut() {
                for inner in &mut graph.node {
                    *inner = substituted(inner, attributes, left_out);
                }
            }
            Some(attribute)
        })
        .collect();
    node
}
