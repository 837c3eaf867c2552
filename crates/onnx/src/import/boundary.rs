//! The inputs of a model: their types, which of their axes is the batch, and what binds the others.

use std::collections::{BTreeMap, HashSet};

use paceline_graph::{DType, Dim, Graph, Shape, Tensor};

use super::building::Building;
use super::value::Item;
use crate::proto::{GraphProto, ValueInfoProto, data_type};
use crate::tensor::{MOST_AXES, dtype};
use crate::{BatchAxis, ImportOptions, OnnxError, UnsupportedOperator};

/// One axis of an input, as the model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Axis {
    Length(usize),
    Named(String),
}

/// An axis whose length the model leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeAxis {
    /// What the model calls it; `INPUT.AXIS` where it has no name.
    pub name: String,
    /// The inputs that have it, and which of their axes it is.
    pub places: Vec<(String, usize)>,
}

struct Input {
    name: String,
    dtype: DType,
    onnx_type: i32,
    axes: Vec<Axis>,
}

/// The inputs of a model.
pub(crate) struct Boundary {
    inputs: Vec<Input>,
    constants: Vec<(String, Tensor)>,
    bound: BTreeMap<String, usize>,
    /// Whether axis 0 of every input can be the batch.
    pub may_be_batched: bool,
    /// Why it cannot, where one might think that it could.
    pub why_not_batched: Option<String>,
}

impl Boundary {
    pub(crate) fn new(graph: &GraphProto, options: &ImportOptions) -> Result<Self, OnnxError> {
        let constants = bound_inputs(graph, options)?;
        let initialised: HashSet<&str> =
            graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let given = |input: &&ValueInfoProto| {
            !initialised.contains(input.name.as_str()) && !options.bound.contains_key(&input.name)
        };
        let inputs: Vec<Input> = graph.input.iter().filter(given).map(input).collect::<Result<_, _>>()?;
        let names: HashSet<&String> =
            inputs.iter().flat_map(|input| &input.axes).filter_map(Axis::name).collect();
        if let Some(unknown) = options.dims.keys().find(|&name| !names.contains(name)) {
            let mut names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            names.sort();
            let expected = match names.is_empty() {
                true => "no axis to be bound, as every axis of the model's inputs has a length".into(),
                false => format!("an axis to be bound that the model's inputs have ({})", names.join(", ")),
            };
            return Err(OnnxError::Choice { expected, got: format!("'{unknown}'") });
        }
        let mut boundary = Boundary {
            inputs,
            constants,
            bound: options.dims.clone(),
            may_be_batched: false,
            why_not_batched: None,
        };
        boundary.choose(&options.batch)?;
        Ok(boundary)
    }

    /// Decides whether axis 0 can be the batch.
    fn choose(&mut self, batch: &BatchAxis) -> Result<(), OnnxError> {
        let problem = |expected: String, input: &Input| {
            Err(OnnxError::Choice { expected, got: format!("input '{}' {}", input.name, input.shape()) })
        };
        match batch {
            BatchAxis::None => {}
            BatchAxis::Named(name) => {
                if let Some(input) =
                    self.inputs.iter().find(|i| i.axes.first() != Some(&Axis::Named(name.clone())))
                {
                    return problem(format!("the batch axis '{name}' as axis 0 of every input"), input);
                }
                self.may_be_batched = !self.inputs.is_empty();
            }
            BatchAxis::Freed(length) => {
                let fits = |input: &&Input| input.axes.first() == Some(&Axis::Length(*length));
                if let Some(input) = self.inputs.iter().find(|input| !fits(input)) {
                    return problem(format!("the length {length} of axis 0 of every input"), input);
                }
                self.may_be_batched = !self.inputs.is_empty();
            }
            BatchAxis::Auto => {
                let free = |input: &Input| {
                    input.axes.first().and_then(Axis::name).is_some_and(|name| !self.bound.contains_key(name))
                };
                let batched = self.inputs.iter().filter(|input| free(input)).count();
                self.may_be_batched = batched > 0 && batched == self.inputs.len();
                if batched > 0 && !self.may_be_batched {
                    let other = self.inputs.iter().find(|input| !free(input)).expect("not all are");
                    self.why_not_batched = Some(format!(
                        "axis 0 of input '{}' {} is none; --batch-axis chooses another reading",
                        other.name,
                        other.shape()
                    ));
                }
            }
        }
        let batch_names: HashSet<String> =
            self.inputs.iter().filter_map(|input| input.axes.first()?.name().cloned()).collect();
        let again = self.inputs.iter().find(|input| {
            input
                .axes
                .iter()
                .skip(1)
                .filter_map(Axis::name)
                .any(|name| batch_names.contains(name) && !self.bound.contains_key(name))
        });
        if let Some(input) = again.filter(|_| self.may_be_batched) {
            self.may_be_batched = false;
            self.why_not_batched = Some(format!(
                "another axis of input '{}' {} has the batch's name",
                input.name,
                input.shape()
            ));
        }
        Ok(())
    }

    /// Declares the inputs.
    pub(crate) fn inputs(
        &self,
        building: &mut Building,
        batched: bool,
    ) -> Result<Vec<(String, Item)>, OnnxError> {
        let mut unbound = Vec::new();
        let mut items = Vec::new();
        for input in &self.inputs {
            let mut dims = Vec::new();
            for (index, axis) in input.axes.iter().enumerate() {
                dims.push(match axis {
                    _ if batched && index == 0 => Dim::BATCH,
                    Axis::Length(length) => Dim::Fixed(*length),
                    Axis::Named(name) => match self.bound.get(name) {
                        Some(&length) => Dim::Fixed(length),
                        // One sample, where there is no batch axis and nobody says otherwise.
                        None if index == 0 && self.may_be_batched => Dim::Fixed(1),
                        None => {
                            let axis = format!("'{name}' (axis {index} of input '{}')", input.name);
                            unbound.push(axis);
                            Dim::Fixed(1)
                        }
                    },
                });
            }
            if unbound.is_empty() {
                items
                    .push((input.name.clone(), building.input(&input.name, input.dtype, Shape::from(dims))?));
            }
        }
        if !unbound.is_empty() {
            return Err(OnnxError::UnboundAxes { axes: unbound });
        }
        for (name, tensor) in &self.constants {
            items.push((name.clone(), building.named(name, tensor.clone().into())));
        }
        Ok(items)
    }

