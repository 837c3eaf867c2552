//! Where a layer adds its nodes: a graph under construction, a place in the model, and the weights.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use paceline_graph::{DType, Graph, GraphBuilder, Op, Shape, Tensor, Value, ValueType};

use crate::parameter::join;
use crate::{BuildError, Layer, Module, StateDict};

/// The graph of `module` with the weights of `state`.
///
/// The state dict is checked first: every difference from what the module declares is in the one error. Then `body`
/// declares inputs, applies the module and declares outputs.
///
/// ```
/// use paceline_graph::{DType, Shape};
/// use paceline_nn::{Layer, Linear, StateDict, build};
/// let fc = Linear::new(3, 2);
/// let graph = build(&fc, &StateDict::random(&fc, 7), |scope| {
///     let x = scope.input("x", DType::F32, Shape::batched(&[3]))?;
///     let y = fc.forward(scope, x)?;
///     scope.output("y", y)
/// })?;
/// assert_eq!(graph.nodes().len(), 1);
/// # Ok::<(), paceline_nn::BuildError>(())
/// ```
pub fn build(
    module: &(impl Module + ?Sized),
    state: &StateDict,
    body: impl FnOnce(&mut Scope<'_>) -> Result<(), BuildError>,
) -> Result<Graph, BuildError> {
    state.check(module)?;
    let mut construction = Construction::default();
    body(&mut Scope { construction: &mut construction, state, path: String::new() })?;
    Ok(construction.builder.finish()?)
}

/// The graph of a layer alone: an f32 input `x` of `[N, per_sample...]`, and the output `y`.
pub fn build_layer(
    layer: &(impl Layer + ?Sized),
    state: &StateDict,
    per_sample: &[usize],
) -> Result<Graph, BuildError> {
    build(layer, state, |scope| scope.apply(layer, per_sample))
}

/// The graph being built, the path of the module at work, and the weights.
///
/// Names in the graph follow the path: a parameter's constant has its name in the state dict, a node the path of its
/// module. A module that is applied twice shares its constants, and its second node is named `path#2`.
#[derive(Debug)]
pub struct Scope<'a> {
    construction: &'a mut Construction,
    state: &'a StateDict,
    path: String,
}

#[derive(Debug, Default)]
struct Construction {
    builder: GraphBuilder,
    constants: HashMap<String, Value>,
    node_names: HashMap<String, usize>,
}

impl Scope<'_> {
    /// The scope of the child module `name`. An empty name stays in place.
    pub fn child(&mut self, name: &str) -> Scope<'_> {
        Scope { path: join(&self.path, name), construction: self.construction, state: self.state }
    }

    /// Declares an input of the graph.
    pub fn input(&mut self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Result<Value, BuildError> {
        Ok(self.construction.builder.input(name, dtype, shape)?)
    }

    /// Declares an output of the graph.
    pub fn output(&mut self, name: &str, value: Value) -> Result<(), BuildError> {
        Ok(self.construction.builder.output(name, value)?)
    }

    /// Declares the f32 input `x` of `[N, per_sample...]` and the output `y`, with `layer` between them.
    pub fn apply(&mut self, layer: &(impl Layer + ?Sized), per_sample: &[usize]) -> Result<(), BuildError> {
        let x = self.input("x", DType::F32, Shape::batched(per_sample))?;
        let y = layer.forward(self, x)?;
        self.output("y", y)
    }

    /// The module's parameter `name`.
    pub fn parameter(&mut self, name: &str) -> Result<Value, BuildError> {
        let name = join(&self.path, name);
        let state = self.state;
        self.shared_constant(name.clone(), || state.get(&name).cloned())
    }

    /// The module's parameter `name`, if it is `present`.
    pub fn optional_parameter(&mut self, present: bool, name: &str) -> Result<Option<Value>, BuildError> {
        present.then(|| self.parameter(name)).transpose()
    }

    /// Rows `rows` of the module's parameter `name`, as a constant of its own: a copy.
    pub fn parameter_rows(&mut self, name: &str, rows: Range<usize>) -> Result<Value, BuildError> {
        let name = join(&self.path, name);
        let state = self.state;
        self.shared_constant(format!("{name}[{}..{}]", rows.start, rows.end), || {
            let tensor = state.get(&name)?;
            let (&count, row) = tensor.shape().split_first()?;
            let width = tensor.len() / count.max(1);
            let elements = tensor.as_f32()?.get(rows.start * width..rows.end * width)?;
            let shape: Vec<usize> = std::iter::once(rows.len()).chain(row.iter().copied()).collect();
            Tensor::new(shape, elements.to_vec()).ok().map(Arc::new)
        })
    }

    /// A constant that is not a parameter.
    pub fn constant(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> Result<Value, BuildError> {
        Ok(self.construction.builder.constant(&join(&self.path, name), tensor)?)
    }

    /// Adds a node with one output. It is named by the module's path and `label`, which may be empty.
    pub fn add(&mut self, label: &str, op: Op, inputs: &[Option<Value>]) -> Result<Value, BuildError> {
        let name = self.node_name(label, &op);
        Ok(self.construction.builder.add(&name, op, inputs)?)
    }

    /// Adds a node and returns all its outputs.
    pub fn add_many(
        &mut self,
        label: &str,
        op: Op,
        inputs: &[Option<Value>],
    ) -> Result<Vec<Value>, BuildError> {
        let name = self.node_name(label, &op);
        Ok(self.construction.builder.add_many(&name, op, inputs)?)
    }

    /// Element type and shape of a value.
    pub fn value_type(&self, value: Value) -> &ValueType {
        self.construction.builder.value_type(value)
    }

    /// The error that this module does not accept its configuration or its input.
    pub fn problem(&self, expected: impl Into<String>, got: impl Into<String>) -> BuildError {
        BuildError::Layer { layer: self.path.clone(), expected: expected.into(), got: got.into() }
    }

    /// The constant `name`, made by `tensor` when it is first asked for.
    fn shared_constant(
        &mut self,
        name: String,
        tensor: impl FnOnce() -> Option<Arc<Tensor>>,
    ) -> Result<Value, BuildError> {
        if let Some(&value) = self.construction.constants.get(&name) {
            return Ok(value);
        }
        let Some(tensor) = tensor() else {
            return Err(BuildError::Undeclared { name });
        };
        let value = self.construction.builder.constant(&name, tensor)?;
        self.construction.constants.insert(name, value);
        Ok(value)
    }

    fn node_name(&mut self, label: &str, op: &Op) -> String {
        let name = match join(&self.path, label) {
            name if name.is_empty() => op.name().into(),
            name => name,
        };
        let uses = self.construction.node_names.entry(name.clone()).or_default();
        *uses += 1;
        if *uses == 1 { name } else { format!("{name}#{uses}") }
    }
}
