//! The graph under construction: names, constants, and folding of what is known.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use paceline_graph::{
    DType, Expand, Graph, GraphBuilder, GraphError, Op, Shape, Tensor, Value, ValueType, op_work,
};

use super::sampled::Sampled;
use super::trouble::Trouble;
use super::value::Item;
use crate::OnnxError;
use crate::tensor::MOST_AXES;

/// What is computed from so many known integers or booleans is known: shapes, indices, masks.
const MOST_KNOWN_INTEGERS: usize = 1 << 18;
/// What is computed from so many known floating-point numbers is: scales and sizes. Weights are left to the passes, which know what
/// the devices want of them.
const MOST_KNOWN_FLOATS: usize = 1 << 10;
/// What takes the reference more steps is left to the devices.
const MOST_STEPS: u64 = 1 << 24;
/// No value of a graph may be larger, for one sample.
const LARGEST_VALUE_BYTES: usize = 1 << 34;

/// The graph under construction.
pub(crate) struct Building {
    builder: GraphBuilder,
    /// Names that nodes and constants have, and for each how many others wanted it.
    names: HashMap<String, usize>,
    /// Constants that the graph has, by the address of the tensor, which is kept alive.
    constants: HashMap<*const Tensor, (Arc<Tensor>, Value)>,
    /// What constants are called, likewise.
    hints: HashMap<*const Tensor, (Arc<Tensor>, String)>,
    most_known_bytes: usize,
    left_bytes: Cell<usize>,
}

impl Building {
    /// Nothing yet; so many bytes, or steps, may be spent on what is known.
    pub(crate) fn new(known_bytes: usize) -> Self {
        Building {
            builder: GraphBuilder::new(),
            names: HashMap::new(),
            constants: HashMap::new(),
            hints: HashMap::new(),
            most_known_bytes: known_bytes,
            left_bytes: Cell::new(known_bytes),
        }
    }

