//! Attention: self and cross, masks of every shape that broadcasts, key padding, causal.

use paceline_graph::{Attention, Op};

use super::super::sketch::Sketch;
use super::super::{Case, Tolerance, Values};

/// One case, in words.
struct Variant {
    name: &'static str,
    heads: usize,
    queries: usize,
    keys: usize,
    /// Width of a head's queries and keys, and of its values.
    widths: (usize, usize),
    causal: bool,
    mask: Mask,
    padding: Option<Values>,
    scale: Option<f32>,
    scores: Values,
}

/// The additive mask.
#[derive(Clone, Copy)]
enum Mask {
    None,
    /// Part of the model.
    Constant(&'static [usize], Values),
    /// Given by the caller, a sample each.
    Input(&'static [usize], Values),
}

const ORDINARY: Values = Values::Uniform(-2.0, 2.0);

const PLAIN: Variant = Variant {
    name: "",
    heads: 2,
    queries: 7,
    keys: 7,
    widths: (8, 8),
    causal: false,
    mask: Mask::None,
    padding: None,
    scale: None,
    scores: ORDINARY,
};

/// Masks as they come: nothing added, or a key closed.
const CLOSING: Values = Values::OneOf(&[0.0, 0.0, f32::NEG_INFINITY]);

#[rustfmt::skip]
const VARIANTS: &[Variant] = &[
    Variant { name: "self", ..PLAIN },
    Variant { name: "one-head", heads: 1, widths: (16, 16), ..PLAIN },
    Variant { name: "one-token", queries: 1, keys: 1, ..PLAIN },
    Variant { name: "two-tokens", queries: 2, keys: 2, ..PLAIN },
    Variant { name: "tokens-16", queries: 16, keys: 16, widths: (16, 16), ..PLAIN },
    Variant { name: "tokens-17", queries: 17, keys: 17, widths: (7, 7), ..PLAIN },
    Variant { name: "tokens-33", queries: 33, keys: 33, widths: (17, 17), ..PLAIN },
    Variant { name: "tokens-100", queries: 100, keys: 100, heads: 1, ..PLAIN },
    Variant { name: "width-1", widths: (1, 1), heads: 3, ..PLAIN },
    Variant { name: "width-33", widths: (33, 33), ..PLAIN },
    Variant { name: "width-64", widths: (64, 64), ..PLAIN },
    Variant { name: "heads-7", heads: 7, widths: (4, 4), ..PLAIN },
    Variant { name: "value-width", widths: (8, 5), ..PLAIN },
    Variant { name: "scale", scale: Some(0.9), ..PLAIN },
    Variant { name: "cross", queries: 5, keys: 17, ..PLAIN },
    Variant { name: "cross-one-query", queries: 1, keys: 33, ..PLAIN },
    Variant { name: "cross-one-key", queries: 7, keys: 1, ..PLAIN },
    Variant { name: "causal", causal: true, ..PLAIN },
    Variant { name: "causal-33", causal: true, queries: 33, keys: 33, ..PLAIN },
    Variant { name: "causal-cross-longer", causal: true, queries: 5, keys: 9, ..PLAIN },
    Variant { name: "causal-cross-shorter", causal: true, queries: 9, keys: 5, ..PLAIN },
    Variant { name: "padding", padding: Some(Values::Tail), ..PLAIN },
    Variant { name: "padding-scattered", padding: Some(Values::Chance(0.5)), keys: 17, ..PLAIN },
    Variant { name: "padding-all", padding: Some(Values::Chance(1.0)), ..PLAIN },
    Variant { name: "padding-causal", padding: Some(Values::Chance(0.3)), causal: true, ..PLAIN },
    Variant { name: "mask-constant", mask: Mask::Constant(&[7, 7], ORDINARY), ..PLAIN },
    Variant { name: "mask-constant-closing", mask: Mask::Constant(&[7, 7], CLOSING), ..PLAIN },
    Variant { name: "mask-constant-heads", mask: Mask::Constant(&[2, 7, 7], ORDINARY), ..PLAIN },
    Variant { name: "mask-constant-row", mask: Mask::Constant(&[1, 7], CLOSING), ..PLAIN },
    Variant { name: "mask-constant-4", mask: Mask::Constant(&[1, 1, 7, 7], ORDINARY), ..PLAIN },
    Variant { name: "mask-input", mask: Mask::Input(&[2, 7, 7], ORDINARY), ..PLAIN },
    Variant { name: "mask-input-every-head", mask: Mask::Input(&[1, 7, 7], CLOSING), ..PLAIN },
    Variant { name: "mask-input-row", mask: Mask::Input(&[1, 1, 7], CLOSING), ..PLAIN },
    Variant { name: "mask-and-padding", mask: Mask::Constant(&[7, 7], ORDINARY), padding: Some(Values::Tail), ..PLAIN },
    Variant { name: "everything", mask: Mask::Input(&[2, 7, 9], CLOSING), padding: Some(Values::Chance(0.3)),
        causal: true, keys: 9, widths: (5, 3), scale: Some(0.3), ..PLAIN },
    Variant { name: "extreme-large-scores", scores: Values::OneOf(&[-60.0, 60.0, 10.0, 0.0]), ..PLAIN },
    Variant { name: "extreme-mask", mask: Mask::Constant(&[7, 7], Values::OneOf(&[0.0, 0.0, 0.0, -1e9, -1e30, -3e38])), ..PLAIN },
    Variant { name: "extreme-not-a-number", scores: Values::OneOf(&[1.0, 0.5, -1.0, 2.0, -2.0, 0.1, 0.2, 0.3, 0.4, 0.6,
        -0.3, -0.6, -0.1, 0.7, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.1, 2.2, f32::NAN]), queries: 2, keys: 2, ..PLAIN },
];

pub(super) fn cases() -> Vec<Case> {
    VARIANTS.iter().map(case).collect()
}

fn case(variant: &Variant) -> Case {
    let Variant { heads, queries, keys, widths: (width, value_width), .. } = *variant;
    let mut s = Sketch::new();
    let q = s.input(&[queries, heads * width], variant.scores);
    let k = s.input(&[keys, heads * width], variant.scores);
    let v = s.input(&[keys, heads * value_width], ORDINARY);
    let mask = match variant.mask {
        Mask::None => None,
        Mask::Constant(shape, values) => Some(s.constant(shape, values)),
        Mask::Input(shape, values) => Some(s.input(shape, values)),
    };
    let padding = variant.padding.map(|values| s.input(&[keys], values));
    let op = Op::Attention(Attention { heads, scale: variant.scale, causal: variant.causal });
    let y = s.op_with(op, &[Some(q), Some(k), Some(v), mask, padding]);
    let case = s.returns(y, format!("Attention/{}", variant.name));
    // Scores in the thousands lose digits that the exponential then shows.
    let tolerance = if variant.name == "extreme-large-scores" { 2e-3 } else { 1e-5 };
    case.within(Tolerance::of(tolerance)).at_most(if queries * keys > 300 { 7 } else { 17 })
}
