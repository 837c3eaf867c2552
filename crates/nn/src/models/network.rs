//! A module together with its inputs and outputs.

use std::sync::Arc;

use paceline_graph::{Graph, Source};

use crate::{BuildError, Layer, Module, Parameters, Scope};

/// A module that says which inputs it takes and which outputs it has: all that a graph needs but the weights.
pub trait Network: Module {
    /// Declares the inputs, applies the module and declares the outputs.
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError>;
}

/// A layer with one f32 input `x` of a fixed shape per sample, and the output `y`.
#[derive(Clone, Debug)]
pub struct OneInput<L> {
    layer: L,
    per_sample: Vec<usize>,
}

impl<L: Layer> OneInput<L> {
    /// `layer` on inputs of `[N, per_sample...]`.
    pub fn new(layer: L, per_sample: impl Into<Vec<usize>>) -> Self {
        OneInput { layer, per_sample: per_sample.into() }
    }
}

impl<L: Layer> Module for OneInput<L> {
    fn parameters(&self, parameters: &mut Parameters) {
        self.layer.parameters(parameters);
    }
}

impl<L: Layer> Network for OneInput<L> {
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError> {
        scope.apply(&self.layer, &self.per_sample)
    }
}

/// A finished graph has no parameters: its weights are constants.
impl Module for Graph {
    fn parameters(&self, _: &mut Parameters) {}
}

/// A finished graph is built as it is.
impl Network for Graph {
    fn connect(&self, scope: &mut Scope<'_>) -> Result<(), BuildError> {
        let mut built = vec![None; self.values().len()];
        for &value in self.inputs() {
            let info = self.value(value);
            built[value.index()] = Some(scope.input(&info.name, info.ty.dtype, info.ty.shape.clone())?);
        }
        for (info, built) in self.values().iter().zip(&mut built) {
            if let Source::Constant(tensor) = &info.source {
                *built = Some(scope.constant(&info.name, Arc::clone(tensor))?);
            }
        }
        for node in self.nodes() {
            let inputs: Vec<_> =
                node.inputs.iter().map(|input| input.and_then(|v| built[v.index()])).collect();
            let outputs = scope.add_many(&node.name, node.op.clone(), &inputs)?;
            node.outputs.iter().zip(outputs).for_each(|(old, new)| built[old.index()] = Some(new));
        }
        for output in self.outputs() {
            let value = built[output.value.index()].expect("nodes are in order");
            scope.output(&output.name, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use paceline_graph::reference::evaluate;

    use crate::{Model, sample_inputs};

    #[test]
    fn a_graph_is_a_model_that_computes_the_same() {
        let model = Model::by_name("translation").unwrap();
        let graph = model.graph(3).unwrap();
        let again = Model::new("again", "", graph.clone()).graph(7).unwrap();
        let inputs = sample_inputs(&graph, 2, 5).unwrap();
        assert_eq!(evaluate(&again, &inputs).unwrap(), evaluate(&graph, &inputs).unwrap());
        assert_eq!(again.outputs().len(), graph.outputs().len());
    }
}
