//! Pooling over windows.

use paceline_graph::{
    AveragePool, BinaryOp, DType, Dim, GlobalAveragePool, LpPool, MaxPool, Op, Pad, PadMode, ReduceOp,
    Scatter, ScatterElements,
};

use super::conv::spatial;
use super::reduce::over;
use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// The attribute `pads` as (begin, end) for each axis.
pub(super) fn pads(l: &Lowering<'_>, axes: usize) -> Result<Vec<(usize, usize)>, Trouble> {
    let Some(pads) = l.ints("pads")? else { return Ok(vec![(0, 0); axes]) };
    let pads = usizes(&pads, "pads")?;
    if pads.len() != 2 * axes {
        return Err(Trouble::refused(format!("two pads for each of {axes} axes"), format!("{pads:?}")));
    }
    Ok((0..axes).map(|i| (pads[i], pads[axes + i])).collect())
}

/// The padding that `pads` or `auto_pad` ask for.
pub(super) fn auto_pad(
    l: &Lowering<'_>,
    lengths: &[usize],
    kernel: &[usize],
    stride: &[usize],
    dilation: &[usize],
) -> Result<Vec<(usize, usize)>, Trouble> {
    let axes = kernel.len();
    let auto = l.string("auto_pad", "NOTSET")?;
    let upper = match auto.as_str() {
        "NOTSET" | "" => return pads(l, axes),
        "VALID" => return Ok(vec![(0, 0); axes]),
        "SAME_UPPER" => true,
        "SAME_LOWER" => false,
        other => return Err(Trouble::refused("an auto_pad of ONNX's", format!("'{other}'"))),
    };
    if [lengths.len(), stride.len(), dilation.len()] != [axes; 3] || stride.contains(&0) {
        return Err(Trouble::refused(
            format!("a stride of at least 1 and a dilation for each of {axes} axes"),
            format!("strides {stride:?}, dilations {dilation:?}"),
        ));
    }
    let pad = |i: usize| {
        let windows = lengths[i].div_ceil(stride[i]);
        let reach = kernel[i].saturating_sub(1).saturating_mul(dilation[i]).saturating_add(1);
        let covered = windows.saturating_sub(1).saturating_mul(stride[i]).saturating_add(reach);
        let total = covered.saturating_sub(lengths[i]);
        let half = total / 2;
        if upper { (half, total - half) } else { (total - half, half) }
    };
    Ok((0..axes).map(pad).collect())
}

/// What the pooling operators have in common.
#[derive(Clone)]
struct Window {
    x: Item,
    kernel: Vec<usize>,
    stride: Vec<usize>,
    padding: Vec<(usize, usize)>,
    dilation: Vec<usize>,
    ceil: bool,
}

fn window(l: &Lowering<'_>) -> Result<Window, Trouble> {
    let x = l.input(0)?;
    let kernel = l.ints("kernel_shape")?.ok_or_else(|| Trouble::refused("a kernel_shape", "none"))?;
    let kernel = usizes(&kernel, "kernel_shape")?;
    let stride = l.counts("strides", kernel.len(), 1)?;
    let dilation = l.counts("dilations", kernel.len(), 1)?;
    let padding = auto_pad(l, &spatial(l, &x)?, &kernel, &stride, &dilation)?;
    Ok(Window { x, kernel, stride, padding, dilation, ceil: l.flag("ceil_mode", false)? })
}

impl Window {
    fn is_much_padded(&self) -> bool {
        self.padding.iter().zip(&self.kernel).any(|(&(begin, end), &kernel)| begin.max(end) > kernel / 2)
    }

    fn average(self, l: &mut Lowering<'_>, count_include_pad: bool) -> Result<Item, Trouble> {
        let Window { x, kernel, stride, padding, dilation, ceil } = self;
        l.add(
            Op::AveragePool(AveragePool { kernel, stride, padding, dilation, ceil, count_include_pad }),
            &[&x],
        )
    }

    /// Pads by itself what is more than half a kernel, which the operators do not.
    fn pad(&mut self, l: &mut Lowering<'_>, value: f64) -> Result<(), Trouble> {
        if self.is_much_padded() {
            let mut pads = vec![(0, 0); 2];
            pads.append(&mut self.padding);
            self.padding = vec![(0, 0); self.kernel.len()];
            self.x = l.add(Op::Pad(Pad { pads, mode: PadMode::Constant(value) }), &[&self.x])?;
        }
        Ok(())
    }
}

