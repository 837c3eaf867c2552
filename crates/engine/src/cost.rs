//! What one execution of a program costs, by its samples and by how many lanes are busy: measured when the program is loaded, and
//! kept current by every execution since.
//!
//! Nothing is assumed of the shape of the curve: a larger batch may cost less than a smaller one, and many do (tiles, buckets).
//! A size that was never executed is read off the line between its measured neighbours until it is. What is decided from is
//! the **frontier**: the sizes that no larger one beats in time and no smaller one in samples per second.
//!
//! **Pace and shape.** What makes executions longer from one moment to the next, other lanes and other work on the same cores, makes
//! all sizes longer alike. So each number of busy lanes has a *pace*, which every execution moves, and a size has a *shape*: its
//! time at a pace of one. Sizes are compared by their shapes. If each had only times of its own, one that happened to
//! be executed in a quiet moment would look better than those that are in use, and the engine would go from one lucky size to
//! the next.
//!
//! Forgetting: a pace moves by at least a 32nd of the way towards each new time, so a few dozen executions replace what the
//! machine was like before. One time counts as at most four times what was expected, so that a thread that was off its core
//! does not pass for a slow kernel. Nor is one time that is out of all proportion the first word about a size.

mod curve;
mod mean;
#[cfg(test)]
mod tests;

use std::time::Duration;

use paceline_device::BatchSizes;

use crate::clock::{Nanos, nanos};
use curve::{frontier, grid, interpolate};
use mean::{Cell, Mean};

pub(crate) use curve::rate;

/// How often what was expected one time may be at most, in a pace.
const OUTLIER: f64 = 4.0;
/// How many executions a cost that was measured before stands for: as many as a mean remembers.
const ADOPTED: u32 = 32;
/// A cost that was measured before counts as at most this, so that the sum of what waits is a number.
const LONGEST: Duration = Duration::from_secs(3600);
/// Executions after which the curve and its frontier are drawn anew.
const REDRAWN_AFTER: u32 = 16;
/// Busy lanes that are told apart; more count as this many.
const MAX_LEVELS: usize = 8;
/// What executions cost, as somebody measured it before: where an engine starts from instead of measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredCost {
    /// Samples of one execution.
    pub samples: usize,
    /// Lanes that executed at the same time, this one included.
    pub busy: usize,
    /// Mean time of one execution, in one thread.
    pub mean: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// The measured time of one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Mean, in nanoseconds.
    pub(crate) mean_ns: f64,
    /// The 99th percentile, in nanoseconds.
    pub(crate) p99_ns: f64,
}

/// Times of executions by size and busy lanes.
#[derive(Clone, Debug)]
pub(crate) struct CostTable {
    /// The sizes that are told apart, ascending; what lies between two counts as the larger.
    sizes: Vec<usize>,
    /// Whether an execution costs what its bucket costs, and not what its samples do.
    buckets: bool,
    levels: Vec<Level>,
    /// By size: whether it was executed, be its time believed or not.
    seen: Vec<bool>,
    /// Executions since the curves were drawn.
    since_drawn: u32,
}

/// The times with one number of busy lanes.
#[derive(Clone, Debug, Default)]
struct Level {
    /// How much longer executions take than their shapes; nothing while none took place.
    pace: Mean,
    /// By size: the times at a pace of one.
    cells: Vec<Cell>,
    /// The cost of every size, measured or read off; empty while nothing is known.
    curve: Vec<Cost>,
    /// Which sizes are worth choosing.
    frontier: Vec<usize>,
    /// The least time of one sample.
    unit_ns: f64,
}

impl Cost {
    fn times(self, pace: f64) -> Cost {
        Cost { mean_ns: self.mean_ns * pace, p99_ns: self.p99_ns * pace }
    }
}

impl CostTable {
    /// An empty table for a program with these batch sizes, at most `max_samples`, on so many lanes.
    pub(crate) fn new(batch_sizes: &BatchSizes, max_samples: usize, lanes: usize) -> Self {
        let (sizes, buckets) = match batch_sizes {
            BatchSizes::UpTo(_) => (grid(max_samples), false),
            BatchSizes::Buckets(sizes) => {
                // The last is the one in which the largest batch is executed.
                let needed = sizes.partition_point(|&size| size < max_samples) + 1;
                let useful = sizes.iter().copied().take(needed).filter(|&size| size > 0);
                (useful.collect(), true)
            }
        };
        let cells = vec![Cell::default(); sizes.len()];
        let level = Level { cells, ..Level::default() };
        let (levels, seen) = (vec![level; lanes.clamp(1, MAX_LEVELS)], vec![false; sizes.len()]);
        CostTable { sizes, buckets, levels, seen, since_drawn: 0 }
    }

    /// The sizes that are told apart, ascending.
    pub(crate) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Takes note of an execution of `samples` samples while `busy` lanes, its own included, were executing.
    pub(crate) fn record(&mut self, samples: usize, busy: usize, ns: Nanos) {
        let Some(index) = self.index(samples) else { return };
        let (ns, level) = (ns as f64 * self.scale(index, samples), self.level_index(busy));
        let was_known = self.levels[level].cells[index].mean.count > 0;
        let shape = self.levels[level].cells[index].with_shape(self.shape(index));
        let this = &mut self.levels[level];
        // The first time of a size says what its shape is, unless that is known from fewer busy lanes.
        if let Some(Cost { mean_ns, .. }) = shape {
            let times = ns / mean_ns.max(1.0);
            let expected = this.pace.get().unwrap_or(f64::INFINITY);
            this.pace.add(times.min(OUTLIER * expected.max(1.0)));
        }
        let pace = this.pace.get().unwrap_or(1.0);
        this.cells[index].add(ns / pace.max(f64::MIN_POSITIVE));
        self.since_drawn += 1;
        if !was_known || self.since_drawn >= REDRAWN_AFTER {
            self.draw();
        }
    }

