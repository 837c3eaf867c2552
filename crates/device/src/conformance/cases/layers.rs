//! Layers in PyTorch's vocabulary, with weights from a seed.

use paceline_graph::{Activation, DType, Shape, Value};
use paceline_nn::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, Approximation, AvgPool1d, AvgPool2d, BatchNorm1d, BatchNorm2d,
    BuildError, Conv1d, Conv2d, ConvTranspose1d, Embedding, Flatten, GELU, GroupNorm, Layer, LayerNorm,
    Linear, Masks, MaxPool1d, MaxPool2d, Module, MultiheadAttention, Padding, RMSNorm, ReLU, Scope,
    Sequential, SiLU, Sigmoid, Softmax, StateDict, Tanh, TransformerDecoder, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, Unflatten, build, build_layer,
};

use super::super::{Case, Kind, Tolerance, Values};

const SEED: u64 = 7;
const ORDINARY: Values = Values::Uniform(-2.0, 2.0);
const SOME: Values = Values::Chance(0.3);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = simple();
    cases.extend(attention());
    cases.extend(encoders());
    cases.extend(decoders());
    cases.extend(embeddings());
    cases
}

/// Layers of one f32 input: name, layer, shape of a sample.
fn simple() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, layer: &dyn Layer, shape: &[usize]| {
        let graph = build_layer(layer, &StateDict::random(layer, SEED), shape);
        let graph =
            graph.unwrap_or_else(|error| panic!("the conformance case '{name}' is not valid: {error}"));
        let case = Case::new(format!("nn.{name}"), Kind::Layer, graph, vec![ORDINARY]);
        cases.push(case.within(Tolerance::of(2e-5)).at_most(17));
    };
    for length in super::LENGTHS {
        add(&format!("Linear/{length}"), &Linear::new(length, 17), &[length]);
        add(&format!("LayerNorm/{length}"), &LayerNorm::new(length), &[3, length]);
        add(&format!("Conv1d/{length}"), &Conv1d::new(3, 5, 3).padding(1), &[3, length]);
    }
    add("Linear/no-bias", &Linear::new(33, 16).bias(false), &[7, 33]);
    add("LayerNorm/plain", &LayerNorm::new(33).elementwise_affine(false), &[5, 33]);
    add("LayerNorm/no-bias", &LayerNorm::new(16).bias(false), &[5, 16]);
    add("LayerNorm/over-two", &LayerNorm::over([3, 7]), &[5, 3, 7]);
    add("RMSNorm/33", &RMSNorm::new(33), &[7, 33]);
    add("RMSNorm/plain", &RMSNorm::new(16).elementwise_affine(false), &[16]);
    add("BatchNorm1d/vector", &BatchNorm1d::new(17), &[17]);
    add("BatchNorm1d/length", &BatchNorm1d::new(7), &[7, 33]);
    add("BatchNorm1d/plain", &BatchNorm1d::new(7).affine(false), &[7, 16]);
    add("BatchNorm2d/image", &BatchNorm2d::new(5), &[5, 7, 3]);
    add("GroupNorm/groups", &GroupNorm::new(3, 6), &[6, 17]);
    add("GroupNorm/plain", &GroupNorm::new(7, 7).affine(false), &[7, 5, 3]);
    add("Conv1d/stride", &Conv1d::new(4, 7, 5).stride(2).padding(2), &[4, 33]);
    add("Conv1d/same-even", &Conv1d::new(3, 4, 4).padding(Padding::Same), &[3, 17]);
    add("Conv1d/dilation", &Conv1d::new(3, 4, 3).dilation(3).padding(3), &[3, 17]);
    add("Conv1d/depthwise", &Conv1d::new(17, 17, 3).groups(17).padding(1), &[17, 16]);
    add("Conv1d/no-bias", &Conv1d::new(5, 33, 1).bias(false), &[5, 7]);
    add("Conv2d/plain", &Conv2d::new(3, 5, 3).padding(1), &[3, 7, 9]);
    add("Conv2d/rectangular", &Conv2d::new(2, 7, [1, 5]).padding([0, 2]).stride([2, 1]), &[2, 8, 11]);
    add("Conv2d/groups", &Conv2d::new(4, 6, 3).groups(2).dilation(2), &[4, 9, 7]);
    add("ConvTranspose1d/upsample", &ConvTranspose1d::new(5, 3, 4).stride(2).padding(1), &[5, 17]);
    let everything =
        ConvTranspose1d::new(4, 6, 3).stride(3).padding(1).output_padding(2).dilation(2).groups(2);
    add("ConvTranspose1d/everything", &everything.bias(false), &[4, 9]);
    add("MaxPool1d/padded", &MaxPool1d::new(3).stride(2).padding(1), &[5, 17]);
    add("MaxPool2d/dilation", &MaxPool2d::new(2).stride(1).dilation(2), &[3, 7, 9]);
    add("AvgPool1d/padded", &AvgPool1d::new(3).stride(2).padding(1), &[5, 17]);
    add("AvgPool2d/not-counted", &AvgPool2d::new(3).padding(1).count_include_pad(false), &[3, 7, 8]);
    add("AdaptiveAvgPool1d/one", &AdaptiveAvgPool1d::new(1), &[7, 33]);
    add("AdaptiveAvgPool2d/one", &AdaptiveAvgPool2d::new(1), &[5, 7, 3]);
    add("ReLU/33", &ReLU, &[33]);
    add("SiLU/33", &SiLU, &[33]);
    add("Sigmoid/33", &Sigmoid, &[33]);
    add("Tanh/33", &Tanh, &[33]);
    add("GELU/33", &GELU::new(), &[33]);
    add("GELU/tanh-33", &GELU::new().approximate(Approximation::Tanh), &[33]);
    add("Softmax/last", &Softmax::new(-1), &[5, 17]);
    add("Softmax/middle", &Softmax::new(1), &[5, 17]);
    add("Flatten/image", &Flatten::new(), &[3, 5, 2]);
    add("Unflatten/vector", &Unflatten::new(1, [5, 7]), &[35]);
    let image = Sequential::new()
        .then(Conv2d::new(1, 5, 3).padding(1))
        .then(BatchNorm2d::new(5))
        .then(ReLU)
        .then(MaxPool2d::new(2))
        .then(Flatten::new())
        .then(Linear::new(45, 7))
        .then(Softmax::new(-1));
    add("Sequential/image", &image, &[1, 7, 7]);
    cases
}

