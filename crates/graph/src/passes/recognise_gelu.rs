//! Finds GELU, SiLU and HardSwish where they arrive as pieces.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::rewrite::{Replacement, rewrite};
use super::site::{Site, close};
use crate::{Binary, BinaryOp, Graph, GraphError, Op, Unary, UnaryOp, Value};

/// Recognises [`UnaryOp::Gelu`], [`UnaryOp::GeluTanh`], [`UnaryOp::Silu`] and [`UnaryOp::HardSwish`] in
///
/// - `0.5 * x * (1 + erf(x / sqrt 2))`,
/// - `0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))`, or with `x * (1 + 0.044715 * x * x)` in the
///   parentheses,
/// - `x * sigmoid(x)`,
/// - `x * max(0, min(1, x / 6 + 1 / 2))`, the factor being a HardSigmoid.
///
/// Products may have their factors in any order and grouping, sums their terms in either order, and a constant factor may be a
/// division by its reciprocal. Constants have one element and may be off by the rounding of a few f32 operations. Nothing
/// between `x` and the result may be used elsewhere or be an output.
pub fn recognise_gelu(graph: &Graph) -> Result<Graph, GraphError> {
    rewrite(graph, |site| {
        if !matches!(site.op(), Op::Binary(Binary(BinaryOp::Mul | BinaryOp::Div))) {
            return None;
        }
        let (function, x) = gated(site).or_else(|| gelu(site))?;
        let whole = site.ty(x) == site.ty(site.output()) && site.encloses(&[x]);
        whole.then(|| Replacement::node(Op::Unary(Unary(function)), &[Some(x)]))
    })
}

/// `x` times a sigmoid of it.
fn gated(site: &Site<'_>) -> Option<(UnaryOp, Value)> {
    const HARD: UnaryOp = UnaryOp::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
    site.commuted(site.output(), BinaryOp::Mul).find_map(|[x, gate]| {
        let functions = [(UnaryOp::Sigmoid, UnaryOp::Silu), (HARD, UnaryOp::HardSwish)];
        let (_, function) = functions.into_iter().find(|&(of, _)| site.unary(gate, of) == Some(x))?;
        Some((function, x))
    })
}

/// `0.5 * x * (1 + f)`, where `f` is one of the two functions of `x`.
fn gelu(site: &Site<'_>) -> Option<(UnaryOp, Value)> {
    site.product(site.output(), &[]).factors.iter().find_map(|&gate| {
        let function = site.plus(gate, 1.0)?;
        let candidates = erf_argument(site, function)
            .into_iter()
            .map(|x| (UnaryOp::Gelu, x))
            .chain(tanh_argument(site, function).into_iter().map(|x| (UnaryOp::GeluTanh, x)));
        candidates.into_iter().find(|&(_, x)| site.is_product(site.output(), 0.5, &[x, gate]))
    })
}

/// `x` of `erf(x / sqrt 2)`.
fn erf_argument(site: &Site<'_>, value: Value) -> Option<Value> {
    scaled(site, site.unary(value, UnaryOp::Erf)?, FRAC_1_SQRT_2)
}

/// `x` of `value = coefficient * x`, written as one multiplication or division.
fn scaled(site: &Site<'_>, value: Value, coefficient: f64) -> Option<Value> {
    let multiplied = site
        .commuted(value, BinaryOp::Mul)
        .find(|&[_, scale]| site.scalar(scale).is_some_and(|s| close(s, coefficient)));
    let divided = site
        .binary(value, BinaryOp::Div)
        .filter(|&[_, scale]| site.scalar(scale).is_some_and(|s| close(1.0 / s, coefficient)));
    multiplied.or(divided).map(|[x, _]| x)
}

/// `x` of `tanh(sqrt(2 / pi) * (x + 0.044715 x^3))`.
fn tanh_argument(site: &Site<'_>, value: Value) -> Option<Value> {
    const CUBIC: f64 = 0.044715;
    let argument = site.unary(value, UnaryOp::Tanh)?;
    let outer = (2.0 / PI).sqrt();
    site.product(argument, &[]).factors.iter().find_map(|&sum| {
        let expanded = || {
            site.commuted(sum, BinaryOp::Add)
                .find(|&[x, cubic]| site.is_product(cubic, CUBIC, &[x, x, x]))
                .filter(|_| site.is_product(argument, outer, &[sum]))
                .map(|[x, _]| x)
        };
        let factored = || {
            let square = site.plus(sum, 1.0)?;
            let mut candidates = site.product(square, &[]).factors;
            candidates.extend(site.binary(square, BinaryOp::Mul).into_iter().flatten());
            candidates.into_iter().find(|&x| {
                site.is_product(square, CUBIC, &[x, x]) && site.is_product(argument, outer, &[x, sum])
            })
        };
        expanded().or_else(factored)
    })
}
