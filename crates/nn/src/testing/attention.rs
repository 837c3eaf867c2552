//! The modules that take masks, from PyTorch's arguments.

use paceline_graph::{Activation, Graph, Tensor};

use super::arguments::Arguments;
use super::{Call, Problem};
use crate::{
    BuildError, LayerNorm, Masks, MultiheadAttention, Scope, StateDict, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, TransformerLayer, build,
};

/// The kinds of this file.
pub(super) const KINDS: [&str; 4] =
    ["MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder", "TransformerDecoderLayer"];

pub(super) fn graph(
    kind: &str,
    mut args: Arguments,
    state: &StateDict,
    call: &mut Call,
) -> Result<Graph, Problem> {
    let graph = match kind {
        "MultiheadAttention" => multihead(&mut args, state, call)?,
        "TransformerEncoderLayer" => {
            let layer: TransformerEncoderLayer = transformer_layer(&mut args)?;
            let masks = SelfMasks::take(call, "is_causal", "src_key_padding_mask")?;
            build(&layer, state, |scope| {
                let src = call.declare(scope, "src")?;
                let masks = masks.declare(scope, call)?;
                let output = layer.forward_masked(scope, src, &masks)?;
                scope.output("output", output)
            })?
        }
        "TransformerEncoder" => {
            let mut layer = Arguments::new(args.required("encoder_layer")?)?;
            let width = layer.required("d_model")?;
            let stack = TransformerEncoder::new(
                transformer_layer_of(width, &mut layer)?,
                args.required("num_layers")?,
            );
            layer.finish()?;
            let stack = if args.required("norm")? { stack.norm(LayerNorm::new(width)) } else { stack };
            let masks = SelfMasks::take(call, "is_causal", "src_key_padding_mask")?;
            build(&stack, state, |scope| {
                let src = call.declare(scope, "src")?;
                let masks = masks.declare(scope, call)?;
                let output = stack.forward_masked(scope, src, &masks)?;
                scope.output("output", output)
            })?
        }
        _ => {
            let layer: TransformerDecoderLayer = transformer_layer(&mut args)?;
            let masks = SelfMasks::take(call, "tgt_is_causal", "tgt_key_padding_mask")?;
            let memory_masks = SelfMasks { causal: false, padding: "memory_key_padding_mask" };
            build(&layer, state, |scope| {
                let tgt = call.declare(scope, "tgt")?;
                let memory = call.declare(scope, "memory")?;
                let masks = masks.declare(scope, call)?;
                let memory_masks = memory_masks.declare(scope, call)?;
                let output = layer.forward(scope, tgt, memory, &masks, &memory_masks)?;
                scope.output("output", output)
            })?
        }
    };
    args.finish()?;
    Ok(graph)
}

/// The masks of one attention.
struct SelfMasks {
    causal: bool,
    padding: &'static str,
}

impl SelfMasks {
    fn take(call: &mut Call, causal: &str, padding: &'static str) -> Result<Self, Problem> {
        Ok(SelfMasks { causal: call.forward.take(causal)?.unwrap_or(false), padding })
    }

    fn declare(&self, scope: &mut Scope<'_>, call: &Call) -> Result<Masks, BuildError> {
        let masks = if self.causal { Masks::none().causal() } else { Masks::none() };
        let padding = call.declare_if_given(scope, self.padding)?;
        Ok(padding.into_iter().fold(masks, Masks::key_padding))
    }
}

fn multihead(args: &mut Arguments, state: &StateDict, call: &mut Call) -> Result<Graph, Problem> {
    let heads = args.required("num_heads")?;
    let module = MultiheadAttention::new(args.required("embed_dim")?, heads);
    let module = args.apply("kdim", module, MultiheadAttention::kdim)?;
    let module = args.apply("vdim", module, MultiheadAttention::vdim)?;
    let module = args.apply("bias", module, MultiheadAttention::bias)?;
    batch_first(args)?;
    call.forward.take::<bool>("need_weights")?;
    let masks = SelfMasks::take(call, "is_causal", "key_padding_mask")?;
    let cross = match call.forward.required::<String>("attention")?.as_str() {
        "self" => false,
        "cross" => true,
        other => return Err(Problem::new("attention 'self' or 'cross'", other)),
    };
    heads_apart(call, heads)?;
    Ok(build(&module, state, |scope| {
        let query = call.declare(scope, "query")?;
        let (key, value) = match cross {
            true => (call.declare(scope, "key")?, call.declare(scope, "value")?),
            false => (query, query),
        };
        let masks = masks.declare(scope, call)?;
        let additive = call.declare_if_given(scope, "attn_mask")?;
        let masks = additive.into_iter().fold(masks, Masks::additive);
        let output = module.attend(scope, query, key, value, &masks)?;
        scope.output("output", output)
    })?)
}

/// PyTorch wants a mask for each head as `[N * heads, queries, keys]`; here it is `[N, heads, queries, keys]`.
fn heads_apart(call: &mut Call, heads: usize) -> Result<(), Problem> {
    let Some(mask) = call.inputs.remove("attn_mask") else {
        return Ok(());
    };
    let mask: Tensor = match *mask.shape() {
        [both, queries, keys] => {
            mask.reshaped([both / heads, heads, queries, keys]).map_err(paceline_graph::GraphError::from)?
        }
        _ => mask,
    };
    call.inputs.insert("attn_mask".into(), mask);
    Ok(())
}

fn transformer_layer<const DECODER: bool>(
    args: &mut Arguments,
) -> Result<TransformerLayer<DECODER>, Problem> {
    let width = args.required("d_model")?;
    transformer_layer_of(width, args)
}

fn transformer_layer_of<const DECODER: bool>(
    width: usize,
    args: &mut Arguments,
) -> Result<TransformerLayer<DECODER>, Problem> {
    let layer = TransformerLayer::new(width, args.required("nhead")?);
    let layer = args.apply("dim_feedforward", layer, TransformerLayer::dim_feedforward)?;
    let layer = args.apply("norm_first", layer, TransformerLayer::norm_first)?;
    let layer = args.apply("layer_norm_eps", layer, TransformerLayer::layer_norm_epsilon)?;
    let layer = args.apply("bias", layer, TransformerLayer::bias)?;
    batch_first(args)?;
    match args.take::<String>("activation")?.as_deref() {
        None | Some("relu") => Ok(layer),
        Some("gelu") => Ok(layer.activation(Activation::Gelu)),
        Some(other) => Err(Problem::new("activation 'relu' or 'gelu'", other)),
    }
}

fn batch_first(args: &mut Arguments) -> Result<(), Problem> {
    match args.take("batch_first")? {
        Some(true) => Ok(()),
        other => Err(Problem::new("batch_first=True", format!("{other:?}"))),
    }
}
