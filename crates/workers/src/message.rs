//! What parent and worker tell each other while a worker starts.

use std::time::Duration;

use paceline_device::{Port, Signature};
use paceline_engine::remote::Contract;
use paceline_graph::DType;
use paceline_profile::{Machine, ModelPrint};
use serde::{Deserialize, Serialize};

use crate::spec::ModelSpec;

/// Changes with everything that both sides must agree on.
pub(crate) const PROTOCOL: u32 = 2;

/// The parent's message, after the descriptor of the shared memory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) protocol: u32,
    /// The worker's number, for people.
    pub(crate) worker: usize,
    pub(crate) device: String,
    pub(crate) lanes: usize,
    /// The engine's choice where there is none.
    pub(crate) helpers: Option<usize>,
    pub(crate) warm_up: Duration,
    pub(crate) slots: u32,
    pub(crate) arena_bytes: usize,
    pub(crate) models: Vec<ModelSpec>,
}

/// The worker's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Started {
    /// It serves these models, in the order of [`Start::models`].
    Ready(Vec<Ready>),
    /// It cannot.
    Failed(String),
}

/// A model that is served.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) variants: Vec<Variant>,
    /// Measured nanoseconds of one sample in a full batch of the first variant; an estimate of what a request takes.
    pub(crate) sample_ns: u64,
    /// Measured nanoseconds of a batch of one.
    pub(crate) single_ns: u64,
    /// What a profile must be of; `None` where the program compiled the model in a way of its own.
    pub(crate) seen: Option<Seen>,
}

/// Of which machine and model a profile must be to be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) machine: Machine,
    pub(crate) model: ModelPrint,
}

/// Costs that were measured before, as tuples of samples, busy lanes, mean and 99th percentile.
pub(crate) mod costs {
    use std::time::Duration;

    use paceline_engine::MeasuredCost;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(costs: &[MeasuredCost], serializer: S) -> Result<S::Ok, S::Error> {
        let tuple = |&MeasuredCost { samples, busy, mean, p99 }: &MeasuredCost| (samples, busy, mean, p99);
        costs.iter().map(tuple).collect::<Vec<_>>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<MeasuredCost>, D::Error> {
        let tuples = Vec::<(usize, usize, Duration, Duration)>::deserialize(deserializer)?;
        let cost = |(samples, busy, mean, p99)| MeasuredCost { samples, busy, mean, p99 };
        Ok(tuples.into_iter().map(cost).collect())
    }
}

/// What a model takes and gives for one shape of its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Variant {
    inputs: Vec<PortMessage>,
    outputs: Vec<PortMessage>,
    batched: bool,
    max_samples: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PortMessage {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

impl Variant {
    pub(crate) fn of(signature: &Signature, max_samples: usize) -> Variant {
        let port = |port: &Port| PortMessage {
            name: port.name.clone(),
            dtype: port.dtype.to_string(),
            shape: port.shape.clone(),
        };
        Variant {
            inputs: signature.inputs.iter().map(port).collect(),
            outputs: signature.outputs.iter().map(port).collect(),
            batched: signature.batched,
            max_samples,
        }
    }

    /// `None` where it says what cannot be.
    fn signature(&self) -> Option<(Signature, usize)> {
        let port = |message: &PortMessage| {
            let dtype = DType::ALL.iter().copied().find(|dtype| dtype.to_string() == message.dtype)?;
            let elements = message.shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length))?;
            Some(Port { name: message.name.clone(), dtype, shape: message.shape.clone(), elements })
        };
        let inputs = self.inputs.iter().map(port).collect::<Option<_>>()?;
        let outputs = self.outputs.iter().map(port).collect::<Option<_>>()?;
        Some((Signature { inputs, outputs, batched: self.batched }, self.max_samples))
    }
}

impl Ready {
    /// The model as callers know it; `None` where the message says what cannot be.
    pub(crate) fn contract(&self, name: &str) -> Option<Contract> {
        let signatures = self.variants.iter().map(Variant::signature).collect::<Option<Vec<_>>>()?;
        (!signatures.is_empty()).then(|| Contract::new(name, signatures))
    }
}

#[cfg(test)]
mod tests {
    use paceline_device::fake::port;

    use super::*;

    #[test]
    fn a_signature_survives_the_journey() {
        let inputs = DType::ALL.iter().map(|&dtype| port(&dtype.to_string(), dtype, &[2, 3])).collect();
        let signature = Signature { inputs, outputs: vec![port("y", DType::Bool, &[5])], batched: true };
        let text = serde_json::to_string(&Variant::of(&signature, 8)).unwrap();
        let got: Variant = serde_json::from_str(&text).unwrap();
        assert_eq!(got.signature(), Some((signature, 8)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let text = |dtype: &str, shape: &str| {
            let port = format!(r#"{{"name":"x","dtype":"{dtype}","shape":{shape}}}"#);
            format!(r#"{{"inputs":[{port}],"outputs":[],"batched":true,"max_samples":1}}"#)
        };
        for (dtype, shape) in [("f16", "[1]"), ("f32", "[18446744073709551615, 2]")] {
            let variant: Variant = serde_json::from_str(&text(dtype, shape)).unwrap();
            assert_eq!(variant.signature(), None);
        }
        assert!(Ready { variants: vec![], sample_ns: 1, single_ns: 1, seen: None }.contract("m").is_none());
    }
}
