//! What is true: how long an execution takes on the machine, whatever a scheduler believes.

use paceline_device::BatchSizes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::clock::Nanos;

/// What a scheduler pays for a batch beside its execution.
pub(super) const HAND_OVER_NS: Nanos = 3_000;

/// The time of one execution by its samples, in microseconds.
#[derive(Clone, Debug)]
pub(super) enum Curve {
    /// Straight lines between these points; the last line goes on.
    Points(&'static [(usize, f64)]),
    /// So much more than another curve.
    Times(f64, &'static [(usize, f64)]),
    /// Only powers of two are executed: the time of the next one, which is the greater of a constant and so much a sample.
    Buckets { least_us: f64, sample_us: f64 },
}

/// The `mlp` on two cores of a Xeon: flat up to the rows of one tile, and steps where another begins.
pub(super) const MLP: Curve = Curve::Points(MLP_POINTS);
const MLP_POINTS: &[(usize, f64)] =
    &[(1, 276.0), (8, 276.0), (14, 380.0), (15, 456.0), (20, 512.0), (64, 1568.0)];
/// A model of twenty times the time.
pub(super) const SLOW: Curve = Curve::Times(20.0, MLP_POINTS);
/// A GPU: nothing but launches up to 32 samples.
pub(super) const GPU: Curve = Curve::Buckets { least_us: 60.0, sample_us: 1.9 };
/// A curve on which a larger batch is often quicker: rows in whole tiles are.
pub(super) const TILES: Curve = Curve::Points(&[
    (1, 300.0),
    (3, 420.0),
    (4, 310.0),
    (7, 520.0),
    (8, 350.0),
    (15, 900.0),
    (16, 480.0),
    (31, 1700.0),
    (32, 930.0),
    (64, 1850.0),
]);

impl Curve {
    /// The time of one execution alone on the machine, in nanoseconds.
    pub(super) fn ns(&self, samples: usize) -> f64 {
        let us = match self {
            Curve::Points(points) => between(points, samples),
            Curve::Times(factor, points) => factor * between(points, samples),
            Curve::Buckets { least_us, sample_us } => {
                least_us.max(sample_us * samples.next_power_of_two() as f64)
            }
        };
        us * 1e3
    }

    /// What such a program says of its sizes.
    pub(super) fn batch_sizes(&self, max: usize) -> BatchSizes {
        match self {
            Curve::Points(_) | Curve::Times(..) => BatchSizes::UpTo(max),
            Curve::Buckets { .. } => {
                BatchSizes::Buckets((0..).map(|power| 1 << power).take_while(|&size| size <= max).collect())
            }
        }
    }
}

fn between(points: &[(usize, f64)], samples: usize) -> f64 {
    let above = points.partition_point(|&(size, _)| size < samples).clamp(1, points.len() - 1);
    let ((s0, t0), (s1, t1)) = (points[above - 1], points[above]);
    t0 + (t1 - t0) * (samples as f64 - s0 as f64) / (s1 - s0) as f64
}

/// Lanes and what disturbs them.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) lanes: usize,
    /// How much longer an execution takes for each other lane that is busy when it begins.
    pub(super) contention: f64,
    /// Standard deviation of times, as a part of them.
    pub(super) noise: f64,
    /// How often an execution takes five times as long.
    pub(super) outliers: f64,
    /// From when on everything takes so many times as long.
    pub(super) slower: Option<(Nanos, f64)>,
}

impl Machine {
    /// A quiet machine, disturbed as such are.
    pub(super) fn new(lanes: usize) -> Self {
        Machine { lanes, contention: 0.03, noise: 0.02, outliers: 0.0005, slower: None }
    }

    /// How long an execution that begins now takes.
    pub(super) fn took(
        &self,
        curve: &Curve,
        samples: usize,
        busy: usize,
        now: Nanos,
        random: &mut ChaCha8Rng,
    ) -> Nanos {
        // Uniform, three standard deviations wide at most.
        let noise = 1.0 + self.noise * random.random_range(-1.732..1.732);
        let outlier = if random.random_bool(self.outliers) { 5.0 } else { 1.0 };
        let slower = self.slower.filter(|&(from, _)| now >= from).map_or(1.0, |(_, factor)| factor);
        (curve.ns(samples) * self.contended(busy) * noise * outlier * slower) as Nanos
    }

    /// The most samples per second that all lanes make of batches of at most so many samples that take at most so long.
    pub(super) fn capacity(&self, curve: &Curve, max_samples: usize, within: Nanos) -> f64 {
        let ns = |samples| curve.ns(samples) * self.contended(self.lanes);
        (1..=max_samples)
            .filter(|&samples| samples == 1 || ns(samples) <= within as f64)
            .map(|samples| self.lanes as f64 * samples as f64 * 1e9 / (ns(samples) + HAND_OVER_NS as f64))
            .fold(0.0, f64::max)
    }

    fn contended(&self, busy: usize) -> f64 {
        1.0 + self.contention * busy.saturating_sub(1) as f64
    }
}
