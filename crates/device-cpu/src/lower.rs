//! From a simplified graph to a plan: every node becomes steps, or a view that needs none.
//!
//! **Traps.** A node whose inputs do not depend on the batch runs once a batch, not once a sample; its result is shared by all
//! samples (sample stride 0). A value that the caller is to receive is computed in place of the caller's memory, so
//! steps write into [`Lowering::destination`], never into a storage of their own making. Images that convolutions compute have
//! their channels last; what has no use for that asks for a [`Lowering::dense`] operand, and gets a copy. A node without a kernel is evaluated
//! (`evaluated`), and listed: a lowering that returns an error must have planned nothing but copies of the node's inputs.

mod attention;
mod conv;
mod copy;
mod elementwise;
mod embedding;
mod evaluated;
mod gather;
mod norm;
mod pool;
mod product;
mod recurrent;
mod reduce;

use std::collections::HashMap;
use std::sync::Arc;

use paceline_device::{CompileError, UnsupportedNode};
use paceline_graph::{DType, Graph, Node, Op, Shape, Source, Tensor, Value};

use crate::arena;
use crate::kernels::set::KernelSet;
use crate::memory::whole_lines;
use crate::operand::{CHANNELS_FROM_LAST, CHANNELS_TO_LAST, Operand};
use crate::plan::{Plan, PlannedStep, Step, Storage, StorageId, StorageKind};
use crate::weights::Ready;

/// Why there is no kernel for a node, or why it cannot be run at all, and what to do instead.
pub(crate) type Unsupported = String;

/// A graph lowered.
pub(crate) struct Lowered {
    pub plan: Plan,
    /// The nodes that are evaluated for want of a kernel.
    pub without_kernel: Vec<UnsupportedNode>,
}

/// Arena bytes beyond which a chunk gets no further sample: what fits in a core's level-2 cache with its weights' panel.
const CHUNK_BYTES: usize = 2 << 20;
/// Arena bytes for one sample beyond which a graph is refused; also the largest value.
const LIMIT_BYTES: usize = 8 << 30;

/// The plan of a simplified graph.
pub(crate) fn lower(
    graph: &Graph,
    kernels: &'static KernelSet,
    weights: &Ready,
    max_batch: usize,
    device: &str,
) -> Result<Lowered, CompileError> {
    let mut lowering = Lowering::new(graph, kernels, weights);
    let (mut without_kernel, mut unsupported) = (Vec::new(), Vec::new());
    for node in graph.nodes() {
        let Err(reason) = lowering.lower_node(node) else { continue };
        let named = |reason| UnsupportedNode { node: node.name.clone(), operator: node.op.name(), reason };
        without_kernel.push(named(reason));
        if let Err(reason) = lowering.evaluated(node) {
            unsupported.push(named(reason));
            // What follows is still checked, so that the error lists every node the device lacks.
            for &value in &node.outputs {
                lowering.destination(value);
            }
        }
    }
    if !unsupported.is_empty() {
        return Err(CompileError::Unsupported { device: device.to_string(), nodes: unsupported });
    }
    lowering.return_outputs();
    Ok(Lowered { plan: lowering.finish(max_batch)?, without_kernel })
}

/// Refuses values that no arena can hold, before anything is computed from their sizes: what is left is small enough for
/// strides, scratch and offsets not to overflow, in a chunk of as many samples as there may be.
pub(crate) fn check_sizes(graph: &Graph, max_batch: usize) -> Result<(), CompileError> {
    let computed = graph.values().iter().filter(|info| !matches!(info.source, Source::Constant(_)));
    let bytes = computed.map(|info| {
        let shape = &info.ty.shape;
        // What has no elements has a shape nevertheless, of which a fallback makes a tensor.
        let chunk = Shape::from(&shape.resolve(max_batch.min(CHUNK_BYTES))[..]);
        let elements = chunk.elements_per_sample().and(shape.elements_per_sample()).unwrap_or(usize::MAX);
        elements.saturating_mul(info.ty.dtype.size_bytes())
    });
    match bytes.max() {
        Some(bytes) if bytes > LIMIT_BYTES => Err(CompileError::TooLarge { bytes, limit: LIMIT_BYTES }),
        _ => Ok(()),
    }
}

