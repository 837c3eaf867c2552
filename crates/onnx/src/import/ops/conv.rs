//! Convolutions.

use paceline_graph::{Conv, ConvTranspose, Op};

use super::pool::{auto_pad, pads};
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// The lengths of the spatial axes of `[N, C, length...]`.
pub(super) fn spatial(l: &Lowering<'_>, x: &Item) -> Result<Vec<usize>, Trouble> {
    (2..l.rank(x)).map(|axis| l.length(x, axis)).collect()
}

/// The lengths of a kernel: an attribute, or else those of the weight.
fn kernel(l: &Lowering<'_>, weight: &Item) -> Result<Vec<usize>, Trouble> {
    let own = spatial(l, weight)?;
    match l.ints("kernel_shape")? {
        Some(given) if usizes(&given, "kernel_shape")? != own => {
            Err(Trouble::refused(format!("the kernel_shape {own:?} of the weight"), format!("{given:?}")))
        }
        _ => Ok(own),
    }
}

fn groups(l: &Lowering<'_>) -> Result<usize, Trouble> {
    let groups = l.int("group", 1)?;
    usize::try_from(groups).map_err(|_| Trouble::refused("a number of groups", groups.to_string()))
}

/// The attributes of a convolution of a tensor with a weight.
pub(super) fn attributes(l: &Lowering<'_>, x: &Item, weight: &Item) -> Result<Conv, Trouble> {
    let kernel = kernel(l, weight)?;
    let stride = l.counts("strides", kernel.len(), 1)?;
    let dilation = l.counts("dilations", kernel.len(), 1)?;
    let padding = auto_pad(l, &spatial(l, x)?, &kernel, &stride, &dilation)?;
    Ok(Conv { stride, padding, dilation, groups: groups(l)?, activation: None })
}

pub(crate) fn conv(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight, bias) = (l.input(0)?, l.input(1)?, l.optional(2));
    let op = attributes(l, &x, &weight)?;
    Ok(vec![l.add_given(Op::Conv(op), &[Some(&x), Some(&weight), bias.as_ref()])?])
}

pub(crate) fn conv_transpose(l: &mut Lowering<'_>) -> Lowered {
    let (x, weight, bias) = (l.input(0)?, l.input(1)?, l.optional(2));
    let kernel = kernel(l, &weight)?;
    let axes = kernel.len();
    let stride = l.counts("strides", axes, 1)?;
    let dilation = l.counts("dilations", axes, 1)?;
    let mut output_padding = l.counts("output_padding", axes, 0)?;
    let lengths = spatial(l, &x)?;
    if [stride.len(), dilation.len(), output_padding.len(), lengths.len()] != [axes; 4] {
        return Err(Trouble::refused(format!("attributes for {axes} axes"), "another number"));
    }
    let auto = l.string("auto_pad", "NOTSET")?;
    let wanted = match l.ints("output_shape")? {
        Some(shape) => Some(usizes(&shape[shape.len().saturating_sub(axes)..], "output_shape")?),
        None if auto.starts_with("SAME") => {
            Some(lengths.iter().zip(&stride).map(|(length, &stride)| length.saturating_mul(stride)).collect())
        }
        None => None,
    };
    let padding = match wanted {
        None => pads(l, axes)?,
        Some(wanted) => {
            let mut padding = Vec::new();
            for i in 0..axes {
                let reach = kernel[i].saturating_sub(1).saturating_mul(dilation[i]).saturating_add(1);
                let whole = lengths[i].saturating_sub(1).saturating_mul(stride[i]);
                let whole = whole.saturating_add(output_padding[i]).saturating_add(reach);
                let total = match whole.checked_sub(wanted[i]) {
                    Some(total) => total,
                    None => {
                        output_padding[i] += wanted[i] - whole;
                        0
                    }
                };
                let half = total / 2;
                // The larger half goes to the end for SAME_UPPER, and to the beginning otherwise.
                padding.push(if auto == "SAME_UPPER" { (half, total - half) } else { (total - half, half) });
            }
            padding
        }
    };
    let op =
        ConvTranspose { stride, padding, output_padding, dilation, groups: groups(l)?, activation: None };
    Ok(vec![l.add_given(Op::ConvTranspose(op), &[Some(&x), Some(&weight), bias.as_ref()])?])
}