/// An input of a layer: shape of a sample, and how it is drawn.
type Input = (&'static [usize], Values);

/// A layer of several inputs.
fn several<M: Module>(
    name: &str,
    module: &M,
    inputs: &[Input],
    body: impl FnOnce(&mut Scope<'_>, &[Value]) -> Result<Value, BuildError>,
) -> Case {
    let graph = build(module, &StateDict::random(module, SEED), |scope| {
        let mut values = Vec::new();
        for (index, (shape, drawn)) in inputs.iter().enumerate() {
            values.push(scope.input(&format!("x{index}"), drawn.dtype(), Shape::batched(shape))?);
        }
        let y = body(scope, &values)?;
        scope.output("y", y)
    });
    let graph = graph.unwrap_or_else(|error| panic!("the conformance case '{name}' is not valid: {error}"));
    let values = inputs.iter().map(|input| input.1).collect();
    Case::new(format!("nn.{name}"), Kind::Layer, graph, values).within(Tolerance::of(1e-4)).at_most(7)
}

fn attention() -> Vec<Case> {
    let self_attention = |name: &str, layer: MultiheadAttention, inputs: &[Input], causal: bool| {
        several(&format!("MultiheadAttention/{name}"), &layer, inputs, |scope, values| {
            layer.attend(scope, values[0], values[0], values[0], &masks(values, 1, causal, inputs))
        })
    };
    let cross = |name: &str, layer: MultiheadAttention, inputs: &[Input]| {
        several(&format!("MultiheadAttention/cross-{name}"), &layer, inputs, |scope, values| {
            layer.attend(scope, values[0], values[1], values[2], &masks(values, 3, false, inputs))
        })
    };
    let plain = MultiheadAttention::new(24, 3);
    vec![
        self_attention("self", plain, &[(&[7, 24], ORDINARY)], false),
        self_attention("one-head", MultiheadAttention::new(17, 1), &[(&[5, 17], ORDINARY)], false),
        self_attention("one-token", plain, &[(&[1, 24], ORDINARY)], false),
        self_attention("tokens-33", plain, &[(&[33, 24], ORDINARY)], true),
        self_attention("no-bias", plain.bias(false), &[(&[7, 24], ORDINARY)], true),
        self_attention("padding", plain, &[(&[7, 24], ORDINARY), (&[7], Values::Tail)], false),
        self_attention("padding-causal", plain, &[(&[7, 24], ORDINARY), (&[7], SOME)], true),
        self_attention("additive", plain, &[(&[7, 24], ORDINARY), (&[3, 7, 7], ORDINARY)], false),
        cross("equal", plain, &[(&[5, 24], ORDINARY), (&[9, 24], ORDINARY), (&[9, 24], ORDINARY)]),
        cross(
            "widths",
            plain.kdim(7).vdim(11),
            &[(&[5, 24], ORDINARY), (&[9, 7], ORDINARY), (&[9, 11], ORDINARY), (&[9], SOME)],
        ),
    ]
}

fn encoders() -> Vec<Case> {
    let encoder = |name: &str, layer: TransformerEncoderLayer, inputs: &[Input], causal: bool| {
        several(&format!("TransformerEncoderLayer/{name}"), &layer, inputs, |scope, values| {
            layer.forward_masked(scope, values[0], &masks(values, 1, causal, inputs))
        })
    };
    let plain = TransformerEncoderLayer::new(16, 4).dim_feedforward(33);
    let stack = TransformerEncoder::new(plain, 2).norm(LayerNorm::new(16));
    vec![
        encoder("norm-last", plain, &[(&[7, 16], ORDINARY)], false),
        encoder("norm-first", plain.norm_first(true), &[(&[7, 16], ORDINARY)], false),
        encoder("gelu", plain.activation(Activation::Gelu), &[(&[17, 16], ORDINARY)], false),
        encoder("no-bias", plain.bias(false).norm_first(true), &[(&[7, 16], ORDINARY)], true),
        encoder("padding", plain, &[(&[7, 16], ORDINARY), (&[7], Values::Tail)], false),
        encoder("padding-causal", plain.norm_first(true), &[(&[7, 16], ORDINARY), (&[7], SOME)], true),
        several("TransformerEncoder/norm", &stack, &[(&[9, 16], ORDINARY), (&[9], SOME)], |scope, values| {
            stack.forward_masked(scope, values[0], &Masks::none().key_padding(values[1]))
        }),
    ]
}

fn decoders() -> Vec<Case> {
    let decoder = |name: &str, layer: TransformerDecoderLayer, inputs: &[Input], causal: bool| {
        several(&format!("TransformerDecoderLayer/{name}"), &layer, inputs, |scope, values| {
            let target = if causal { Masks::none().causal() } else { Masks::none() };
            layer.forward(scope, values[0], values[1], &target, &masks(values, 2, false, inputs))
        })
    };
    let plain = TransformerDecoderLayer::new(16, 2).dim_feedforward(24);
    let stack = TransformerDecoder::new(plain, 2);
    let (target, memory) = ((&[5, 16][..], ORDINARY), (&[9, 16][..], ORDINARY));
    vec![
        decoder("norm-last", plain, &[target, memory], false),
        decoder("norm-first-causal", plain.norm_first(true), &[target, memory], true),
        decoder("memory-padding", plain, &[target, memory, (&[9], SOME)], true),
        several("TransformerDecoder/causal", &stack, &[target, memory], |scope, values| {
            stack.forward(scope, values[0], values[1], &Masks::none().causal(), &Masks::none())
        }),
    ]
}

fn embeddings() -> Vec<Case> {
    let embedding = Embedding::new(11, 17);
    let embed = |name: &str, values: Values| {
        several(&format!("Embedding/{name}"), &embedding, &[(&[7], values)], |scope, x| {
            embedding.forward(scope, x[0])
        })
    };
    vec![embed("tokens", Values::Integers(0, 10)), embed("out-of-range", Values::Integers(-1, 12))]
}

/// The masks that the inputs from the `first` on are: bool hides keys, f32 is added to the scores.
fn masks(values: &[Value], first: usize, causal: bool, inputs: &[Input]) -> Masks {
    let none = if causal { Masks::none().causal() } else { Masks::none() };
    values.iter().zip(inputs).skip(first).fold(none, |masks, (&value, (_, drawn))| match drawn.dtype() {
        DType::Bool => masks.key_padding(value),
        _ => masks.additive(value),
    })
}
