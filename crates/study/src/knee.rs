//! Where more stops helping.

/// From which gain on another step is worth taking.
pub const WORTHWHILE: f64 = 0.05;

/// The index of the knee of a curve of rates over steps in ascending order: the first from which no later step, however far,
/// gains as much as `gain` on it. So a dip on the way up is no knee. `None` without steps.
///
/// Rates that are no numbers, of steps that failed, are no knee and no gain.
pub fn knee(rates: &[f64], gain: f64) -> Option<usize> {
    let best = rates.iter().copied().filter(|rate| rate.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    rates.iter().position(|&rate| rate.is_finite() && best < rate * (1.0 + gain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knees() {
        let nan = f64::NAN;
        for (rates, expected) in [
            (&[][..], None),
            (&[nan], None),
            (&[5.0], Some(0)),
            (&[1.0, 2.0, 4.0, 8.0], Some(3)),
            (&[100.0, 104.0, 104.9], Some(0)),
            (&[100.0, 104.0, 105.1], Some(1)),
            (&[100.0, 90.0, 200.0, 201.0], Some(2)),
            (&[100.0, 50.0, 25.0], Some(0)),
            (&[nan, 100.0, nan, 101.0], Some(1)),
        ] {
            assert_eq!(knee(rates, WORTHWHILE), expected, "{rates:?}");
        }
    }
}
