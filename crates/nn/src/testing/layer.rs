//! Layers with one input, from PyTorch's constructor arguments.

use serde_json::Value;

use super::Problem;
use super::arguments::Arguments;
use crate::{
    AdaptiveAvgPool, Approximation, AvgPool, Axes, BatchNorm, Conv, ConvTranspose1d, Embedding, Flatten,
    GELU, GroupNorm, Layer, LayerNorm, Linear, MaxPool, Padding, RMSNorm, ReLU, Sequential, SiLU, Sigmoid,
    Softmax, Tanh,
};

/// The layer that `torch.nn.<kind>(**args)` is.
pub(super) fn from_description(kind: &str, args: Value) -> Result<Box<dyn Layer>, Problem> {
    if kind == "Sequential" {
        let layers: Vec<Value> = serde_json::from_value(args)?;
        let layers = layers.into_iter().map(|layer| {
            let mut layer = Arguments::new(layer)?;
            let built = from_description(&layer.required::<String>("kind")?, layer.required("args")?)?;
            layer.finish()?;
            Ok(built)
        });
        return Ok(Box::new(layers.collect::<Result<Sequential, Problem>>()?));
    }
    let mut args = Arguments::new(args)?;
    let layer = from_arguments(kind, &mut args)?;
    args.finish()?;
    Ok(layer)
}

fn from_arguments(kind: &str, a: &mut Arguments) -> Result<Box<dyn Layer>, Problem> {
    Ok(match kind {
        "Linear" => {
            let layer = Linear::new(a.required("in_features")?, a.required("out_features")?);
            Box::new(a.apply("bias", layer, Linear::bias)?)
        }
        "Conv1d" => Box::new(conv::<1>(a)?),
        "Conv2d" => Box::new(conv::<2>(a)?),
        "ConvTranspose1d" => Box::new(conv_transpose(a)?),
        "LayerNorm" => {
            let layer = LayerNorm::over(a.required::<Lengths>("normalized_shape")?);
            let layer = a.apply("eps", layer, LayerNorm::epsilon)?;
            let layer = a.apply("elementwise_affine", layer, LayerNorm::elementwise_affine)?;
            Box::new(a.apply("bias", layer, LayerNorm::bias)?)
        }
        "RMSNorm" => {
            let layer = RMSNorm::over(a.required::<Lengths>("normalized_shape")?);
            let layer = a.apply("eps", layer, RMSNorm::epsilon)?;
            Box::new(a.apply("elementwise_affine", layer, RMSNorm::elementwise_affine)?)
        }
        "BatchNorm1d" => Box::new(batch_norm::<1>(a)?),
        "BatchNorm2d" => Box::new(batch_norm::<2>(a)?),
        "GroupNorm" => {
            let layer = GroupNorm::new(a.required("num_groups")?, a.required("num_channels")?);
            let layer = a.apply("eps", layer, GroupNorm::epsilon)?;
            Box::new(a.apply("affine", layer, GroupNorm::affine)?)
        }
        "Embedding" => {
            let layer = Embedding::new(a.required("num_embeddings")?, a.required("embedding_dim")?);
            Box::new(a.apply("padding_idx", layer, Embedding::padding_index)?)
        }
        "ReLU" => Box::new(ReLU),
        "SiLU" => Box::new(SiLU),
        "Sigmoid" => Box::new(Sigmoid),
        "Tanh" => Box::new(Tanh),
        "GELU" => match a.take::<String>("approximate")?.as_deref() {
            None | Some("none") => Box::new(GELU::new()),
            Some("tanh") => Box::new(GELU::new().approximate(Approximation::Tanh)),
            Some(other) => return Err(Problem::new("approximate 'none' or 'tanh'", other)),
        },
        "Softmax" => Box::new(Softmax::new(a.required("dim")?)),
        "MaxPool1d" => Box::new(max_pool::<1>(a)?),
        "MaxPool2d" => Box::new(max_pool::<2>(a)?),
        "AvgPool1d" => Box::new(avg_pool::<1>(a)?),
        "AvgPool2d" => Box::new(avg_pool::<2>(a)?),
        "AdaptiveAvgPool1d" => Box::new(AdaptiveAvgPool::<1>::new(required_axes(a, "output_size")?)),
        "AdaptiveAvgPool2d" => Box::new(AdaptiveAvgPool::<2>::new(required_axes(a, "output_size")?)),
        "Flatten" => Box::new(Flatten::new()),
        unknown => return Err(Problem::new("a kind of layer that is known here", unknown)),
    })
}

