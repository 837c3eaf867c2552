//! The study's models, small.

use paceline_nn::Model;
use paceline_nn::models::{
    Speech, Translation, convolutions, encoder, encoder_layer, linear, perceptron, self_attention,
};

use super::super::{Case, Kind, Tolerance, Values};

const SEED: u64 = 3;

pub(super) fn cases() -> Vec<Case> {
    let translation = Translation {
        d_model: 16,
        nhead: 2,
        dim_feedforward: 33,
        num_layers: 2,
        vocabulary: 19,
        source_tokens: 9,
        target_tokens: 5,
    };
    [
        (Model::new("linear", "256-128", linear(256, 128)), 17),
        (Model::new("linear", "513-65", linear(513, 65)), 7),
        (Model::new("mlp", "33-65-17", perceptron(33, 65, 17)), 64),
        (Model::new("conv1d", "5-17-16-7", convolutions(&[5, 17, 16, 7], 33)), 7),
        (Model::new("tlayer", "width-32", encoder_layer(32, 4, 64, 9)), 17),
        (Model::new("t6", "width-16", encoder(16, 2, 48, 6, 7)), 7),
        (Model::new("mha", "width-24", self_attention(24, 3, 11)), 17),
        (
            Model::new(
                "speech",
                "5-17-9",
                Speech { in_channels: 5, hidden: 17, out_features: 9 }.with_length(21),
            ),
            7,
        ),
        (Model::new("translation", "width-16", translation), 7),
    ]
    .into_iter()
    .map(|(model, samples)| {
        let graph =
            model.graph(SEED).unwrap_or_else(|error| panic!("the model '{model}' is not valid: {error}"));
        let values =
            graph.inputs().iter().map(|&input| Values::default_of(graph.value(input).ty.dtype)).collect();
        let name = format!("model.{}/{}", model.name(), model.description());
        Case::new(name, Kind::Model, graph, values).within(Tolerance::of(1e-4)).at_most(samples)
    })
    .collect()
}
