//! From a graph to an ONNX model of operator set 20.
//!
//! Operators that ONNX does not have, such as a Linear with an activation, are written as the pieces that exporters emit. The passes
//! recognise these again, so that a device computes the same, bit for bit, from what is read back.

use std::collections::HashMap;
use std::path::Path;

use paceline_graph::{
    Activation, Attention, BinaryOp, Classify, CompareOp, Dim, Graph, Node, Op, Output, PadMode, ReduceOp,
    Shape, Source, Tensor, UnaryOp, Value, ValueType,
};
use prost::Message;

use crate::ExportError;
use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use crate::tensor::{onnx_type, to_proto};

/// The operator set that is written: it has Gelu.
const OPSET: i64 = 20;
/// The version of the file format that has this operator set.
const IR_VERSION: i64 = 9;
/// What one file can hold.
const LARGEST_BYTES: usize = (1 << 31) - 1;
/// The name of the batch axis.
const BATCH: &str = "batch";

/// Writes a graph as a model file.
///
/// # Errors
/// Where the file cannot be written, would be larger than 2 GiB, or where ONNX, or this function, has no words for a node.
pub fn write(graph: &Graph, path: impl AsRef<Path>) -> Result<(), ExportError> {
    let path = path.as_ref();
    let bytes = to_bytes(graph)?;
    std::fs::write(path, bytes).map_err(|error| ExportError::Io { path: path.into(), error })
}

/// A graph as the bytes of a model file. As [`write()`] otherwise.
pub fn to_bytes(graph: &Graph) -> Result<Vec<u8>, ExportError> {
    let proto = GraphProto { name: "paceline".into(), ..GraphProto::default() };
    let mut writer = Writer { graph, proto, made: 0, prefix: prefix(graph)? };
    for &value in graph.inputs() {
        let info = graph.value(value);
        writer.proto.input.push(port(writer.name(value), &info.ty));
    }
    for (index, info) in graph.values().iter().enumerate() {
        if let Source::Constant(tensor) = &info.source {
            let name = writer.own(index);
            writer.proto.initializer.push(to_proto(&name, tensor));
        }
    }
    for node in graph.nodes() {
        writer.node(node)?;
    }
    for output in graph.outputs() {
        let name = writer.name(output.value);
        // An input that is returned under its own name.
        if name != output.name {
            writer.push("Identity", &[&name], vec![output.name.clone()], Vec::new());
        }
        writer.proto.output.push(port(output.name.clone(), &graph.value(output.value).ty));
    }
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "paceline".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(writer.proto),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        functions: Vec::new(),
    };
    match model.encoded_len() {
        bytes if bytes > LARGEST_BYTES => Err(ExportError::TooLarge { bytes }),
        _ => Ok(model.encode_to_vec()),
    }
}

fn port(name: String, ty: &ValueType) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(length) => DimensionProto { dim_value: Some(*length as i64), dim_param: None },
        Dim::Batch(1) => DimensionProto { dim_value: None, dim_param: Some(BATCH.into()) },
        Dim::Batch(each) => DimensionProto { dim_value: None, dim_param: Some(format!("{each}*{BATCH}")) },
    };
    let shape = TensorShapeProto { dim: ty.shape.dims().iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: onnx_type(ty.dtype), shape: Some(shape) };
    ValueInfoProto { name, r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: attribute_type::INT, ..AttributeProto::default() }
}

