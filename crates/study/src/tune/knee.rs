//! Where another lane, or another thread, is not worth having.

/// What another lane must add to the rate, as a share of it.
pub(crate) const WORTHWHILE: f64 = 0.05;

/// The knee of rates by lanes, ascending in lanes: as many lanes as each add at least 5 % to the rate of those before. Also a
/// lane that comes after some that add little counts, if together they do. 1 without any.
///
/// Of many lanes, none can add 5 %: where there are more than ten, one that adds half of what the others have on average is worth having.
pub(crate) fn knee(rates: &[(usize, f64)]) -> usize {
    let Some((&first, others)) = rates.split_first() else { return 1 };
    let climb = |(lanes, rate): (usize, f64), &(more, higher): &(usize, f64)| {
        let each = (higher - rate) / more.saturating_sub(lanes).max(1) as f64;
        let asked = rate * WORTHWHILE.min(0.5 / lanes.max(1) as f64);
        if each >= asked && higher > rate { (more, higher) } else { (lanes, rate) }
    };
    others.iter().fold(first, climb).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn knees() {
        let cases: [(&[(usize, f64)], usize); 10] = [
            (&[], 1),
            (&[(3, 5.0)], 3),
            (&[(1, 100.0), (2, 190.0), (4, 191.0)], 2),
            (&[(1, 100.0), (2, 104.0), (3, 104.0)], 1),
            (&[(1, 100.0), (2, 105.0)], 2),
            (&[(1, 100.0), (2, 90.0), (4, 200.0)], 4),
            (&[(1, 100.0), (2, 90.0), (4, 110.0)], 1),
            // Each lane adds little to the one before, but together they add enough.
            (&[(1, 100.0), (2, 104.0), (3, 111.0)], 3),
            // Perfect scaling has no knee.
            (&[(1, 1.0), (8, 8.0), (16, 16.0), (32, 32.0), (64, 64.0)], 64),
            (&[(1, 0.0), (2, 0.0)], 1),
        ];
        for (rates, expected) in cases {
            assert_eq!(knee(rates), expected, "{rates:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_beyond_the_knee_is_worth_having(
            rates in prop::collection::vec(0.0..1e6f64, 1..12), scale in 1e-3..1e3f64,
        ) {
            let points: Vec<(usize, f64)> = rates.iter().enumerate().map(|(i, &rate)| (i + 1, rate)).collect();
            let knee_lanes = knee(&points);
            let at = rates[knee_lanes - 1];
            for &(lanes, rate) in &points[knee_lanes..] {
                let asked = at * WORTHWHILE.min(0.5 / knee_lanes as f64) * (lanes - knee_lanes) as f64;
                prop_assert!(rate - at < asked || rate <= at, "{lanes} lanes: {rate} over {at}");
            }
            // Fewer lanes than the knee are not better.
            prop_assert!(rates[..knee_lanes].iter().take(1).all(|&first| first <= at));
            let scaled: Vec<(usize, f64)> = points.iter().map(|&(lanes, rate)| (lanes, rate * scale)).collect();
            let again = knee(&scaled);
            prop_assert!((rates[again - 1] - at).abs() <= 1e-9 * at.max(1.0) || again == knee_lanes);
        }
    }
}
