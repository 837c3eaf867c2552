//! When two results count as the same.

use std::fmt;

use paceline_graph::by_type;

use crate::View;

/// How far a result of floating-point numbers may lie from the expected one: `absolute + relative * |expected|`. NaN must meet NaN, and an infinity
/// the same infinity. Elements of other types must be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Part of the expected magnitude.
    pub relative: f32,
    /// What is allowed next to that; an operator that sums `k` products of numbers near 1 needs about `k` roundings.
    pub absolute: f32,
}

impl Tolerance {
    /// The same bits; any NaN equals any other, as their bits mean nothing.
    pub const EXACT: Tolerance = Tolerance { relative: 0.0, absolute: 0.0 };

    /// As much relative as absolute.
    pub const fn of(tolerance: f32) -> Self {
        Tolerance { relative: tolerance, absolute: tolerance }
    }

    /// A tolerance `factor` times as wide, for a device of lower precision; an exact one stays exact.
    pub fn widened(self, factor: f32) -> Self {
        Tolerance { relative: self.relative * factor, absolute: self.absolute * factor }
    }

    /// Whether `got` is near enough to `expected`.
    pub fn accepts(self, expected: f32, got: f32) -> bool {
        self.accepts_f64(f64::from(expected), f64::from(got))
    }

    fn accepts_f64(self, expected: f64, got: f64) -> bool {
        if expected.is_nan() || got.is_nan() {
            return expected.is_nan() && got.is_nan();
        }
        if self == Self::EXACT || expected.is_infinite() || got.is_infinite() {
            return expected.to_bits() == got.to_bits();
        }
        let allowed = f64::from(self.absolute) + f64::from(self.relative) * expected.abs();
        (expected - got).abs() <= allowed
    }

    /// The first element of `got` that is not near enough to `expected`.
    ///
    /// # Panics
    /// When the two differ in length or type.
    pub fn first_mismatch(self, expected: View<'_>, got: View<'_>) -> Option<Mismatch> {
        assert_eq!(expected.len(), got.len(), "results of different lengths cannot be compared");
        match (expected, got) {
            (View::F32(e), View::F32(g)) => {
                first(e, g, |e, g| self.accepts(e, g), |v| format!("{v:e} ({:#010x})", v.to_bits()))
            }
            (View::F64(e), View::F64(g)) => {
                first(e, g, |e, g| self.accepts_f64(e, g), |v| format!("{v:e} ({:#018x})", v.to_bits()))
            }
            (e, g) => by_type!(
                View, e, View, g,
                (e, g) => first(e, g, |e, g| e == g, |v| format!("{v:?}")),
                else panic!("results of types {} and {} cannot be compared", e.dtype(), g.dtype())
            ),
        }
    }
}

fn first<T: Copy>(
    expected: &[T],
    got: &[T],
    same: impl Fn(T, T) -> bool,
    show: impl Fn(T) -> String,
) -> Option<Mismatch> {
    let index = expected.iter().zip(got).position(|(&e, &g)| !same(e, g))?;
    Some(Mismatch { index, expected: show(expected[index]), got: show(got[index]) })
}

/// The first element in which two results differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Its position.
    pub index: usize,
    /// What it should be; for f32 with its bits.
    pub expected: String,
    /// What it is.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "element {}: expected {}, got {}", self.index, self.expected, self.got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_table() {
        let inf = f32::INFINITY;
        let wide = Tolerance::of(1e-3);
        for (tolerance, expected, got, accepted) in [
            (wide, 1.0, 1.0015, true),
            (wide, 1.0, 1.0025, false),
            (wide, 1000.0, 1000.9, true),
            (wide, 0.0, -0.0, true),
            (wide, f32::NAN, -f32::NAN, true),
            (wide, f32::NAN, 0.0, false),
            (wide, 0.0, f32::NAN, false),
            (wide, inf, inf, true),
            (wide, inf, f32::MAX, false),
            (wide, f32::MAX, inf, false),
            (wide, inf, -inf, false),
            (Tolerance::EXACT, 0.0, -0.0, false),
            (Tolerance::EXACT, 1.0, 1.0 + f32::EPSILON, false),
            (Tolerance::EXACT, f32::NAN, f32::from_bits(0x7fc0_1234), true),
        ] {
            assert_eq!(
                tolerance.accepts(expected, got),
                accepted,
                "{expected} and {got} within {tolerance:?}"
            );
        }
    }

    #[test]
    fn the_first_mismatch_is_found_in_every_type() {
        let of = |e, g| Tolerance::EXACT.first_mismatch(e, g).map(|m| m.index);
        assert_eq!(of(View::F32(&[1.0, 2.0]), View::F32(&[1.0, 3.0])), Some(1));
        assert_eq!(of(View::I64(&[1, 2, 3]), View::I64(&[0, 2, 4])), Some(0));
        assert_eq!(of(View::Bool(&[true]), View::Bool(&[false])), Some(0));
        assert_eq!(of(View::Bool(&[true]), View::Bool(&[true])), None);
    }
}
