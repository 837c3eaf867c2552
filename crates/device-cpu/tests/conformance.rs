//! Every instruction set that this machine has passes the conformance suite.

use paceline_device::conformance::{Options, run};
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