fn ints(name: &str, ints: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = ints.into_iter().map(|int| int as i64).collect();
    AttributeProto { name: name.into(), ints, r#type: attribute_type::INTS, ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: attribute_type::FLOAT, ..AttributeProto::default() }
}

fn string(name: &str, text: &str) -> AttributeProto {
    let s = text.as_bytes().to_vec().into();
    AttributeProto { name: name.into(), s, r#type: attribute_type::STRING, ..AttributeProto::default() }
}

/// The beginnings, then the ends.
fn pads(padding: &[(usize, usize)]) -> AttributeProto {
    ints("pads", padding.iter().map(|p| p.0).chain(padding.iter().map(|p| p.1)))
}

struct Writer<'g> {
    graph: &'g Graph,
    proto: GraphProto,
    /// Names made for values that the graph does not have.
    made: usize,
    /// What names that are made begin with.
    prefix: String,
}

/// What no name of an input or output begins with that could be one made here; an error where one of these names nothing, or two
/// different values.
fn prefix(graph: &Graph) -> Result<String, ExportError> {
    let inputs: HashMap<&str, Value> =
        graph.inputs().iter().map(|&value| (graph.value(value).name.as_str(), value)).collect();
    let clash =
        |output: &&Output| inputs.get(output.name.as_str()).is_some_and(|&input| input != output.value);
    let twice = graph.outputs().iter().find(clash).map(|output| output.name.as_str());
    let names = || inputs.keys().copied().chain(graph.outputs().iter().map(|output| output.name.as_str()));
    if let Some(name) = twice.or_else(|| names().find(|name| name.is_empty())) {
        return Err(ExportError::Name { name: name.into() });
    }
    let mut prefix = String::new();
    let is_made = |name: &str, prefix: &str| {
        let rest = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(['v', 't']));
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    while names().any(|name| is_made(name, &prefix)) {
        prefix.push('_');
    }
    Ok(prefix)
}

impl Writer<'_> {
    fn name(&self, value: Value) -> String {
        match &self.graph.value(value).source {
            Source::Input => self.graph.value(value).name.clone(),
            _ => self.own(value.index()),
        }
    }

    fn own(&self, index: usize) -> String {
        format!("{}v{index}", self.prefix)
    }

    fn push(&mut self, op: &str, inputs: &[&str], output: Vec<String>, attribute: Vec<AttributeProto>) {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            name: format!("n{}", self.proto.node.len()),
            op_type: op.into(),
            output,
            attribute,
            ..NodeProto::default()
        });
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("{}t{}", self.prefix, self.made)
    }

    /// A node with one output of a new name.
    fn op(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = self.fresh();
        self.push(op, inputs, vec![output.clone()], attributes);
        output
    }

    fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.fresh();
        let proto: TensorProto = to_proto(&name, tensor);
        self.proto.initializer.push(proto);
        name
    }

    fn integers(&mut self, values: impl IntoIterator<Item = i64>) -> String {
        let values: Vec<i64> = values.into_iter().collect();
        self.constant(&Tensor::new([values.len()], values).expect("as many elements"))
    }

    fn number(&mut self, value: f32) -> String {
        self.constant(&Tensor::scalar(value))
    }

    fn reshape(&mut self, x: &str, dims: &[Dim]) -> String {
        let target = self.integers(dims.iter().map(|dim| match dim {
            Dim::Fixed(length) => *length as i64,
            Dim::Batch(_) => -1,
        }));
        // Without it a length of 0 is the input's.
        let zero = dims.contains(&Dim::Fixed(0));
        self.op("Reshape", &[x, &target], if zero { vec![int("allowzero", 1)] } else { Vec::new() })
    }

    fn transpose(&mut self, x: &str, permutation: &[usize]) -> String {
        self.op("Transpose", &[x], vec![ints("perm", permutation.iter().copied())])
    }

    fn activate(&mut self, x: String, activation: Option<Activation>) -> Option<String> {
        match activation {
            None => Some(x),
            Some(activation) => self.unary(activation.unary(), &x),
        }
    }

    fn unary(&mut self, op: UnaryOp, x: &str) -> Option<String> {
        let (name, attributes) = match op {
            UnaryOp::Silu => {
                let sigmoid = self.op("Sigmoid", &[x], Vec::new());
                return Some(self.op("Mul", &[x, &sigmoid], Vec::new()));
            }
            UnaryOp::Clip { min, max } => {
                let (min, max) = (self.number(min), self.number(max));
                return Some(self.op("Clip", &[x, &min, &max], Vec::new()));
            }
            UnaryOp::Swish { .. } => return None,
            UnaryOp::Gelu => ("Gelu", vec![string("approximate", "none")]),
            UnaryOp::GeluTanh => ("Gelu", vec![string("approximate", "tanh")]),
            UnaryOp::LeakyRelu { alpha } => ("LeakyRelu", vec![float("alpha", alpha)]),
            UnaryOp::Elu { alpha } => ("Elu", vec![float("alpha", alpha)]),
            UnaryOp::Celu { alpha } => ("Celu", vec![float("alpha", alpha)]),
            UnaryOp::ThresholdedRelu { alpha } => ("ThresholdedRelu", vec![float("alpha", alpha)]),
            UnaryOp::Selu { alpha, gamma } => ("Selu", vec![float("alpha", alpha), float("gamma", gamma)]),
            UnaryOp::HardSigmoid { alpha, beta } => {
                ("HardSigmoid", vec![float("alpha", alpha), float("beta", beta)])
            }
            UnaryOp::Shrink { bias, threshold } => {
                ("Shrink", vec![float("bias", bias), float("lambd", threshold)])
            }
            UnaryOp::Not => return None,
            plain => (Op::Unary(paceline_graph::Unary(plain)).name(), Vec::new()),
        };
        Some(self.op(name, &[x], attributes))
    }

    /// `softmax(q k^T * scale + mask) v` for each head, zeros for a query without a key.
    fn attention(&mut self, node: &Node, op: &Attention, x: &[Option<String>]) -> Option<String> {
        let dims = |index: usize| Some(self.graph.value(node.input(index)?).ty.shape.dims().to_vec());
        let (q, k, v) = (dims(0)?, dims(1)?, dims(2)?);
        let (width, heads) = (q[2].per_sample() / op.heads, Dim::Fixed(op.heads));
        let (q_dims, k_dims) =
            ([q[0], q[1], heads, Dim::Fixed(width)], [k[0], k[1], heads, Dim::Fixed(width)]);
        let v_dims = [v[0], v[1], heads, Dim::Fixed(v[2].per_sample() / op.heads)];
        let mut split = |index: usize, dims: &[Dim], order: [usize; 4]| {
            let apart = self.reshape(x[index].as_deref()?, dims);
            Some(self.transpose(&apart, &order))
        };
        let queries = split(0, &q_dims, [0, 2, 1, 3])?;
        let keys = split(1, &k_dims, [0, 2, 3, 1])?;
        let values = split(2, &v_dims, [0, 2, 1, 3])?;
        let product = self.op("MatMul", &[&queries, &keys], Vec::new());
        let scale = self.number(op.scale.unwrap_or(1.0 / (width as f32).sqrt()));
        let mut scores = self.op("Mul", &[&product, &scale], Vec::new());
        if op.causal {
            let (rows, columns) = (q[1].per_sample(), k[1].per_sample());
            let hidden =
                (0..rows * columns).map(|i| if i % columns > i / columns { f32::NEG_INFINITY } else { 0.0 });
            let mask = Tensor::new([rows, columns], hidden.collect::<Vec<f32>>()).expect("as many elements");
            let mask = self.constant(&mask);
            scores = self.op("Add", &[&scores, &mask], Vec::new());
        }
        if let Some(mask) = x.get(3).and_then(Option::as_deref) {
            scores = self.op("Add", &[&scores, mask], Vec::new());
        }
        if let Some(padding) = x.get(4).and_then(Option::as_deref) {
            let padding = self.reshape(padding, &[k[0], Dim::Fixed(1), Dim::Fixed(1), k[1]]);
            let hidden = self.number(f32::NEG_INFINITY);
            scores = self.op("Where", &[&padding, &hidden, &scores], Vec::new());
        }
        let weights = self.op("Softmax", &[&scores], vec![int("axis", -1)]);
        let (missing, zero) = (self.op("IsNaN", &[&weights], Vec::new()), self.number(0.0));
        let weights = self.op("Where", &[&missing, &zero, &weights], Vec::new());
        let context = self.op("MatMul", &[&weights, &values], Vec::new());
        let merged = self.transpose(&context, &[0, 2, 1, 3]);
        Some(self.reshape(&merged, &[q[0], q[1], v[2]]))
    }

    fn node(&mut self, node: &Node) -> Result<(), ExportError> {
        let inputs: Vec<Option<String>> = node.inputs.iter().map(|v| v.map(|v| self.name(v))).collect();
        let before = self.proto.node.len();
        let written = self.written(node, &inputs);
        let result = written.ok_or_else(|| ExportError::Node {
            node: node.name.clone(),
            operator: node.op.name(),
            problem: "it has no counterpart that is known here".into(),
        })?;
        for (value, name) in node.outputs.iter().zip(result) {
            // What was made is renamed in place, so that no Identity is between nodes.
            let own = self.name(*value);
            let made = self.proto.node[before..].iter_mut().flat_map(|node| &mut node.output);
            let output = made.into_iter().find(|output| **output == name);
            match output {
                Some(output) => *output = own,
                None => self.push("Identity", &[&name], vec![own], Vec::new()),
            }
        }
        Ok(())
    }

    /// The names of the outputs of the nodes that stand for one of the graph.
    fn written(&mut self, node: &Node, inputs: &[Option<String>]) -> Option<Vec<String>> {
        let x = inputs.first()?.as_deref()?;
        let at = |index: usize| inputs.get(index).and_then(Option::as_deref);
        let all: Vec<&str> = inputs.iter().map(|name| name.as_deref().unwrap_or("")).collect();
        let rank = self.graph.value(node.input(0)?).ty.shape.rank();
        let axis_of = |axis: isize| int("axis", axis as i64);
        let name = match &node.op {
            Op::MatMul(_) => self.op("MatMul", &all, Vec::new()),
            Op::Linear(op) => {
                let weight = match op.transposed {
                    true => at(1)?.to_string(),
                    false => self.transpose(at(1)?, &[1, 0]),
                };
                let mut y = self.op("MatMul", &[x, &weight], Vec::new());
                for index in [2, 3] {
                    if let Some(added) = at(index) {
                        y = self.op("Add", &[&y, added], Vec::new());
                    }
                }
                self.activate(y, op.activation)?
            }
            Op::Conv(op) => {
                let attributes = vec![
                    ints("strides", op.stride.iter().copied()),
                    ints("dilations", op.dilation.iter().copied()),
                    pads(&op.padding),
                    int("group", op.groups as i64),
                ];
                let given = if at(2).is_some() { &all[..3] } else { &all[..2] };
                let mut y = self.op("Conv", given, attributes);
                if let Some(residual) = at(3) {
                    y = self.op("Add", &[&y, residual], Vec::new());
                }
                self.activate(y, op.activation)?
            }
            Op::ConvTranspose(op) => {
                let attributes = vec![
                    ints("strides", op.stride.iter().copied()),
                    ints("dilations", op.dilation.iter().copied()),
                    pads(&op.padding),
                    ints("output_padding", op.output_padding.iter().copied()),
                    int("group", op.groups as i64),
                ];
                let y = self.op("ConvTranspose", &all, attributes);
                self.activate(y, op.activation)?
            }
            Op::Binary(op) => {
                let (name, attributes) = match op.0 {
                    BinaryOp::Fmod => ("Mod", vec![int("fmod", 1)]),
                    BinaryOp::ShiftLeft => ("BitShift", vec![string("direction", "LEFT")]),
                    BinaryOp::ShiftRight => ("BitShift", vec![string("direction", "RIGHT")]),
                    BinaryOp::And | BinaryOp::Or | BinaryOp::Xor
                        if self.graph.value(node.input(0)?).ty.dtype != paceline_graph::DType::Bool =>
                    {
                        return None;
                    }
                    _ => (node.op.name(), Vec::new()),
                };
                self.op(name, &all, attributes)
            }
            Op::Unary(op) => self.unary(op.0, x)?,
            Op::Compare(op) => {
                let name = match op.0 {
                    CompareOp::Equal => "Equal",
                    CompareOp::Less => "Less",
                    CompareOp::LessOrEqual => "LessOrEqual",
                    CompareOp::Greater => "Greater",
                    CompareOp::GreaterOrEqual => "GreaterOrEqual",
                };
                self.op(name, &all, Vec::new())
            }
            Op::Classify(Classify::IsNan) => self.op("IsNaN", &[x], Vec::new()),
            Op::Classify(Classify::IsInf { negative, positive }) => {
                let detected = [("detect_negative", negative), ("detect_positive", positive)];
                let attributes = detected.map(|(name, detected)| int(name, i64::from(*detected)));
                self.op("IsInf", &[x], attributes.to_vec())
            }
            Op::Where(_) => self.op("Where", &all, Vec::new()),
            Op::Cast(op) => self.op("Cast", &[x], vec![int("to", i64::from(onnx_type(op.to)))]),
            Op::Softmax(op) => self.op("Softmax", &[x], vec![axis_of(op.axis)]),
            Op::LogSoftmax(op) => self.op("LogSoftmax", &[x], vec![axis_of(op.axis)]),
            Op::LayerNorm(op) => {
                let ones;
                let weight = match at(1) {
                    Some(weight) => weight,
                    None => {
                        let dims =
                            self.graph.value(node.input(0)?).ty.shape.dims()[rank - op.axes..].to_vec();
                        let shape = Shape::from(dims).fixed()?;
                        let count = shape.iter().product();
                        ones = self
                            .constant(&Tensor::new(shape, vec![1.0f32; count]).expect("as many elements"));
                        &ones
                    }
                };
                let given: Vec<&str> = [x, weight].into_iter().chain(at(2)).collect();
                let attributes = vec![int("axis", -(op.axes as i64)), float("epsilon", op.epsilon)];
                self.op("LayerNormalization", &given, attributes)
            }
            Op::BatchNorm(op) => {
                let channels = self.graph.value(node.input(1)?).ty.shape.fixed()?;
                let filled = |writer: &mut Self, value: f32| {
                    let elements = vec![value; channels.iter().product()];
                    writer.constant(&Tensor::new(channels.clone(), elements).expect("as many elements"))
                };
                let weight = at(3).map_or_else(|| filled(self, 1.0), str::to_string);
                let bias = at(4).map_or_else(|| filled(self, 0.0), str::to_string);
                self.op(
                    "BatchNormalization",
                    &[x, &weight, &bias, at(1)?, at(2)?],
                    vec![float("epsilon", op.epsilon)],
                )
            }
            Op::Attention(op) => self.attention(node, op, inputs)?,
            Op::Embedding(_) => self.op("Gather", &[at(1)?, x], vec![int("axis", 0)]),
            Op::Gather(op) => self.op("Gather", &all, vec![axis_of(op.axis)]),
            Op::GatherElements(op) => self.op("GatherElements", &all, vec![axis_of(op.axis)]),
            Op::Reshape(op) => self.reshape(x, op.shape.dims()),
            Op::Expand(op) if op.shape.batch_axis().is_none() => {
                let shape = self.integers(op.shape.resolve(1).into_iter().map(|length| length as i64));
                self.op("Expand", &[x, &shape], Vec::new())
            }
            Op::Transpose(op) => self.transpose(x, &op.permutation),
            Op::Concat(op) => self.op("Concat", &all, vec![axis_of(op.axis)]),
            Op::Slice(op) => {
                let [start, end, axis, step] =
                    [op.start as i64, op.end as i64, op.axis as i64, op.step as i64]
                        .map(|value| self.integers([value]));
                self.op("Slice", &[x, &start, &end, &axis, &step], Vec::new())
            }
            Op::Split(op) => {
                let sizes = self.integers(op.sizes.iter().map(|&size| size as i64));
                let outputs: Vec<String> = op.sizes.iter().map(|_| self.fresh()).collect();
                self.push("Split", &[x, &sizes], outputs.clone(), vec![axis_of(op.axis)]);
                return Some(outputs);
            }
            Op::Pad(op) => {
                let (begin, end) = (op.pads.iter().map(|p| p.0 as i64), op.pads.iter().map(|p| p.1 as i64));
                let pads = self.integers(begin.chain(end));
                match op.mode {
                    PadMode::Constant(value) => {
                        let dtype = self.graph.value(node.input(0)?).ty.dtype;
                        let value = self.constant(&crate::import::scalar(dtype, value));
                        self.op("Pad", &[x, &pads, &value], Vec::new())
                    }
                    PadMode::Edge => self.op("Pad", &[x, &pads], vec![string("mode", "edge")]),
                    PadMode::Reflect => self.op("Pad", &[x, &pads], vec![string("mode", "reflect")]),
                    PadMode::Wrap => self.op("Pad", &[x, &pads], vec![string("mode", "wrap")]),
                }
            }
            Op::Reduce(op) => {
                let axes = self.integers(op.axes.iter().map(|&axis| axis as i64));
                let name = match op.op {
                    ReduceOp::Mean => "ReduceMean",
                    _ => node.op.name(),
                };
                self.op(name, &[x, &axes], vec![int("keepdims", i64::from(op.keep_dims))])
            }
            Op::MaxPool(op) if !op.indices => {
                let attributes = vec![
                    ints("kernel_shape", op.kernel.iter().copied()),
                    ints("strides", op.stride.iter().copied()),
                    ints("dilations", op.dilation.iter().copied()),
                    pads(&op.padding),
                    int("ceil_mode", i64::from(op.ceil)),
                ];
                self.op("MaxPool", &[x], attributes)
            }
            Op::AveragePool(op) => {
                let attributes = vec![
                    ints("kernel_shape", op.kernel.iter().copied()),
                    ints("strides", op.stride.iter().copied()),
                    ints("dilations", op.dilation.iter().copied()),
                    pads(&op.padding),
                    int("ceil_mode", i64::from(op.ceil)),
                    int("count_include_pad", i64::from(op.count_include_pad)),
                ];
                self.op("AveragePool", &[x], attributes)
            }
            Op::GlobalAveragePool(_) => self.op("GlobalAveragePool", &[x], Vec::new()),
            _ => return None,
        };
        Some(vec![name])
    }
}
