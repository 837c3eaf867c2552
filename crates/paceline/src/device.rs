//! Devices by name.

use std::sync::Arc;

use paceline_device::Device;
use paceline_device_cpu::CpuDevice;

/// Names that [`device`] knows.
pub const DEVICES: [&str; 2] = ["cpu", "auto"];

/// There is no device of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no device '{name}'; the devices are {}", DEVICES.join(", "))]
pub struct UnknownDevice {
    /// The name asked for.
    pub name: String,
}

/// The device of this name: `cpu` with the best instruction set of this machine; `auto` is the best device there is.
pub fn device(name: &str) -> Result<Arc<dyn Device>, UnknownDevice> {
    match name {
        "cpu" | "auto" => Ok(Arc::new(CpuDevice::new())),
        _ => Err(UnknownDevice { name: name.into() }),
    }
}
