//! Builds graphs, checking every node as it is added.

use std::collections::HashSet;
use std::sync::Arc;

use crate::{
    DType, Dim, Graph, GraphError, Node, Op, Output, Problem, Shape, Source, Tensor, Value, ValueInfo,
    ValueType,
};

/// Builds a [`Graph`]. Every call checks what it adds, so that an error names the node that caused it.
///
/// ```
/// use paceline_graph::{DType, Dim, GraphBuilder, Linear, Op, Tensor};
/// let mut g = GraphBuilder::new();
/// let x = g.input("x", DType::F32, [Dim::BATCH, Dim::Fixed(3)])?;
/// let w = g.constant("w", Tensor::new([2, 3], vec![1.0; 6])?)?;
/// let y = g.add("fc", Op::Linear(Linear::default()), &[Some(x), Some(w)])?;
/// g.output("y", y)?;
/// assert_eq!(g.finish()?.nodes().len(), 1);
/// # Ok::<(), paceline_graph::GraphError>(())
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    values: Vec<ValueInfo>,
    nodes: Vec<Node>,
    inputs: Vec<Value>,
    outputs: Vec<Output>,
    node_names: HashSet<String>,
    constant_names: HashSet<String>,
    input_names: HashSet<String>,
    output_names: HashSet<String>,
}

impl GraphBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares an input. Axis 0 is [`Dim::BATCH`] for every input, or no axis depends on the batch.
    pub fn input(&mut self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Result<Value, GraphError> {
        let shape = shape.into();
        if self.input_names.contains(name) {
            return Err(GraphError::DuplicateName { what: "input", name: name.into() });
        }
        let batched = match self.inputs.first() {
            Some(&first) => self.values[first.index()].ty.shape.batch_axis().is_some(),
            None => shape.batch_axis().is_some(),
        };
        check_boundary("input", name, &shape, batched)?;
        let value =
            self.push(ValueInfo { name: name.into(), ty: ValueType { dtype, shape }, source: Source::Input });
        self.inputs.push(value);
        self.input_names.insert(name.into());
        Ok(value)
    }

    /// Adds a weight or other constant.
    pub fn constant(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> Result<Value, GraphError> {
        let tensor = tensor.into();
        if !self.constant_names.insert(name.into()) {
            return Err(GraphError::DuplicateName { what: "constant", name: name.into() });
        }
        let ty = ValueType::new(tensor.dtype(), tensor.shape());
        Ok(self.push(ValueInfo { name: name.into(), ty, source: Source::Constant(tensor) }))
    }

    /// Adds a node with one output and returns that output.
    pub fn add(&mut self, name: &str, op: Op, inputs: &[Option<Value>]) -> Result<Value, GraphError> {
        Ok(self.add_many(name, op, inputs)?[0])
    }

    /// Adds a node and returns all its outputs.
    ///
    /// `inputs` is in the operator's order, `None` where an optional input is left out; trailing ones may be omitted.
    pub fn add_many(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[Option<Value>],
    ) -> Result<Vec<Value>, GraphError> {
        if let Some(unknown) = inputs.iter().flatten().find(|v| v.index() >= self.values.len()) {
            return Err(GraphError::UnknownValue { index: unknown.index(), len: self.values.len() });
        }
        let types: Vec<Option<&ValueType>> =
            inputs.iter().map(|v| v.map(|v| &self.values[v.index()].ty)).collect();
        let outputs = op.infer(&types).and_then(check_outputs).map_err(|problem| GraphError::Node {
            node: name.into(),
            operator: op.name(),
            expected: problem.expected,
            got: problem.got,
        })?;
        if !self.node_names.insert(name.into()) {
            return Err(GraphError::DuplicateName { what: "node", name: name.into() });
        }
        let node = self.nodes.len();
        let single = outputs.len() == 1;
        let outputs: Vec<Value> = outputs
            .into_iter()
            .enumerate()
            .map(|(output, ty)| {
                let name = if single { name.to_string() } else { format!("{name}.{output}") };
                self.push(ValueInfo { name, ty, source: Source::Node { node, output } })
            })
            .collect();
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// Element type and shape of a value.
    ///
    /// # Panics
    /// When the value comes from another, larger builder.
    pub fn value_type(&self, value: Value) -> &ValueType {
        &self.values[value.index()].ty
    }

    /// Returns `value` to the caller under `name`. In a graph with a batch, axis 0 must be the batch.
    pub fn output(&mut self, name: &str, value: Value) -> Result<(), GraphError> {
        let Some(info) = self.values.get(value.index()) else {
            return Err(GraphError::UnknownValue { index: value.index(), len: self.values.len() });
        };
        if self.output_names.contains(name) {
            return Err(GraphError::DuplicateName { what: "output", name: name.into() });
        }
        let batched =
            self.inputs.first().is_some_and(|&v| self.values[v.index()].ty.shape.batch_axis().is_some());
        check_boundary("output", name, &info.ty.shape, batched)?;
        self.outputs.push(Output { name: name.into(), value });
        self.output_names.insert(name.into());
        Ok(())
    }

    /// The finished graph.
    pub fn finish(self) -> Result<Graph, GraphError> {
        if self.outputs.is_empty() {
            return Err(GraphError::NoOutput);
        }
        Ok(Graph { values: self.values, nodes: self.nodes, inputs: self.inputs, outputs: self.outputs })
    }

    fn push(&mut self, info: ValueInfo) -> Value {
        let value = Value(u32::try_from(self.values.len()).expect("a graph has fewer than 2^32 values"));
        self.values.push(info);
        value
    }
}

fn check_boundary(what: &'static str, name: &str, shape: &Shape, batched: bool) -> Result<(), GraphError> {
    let axis_0_is_batch = shape.dims().first() == Some(&Dim::BATCH);
    let others = shape.dims().iter().skip(1).any(|d| d.is_batch());
    if others || axis_0_is_batch != batched || (!batched && shape.batch_axis().is_some()) {
        let expected = if batched {
            "axis 0 to be the batch (N), and no other axis to depend on it"
        } else {
            "no batch axis, as the graph's first input has none"
        };
        return Err(GraphError::Boundary {
            what,
            name: name.into(),
            expected: expected.into(),
            got: shape.to_string(),
        });
    }
    if shape.elements_per_sample().is_none() {
        return Err(GraphError::Boundary {
            what,
            name: name.into(),
            expected: "a number of elements that fits in memory".into(),
            got: shape.to_string(),
        });
    }
    Ok(())
}

/// What holds for every operator: a value has at most one batch axis, and a size that can be computed.
fn check_outputs(types: Vec<ValueType>) -> Result<Vec<ValueType>, Problem> {
    for ty in &types {
        if ty.shape.dims().iter().filter(|d| d.is_batch()).count() > 1 {
            return Err(Problem::new("a result in which one axis depends on the batch", ty.to_string()));
        }
        if ty.shape.elements_per_sample().is_none() {
            return Err(Problem::new("a result whose number of elements fits in memory", ty.to_string()));
        }
    }
    Ok(types)
}