    /// Counts bytes that are about to be made, or steps about to be taken, and passes if that is not too much.
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), OnnxError> {
        let left = self.left_bytes.get().checked_sub(bytes);
        self.left_bytes.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(OnnxError::Bound {
            what: "bytes and steps of what is computed while it is read",
            most: self.most_known_bytes,
        })
    }

    pub(crate) fn input(&mut self, name: &str, dtype: DType, shape: Shape) -> Result<Item, GraphError> {
        Ok(Item::Graph(self.builder.input(name, dtype, shape)?))
    }

    pub(crate) fn output(&mut self, name: &str, item: &Item) -> Result<(), Trouble> {
        let value = self.value(item)?;
        Ok(self.builder.output(name, value)?)
    }

    pub(crate) fn finish(self) -> Result<Graph, GraphError> {
        self.builder.finish()
    }

    /// A known tensor by its name in the model.
    pub(crate) fn named(&mut self, name: &str, tensor: Arc<Tensor>) -> Item {
        self.hints.insert(Arc::as_ptr(&tensor), (Arc::clone(&tensor), name.into()));
        Item::Known(tensor)
    }

    /// The type of an item, as it would be in the graph.
    pub(crate) fn ty(&self, item: &Item) -> ValueType {
        match item {
            Item::Graph(value) => self.builder.value_type(*value).clone(),
            Item::Known(tensor) => ValueType::new(tensor.dtype(), tensor.shape()),
            Item::Symbolic(symbolic) => symbolic.ty(),
            Item::Sampled(sampled) => sampled.ty.clone(),
            Item::View(view) => view.ty.clone(),
        }
    }

    /// The outputs of an operator: known, where its inputs are and there is not much to compute.
    pub(crate) fn add(&mut self, name: &str, op: Op, inputs: &[Option<&Item>]) -> Result<Vec<Item>, Trouble> {
        if let Some(known) = self.fold(&op, inputs)? {
            return Ok(known);
        }
        let values: Vec<Option<Value>> = inputs
            .iter()
            .map(|item| item.map(|item| self.value(item)).transpose())
            .collect::<Result<_, _>>()?;
        let name = self.unique(name);
        let outputs = self.builder.add_many(&name, op, &values)?;
        for &value in &outputs {
            self.check_size(self.builder.value_type(value))?;
        }
        Ok(outputs.into_iter().map(Item::Graph).collect())
    }

    fn fold(&self, op: &Op, inputs: &[Option<&Item>]) -> Result<Option<Vec<Item>>, Trouble> {
        let known: Option<Vec<Option<&Tensor>>> = inputs
            .iter()
            .map(|item| match item {
                None => Some(None),
                Some(Item::Known(tensor)) => Some(Some(&**tensor)),
                Some(_) => None,
            })
            .collect();
        let Some(known) = known else { return Ok(None) };
        let types: Vec<Option<ValueType>> =
            inputs.iter().map(|item| item.map(|item| self.ty(item))).collect();
        let types: Vec<Option<&ValueType>> = types.iter().map(Option::as_ref).collect();
        let outputs = op.infer(&types)?;
        let shapes: Option<Vec<Vec<usize>>> = outputs.iter().map(|ty| ty.shape.fixed()).collect();
        let Some(shapes) = shapes else { return Ok(None) };
        let few = |dtype: DType, elements: usize| {
            elements <= if dtype.is_float() { MOST_KNOWN_FLOATS } else { MOST_KNOWN_INTEGERS }
        };
        let small = known.iter().flatten().all(|tensor| few(tensor.dtype(), tensor.len()))
            && outputs.iter().all(|ty| ty.shape.elements_per_sample().is_some_and(|n| few(ty.dtype, n)));
        if !small {
            return Ok(None);
        }
        let given: Vec<Option<Vec<usize>>> =
            known.iter().map(|tensor| tensor.map(|tensor| tensor.shape().to_vec())).collect();
        let steps = op_work(op, &given, &shapes);
        if steps > MOST_STEPS {
            return Ok(None);
        }
        // Eight bytes are the most that an element takes.
        self.spend(8 * steps as usize)?;
        Ok(Some(op.evaluate(&known, &shapes).into_iter().map(Item::known).collect()))
    }

    /// An item as a value of the graph.
    pub(crate) fn value(&mut self, item: &Item) -> Result<Value, Trouble> {
        let tensor = match item {
            Item::Graph(value) => return Ok(*value),
            Item::Known(tensor) => tensor,
            Item::View(view) => {
                return Err(Trouble::refused(
                    "a tensor that is what it seems",
                    format!("a view of {}", view.ty),
                ));
            }
            Item::Sampled(sampled) => {
                if let Some(value) = self.same_for_all(sampled)? {
                    return Ok(value);
                }
                return Err(Trouble::refused(
                    "values that do not depend on a sample's number",
                    "such a number as data",
                ));
            }
            Item::Symbolic(_) => {
                return Err(Trouble::refused(
                    "values that do not depend on how many samples there are",
                    "the number of samples as data",
                ));
            }
        };
        if let Some((_, value)) = self.constants.get(&Arc::as_ptr(tensor)) {
            return Ok(*value);
        }
        let hint = self.hints.get(&Arc::as_ptr(tensor)).map_or("constant", |(_, name)| name).to_string();
        let name = self.unique(&hint);
        let value = self.builder.constant(&name, Arc::clone(tensor))?;
        self.constants.insert(Arc::as_ptr(tensor), (Arc::clone(tensor), value));
        Ok(value)
    }

    /// Numbers that depend on their sample in form only, as a value of the graph.
    fn same_for_all(&mut self, sampled: &Sampled) -> Result<Option<Value>, Trouble> {
        let Some(one) = sampled.of_every_sample() else { return Ok(None) };
        let one = Item::known(one);
        let expanded =
            self.add("expand", Op::Expand(Expand { shape: sampled.ty.shape.clone() }), &[Some(&one)])?;
        self.value(&expanded[0]).map(Some)
    }

    /// Passes if a value of this type can be held in memory.
    pub(crate) fn check_size(&self, ty: &ValueType) -> Result<(), Trouble> {
        if ty.shape.rank() > MOST_AXES {
            let got = format!("{} axes", ty.shape.rank());
            return Err(Trouble::refused(format!("values of at most {MOST_AXES} axes"), got));
        }
        let bytes = ty.shape.elements_per_sample().and_then(|n| n.checked_mul(ty.dtype.size_bytes()));
        match bytes {
            Some(bytes) if bytes <= LARGEST_VALUE_BYTES => Ok(()),
            _ => Err(Trouble::refused(
                format!("values of at most {} GiB for a sample", LARGEST_VALUE_BYTES >> 30),
                ty.to_string(),
            )),
        }
    }

    /// `name`, or where that is taken `name.1`, `name.2` and so on.
    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        while self.names.contains_key(&unique) {
            let others = self.names.entry(name.into()).or_default();
            *others += 1;
            unique = format!("{name}.{others}");
        }
        self.names.insert(unique.clone(), 0);
        unique
    }
}
