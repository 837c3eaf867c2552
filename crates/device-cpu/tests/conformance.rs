//! Every instruction set that this machine has passes the conformance suite.

use paceline_device::conformance::{Options, cases, run};
use paceline_device::{CompileOptions, Device};
use paceline_device_cpu::{CpuDevice, Isa};

fn conforms(isa: Isa) {
    match CpuDevice::with_isa(isa) {
        Ok(device) => run(&device, &Options::default()).assert_clean(),
        Err(unavailable) => eprintln!("skipped: {unavailable}"),
    }
}

#[test]
fn avx512() {
    conforms(Isa::Avx512);
}

#[test]
fn avx2() {
    conforms(Isa::Avx2);
}

#[test]
fn neon() {
    conforms(Isa::Neon);
}

#[test]
fn portable() {
    conforms(Isa::Portable);
}

/// Without a kernel an operator is evaluated, which is right too: that the suite passes says nothing of kernels.
#[test]
fn recurrent_layers_and_log_softmax_have_kernels() {
    let names = ["RNN/rnn", "RNN/relu", "GRU/gru", "LSTM/lstm"]
        .into_iter()
        .flat_map(|layer| [17, 33].map(|hidden| format!("{layer}-{hidden}")))
        .chain(["LogSoftmax/axis-2".to_string()]);
    let cases = cases();
    for name in names {
        let case = cases.iter().find(|case| case.name() == name).unwrap_or_else(|| panic!("no case {name}"));
        let program = CpuDevice::new().compile(case.graph(), &CompileOptions::default()).unwrap();
        assert!(program.without_kernel().is_empty(), "{name}: {:?}", program.without_kernel());
    }
}
