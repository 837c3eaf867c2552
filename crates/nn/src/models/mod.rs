//! The study's models by short name, and the networks they are made of, in any size.

mod network;
mod speech;
mod study;
mod translation;

use std::fmt;
use std::sync::Arc;

use paceline_graph::{Graph, ValueType};

use crate::{BuildError, Parameters, StateDict, build, flops};

pub use network::{Network, OneInput};
pub use speech::Speech;
pub use study::{convolutions, encoder, encoder_layer, linear, perceptron, self_attention};
pub use translation::Translation;

/// A network with a name. Cheap to clone; weights come in when a graph is made of it.
#[derive(Clone, Debug)]
pub struct Model {
    name: String,
    description: String,
    network: Arc<dyn Network>,
}

/// No model has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no model '{name}'; the models are {}", known.join(", "))]
pub struct UnknownModel {
    /// The name asked for.
    pub name: String,
    /// The names that exist.
    pub known: Vec<String>,
}

/// What a model is, apart from its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Names and types of the inputs.
    pub inputs: Vec<(String, ValueType)>,
    /// Names and types of the outputs.
    pub outputs: Vec<(String, ValueType)>,
    /// Floating-point operations of one sample, as [`flops`] counts them.
    pub flops: u64,
    /// Number of trained parameters.
    pub parameters: usize,
}

/// All of the study's models, in the order of its tables.
pub fn models() -> Vec<Model> {
    let linear_layer = |name: &str, inputs, outputs| {
        Model::new(name, format!("Linear {inputs} -> {outputs}"), linear(inputs, outputs))
    };
    vec![
        linear_layer("linear", 256, 128),
        linear_layer("linear-512", 512, 256),
        linear_layer("linear-1024", 1024, 512),
        linear_layer("linear-2048", 2048, 1024),
        linear_layer("linear-4096", 4096, 2048),
        Model::new("mlp", "Linear 512 -> 1024 -> 1024 -> 512, ReLU between", perceptron(512, 1024, 512)),
        Model::new(
            "conv1d",
            "3 x (Conv1d of kernel 3, ReLU), channels 80 -> 128 -> 128 -> 128, length 100",
            convolutions(&[80, 128, 128, 128], 100),
        ),
        Model::new(
            "tlayer",
            "TransformerEncoderLayer, width 256, 4 heads, feed-forward 1024, 32 tokens",
            encoder_layer(256, 4, 1024, 32),
        ),
        Model::new(
            "t6",
            "TransformerEncoder, 6 layers, width 512, 8 heads, feed-forward 2048, 32 tokens",
            encoder(512, 8, 2048, 6, 32),
        ),
        Model::new("mha", "MultiheadAttention, width 256, 4 heads, 32 tokens", self_attention(256, 4, 32)),
        Model::new(
            "speech",
            "speech decoder: 2 Conv1d of kernel 5, LayerNorm, 2 Linear, 80 -> 256 -> 80, length 64",
            Speech { in_channels: 80, hidden: 256, out_features: 80 }.with_length(64),
        ),
        Model::new(
            "translation",
            "2 encoder and 2 decoder layers, width 256, 4 heads, feed-forward 1024, 32 + 32 tokens, 1000 words",
            Translation {
                d_model: 256,
                nhead: 4,
                dim_feedforward: 1024,
                num_layers: 2,
                vocabulary: 1000,
                source_tokens: 32,
                target_tokens: 32,
            },
        ),
    ]
}

impl Model {
    /// A model of one's own.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        network: impl Network + 'static,
    ) -> Self {
        Model { name: name.into(), description: description.into(), network: Arc::new(network) }
    }

    /// The study's model of this short name.
    pub fn by_name(name: &str) -> Result<Model, UnknownModel> {
        let models = models();
        models.iter().find(|model| model.name == name).cloned().ok_or_else(|| UnknownModel {
            name: name.into(),
            known: models.iter().map(|model| model.name.clone()).collect(),
        })
    }

    /// The short name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in a line.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The network behind it.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// The graph with weights drawn from `seed`.
    pub fn graph(&self, seed: u64) -> Result<Graph, BuildError> {
        self.graph_with(&StateDict::random(self.network(), seed))
    }

    /// The graph with the weights of `state`, whose tensors it shares.
    pub fn graph_with(&self, state: &StateDict) -> Result<Graph, BuildError> {
        build(self.network(), state, |scope| self.network.connect(scope))
    }

    /// Inputs, outputs and cost; no weights are drawn for it.
    pub fn summary(&self) -> Result<Summary, BuildError> {
        let graph = self.graph_with(&StateDict::zeros(self.network()))?;
        let inputs = graph.inputs().iter().map(|&value| graph.value(value));
        let outputs = graph.outputs().iter().map(|output| (&output.name, graph.value(output.value)));
        Ok(Summary {
            inputs: inputs.map(|info| (info.name.clone(), info.ty.clone())).collect(),
            outputs: outputs.map(|(name, info)| (name.clone(), info.ty.clone())).collect(),
            flops: flops(&graph),
            parameters: Parameters::of(self.network()).trained_elements(),
        })
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.description)
    }
}