/// The state of lowering one graph.
pub(crate) struct Lowering<'g> {
    graph: &'g Graph,
    pub kernels: &'static KernelSet,
    storages: Vec<Storage>,
    steps: Vec<PlannedStep>,
    operands: Vec<Option<Operand>>,
    /// The first output that each value is returned as.
    returned_as: HashMap<Value, usize>,
    pub weights: &'g Ready,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, kernels: &'static KernelSet, weights: &'g Ready) -> Self {
        let mut lowering = Lowering {
            graph,
            kernels,
            storages: Vec::new(),
            steps: Vec::new(),
            operands: vec![None; graph.values().len()],
            returned_as: HashMap::new(),
            weights,
        };
        for (index, &value) in graph.inputs().iter().enumerate() {
            let operand = lowering.allocate(value, StorageKind::Input(index));
            lowering.operands[value.index()] = Some(operand);
        }
        for (index, output) in graph.outputs().iter().enumerate() {
            if matches!(graph.value(output.value).source, Source::Node { .. }) {
                lowering.returned_as.entry(output.value).or_insert(index);
            }
        }
        lowering
    }

    fn lower_node(&mut self, node: &Node) -> Result<(), Unsupported> {
        let is_empty = |&value: &Value| self.graph.value(value).ty.shape.elements_per_sample() == Some(0);
        if node.outputs.iter().all(is_empty) {
            // Nothing is computed, and no kernel is asked to walk along the axes beside one of length 0.
            for &value in &node.outputs {
                self.destination(value);
            }
            return Ok(());
        }
        match &node.op {
            Op::MatMul(_) => self.matmul(node),
            Op::Linear(op) => self.linear(node, op),
            Op::Conv(op) => self.conv(node, op),
            Op::ConvTranspose(op) => self.conv_transpose(node, op),
            Op::Binary(op) => self.binary(node, op.0),
            Op::Unary(op) => self.unary(node, op.0),
            Op::Compare(op) => self.compare(node, op.0),
            Op::Classify(op) => self.classify(node, *op),
            Op::Where(_) => self.choose(node),
            Op::Cast(op) => self.cast(node, op),
            Op::Softmax(op) => self.softmax(node, op.axis, false),
            Op::LogSoftmax(op) => self.softmax(node, op.axis, true),
            Op::Recurrent(op) => self.recurrent(node, op),
            Op::LayerNorm(op) => self.layer_norm(node, op),
            Op::RmsNorm(op) => self.rms_norm(node, op),
            Op::BatchNorm(op) => self.batch_norm(node, op),
            Op::GroupNorm(op) => self.group_norm(node, op),
            Op::Attention(op) => self.attention(node, op),
            Op::Embedding(_) => self.embedding(node),
            Op::Reshape(_) => self.reshape(node),
            Op::Transpose(op) => self.transpose(node, op),
            Op::Concat(op) => self.concat(node, op),
            Op::Slice(op) => self.slice(node, op),
            Op::Split(op) => self.split(node, op),
            Op::Pad(op) => self.pad(node, op),
            Op::Expand(_) => self.expand(node),
            Op::Tile(op) => self.tile(node, op),
            Op::Gather(op) => self.gather(node, op),
            Op::Reduce(op) => self.reduce(node, op),
            Op::MaxPool(op) => self.max_pool(node, op),
            Op::AveragePool(op) => self.average_pool(node, op),
            Op::GlobalAveragePool(_) => self.global_average_pool(node),
            other => Err(format!("the operator {} has no kernel here", other.name())),
        }
    }

    /// The operand of input `index` of a node, if it is given.
    pub fn optional(&mut self, node: &Node, index: usize) -> Option<Operand> {
        node.inputs.get(index).copied().flatten().map(|value| self.operand(value))
    }

    /// The operand of a required input.
    pub fn input(&mut self, node: &Node, index: usize) -> Operand {
        self.optional(node, index).expect("shape rules guarantee required inputs")
    }

    /// The operand of a required input, copied first when its elements are not in row-major order.
    pub fn dense_input(&mut self, node: &Node, index: usize) -> Operand {
        let operand = self.input(node, index);
        self.dense(operand)
    }

    /// The operand of an optional input, if it is given, copied first when its elements are not in row-major order.
    pub fn optional_dense(&mut self, node: &Node, index: usize) -> Option<Operand> {
        self.optional(node, index).map(|operand| self.dense(operand))
    }

    /// Refuses a node whose input `index` is not f32.
    pub fn only_f32(&self, node: &Node, index: usize) -> Result<(), Unsupported> {
        let dtype = node.input(index).map_or(DType::F32, |value| self.graph.value(value).ty.dtype);
        if dtype == DType::F32 {
            return Ok(());
        }
        Err(format!("the operator {} has a kernel for f32 only here, not for {dtype}", node.op.name()))
    }

    /// The shape of one sample of a value.
    pub fn value_shape(&self, value: Value) -> Vec<usize> {
        self.graph.value(value).ty.shape.resolve(1)
    }

    /// Whether a value has one copy for each sample.
    pub fn is_every_sample(&self, value: Value) -> bool {
        self.graph.value(value).ty.shape.batch_axis().is_some()
    }

    /// The constant behind input `index`, if it is one.
    pub fn constant_input(&self, node: &Node, index: usize) -> Option<&'g Arc<Tensor>> {
        node.inputs.get(index).copied().flatten().and_then(|value| self.graph.constant(value))
    }

    /// Where a computed value goes: the caller's memory if it is an output, else the arena.
    pub fn destination(&mut self, value: Value) -> Operand {
        let kind = match self.returned_as.get(&value) {
            Some(&output) => StorageKind::Output(output),
            None => StorageKind::Arena,
        };
        let operand = self.allocate(value, kind);
        self.operands[value.index()] = Some(operand.clone());
        operand
    }

    /// Where a computed image goes, its channels last, unless the caller is to receive it.
    pub fn destination_with_channels_last(&mut self, value: Value) -> Operand {
        let &[images, channels, height, width] = &self.value_shape(value)[..] else {
            return self.destination(value);
        };
        if self.returned_as.contains_key(&value) {
            return self.destination(value);
        }
        let (dtype, every_sample) = (self.graph.value(value).ty.dtype, self.is_every_sample(value));
        let storage = self.temporary(dtype, vec![images, height, width, channels], every_sample);
        let operand = storage.transposed(&CHANNELS_FROM_LAST);
        self.operands[value.index()] = Some(operand.clone());
        operand
    }

    /// Where a value computed from `x` goes: an image with channels last if `x` is one, unless the caller is to receive it.
    pub fn destination_like(&mut self, value: Value, x: &Operand) -> Operand {
        if x.has_channels_last() && !x.is_dense() {
            self.destination_with_channels_last(value)
        } else {
            self.destination(value)
        }
    }

    /// An operand with the same elements, which lie as those of `y` do: without gaps, channels last or not.
    pub fn ordered_as(&mut self, operand: Operand, y: &Operand) -> Operand {
        if y.is_dense() {
            return self.dense(operand);
        }
        if operand.has_channels_last() {
            return operand;
        }
        let view = operand.transposed(&CHANNELS_TO_LAST);
        self.dense(view).transposed(&CHANNELS_FROM_LAST)
    }

    /// Says that a value is a view of what is already there.
    pub fn set_view(&mut self, value: Value, operand: Operand) {
        self.operands[value.index()] = Some(operand);
    }

    /// A dense operand with the same elements.
    pub fn dense(&mut self, operand: Operand) -> Operand {
        if operand.is_dense() {
            return operand;
        }
        let copy = self.temporary(operand.dtype, operand.shape.clone(), operand.every_sample);
        self.copy(&operand, &copy);
        copy
    }

    /// A new storage in the arena.
    pub fn temporary(&mut self, dtype: DType, shape: Vec<usize>, every_sample: bool) -> Operand {
        self.new_storage(StorageKind::Arena, dtype, shape, every_sample)
    }

    /// Adds a step.
    pub fn emit(
        &mut self,
        step: impl Step + 'static,
        reads: &[&Operand],
        writes: &Operand,
        scratch_bytes: usize,
    ) {
        self.emit_planned(step, reads, &[writes], scratch_bytes);
    }

    /// Adds a step with several results, all for each sample or all for the whole batch, that needs no scratch.
    pub fn emit_many(&mut self, step: impl Step + 'static, reads: &[&Operand], writes: &[&Operand]) {
        self.emit_planned(step, reads, writes, 0);
    }

    fn emit_planned(
        &mut self,
        step: impl Step + 'static,
        reads: &[&Operand],
        writes: &[&Operand],
        scratch_bytes: usize,
    ) {
        self.steps.push(PlannedStep {
            step: Box::new(step),
            every_sample: writes.iter().any(|o| o.every_sample),
            reads: reads.iter().map(|o| o.storage()).collect(),
            writes: writes.iter().map(|o| o.storage()).collect(),
            scratch_bytes,
        });
    }

    fn operand(&mut self, value: Value) -> Operand {
        if let Some(operand) = &self.operands[value.index()] {
            return operand.clone();
        }
        let tensor = self.weights.resident(self.graph.constant(value).expect("nodes are in order"));
        let operand = self.allocate(value, StorageKind::Constant(tensor));
        self.operands[value.index()] = Some(operand.clone());
        operand
    }

    fn allocate(&mut self, value: Value, kind: StorageKind) -> Operand {
        let ty = &self.graph.value(value).ty;
        self.new_storage(kind, ty.dtype, ty.shape.resolve(1), ty.shape.batch_axis().is_some())
    }

    fn new_storage(
        &mut self,
        kind: StorageKind,
        dtype: DType,
        shape: Vec<usize>,
        every_sample: bool,
    ) -> Operand {
        let id = StorageId(self.storages.len());
        let operand = Operand::whole(id, dtype, shape, every_sample);
        self.storages.push(Storage { kind, dtype, elements: operand.elements(), every_sample, at: 0 });
        operand
    }

    /// Copies what is returned but was not computed in place: inputs, constants, views, and values returned twice.
    fn return_outputs(&mut self) {
        for (index, output) in self.graph.outputs().iter().enumerate() {
            let operand = self.operand(output.value);
            let in_place =
                matches!(self.storages[operand.storage().0].kind, StorageKind::Output(i) if i == index);
            if !(in_place && operand.is_dense()) {
                let destination = self.allocate(output.value, StorageKind::Output(index));
                self.copy(&operand, &destination);
            }
        }
    }

    fn finish(self, max_batch: usize) -> Result<Plan, CompileError> {
        let Lowering { mut storages, steps, .. } = self;
        let too_large = |bytes| CompileError::TooLarge { bytes, limit: LIMIT_BYTES };
        let bytes = arena::place(&mut storages, &steps).ok_or_else(|| too_large(usize::MAX))?;
        let scratch_bytes = steps.iter().map(|s| s.scratch_bytes).max().unwrap_or(0);
        let total = whole_lines(scratch_bytes)
            .and_then(|scratch| bytes.once.checked_add(scratch)?.checked_add(bytes.every_sample))
            .filter(|&total| total <= LIMIT_BYTES)
            .ok_or_else(|| too_large(bytes.every_sample.saturating_add(scratch_bytes)))?;
        Ok(Plan {
            chunk: (CHUNK_BYTES / bytes.every_sample.max(1)).clamp(1, max_batch),
            sample_bytes: bytes.every_sample,
            once_bytes: total - bytes.every_sample,
            scratch_bytes: total - bytes.every_sample - bytes.once,
            helper_bytes: steps.iter().map(|s| s.step.helper_bytes()).max().unwrap_or(0),
            storages,
            steps,
        })
    }
}
