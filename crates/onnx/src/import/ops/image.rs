//! Images made larger or smaller, or taken elements from.

use paceline_graph::{
    Coordinates, Det, GridMode, GridSample, Op, Outside, Resize, ResizeAxis, ResizeMode, Rounding,
};

use crate::import::lowering::{Lowered, Lowering, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// Resize, and Upsample, which it grew out of.
pub(crate) fn resize(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(&x);
    let chosen = match l.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| l.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let upsample = l.node.op_type == "Upsample";
    let (scales_at, sizes_at) = if upsample || l.opset < 11 { (1, 4) } else { (2, 3) };
    let given = |l: &Lowering<'_>, index: usize| match l.optional(index) {
        Some(item) => l.ty(&item).shape.elements_per_sample() != Some(0),
        None => false,
    };
    let axes = if given(l, sizes_at) {
        by_sizes(l, &x, &chosen, sizes_at)?
    } else {
        let scales = match l.floats("scales")? {
            Some(scales) if upsample => scales.into_iter().map(f64::from).collect(),
            _ => l.known_floats(scales_at)?,
        };
        by_scales(l, &x, &chosen, &scales)?
    };
    let (coordinates, is_crop) = coordinates(l, &chosen, &axes)?;
    let mode = match l.string("mode", "nearest")?.as_str() {
        "nearest" if upsample || l.opset < 11 => ResizeMode::Nearest(Rounding::Floor),
        "nearest" => ResizeMode::Nearest(match l.string("nearest_mode", "round_prefer_floor")?.as_str() {
            "round_prefer_floor" => Rounding::HalfDown,
            "round_prefer_ceil" => Rounding::HalfUp,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            other => return Err(Trouble::refused("a nearest_mode of ONNX's", format!("'{other}'"))),
        }),
        "linear" => ResizeMode::Linear,
        "cubic" => ResizeMode::Cubic(l.float("cubic_coeff_a", -0.75)?),
        other => return Err(Trouble::refused("mode nearest, linear or cubic", format!("'{other}'"))),
    };
    // An axis that stays as it is need not be resampled, unless a part of it is cut out.
    let axes: Vec<ResizeAxis> =
        axes.into_iter().filter_map(|(axis, kept)| (is_crop || !kept).then_some(axis)).collect();
    if axes.is_empty() {
        return Ok(vec![x]);
    }
    let op = Resize {
        axes,
        mode,
        coordinates,
        antialias: l.flag("antialias", false)?,
        exclude_outside: l.flag("exclude_outside", false)?,
    };
    Ok(vec![l.add(Op::Resize(op), &[&x])?])
}

/// An axis, and whether it stays as it is.
type Planned = (ResizeAxis, bool);

fn by_scales(l: &Lowering<'_>, x: &Item, chosen: &[usize], scales: &[f64]) -> Result<Vec<Planned>, Trouble> {
    if scales.len() != chosen.len() {
        return Err(Trouble::refused(
            format!("a scale for each of {} axes", chosen.len()),
            format!("{scales:?}"),
        ));
    }
    let mut axes = Vec::new();
    for (&axis, &scale) in chosen.iter().zip(scales) {
        if scale == 1.0 && l.dims(x)[axis].is_batch() {
            continue;
        }
        let length = l.length(x, axis)?;
        let new = (length as f64 * scale).floor();
        if !(0.0..=f64::from(u32::MAX)).contains(&new) {
            return Err(Trouble::refused("scales of at least 0", format!("{scales:?}")));
        }
        axes.push((ResizeAxis { axis, length: new as usize, scale }, scale == 1.0));
    }
    Ok(axes)
}

