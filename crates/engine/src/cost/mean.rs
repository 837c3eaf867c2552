//! Times of executions, summed up: means that forget, and the 99th percentile.

use super::Cost;

/// The weight of a new time in a mean, once there are enough of them.
const FORGETTING: f64 = 1.0 / 32.0;
/// The weight of a time of less than half of what was expected: other work on the machine makes executions longer, nothing makes them shorter.
const DISPROOF: f64 = 0.25;
/// How often what was expected one time may be at most in a shape, of which a single long time says less than of a pace.
const ODD_SHAPE: f64 = 2.0;
/// So many times of a size with some lanes busy weigh as much as its shape with the fewest.
const SHAPE_WEIGHT: f64 = 4.0;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) mean: Mean,
    pub(super) p99_ns: f64,
}

/// A mean that forgets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    pub(super) value: f64,
    pub(super) count: u32,
}

impl Mean {
    pub(super) fn add(&mut self, x: f64) {
        self.count = self.count.saturating_add(1);
        let least = if x < 0.5 * self.value { DISPROOF } else { FORGETTING };
        let weight = (1.0 / f64::from(self.count)).max(least);
        self.value += weight * (x - self.value);
    }

    pub(super) fn get(&self) -> Option<f64> {
        (self.count > 0).then_some(self.value)
    }
}

impl Cell {
    pub(super) fn add(&mut self, ns: f64) {
        let bounded = match self.mean.get() {
            Some(mean) if self.mean.count > 2 => ns.min((ODD_SHAPE * mean).max(1.0)),
            _ => ns,
        };
        self.mean.add(bounded);
        // In balance when one time in a hundred lies above.
        let step = 0.25 * self.mean.value;
        self.p99_ns = match self.mean.count {
            1 => ns,
            _ if ns > self.p99_ns => self.p99_ns + 0.99 * step.min(ns - self.p99_ns),
            _ => self.p99_ns - 0.01 * step,
        };
        self.p99_ns = self.p99_ns.max(self.mean.value);
    }

    pub(super) fn get(&self) -> Option<Cost> {
        self.mean.get().map(|mean_ns| Cost { mean_ns, p99_ns: self.p99_ns })
    }

    /// Its times and the shape that the size has elsewhere, by how many times there are.
    pub(super) fn with_shape(&self, shape: Option<Cost>) -> Option<Cost> {
        let (Some(own), Some(shape)) = (self.get(), shape) else { return self.get().or(shape) };
        let weight = f64::from(self.mean.count) / (f64::from(self.mean.count) + SHAPE_WEIGHT);
        let between = |from: f64, to: f64| from + weight * (to - from);
        Some(Cost { mean_ns: between(shape.mean_ns, own.mean_ns), p99_ns: between(shape.p99_ns, own.p99_ns) })
    }
}
