//! From values to places on an axis, and the values that are written beside it.

use super::Scale;

/// An axis of a certain length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    /// Around these values, with room at both ends; a linear one begins at 0 where nothing is below.
    pub(super) fn around(scale: Scale, values: impl Iterator<Item = f64>, room: f64) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match scale {
            Scale::Log => {
                // What is nearly the same everywhere has room too.
                let widened = (2.0 / (high / low)).max(1.0).sqrt();
                let spread = (high / low).max(2.0).powf(room) * widened;
                Range { scale, low: low / spread, high: high * spread }
            }
            Scale::Linear => {
                let low = low.min(0.0);
                let spread = (high - low).max(f64::MIN_POSITIVE);
                Range {
                    scale,
                    low: low - if low < 0.0 { spread * room } else { 0.0 },
                    high: high + spread * room,
                }
            }
        }
    }

    /// Where a value is, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Linear => (value - self.low) / (self.high - self.low),
        }
    }

    /// Round values to write beside the axis, about this many.
    pub(super) fn ticks(&self, about: usize) -> Vec<f64> {
        let about = about.max(2) as f64;
        match self.scale {
            Scale::Linear => {
                let step = round_up((self.high - self.low) / about);
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step).floor() as i64;
                (first..=last).map(|i| i as f64 * step).collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10();
                let steps: &[f64] = match decades / about {
                    d if d <= 0.2 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                    d if d <= 0.4 => &[1.0, 2.0, 5.0],
                    d if d <= 0.7 => &[1.0, 3.0],
                    _ => &[1.0],
                };
                let exponents = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let every = (decades / about).ceil().max(1.0) as i32;
                let exponents = exponents.filter(|e| steps.len() > 1 || e % every == 0);
                let values = exponents.flat_map(|e| steps.iter().map(move |step| step * 10f64.powi(e)));
                values.filter(|value| (self.low..=self.high).contains(value)).collect()
            }
        }
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|step| step * power >= value * 0.999);
    step.unwrap_or(10.0) * power
}

/// `950`, `1.2 k`, `34 M`: short enough to stand beside an axis.
pub(super) fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, " G"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        v if v >= 100.0 || (v - v.round()).abs() < 1e-9 => 0,
        v if v >= 1.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (scale, low, high, expected) in [
            (Scale::Linear, 0.0, 100.0, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0][..]),
            (Scale::Linear, 0.0, 0.9, &[0.0, 0.2, 0.4, 0.6, 0.8]),
            (Scale::Log, 900.0, 2.1e7, &[1e3, 1e4, 1e5, 1e6, 1e7]),
            (Scale::Log, 8.0, 300.0, &[10.0, 20.0, 50.0, 100.0, 200.0]),
        ] {
            let ticks = Range { scale, low, high }.ticks(5);
            assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
            assert!(ticks.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9 * b.max(1.0)), "{ticks:?}");
        }
    }

    #[test]
    fn every_range_has_ticks_and_places_its_values_inside() {
        for scale in [Scale::Log, Scale::Linear] {
            for values in [[1.0, 1.0], [1.0, 1e9], [0.001, 0.002], [37.0, 41.0], [5e5, 5.1e5]] {
                let range = Range::around(scale, values.into_iter(), 0.05);
                assert!(values.iter().all(|&v| (0.0..=1.0).contains(&range.place(v))), "{values:?}");
                let ticks = range.ticks(5);
                assert!((2..=12).contains(&ticks.len()), "{scale:?} {values:?}: {ticks:?}");
            }
        }
    }

    #[test]
    fn short_numbers() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (7.0, "7"),
            (1500.0, "1.5 k"),
            (20_000.0, "20 k"),
            (1.4e6, "1.4 M"),
            (249e9, "249 G"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
