//! The table of models.

use super::table::{Table, count};
use crate::{ModelEntry, PortEntry};

/// Name, cost, inputs, outputs and description of each model.
pub fn models(entries: &[ModelEntry]) -> String {
    let ports = |ports: &[PortEntry]| {
        let port = |port: &PortEntry| format!("{} {}{}", port.name, port.dtype, port.shape);
        ports.iter().map(port).collect::<Vec<_>>().join(", ")
    };
    let mut table = Table::new(["model", ">FLOP/sample", ">parameters", "inputs", "outputs", "description"]);
    for entry in entries {
        table.push([
            entry.name.clone(),
            count(entry.flops_per_sample),
            count(entry.parameters as u64),
            ports(&entry.inputs),
            ports(&entry.outputs),
            entry.description.clone(),
        ]);
    }
    table.to_string()
}
