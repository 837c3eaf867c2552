//! The study's models in any size, from the dimensions that the Python script names.

use paceline_graph::Graph;

use super::Problem;
use super::arguments::Arguments;
use crate::models::{
    Network, Speech, Translation, convolutions, encoder, encoder_layer, linear, perceptron, self_attention,
};
use crate::{Model, StateDict};

pub(super) fn graph(name: &str, mut args: Arguments, state: &StateDict) -> Result<Graph, Problem> {
    let model = sized(name, &mut args)?;
    args.finish()?;
    Ok(model.graph_with(state)?)
}

fn sized(name: &str, a: &mut Arguments) -> Result<Model, Problem> {
    fn named(name: &str, network: impl Network + 'static) -> Result<Model, Problem> {
        Ok(Model::new(name, "sized for a test", network))
    }
    match name {
        "linear" | "linear-512" | "linear-1024" | "linear-2048" | "linear-4096" => {
            named(name, linear(a.required("in_features")?, a.required("out_features")?))
        }
        "mlp" => {
            let (inputs, hidden) = (a.required("in_features")?, a.required("hidden")?);
            named(name, perceptron(inputs, hidden, a.required("out_features")?))
        }
        "conv1d" => {
            let channels: Vec<usize> = a.required("channels")?;
            named(name, convolutions(&channels, a.required("length")?))
        }
        "tlayer" => {
            let [width, heads, between] = widths(a)?;
            named(name, encoder_layer(width, heads, between, a.required("tokens")?))
        }
        "t6" => {
            let [width, heads, between] = widths(a)?;
            let layers = a.required("num_layers")?;
            named(name, encoder(width, heads, between, layers, a.required("tokens")?))
        }
        "mha" => {
            let (width, heads) = (a.required("embed_dim")?, a.required("num_heads")?);
            named(name, self_attention(width, heads, a.required("tokens")?))
        }
        "speech" => {
            let speech = Speech {
                in_channels: a.required("in_channels")?,
                hidden: a.required("hidden")?,
                out_features: a.required("out_features")?,
            };
            named(name, speech.with_length(a.required("length")?))
        }
        "translation" => {
            let [d_model, nhead, dim_feedforward] = widths(a)?;
            let translation = Translation {
                d_model,
                nhead,
                dim_feedforward,
                num_layers: a.required("num_layers")?,
                vocabulary: a.required("vocabulary")?,
                source_tokens: a.required("source_tokens")?,
                target_tokens: a.required("target_tokens")?,
            };
            named(name, translation)
        }
        unknown => Err(Problem::new("a model that is known here", unknown)),
    }
}

fn widths(a: &mut Arguments) -> Result<[usize; 3], Problem> {
    Ok([a.required("d_model")?, a.required("nhead")?, a.required("dim_feedforward")?])
}
