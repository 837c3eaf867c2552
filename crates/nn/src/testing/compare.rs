//! Comparison of tensors that were computed in different orders of addition.

use paceline_graph::Tensor;

/// How far a number may be from the expected one: `absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Per unit of the expected magnitude.
    pub relative: f64,
    /// Whatever the magnitude.
    pub absolute: f64,
}

impl Tolerance {
    /// The tolerance that many times as wide.
    pub fn times(self, factor: f64) -> Self {
        Tolerance { relative: self.relative * factor, absolute: self.absolute * factor }
    }
}

/// Why outputs are not the expected ones.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Difference {
    /// There are more or fewer outputs.
    #[error("expected {expected} outputs, got {got}")]
    Count {
        /// Outputs expected.
        expected: usize,
        /// Outputs given.
        got: usize,
    },
    /// An output has another type or shape.
    #[error("output {output}: expected {expected}, got {got}")]
    Type {
        /// Position of the output.
        output: usize,
        /// Type and shape expected.
        expected: String,
        /// Type and shape given.
        got: String,
    },
    /// An element is too far from the expected one.
    #[error(
        "output {output}, element {index:?}: expected {expected:e}, got {got:e} ({tolerances} times the tolerance)"
    )]
    Element {
        /// Position of the output.
        output: usize,
        /// Position of the element, the worst of all.
        index: Vec<usize>,
        /// The number expected.
        expected: f32,
        /// The number given.
        got: f32,
        /// The distance, in units of what is tolerated.
        tolerances: f64,
    },
}

/// Whether `got` is `expected`: infinities and NaN at the same places, other numbers within the tolerance.
pub(super) fn check(got: &[Tensor], expected: &[Tensor], tolerance: Tolerance) -> Result<(), Difference> {
    if got.len() != expected.len() {
        return Err(Difference::Count { expected: expected.len(), got: got.len() });
    }
    for (output, (got, expected)) in got.iter().zip(expected).enumerate() {
        let mismatch = || Difference::Type {
            output,
            expected: format!("{}{:?}", expected.dtype(), expected.shape()),
            got: format!("{}{:?}", got.dtype(), got.shape()),
        };
        if got.shape() != expected.shape() {
            return Err(mismatch());
        }
        let (Some(got), Some(wanted)) = (got.as_f32(), expected.as_f32()) else {
            // Integers and booleans are exact.
            if got.data() == expected.data() {
                continue;
            }
            return Err(mismatch());
        };
        let distances = got.iter().zip(wanted).map(|(&got, &expected)| distance(got, expected, tolerance));
        let worst = distances.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((position, tolerances)) = worst.filter(|(_, tolerances)| *tolerances > 1.0) {
            let index = unravel(position, expected.shape());
            let (got, expected) = (got[position], wanted[position]);
            return Err(Difference::Element { output, index, expected, got, tolerances });
        }
    }
    Ok(())
}

/// The distance between two numbers in units of what is tolerated.
fn distance(got: f32, expected: f32, tolerance: Tolerance) -> f64 {
    let (got, expected) = (f64::from(got), f64::from(expected));
    if got == expected || (got.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    if !got.is_finite() || !expected.is_finite() {
        return f64::INFINITY;
    }
    (got - expected).abs() / (tolerance.absolute + tolerance.relative * expected.abs())
}

fn unravel(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let at = position % length;
            position /= length;
            at
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;
    const INFINITY: f32 = f32::INFINITY;

    #[test]
    fn numbers_are_compared_with_the_tolerance_and_the_rest_exactly() {
        let tolerance = Tolerance { relative: 0.01, absolute: 0.001 };
        let cases: [(f32, f32, bool); 14] = [
            (1.0, 1.0, true),
            (1.0105, 1.0, true),
            (1.02, 1.0, false),
            (-0.98, -1.0, false),
            (100.9, 100.0, true),
            (0.0009, 0.0, true),
            (0.002, 0.0, false),
            (-0.0, 0.0, true),
            (NAN, NAN, true),
            (NAN, 1.0, false),
            (1.0, NAN, false),
            (INFINITY, INFINITY, true),
            (-INFINITY, INFINITY, false),
            (3.4e38, INFINITY, false),
        ];
        for (got, expected, same) in cases {
            let tensor = |x: f32| [Tensor::new([1, 2], vec![0.0, x]).unwrap()];
            let result = check(&tensor(got), &tensor(expected), tolerance);
            assert_eq!(result.is_ok(), same, "{got} for {expected}: {result:?}");
            if let Err(Difference::Element { index, .. }) = result {
                assert_eq!(index, [0, 1]);
            }
        }
    }

    #[test]
    fn shapes_types_and_numbers_of_outputs_are_compared() {
        let tolerance = Tolerance { relative: 1.0, absolute: 1.0 };
        let row = Tensor::new([1, 2], vec![1.0f32; 2]).unwrap();
        let column = Tensor::new([2, 1], vec![1.0f32; 2]).unwrap();
        let integers = Tensor::new([1, 2], vec![1i64; 2]).unwrap();
        let others = Tensor::new([1, 2], vec![2i64; 2]).unwrap();
        for (got, expected) in [(&row, &column), (&row, &integers), (&integers, &row), (&integers, &others)] {
            let result = check(std::slice::from_ref(got), std::slice::from_ref(expected), tolerance);
            assert!(matches!(result, Err(Difference::Type { output: 0, .. })), "{result:?}");
        }
        assert_eq!(check(&[], &[row], tolerance), Err(Difference::Count { expected: 1, got: 0 }));
    }
}