fn by_sizes(l: &Lowering<'_>, x: &Item, chosen: &[usize], index: usize) -> Result<Vec<Planned>, Trouble> {
    let sizes = l.sizes(index)?;
    if sizes.len() != chosen.len() {
        return Err(Trouble::refused(
            format!("a size for each of {} axes", chosen.len()),
            format!("{}", sizes.len()),
        ));
    }
    let policy = l.string("keep_aspect_ratio_policy", "stretch")?;
    let mut planned = Vec::new();
    for (&axis, size) in chosen.iter().zip(sizes) {
        if l.dims(x)[axis].is_batch() {
            if size.dim() != Some(l.dims(x)[axis]) {
                return Err(Trouble::refused("the batch axis as it is", "another length"));
            }
            continue;
        }
        let size = size
            .constant()
            .ok_or_else(|| Trouble::refused("sizes that do not depend on the batch", "others"))?;
        planned.push((axis, l.length(x, axis)?, usizes(&[size], "sizes")?[0]));
    }
    let ratio = |(_, old, new): &(usize, usize, usize)| *new as f64 / (*old).max(1) as f64;
    let common = match policy.as_str() {
        "stretch" => None,
        "not_larger" => planned.iter().map(ratio).reduce(f64::min),
        "not_smaller" => planned.iter().map(ratio).reduce(f64::max),
        other => return Err(Trouble::refused("a keep_aspect_ratio_policy of ONNX's", format!("'{other}'"))),
    };
    let axis = |plan: (usize, usize, usize)| {
        let (axis, old, new) = plan;
        let scale = common.unwrap_or_else(|| ratio(&plan));
        let length = common.map_or(new, |scale| (old as f64 * scale + 0.5).floor() as usize);
        (ResizeAxis { axis, length, scale }, length == old && scale == 1.0)
    };
    Ok(planned.into_iter().map(axis).collect())
}

/// Where new elements lie, and whether a region is cut out.
fn coordinates(l: &Lowering<'_>, chosen: &[usize], axes: &[Planned]) -> Result<(Coordinates, bool), Trouble> {
    if l.node.op_type == "Upsample" || l.opset < 11 {
        return Ok((Coordinates::Asymmetric, false));
    }
    let coordinates = match l.string("coordinate_transformation_mode", "half_pixel")?.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "asymmetric" => Coordinates::Asymmetric,
        "align_corners" => Coordinates::AlignCorners,
        "tf_crop_and_resize" => {
            let bounds = l.known_floats(1)?;
            if bounds.len() != 2 * chosen.len() || axes.len() > 4 {
                return Err(Trouble::refused(
                    "a start and an end for each of at most four axes",
                    format!("{bounds:?}"),
                ));
            }
            let mut region = [(0.0, 1.0); 4];
            for ((ResizeAxis { axis, .. }, _), region) in axes.iter().zip(&mut region) {
                let at = chosen.iter().position(|other| other == axis).expect("it is one of them");
                *region = (bounds[at] as f32, bounds[chosen.len() + at] as f32);
            }
            let outside = l.float("extrapolation_value", 0.0)?;
            return Ok((Coordinates::TfCropAndResize { region, outside }, true));
        }
        other => {
            return Err(Trouble::refused("a coordinate_transformation_mode of ONNX's", format!("'{other}'")));
        }
    };
    Ok((coordinates, false))
}

pub(crate) fn grid_sample(l: &mut Lowering<'_>) -> Lowered {
    let (x, grid) = (l.input(0)?, l.input(1)?);
    let mode = match l.string("mode", "linear")?.as_str() {
        "nearest" => GridMode::Nearest,
        "linear" | "bilinear" => GridMode::Linear,
        "cubic" | "bicubic" => GridMode::Cubic,
        other => return Err(Trouble::refused("mode nearest, linear or cubic", format!("'{other}'"))),
    };
    let outside = match l.string("padding_mode", "zeros")?.as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => {
            return Err(Trouble::refused("padding_mode zeros, border or reflection", format!("'{other}'")));
        }
    };
    let op = GridSample { mode, outside, align_corners: l.flag("align_corners", false)? };
    Ok(vec![l.add(Op::GridSample(op), &[&x, &grid])?])
}

pub(crate) fn det(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    Ok(vec![l.add(Op::Det(Det {}), &[&x])?])
}
