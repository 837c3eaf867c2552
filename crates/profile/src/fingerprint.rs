//! What a profile is true of: a machine and a model, told apart from others by what costs depend on.
//!
//! A model's fingerprint covers its operators, how they are connected, and every shape, but not the values of its weights: a model
//! that was trained again costs the same, and keeps its profile. Names are left out too.

use std::fmt::{self, Write};
use std::hash::Hasher;

use fnv::FnvHasher;
use paceline_device::DeviceInfo;
use paceline_graph::{Graph, Source, Value};
use serde::{Deserialize, Serialize};

/// What costs depend on beside the model: the hardware, and the code that drives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The device: `cpu`, `cuda:0`.
    pub device: String,
    /// The hardware's name.
    pub hardware: String,
    /// The instruction set or architecture of the kernels.
    pub isa: String,
    /// How many lanes suit the device: the cores of a CPU.
    pub cores: usize,
    /// Version of Paceline: another may have other kernels.
    pub paceline: String,
}

/// A model, whatever the values of its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPrint {
    /// What it was called; not compared.
    pub name: String,
    /// Of its structure: see [`ModelPrint::of`].
    pub fingerprint: String,
}

/// One thing that a profile says of a machine and that is otherwise here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs, such as `hardware`.
    pub what: &'static str,
    /// In the profile.
    pub profile: String,
    /// Here.
    pub here: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, in the profile {}", self.what, self.here, self.profile)
    }
}

impl Machine {
    /// The machine of a device, with this version of Paceline.
    pub fn of(device: &DeviceInfo) -> Self {
        Machine {
            device: device.id.clone(),
            hardware: device.name.clone(),
            isa: device.isa.clone(),
            cores: device.default_lanes,
            paceline: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// What is otherwise `here` than in the profile that `self` is from; nothing where the profile is of use.
    pub fn differences(&self, here: &Machine) -> Vec<Difference> {
        let fields = |machine: &Machine| {
            let Machine { device, hardware, isa, cores, paceline } = machine.clone();
            [
                ("the device", device),
                ("the hardware", hardware),
                ("the instruction set", isa),
                ("the number of cores", cores.to_string()),
                ("the version of Paceline", paceline),
            ]
        };
        let pairs = fields(self).into_iter().zip(fields(here));
        let differing = pairs.filter(|(profile, here)| profile != here);
        differing.map(|((what, profile), (_, here))| Difference { what, profile, here }).collect()
    }
}

impl ModelPrint {
    /// The fingerprint of a graph: 64 bits of FNV-1a over a text that lists the types of inputs and constants, the operators with
    /// their attributes and operands, and the outputs. It finds what changed by accident, not by intent.
    pub fn of(name: impl Into<String>, graph: &Graph) -> Self {
        let mut text = Hashed(FnvHasher::default());
        // Writing to a hasher cannot fail.
        let _ = list(graph, &mut text);
        ModelPrint { name: name.into(), fingerprint: format!("fnv1a-64:{:016x}", text.0.finish()) }
    }

    /// Whether both are of the same structure.
    pub fn is_alike(&self, other: &ModelPrint) -> bool {
        self.fingerprint == other.fingerprint
    }
}

fn list(graph: &Graph, text: &mut impl Write) -> fmt::Result {
    let number = |value: &Value| value.index();
    for (index, value) in graph.values().iter().enumerate() {
        match &value.source {
            Source::Input => writeln!(text, "{index} input {}", value.ty)?,
            Source::Constant(_) => writeln!(text, "{index} constant {}", value.ty)?,
            Source::Node { .. } => writeln!(text, "{index} {}", value.ty)?,
        }
    }
    writeln!(text, "inputs {:?}", graph.inputs().iter().map(number).collect::<Vec<_>>())?;
    for node in graph.nodes() {
        let operands: Vec<_> = node.inputs.iter().map(|value| value.as_ref().map(number)).collect();
        let results: Vec<_> = node.outputs.iter().map(number).collect();
        writeln!(text, "{results:?} {:?} {operands:?}", node.op)?;
    }
    let outputs: Vec<_> = graph.outputs().iter().map(|output| number(&output.value)).collect();
    writeln!(text, "outputs {outputs:?}")
}

struct Hashed(FnvHasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
