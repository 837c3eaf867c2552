//! The graph itself: values, nodes, inputs and outputs. Immutable once built.

use std::fmt;
use std::sync::Arc;

use crate::{DType, Dim, Op, Shape, Tensor};

/// Names one value of a graph: an input, a constant or an output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Element type and shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// The element type.
    pub dtype: DType,
    /// The axes.
    pub shape: Shape,
}

impl ValueType {
    /// A type from its two parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        ValueType { dtype, shape: shape.into() }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The caller gives it.
    Input,
    /// It is part of the model. Shared, never copied by a pass.
    Constant(Arc<Tensor>),
    /// Output `output` of node `node` computes it.
    Node {
        /// Position in [`Graph::nodes`].
        node: usize,
        /// Position in [`Node::outputs`].
        output: usize,
    },
}

/// One value: its name, type and source.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// The name of the input or constant, or one derived from the node.
    pub name: String,
    /// Element type and shape.
    pub ty: ValueType,
    /// Where it comes from.
    pub source: Source,
}

/// One application of an operator.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique in the graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// In the operator's order; `None` where an optional input is left out.
    pub inputs: Vec<Option<Value>>,
    /// In the operator's order.
    pub outputs: Vec<Value>,
}

impl Node {
    /// Input `index`, if it is given.
    pub fn input(&self, index: usize) -> Option<Value> {
        self.inputs.get(index).copied().flatten()
    }
}

/// A named output of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Unique among the outputs.
    pub name: String,
    /// What is returned under that name.
    pub value: Value,
}

/// A model as data. Nodes are in an order in which they can be computed.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Output>,
}

impl Graph {
    /// All values, indexed by [`Value::index`].
    pub fn values(&self) -> &[ValueInfo] {
        &self.values
    }

    /// One value.
    pub fn value(&self, value: Value) -> &ValueInfo {
        &self.values[value.index()]
    }

    /// The constant behind a value, if it is one.
    pub fn constant(&self, value: Value) -> Option<&Arc<Tensor>> {
        match &self.value(value).source {
            Source::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The nodes, each after those it depends on.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs, in the order they were declared.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// The outputs, in the order they were declared.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether axis 0 of every input and output is the batch. If not, one request is one execution.
    pub fn is_batched(&self) -> bool {
        self.inputs.first().is_some_and(|&v| self.value(v).ty.shape.dims().first() == Some(&Dim::BATCH))
    }

    /// Number of elements in all constants.
    pub fn parameter_count(&self) -> usize {
        self.values
            .iter()
            .map(|v| match &v.source {
                Source::Constant(tensor) => tensor.len(),
                _ => 0,
            })
            .sum()
    }
}
