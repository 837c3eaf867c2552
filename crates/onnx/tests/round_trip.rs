//! What is written and read back computes the same: on a device, bit for bit.

use paceline_device::{Batch, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Graph, Tensor};
use paceline_nn::{models, sample_inputs};
use paceline_onnx::{ImportOptions, read_bytes, to_bytes};

fn outputs(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    let program = CpuDevice::new().compile(graph, &CompileOptions::default()).unwrap();
    let samples = inputs[0].shape()[0];
    let of = |port: &paceline_device::Port| [&[samples], &port.shape[..]].concat();
    let mut outputs: Vec<Tensor> =
        program.signature().outputs.iter().map(|port| Tensor::zeros(port.dtype, of(port)).unwrap()).collect();
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    execute(&mut *program.open().unwrap(), &mut Batch::of(part)).unwrap();
    outputs
}

#[test]
fn the_models_of_the_study_come_back_as_they_were() {
    for model in models() {
        let graph = model.graph(1).unwrap();
        let back = read_bytes(to_bytes(&graph).unwrap(), &ImportOptions::default()).unwrap();
        assert!(back.graph.is_batched() && back.notes.is_empty(), "{}: {:?}", model.name(), back.notes);
        let inputs = sample_inputs(&graph, 2, 3).unwrap();
        assert_eq!(outputs(&back.graph, &inputs), outputs(&graph, &inputs), "{}", model.name());
    }
}