/// One length or a list of them.
struct Lengths(Vec<usize>);

impl<'de> serde::Deserialize<'de> for Lengths {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let list = if value.is_array() { value } else { Value::Array(vec![value]) };
        serde_json::from_value(list).map(Lengths).map_err(serde::de::Error::custom)
    }
}

impl From<Lengths> for Vec<usize> {
    fn from(lengths: Lengths) -> Self {
        lengths.0
    }
}

fn required_axes<const R: usize>(a: &mut Arguments, name: &str) -> Result<Axes<R>, Problem> {
    a.axes(name)?.ok_or_else(|| Problem::new(format!("an argument '{name}'"), format!("{a:?}")))
}

fn conv<const R: usize>(a: &mut Arguments) -> Result<Conv<R>, Problem> {
    let kernel: Axes<R> = required_axes(a, "kernel_size")?;
    let layer = Conv::new(a.required("in_channels")?, a.required("out_channels")?, kernel);
    let padding = match a.take::<Value>("padding")? {
        Some(Value::String(text)) if text == "same" => Padding::Same,
        Some(Value::String(text)) if text == "valid" => Padding::from(0),
        Some(number @ Value::Number(_)) => Padding::from(serde_json::from_value::<usize>(number)?),
        Some(list) => {
            let list: Vec<usize> = serde_json::from_value(list)?;
            let axes = <[usize; R]>::try_from(list);
            axes.map(Padding::from).map_err(|l| Problem::new("a padding for each axis", format!("{l:?}")))?
        }
        None => Padding::from(0),
    };
    let layer = layer.padding(padding);
    let layer = layer.stride(a.axes("stride")?.unwrap_or(1.into()));
    let layer = layer.dilation(a.axes("dilation")?.unwrap_or(1.into()));
    let layer = a.apply("groups", layer, Conv::groups)?;
    a.apply("bias", layer, Conv::bias)
}

fn conv_transpose(a: &mut Arguments) -> Result<ConvTranspose1d, Problem> {
    let kernel = a.required("kernel_size")?;
    let layer = ConvTranspose1d::new(a.required("in_channels")?, a.required("out_channels")?, kernel);
    let layer = a.apply("stride", layer, ConvTranspose1d::stride)?;
    let layer = a.apply("padding", layer, ConvTranspose1d::padding)?;
    let layer = a.apply("output_padding", layer, ConvTranspose1d::output_padding)?;
    let layer = a.apply("dilation", layer, ConvTranspose1d::dilation)?;
    let layer = a.apply("groups", layer, ConvTranspose1d::groups)?;
    a.apply("bias", layer, ConvTranspose1d::bias)
}

fn batch_norm<const R: usize>(a: &mut Arguments) -> Result<BatchNorm<R>, Problem> {
    let layer = BatchNorm::new(a.required("num_features")?);
    let layer = a.apply("eps", layer, BatchNorm::epsilon)?;
    a.apply("affine", layer, BatchNorm::affine)
}

fn max_pool<const R: usize>(a: &mut Arguments) -> Result<MaxPool<R>, Problem> {
    let kernel = required_axes(a, "kernel_size")?;
    let layer = MaxPool::new(kernel).stride(a.axes("stride")?.unwrap_or(kernel));
    let layer = layer.padding(a.axes("padding")?.unwrap_or(0.into()));
    Ok(layer.dilation(a.axes("dilation")?.unwrap_or(1.into())))
}

fn avg_pool<const R: usize>(a: &mut Arguments) -> Result<AvgPool<R>, Problem> {
    let kernel = required_axes(a, "kernel_size")?;
    let layer = AvgPool::new(kernel).stride(a.axes("stride")?.unwrap_or(kernel));
    let layer = layer.padding(a.axes("padding")?.unwrap_or(0.into()));
    a.apply("count_include_pad", layer, AvgPool::count_include_pad)
}