    /// The axes that are neither bound nor the batch, in the order of the inputs.
    pub(crate) fn free_axes(&self) -> Vec<FreeAxis> {
        let mut free: Vec<FreeAxis> = Vec::new();
        for input in &self.inputs {
            for (index, axis) in input.axes.iter().enumerate() {
                let Some(name) = axis.name() else { continue };
                if self.bound.contains_key(name) || index == 0 && self.may_be_batched {
                    continue;
                }
                let place = (input.name.clone(), index);
                match free.iter_mut().find(|free| free.name == *name) {
                    Some(free) => free.places.push(place),
                    None => free.push(FreeAxis { name: name.clone(), places: vec![place] }),
                }
            }
        }
        free
    }

    /// What there is to say about the inputs.
    pub(crate) fn notes(&self) -> Vec<String> {
        let half = |input: &&Input| matches!(input.onnx_type, data_type::FLOAT16 | data_type::BFLOAT16);
        let note = |input: &Input| {
            let own = data_type::name(input.onnx_type);
            format!("input '{}' is {own} in the model and {} here", input.name, input.dtype)
        };
        self.inputs.iter().filter(half).map(note).collect()
    }

    /// The length of axis 0 of every input and output, where the graph has no batch axis but could.
    pub(crate) fn fixed_batch(&self, graph: &Graph) -> Option<usize> {
        if graph.is_batched() {
            return None;
        }
        let first = |axes: &[Dim]| axes.first().map(|dim| dim.per_sample());
        let batch = match self.inputs.first()?.axes.first()? {
            Axis::Length(length) => *length,
            Axis::Named(_) => return None,
        };
        let values = graph.inputs().iter().copied().chain(graph.outputs().iter().map(|output| output.value));
        let alike = values.map(|v| first(graph.value(v).ty.shape.dims())).all(|length| length == Some(batch));
        (alike && batch > 0).then_some(batch)
    }
}

impl Axis {
    fn name(&self) -> Option<&String> {
        match self {
            Axis::Named(name) => Some(name),
            Axis::Length(_) => None,
        }
    }
}

impl Input {
    fn shape(&self) -> String {
        let axes = self.axes.iter().map(|axis| match axis {
            Axis::Length(length) => length.to_string(),
            Axis::Named(name) => name.clone(),
        });
        format!("[{}]", axes.collect::<Vec<_>>().join(", "))
    }
}

/// The values of inputs that are bound, which must be of the type that the model says.
fn bound_inputs(graph: &GraphProto, options: &ImportOptions) -> Result<Vec<(String, Tensor)>, OnnxError> {
    let check = |(name, tensor): (&String, &Tensor)| {
        let declared =
            graph.input.iter().find(|input| input.name == *name).ok_or_else(|| OnnxError::Choice {
                expected: "an input of the model to be bound".into(),
                got: format!("'{name}'"),
            })?;
        let declared = input(declared)?;
        let fits = declared.dtype == tensor.dtype()
            && declared.axes.len() == tensor.shape().len()
            && declared.axes.iter().zip(tensor.shape()).all(|(axis, &length)| match axis {
                Axis::Length(expected) => *expected == length,
                Axis::Named(_) => true,
            });
        match fits {
            true => Ok((name.clone(), tensor.clone())),
            false => Err(OnnxError::Choice {
                expected: format!("a value for input '{name}' of {}{}", declared.dtype, declared.shape()),
                got: format!("{}{:?}", tensor.dtype(), tensor.shape()),
            }),
        }
    };
    options.bound.iter().map(check).collect()
}

fn input(proto: &ValueInfoProto) -> Result<Input, OnnxError> {
    let name = &proto.name;
    let unsupported = |problem: String| {
        OnnxError::Unsupported(vec![UnsupportedOperator {
            operator: "input".into(),
            opset: 0,
            problem: Some(problem),
            unknown: Vec::new(),
            nodes: vec![name.clone()],
        }])
    };
    let tensor = proto.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| unsupported("an input that is not a tensor".into()))?;
    let dtype = dtype(tensor.elem_type)
        .ok_or_else(|| unsupported(format!("elements of {}", data_type::name(tensor.elem_type))))?;
    let shape = tensor
        .shape
        .as_ref()
        .ok_or_else(|| unsupported("an input whose number of axes is not known".into()))?;
    if shape.dim.len() > MOST_AXES {
        return Err(OnnxError::Bound { what: "axes of an input", most: MOST_AXES });
    }
    let axis = |(index, dim): (usize, &crate::proto::DimensionProto)| match (dim.dim_value, &dim.dim_param) {
        (Some(length), _) => usize::try_from(length).map(Axis::Length).map_err(|_| OnnxError::Malformed {
            problem: format!("axis {index} of input '{name}' has the length {length}"),
        }),
        (None, Some(axis)) if !axis.is_empty() => Ok(Axis::Named(axis.clone())),
        (None, _) => Ok(Axis::Named(format!("{name}.{index}"))),
    };
    let axes = shape.dim.iter().enumerate().map(axis).collect::<Result<_, _>>()?;
    Ok(Input { name: name.clone(), dtype, onnx_type: tensor.elem_type, axes })
}
