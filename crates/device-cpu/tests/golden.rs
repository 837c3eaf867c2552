//! Every instruction set gives what PyTorch gives, for every layer, operator and model of the golden set.

use paceline_device::{Batch, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline_device_cpu::{CpuDevice, Isa};
use paceline_graph::Tensor;
use paceline_nn::testing::{GOLDEN_DIR, GoldenCase, Tolerance, golden_cases};

/// Both sides add in f32, each in an order of its own.
const TOLERANCE: Tolerance = Tolerance { relative: 2e-5, absolute: 2e-6 };

fn compute(device: &CpuDevice, case: &GoldenCase) -> Vec<Tensor> {
    let program = device.compile(&case.graph, &CompileOptions::default()).expect("every case compiles");
    let mut outputs: Vec<Tensor> = case
        .outputs
        .iter()
        .map(|expected| Tensor::zeros(expected.dtype(), expected.shape()).unwrap())
        .collect();
    let samples = if case.graph.is_batched() { case.inputs[0].shape()[0] } else { 1 };
    let part = Part {
        samples,
        inputs: case.inputs.iter().map(|t| View::of(t.data())).collect(),
        outputs: outputs.iter_mut().map(|t| ViewMut::of(t.data_mut())).collect(),
    };
    let mut session = program.open().unwrap();
    execute(&mut *session, &mut Batch::of(part)).expect("every case runs");
    outputs
}

#[test]
fn every_instruction_set_gives_what_pytorch_gives() {
    let cases = golden_cases(GOLDEN_DIR).expect("every case is of a known kind");
    let mut failures = Vec::new();
    for isa in Isa::available() {
        let device = CpuDevice::with_isa(isa).unwrap();
        for case in &cases {
            if let Err(difference) = case.check(&compute(&device, case), TOLERANCE) {
                failures.push(format!("{isa}: {}: {difference}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

/// Without a kernel an operator is evaluated, which gives what PyTorch gives too.
#[test]
fn every_layer_operator_and_model_has_kernels() {
    let device = CpuDevice::new();
    let mut without = Vec::new();
    for case in &golden_cases(GOLDEN_DIR).expect("every case is of a known kind") {
        let program = device.compile(&case.graph, &CompileOptions::default()).expect("every case compiles");
        without.extend(program.without_kernel().iter().map(|node| format!("{}: {node:?}", case.name)));
    }
    assert_eq!(without, Vec::<String>::new());
}