pub(crate) fn max_pool(l: &mut Lowering<'_>) -> Lowered {
    let mut w = window(l)?;
    let indices = l.node.output.get(1).is_some_and(|name| !name.is_empty());
    if indices && l.int("storage_order", 0)? != 0 {
        return Err(Trouble::unsupported("indices in column-major order"));
    }
    if !indices && l.dtype(&w.x).is_float() {
        w.pad(l, f64::NEG_INFINITY)?;
    }
    let Window { x, kernel, stride, padding, dilation, ceil } = w;
    l.add_many(Op::MaxPool(MaxPool { kernel, stride, padding, dilation, ceil, indices }), &[&x])
}

pub(crate) fn average_pool(l: &mut Lowering<'_>) -> Lowered {
    let mut w = window(l)?;
    let include = l.flag("count_include_pad", false)?;
    if w.ceil || !w.is_much_padded() {
        return Ok(vec![w.average(l, include)?]);
    }
    // The mean with the padding's zeros, over the share of each window that is no padding.
    let ones = std::iter::repeat_n(1, 2).chain(spatial(l, &w.x)?).collect::<Vec<_>>();
    let mut share = Window { x: l.filled(DType::F32, 1.0, &ones)?, ..w.clone() };
    w.pad(l, 0.0)?;
    let mean = w.average(l, true)?;
    if include {
        return Ok(vec![mean]);
    }
    share.pad(l, 0.0)?;
    let share = share.average(l, true)?;
    Ok(vec![l.binary(BinaryOp::Div, &mean, &share)?])
}

pub(crate) fn lp_pool(l: &mut Lowering<'_>) -> Lowered {
    let mut w = window(l)?;
    w.pad(l, 0.0)?;
    let p = l.int("p", 2)?;
    let p = u32::try_from(p).map_err(|_| Trouble::refused("a power p of at least 1", p.to_string()))?;
    let Window { x, kernel, stride, padding, dilation, ceil } = w;
    Ok(vec![l.add(Op::LpPool(LpPool { kernel, stride, padding, dilation, ceil, p }), &[&x])?])
}

/// Over whole spatial axes, which stay with length 1.
pub(crate) fn global_pool(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let reduction = match l.node.op_type.as_str() {
        "GlobalAveragePool" => return Ok(vec![l.add(Op::GlobalAveragePool(GlobalAveragePool {}), &[&x])?]),
        "GlobalMaxPool" => ReduceOp::Max,
        _ => match l.int("p", 2)? {
            1 => ReduceOp::L1,
            2 => ReduceOp::L2,
            p => return Err(Trouble::unsupported(format!("p = {p}"))),
        },
    };
    let axes = (2..l.rank(&x)).collect();
    Ok(vec![over(l, reduction, &x, Some(axes), true)?])
}

/// Elements put back to where MaxPool found them; zeros elsewhere.
pub(crate) fn max_unpool(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let kernel = l.ints("kernel_shape")?.ok_or_else(|| Trouble::refused("a kernel_shape", "none"))?;
    let kernel = usizes(&kernel, "kernel_shape")?;
    let axes = kernel.len();
    let stride = l.counts("strides", axes, 1)?;
    let padding = pads(l, axes)?;
    let lengths = spatial(l, &x)?;
    if [stride.len(), lengths.len()] != [axes; 2] {
        return Err(Trouble::refused(format!("lengths for {axes} axes"), "others"));
    }
    let batch = l.length(&x, 0)?;
    let mut shape = vec![batch, l.length(&x, 1)?];
    for i in 0..axes {
        let whole = lengths[i].saturating_sub(1).saturating_mul(stride[i]).saturating_add(kernel[i]);
        let length = whole.checked_sub(padding[i].0.saturating_add(padding[i].1));
        shape.push(length.ok_or_else(|| Trouble::refused("pads within the output", format!("{padding:?}")))?);
    }
    let count = shape.iter().fold(1, |n: usize, &length| n.saturating_mul(length));
    let zeros = l.filled(DType::F32, 0.0, &[count])?;
    let (values, places) = (l.flat(&x)?, l.flat(&indices)?);
    let op = Op::ScatterElements(ScatterElements { axis: 0, reduction: Scatter::Replace });
    let flat = l.add(op, &[&zeros, &places, &values])?;
    let y = l.reshape(&flat, shape.iter().map(|&length| Dim::Fixed(length)).collect())?;
    if l.optional(2).is_none() {
        return Ok(vec![y]);
    }
    let wanted = usizes(&l.known_ints(2)?, "output_shape")?;
    if wanted.len() != shape.len() || wanted.iter().zip(&shape).any(|(wanted, own)| wanted < own) {
        return Err(Trouble::refused(
            format!("an output_shape of at least {shape:?}"),
            format!("{wanted:?}"),
        ));
    }
    let pads = wanted.iter().zip(&shape).map(|(wanted, own)| (0, wanted - own)).collect();
    Ok(vec![l.add(Op::Pad(Pad { pads, mode: PadMode::Constant(0.0) }), &[&y])?])
}
