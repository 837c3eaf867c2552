//! What fuzzing found once, and what it keeps to begin with, goes well: `cargo xtask fuzz-onnx` does the same with new models.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paceline_device::{Batch, CompileOptions, Device, Part, Program, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Graph, Tensor, reference, work};
use paceline_nn::sample_inputs;
use paceline_onnx::{BatchAxis, ImportOptions, read_bytes, to_bytes};

/// Larger graphs are read, but not executed.
const MOST_WORK: u64 = 1 << 20;
const MOST_ELEMENTS: usize = 1 << 14;

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn run(graph: &Graph, name: &str) {
    let few = |elements: Option<usize>| elements.is_some_and(|elements| elements <= MOST_ELEMENTS);
    let small = graph.values().iter().all(|info| few(info.ty.shape.elements_per_sample()));
    if !small || work(graph) > MOST_WORK {
        return;
    }
    if let Ok(bytes) = to_bytes(graph) {
        let batch = if graph.is_batched() { BatchAxis::Auto } else { BatchAxis::None };
        read_bytes(bytes, &ImportOptions::default().batch(batch))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let Ok(program) = CpuDevice::new().compile(graph, &CompileOptions::default()) else { return };
    let samples = if graph.is_batched() { 3 } else { 1 };
    let inputs = sample_inputs(graph, samples, 1).unwrap();
    let expected = reference::evaluate(graph, &inputs).unwrap();
    for (got, expected) in executed(&program, &inputs, samples).iter().zip(&expected) {
        assert_eq!((got.dtype(), got.shape()), (expected.dtype(), expected.shape()), "{name}");
    }
}

fn executed(program: &Arc<dyn Program>, inputs: &[Tensor], samples: usize) -> Vec<Tensor> {
    let signature = program.signature();
    let batch = if signature.batched { vec![samples] } else { Vec::new() };
    let zeros =
        |port: &paceline_device::Port| Tensor::zeros(port.dtype, [&batch, &port.shape[..]].concat()).unwrap();
    let mut outputs: Vec<Tensor> = signature.outputs.iter().map(zeros).collect();
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    execute(&mut *Arc::clone(program).open().unwrap(), &mut Batch::of(part)).unwrap();
    outputs
}

#[test]
fn what_fuzzing_found_goes_well() {
    let all: Vec<PathBuf> =
        ["tests/models/found", "../../fuzz/corpus/onnx"].into_iter().flat_map(files).collect();
    assert!(all.len() > 100, "the corpus is there");
    for file in all {
        let name = file.display().to_string();
        let model = fs::read(&file).unwrap();
        for batch in [BatchAxis::Auto, BatchAxis::None] {
            let options = ImportOptions::default().known_bytes(16 << 20).batch(batch);
            match read_bytes(model.clone(), &options) {
                Ok(imported) => run(&imported.graph, &name),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}
