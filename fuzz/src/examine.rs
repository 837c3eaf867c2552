//! What is done with a model: it is read, and if that goes well and it is small, compiled and executed.

use std::sync::Arc;

use paceline_device::{Batch, CompileOptions, Device, Part, Program, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Data, Element, Graph, Tensor, by_type, reference, work};
use paceline_nn::sample_inputs;
use paceline_onnx::{BatchAxis, ImportOptions, Imported, OnnxError, read_bytes, to_bytes};

/// What may be made of a model while it is read.
const KNOWN_BYTES: usize = 16 << 20;
/// A graph is executed if it has no more nodes,
const MOST_NODES: usize = 300;
/// if none of its values has more elements for one sample,
const MOST_ELEMENTS: usize = 1 << 14;
/// and if one sample takes the reference no more steps.
const MOST_WORK: u64 = 1 << 22;
/// Samples of a batch.
const SAMPLES: usize = 3;
/// Length of axes that have a name; the same, so that a batch axis that is read as another has it.
const LENGTH: usize = SAMPLES;

/// Reads a model and, if it is small, executes it.
///
/// # Panics
/// Where a sample's result depends on what it travels with, where a graph that was read is written and cannot be read again, and
/// wherever the code under test panics.
pub fn examine(model: &[u8]) {
    let Some((imported, options)) = imported(model, BatchAxis::Auto) else { return };
    if imported.graph.is_batched() {
        same_shapes(&imported.graph, model);
    }
    if let Some(batch) = imported.fixed_batch
        && let Ok(freed) = read_bytes(model.to_vec(), &options.batch(BatchAxis::Freed(batch)))
    {
        run(&freed.graph);
    }
    run(&imported.graph);
}

/// A model that is read with a batch axis has the shapes for some samples that it has when it is read for as many.
fn same_shapes(batched: &Graph, model: &[u8]) {
    let Some((whole, _)) = imported(model, BatchAxis::None) else { return };
    for (output, whole_output) in batched.outputs().iter().zip(whole.graph.outputs()) {
        let (ty, whole_ty) = (&batched.value(output.value).ty, &whole.graph.value(whole_output.value).ty);
        assert_eq!(ty.dtype, whole_ty.dtype, "output '{}'", output.name);
        assert_eq!(ty.shape.resolve(SAMPLES), whole_ty.shape.resolve(1), "output '{}'", output.name);
    }
}

/// The model, where it is one, with every axis that has a name bound to a length.
fn imported(model: &[u8], batch: BatchAxis) -> Option<(Imported, ImportOptions)> {
    let mut options = ImportOptions::default().known_bytes(KNOWN_BYTES).batch(batch);
    loop {
        match read_bytes(model.to_vec(), &options) {
            Ok(imported) => return Some((imported, options)),
            Err(OnnxError::UnboundAxes { axes }) if options.dims.is_empty() => {
                for axis in axes {
                    // 'name' (axis 1 of input 'x')
                    let name = axis.split_once("' (axis ").and_then(|(name, _)| name.strip_prefix('\''));
                    options = options.dim(name?, LENGTH);
                }
            }
            Err(error) => {
                let _ = error.to_string();
                return None;
            }
        }
    }
}

fn is_small(graph: &Graph) -> bool {
    let few = |elements: Option<usize>| elements.is_some_and(|elements| elements <= MOST_ELEMENTS);
    graph.nodes().len() <= MOST_NODES
        && graph.values().iter().all(|info| few(info.ty.shape.elements_per_sample()))
        && work(graph) <= MOST_WORK
}

fn run(graph: &Graph) {
    if !is_small(graph) {
        return;
    }
    written(graph);
    let Ok(program) = CpuDevice::new().compile(graph, &CompileOptions::default()) else { return };
    let samples = if graph.is_batched() { SAMPLES } else { 1 };
    let inputs = sample_inputs(graph, samples, 1).expect("a small graph has small inputs");
    let together = executed(&program, &inputs, samples);
    let expected = reference::evaluate(graph, &inputs).expect("inputs are of the graph's types");
    for (got, expected) in together.iter().zip(&expected) {
        assert_eq!((got.dtype(), got.shape()), (expected.dtype(), expected.shape()));
    }
    if !graph.is_batched() {
        return;
    }
    for sample in 0..samples {
        let alone: Vec<Tensor> = inputs.iter().map(|input| row(input, sample)).collect();
        for (alone, together) in executed(&program, &alone, 1).iter().zip(&together) {
            assert!(same(alone, &row(together, sample)), "a sample's result depends on its batch");
        }
    }
}

/// Writes a graph, and reads what was written.
fn written(graph: &Graph) {
    let Ok(bytes) = to_bytes(graph) else { return };
    let batch = if graph.is_batched() { BatchAxis::Auto } else { BatchAxis::None };
    let back = read_bytes(bytes, &ImportOptions::default().batch(batch));
    let back = back.unwrap_or_else(|error| panic!("what was written cannot be read: {error}")).graph;
    assert_eq!(back.outputs().len(), graph.outputs().len());
    for (back_output, output) in back.outputs().iter().zip(graph.outputs()) {
        assert_eq!(back.value(back_output.value).ty, graph.value(output.value).ty, "{}", output.name);
    }
}

fn executed(program: &Arc<dyn Program>, inputs: &[Tensor], samples: usize) -> Vec<Tensor> {
    let batched = program.signature().batched;
    let mut outputs: Vec<Tensor> = program
        .signature()
        .outputs
        .iter()
        .map(|port| {
            let shape = if batched { [&[samples], &port.shape[..]].concat() } else { port.shape.clone() };
            Tensor::zeros(port.dtype, shape).expect("a small graph has small outputs")
        })
        .collect();
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    let mut session = Arc::clone(program).open().expect("a small graph takes little memory");
    execute(&mut *session, &mut Batch::of(part)).expect("what compiles runs");
    outputs
}

fn row(tensor: &Tensor, sample: usize) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    let width = tensor.len() / shape[0];
    shape[0] = 1;
    let data: Data =
        by_type!(Data, tensor.data(), values => Data::of(values[sample * width..][..width].to_vec()));
    Tensor::new(shape, data).expect("as many elements")
}

/// Whether two tensors are the same, bit for bit but for the bits of NaN.
fn same(a: &Tensor, b: &Tensor) -> bool {
    fn bits<T: Element>(values: &[T]) -> Vec<u64> {
        values.iter().map(|value| if value.to_f64().is_nan() { u64::MAX } else { value.bits() }).collect()
    }
    let of = |tensor: &Tensor| by_type!(Data, tensor.data(), values => bits(values));
    a.dtype() == b.dtype() && a.shape() == b.shape() && of(a) == of(b)
}
