//! Which names mean what, in a graph and in the graphs within its nodes.

use std::collections::HashMap;

use super::building::Building;
use super::value::Item;
use crate::OnnxError;
use crate::proto::{GraphProto, TensorProto};
use crate::tensor::TensorReader;

/// What a name means.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    /// This.
    Item(Item),
    /// The output of a node that is not supported.
    Missing,
}

/// The names of a graph, of a function, or of a graph within a node, which sees those around it too.
#[derive(Default)]
pub(crate) struct Scope<'m> {
    around: Option<&'m Scope<'m>>,
    names: HashMap<String, Meaning>,
    /// Those not read yet: most of a model's constants are used once, some never.
    initializers: HashMap<&'m str, &'m TensorProto>,
}

impl<'m> Scope<'m> {
    /// The names of a graph, with its inputs and initialisers.
    pub(crate) fn of_graph(
        graph: &'m GraphProto,
        inputs: Vec<(String, Item)>,
        around: Option<&'m Scope<'m>>,
    ) -> Result<Self, OnnxError> {
        let mut scope = Scope { around, ..Scope::default() };
        for (name, item) in inputs {
            scope.define(&name, Meaning::Item(item))?;
        }
        for tensor in &graph.initializer {
            if scope.names.contains_key(&tensor.name)
                || scope.initializers.insert(&tensor.name, tensor).is_some()
            {
                return Err(twice(&tensor.name));
            }
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(OnnxError::Unsupported(vec![crate::UnsupportedOperator {
                operator: "sparse initialiser".into(),
                opset: 0,
                problem: None,
                unknown: Vec::new(),
                nodes: vec![graph.name.clone()],
            }]));
        }
        Ok(scope)
    }

    /// Gives a name its meaning; each has one.
    pub(crate) fn define(&mut self, name: &str, meaning: Meaning) -> Result<(), OnnxError> {
        if self.initializers.contains_key(name) || self.names.insert(name.into(), meaning).is_some() {
            return Err(twice(name));
        }
        Ok(())
    }

    /// What a name means here; `None` where it means nothing.
    pub(crate) fn resolve(
        &mut self,
        name: &str,
        building: &mut Building,
        reader: &mut TensorReader,
    ) -> Result<Option<Meaning>, OnnxError> {
        if let Some(meaning) = self.names.get(name) {
            return Ok(Some(meaning.clone()));
        }
        if let Some(proto) = self.initializers.remove(name) {
            let meaning = read(name, proto, building, reader)?;
            self.names.insert(name.into(), meaning.clone());
            return Ok(Some(meaning));
        }
        match self.around {
            Some(around) => around.resolve_from_within(name, building, reader),
            None => Ok(None),
        }
    }

    /// The same for a graph within, which may not change the names around it.
    fn resolve_from_within(
        &self,
        name: &str,
        building: &mut Building,
        reader: &mut TensorReader,
    ) -> Result<Option<Meaning>, OnnxError> {
        if let Some(meaning) = self.names.get(name) {
            return Ok(Some(meaning.clone()));
        }
        if let Some(proto) = self.initializers.get(name) {
            return Ok(Some(read(name, proto, building, reader)?));
        }
        match self.around {
            Some(around) => around.resolve_from_within(name, building, reader),
            None => Ok(None),
        }
    }
}

fn read(
    name: &str,
    proto: &TensorProto,
    building: &mut Building,
    reader: &mut TensorReader,
) -> Result<Meaning, OnnxError> {
    Ok(match reader.read(proto)? {
        Some(tensor) => Meaning::Item(building.named(name, tensor)),
        None => Meaning::Missing,
    })
}

fn twice(name: &str) -> OnnxError {
    OnnxError::Malformed { problem: format!("the name '{name}' is given twice") }
}
