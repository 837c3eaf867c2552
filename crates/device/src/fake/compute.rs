//! What a fake execution writes: `2x + 1`, so that a test can tell whose rows came back.

use paceline_graph::{Element, by_type};

use crate::{Batch, View, ViewMut};

/// Output `o` of a part is `2x + 1` over input `o` (over the last input, where there are fewer), repeated or cut within each
/// row to the output's length; a boolean output is whether that is above 1.
pub(super) fn compute(batch: &mut Batch<'_>) {
    for part in batch.parts_mut() {
        let samples = part.samples.max(1);
        for (o, output) in part.outputs.iter_mut().enumerate() {
            let Some(&input) = part.inputs.get(o.min(part.inputs.len().saturating_sub(1))) else {
                fill(output, |_| 1.0);
                continue;
            };
            let (width, input_width) = (output.len() / samples, input.len() / samples);
            match (input, &mut *output) {
                (View::F32(x), ViewMut::F32(y)) if x.len() == y.len() => {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = 2.0 * x + 1.0);
                }
                _ if input_width == 0 => fill(output, |_| 1.0),
                _ => fill(output, |i| {
                    2.0 * element(&input, i / width * input_width + i % width % input_width) + 1.0
                }),
            }
        }
    }
}

/// The first element; 0 of none.
pub(super) fn first(view: &View<'_>) -> f64 {
    if view.is_empty() { 0.0 } else { element(view, 0) }
}

fn element(view: &View<'_>, index: usize) -> f64 {
    by_type!(View, view, v => v[index].to_f64())
}

fn fill(view: &mut ViewMut<'_>, value: impl Fn(usize) -> f64) {
    if let ViewMut::Bool(v) = view {
        v.iter_mut().enumerate().for_each(|(i, y)| *y = value(i) > 1.0);
    } else {
        by_type!(ViewMut, view, v => v.iter_mut().enumerate().for_each(|(i, y)| *y = Element::from_f64(value(i))));
    }
}
