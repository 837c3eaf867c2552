//! The CPU as a device.

use std::sync::Arc;

use paceline_device::{CompileError, CompileOptions, Device, DeviceInfo, Program};
use paceline_graph::Graph;

use crate::Isa;
use crate::kernels::set::KernelSet;
use crate::program::CpuProgram;
use crate::weights::Weights;

/// Runs graphs on the cores of this machine, with the kernels of one instruction set. Programs of graphs that have weights in common
/// share them in their packed form, where they are compiled by one device or its clones.
#[derive(Clone)]
pub struct CpuDevice {
    kernels: &'static KernelSet,
    weights: Arc<Weights>,
}

/// An instruction set that this machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine cannot run {isa} kernels; it can run {}", names(&Isa::available()))]
pub struct IsaUnavailable {
    /// The instruction set asked for.
    pub isa: Isa,
}

fn names(isas: &[Isa]) -> String {
    isas.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

impl CpuDevice {
    /// The device with the best instruction set that this machine has.
    pub fn new() -> Self {
        Self::with_isa(Isa::best()).expect("the best of what is available is available")
    }

    /// The device with the kernels of one instruction set.
    pub fn with_isa(isa: Isa) -> Result<Self, IsaUnavailable> {
        let device = |kernels| CpuDevice { kernels, weights: Arc::default() };
        KernelSet::of(isa).map(device).ok_or(IsaUnavailable { isa })
    }

    /// The instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.kernels.isa
    }
}

/// What the processor calls itself, where it can be asked.
fn hardware_name() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    {
        let brand = raw_cpuid::CpuId::new().get_processor_brand_string()?;
        let name = brand.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(name)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

impl Default for CpuDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for CpuDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            id: "cpu".into(),
            name: hardware_name().unwrap_or_else(|| format!("CPU ({})", std::env::consts::ARCH)),
            isa: self.kernels.isa.name().into(),
            default_lanes: std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        Ok(Arc::new(CpuProgram::compile(graph, options, self.kernels, &self.weights, "cpu")?))
    }
}