    /// [`record`](Self::record), but a size's first time is not believed where it is out of all proportion to the other sizes: a device
    /// that prepared something, or a thread that was off its core, would keep the size from ever being chosen again. A second is.
    pub(crate) fn learn(&mut self, samples: usize, busy: usize, ns: Nanos) {
        if let Some(index) = self.index(samples)
            && self.shape(index).is_none()
            && !std::mem::replace(&mut self.seen[index], true)
            && self.predict(samples, busy).is_some_and(|cost| ns as f64 > OUTLIER * cost.mean_ns)
        {
            return;
        }
        self.record(samples, busy, ns);
    }

    /// Starts from costs that were measured before; whether any of them is of a size that the table has.
    pub(crate) fn adopt(&mut self, costs: &[MeasuredCost]) -> bool {
        let mut by_level: Vec<Vec<(usize, f64, f64)>> = vec![Vec::new(); self.levels.len()];
        for &MeasuredCost { samples, busy, mean, p99 } in costs {
            let Some(index) = self.index(samples).filter(|_| samples > 0 && !mean.is_zero()) else {
                continue;
            };
            let scale = self.scale(index, samples);
            let ns = |time: Duration| nanos(time.min(LONGEST)) as f64 * scale;
            let (mean_ns, p99_ns) = (ns(mean), ns(p99.max(mean)));
            by_level[self.level_index(busy)].push((index, mean_ns, p99_ns));
        }
        for (level, cells) in by_level.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            let of_shape =
                |&(index, mean_ns, _): &(usize, f64, f64)| Some(mean_ns / self.shape(index)?.mean_ns);
            let ratios: Vec<f64> = cells.iter().filter_map(of_shape).collect();
            let pace = if ratios.is_empty() { 1.0 } else { ratios.iter().sum::<f64>() / ratios.len() as f64 };
            let this = &mut self.levels[level];
            this.pace = Mean { value: pace, count: ADOPTED };
            for &(index, mean_ns, p99_ns) in cells {
                let mean = Mean { value: mean_ns / pace, count: ADOPTED };
                this.cells[index] = Cell { mean, p99_ns: p99_ns / pace };
            }
        }
        self.draw();
        self.levels.iter().any(|level| !level.curve.is_empty())
    }

    /// What an execution of this many samples costs while `busy` lanes, its own included, execute; `None` while nothing is known.
    pub(crate) fn predict(&self, samples: usize, busy: usize) -> Option<Cost> {
        let level = &self.levels[self.level_index(busy)];
        let index = self.index(samples)?;
        let Cost { mean_ns, p99_ns } = *level.curve.get(index)?;
        if self.buckets || self.sizes[index] == samples || index == 0 {
            return Some(Cost { mean_ns, p99_ns });
        }
        let (below, above) = (self.sizes[index - 1], self.sizes[index]);
        let part = (samples - below) as f64 / (above - below) as f64;
        let at = |from: f64, to: f64| from + part * (to - from);
        let from = level.curve[index - 1];
        Some(Cost { mean_ns: at(from.mean_ns, mean_ns), p99_ns: at(from.p99_ns, p99_ns) })
    }

    /// The sizes worth choosing while `busy` lanes execute, ascending, and the cost of each. Costs and samples per second ascend.
    pub(crate) fn frontier(&self, busy: usize) -> impl Iterator<Item = (usize, Cost)> + Clone {
        let level = &self.levels[self.level_index(busy)];
        level.frontier.iter().map(|&index| (self.sizes[index], level.curve[index]))
    }

    /// The least time that one sample takes while `busy` lanes execute, in nanoseconds; 0 while nothing is known.
    pub(crate) fn unit_ns(&self, busy: usize) -> f64 {
        self.levels[self.level_index(busy)].unit_ns
    }

    /// How many times the time of so many samples the size of this index takes, as long as nothing better is known.
    fn scale(&self, index: usize, samples: usize) -> f64 {
        if self.buckets { 1.0 } else { self.sizes[index] as f64 / samples.max(1) as f64 }
    }

    fn level_index(&self, busy: usize) -> usize {
        busy.clamp(1, self.levels.len()) - 1
    }

    /// The smallest size that holds so many samples.
    fn index(&self, samples: usize) -> Option<usize> {
        let index = self.sizes.partition_point(|&size| size < samples);
        (index < self.sizes.len()).then_some(index)
    }

    /// The time of a size at a pace of one, with the fewest busy lanes with which it was executed.
    fn shape(&self, index: usize) -> Option<Cost> {
        self.levels.iter().find_map(|level| level.cells[index].get())
    }

    /// Draws the curves anew from all times so far.
    pub(crate) fn draw(&mut self) {
        self.since_drawn = 0;
        let shapes: Vec<Option<Cost>> = (0..self.sizes.len()).map(|index| self.shape(index)).collect();
        let mut pace = 1.0;
        for level in &mut self.levels {
            pace = level.pace.get().unwrap_or(pace);
            let points: Vec<Option<Cost>> = level
                .cells
                .iter()
                .zip(&shapes)
                .map(|(cell, &shape)| cell.with_shape(shape).map(|cost| cost.times(pace)))
                .collect();
            level.curve = interpolate(&self.sizes, &points, self.buckets);
            level.frontier = frontier(&self.sizes, &level.curve);
            let units = level.frontier.iter().map(|&i| level.curve[i].mean_ns / self.sizes[i] as f64);
            level.unit_ns = units.fold(f64::INFINITY, f64::min);
            if !level.unit_ns.is_finite() {
                level.unit_ns = 0.0;
            }
        }
    }
}
