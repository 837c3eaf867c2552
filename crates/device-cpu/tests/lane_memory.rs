//! A further lane costs its arena and nothing else: weights exist once.
#![cfg(target_os = "linux")]

use paceline_device::{Batch, CompileOptions, Device, Part, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::Data;
use paceline_nn::{Model, sample_inputs};

/// Memory of this process that is in use, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_further_session_of_t6_at_batch_8_takes_at_most_10_mb() {
    const SESSIONS: usize = 4;
    let graph = Model::by_name("t6").unwrap().graph(1).unwrap();
    let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
    let inputs = sample_inputs(&graph, 8, 1).unwrap();
    let port = &program.signature().outputs[0];
    let mut output = Data::zeros(port.dtype, port.elements * 8);
    let mut run = || {
        let mut session = program.clone().open().unwrap();
        let part = Part {
            samples: 8,
            inputs: inputs.iter().map(|t| View::of(t.data())).collect(),
            outputs: [ViewMut::of(&mut output)].into_iter().collect(),
        };
        execute(&mut *session, &mut Batch::of(part)).unwrap();
        session
    };
    let first = run();
    let before = resident_bytes();
    let others: Vec<_> = (1..=SESSIONS).map(|_| run()).collect();
    let each = resident_bytes().saturating_sub(before) / SESSIONS;
    assert!((100_000..=10_000_000).contains(&each), "{each} bytes a session");
    drop((first, others));
}
