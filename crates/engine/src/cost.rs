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
//! does not pass for a slow kernel.

use std::time::Duration;

use paceline_device::BatchSizes;

use crate::clock::{Nanos, nanos};

/// The weight of a new time in a mean, once there are enough of them.
const FORGETTING: f64 = 1.0 / 32.0;
/// The weight of a time of less than half of what was expected: other work on the machine makes executions longer, nothing makes them shorter.
const DISPROOF: f64 = 0.25;
/// How often what was expected one time may be at most: in a pace, and in a shape, of which a single long time says less.
const OUTLIER: f64 = 4.0;
const ODD_SHAPE: f64 = 2.0;
/// So many times of a size with some lanes busy weigh as much as its shape with the fewest.
const SHAPE_WEIGHT: f64 = 4.0;
/// How many executions a cost that was measured before stands for: as many as a mean remembers.
const ADOPTED: u32 = 32;
/// Executions after which the curve and its frontier are drawn anew.
const REDRAWN_AFTER: u32 = 16;
/// Busy lanes that are told apart; more count as this many.
const MAX_LEVELS: usize = 8;
/// What a batch costs the engine beside its execution; it keeps batches of one from looking as good as larger ones where
/// the device takes next to nothing.
const HAND_OVER_NS: f64 = 3_000.0;

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

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    mean: Mean,
    p99_ns: f64,
}

/// A mean that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, x: f64) {
        self.count = self.count.saturating_add(1);
        let least = if x < 0.5 * self.value { DISPROOF } else { FORGETTING };
        let weight = (1.0 / f64::from(self.count)).max(least);
        self.value += weight * (x - self.value);
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then_some(self.value)
    }
}

impl Cell {
    fn add(&mut self, ns: f64) {
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

    fn get(&self) -> Option<Cost> {
        self.mean.get().map(|mean_ns| Cost { mean_ns, p99_ns: self.p99_ns })
    }

    /// Its times and the shape that the size has elsewhere, by how many times there are.
    fn with_shape(&self, shape: Option<Cost>) -> Option<Cost> {
        let (Some(own), Some(shape)) = (self.get(), shape) else { return self.get().or(shape) };
        let weight = f64::from(self.mean.count) / (f64::from(self.mean.count) + SHAPE_WEIGHT);
        let between = |from: f64, to: f64| from + weight * (to - from);
        Some(Cost { mean_ns: between(shape.mean_ns, own.mean_ns), p99_ns: between(shape.p99_ns, own.p99_ns) })
    }
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
                let useful = sizes.iter().copied().filter(|&size| size > 0);
                (useful.collect(), true)
            }
        };
        let cells = vec![Cell::default(); sizes.len()];
        let level = Level { cells, ..Level::default() };
        CostTable { sizes, buckets, levels: vec![level; lanes.clamp(1, MAX_LEVELS)], since_drawn: 0 }
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

    /// Starts from costs that were measured before; whether any of them is of a size that the table has.
    pub(crate) fn adopt(&mut self, costs: &[MeasuredCost]) -> bool {
        let mut by_level: Vec<Vec<(usize, f64, f64)>> = vec![Vec::new(); self.levels.len()];
        for &MeasuredCost { samples, busy, mean, p99 } in costs {
            let Some(index) = self.index(samples).filter(|_| samples > 0 && !mean.is_zero()) else {
                continue;
            };
            let scale = self.scale(index, samples);
            let (mean_ns, p99_ns) = (nanos(mean) as f64 * scale, nanos(p99.max(mean)) as f64 * scale);
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

/// Samples per second that the engine gets out of executions of this size and mean time.
pub(crate) fn rate(samples: usize, mean_ns: f64) -> f64 {
    samples as f64 / (mean_ns + HAND_OVER_NS)
}

/// All sizes up to 32, then steps that double with the size: about eight between a power of two and the next.
fn grid(max: usize) -> Vec<usize> {
    let (mut sizes, mut size) = (Vec::new(), 1);
    while size < max {
        sizes.push(size);
        size += if size < 32 { 1 } else { (1 << size.ilog2()) / 8 };
    }
    sizes.push(max);
    sizes
}

/// The cost of every size from those that are known. Above the largest known, it grows with the samples.
fn interpolate(sizes: &[usize], points: &[Option<Cost>], buckets: bool) -> Vec<Cost> {
    let known: Vec<(usize, Cost)> =
        sizes.iter().zip(points).filter_map(|(&size, point)| Some((size, (*point)?))).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let at = |size: usize| {
        let above = known.partition_point(|&(other, _)| other < size);
        match (above.checked_sub(1).map(|below| known[below]), known.get(above)) {
            (_, Some(&(exact, cost))) if exact == size => cost,
            (Some((s0, c0)), Some(&(s1, c1))) if !buckets => {
                let part = (size - s0) as f64 / (s1 - s0) as f64;
                Cost {
                    mean_ns: c0.mean_ns + part * (c1.mean_ns - c0.mean_ns),
                    p99_ns: c0.p99_ns + part * (c1.p99_ns - c0.p99_ns),
                }
            }
            (_, Some(&(_, cost))) => cost,
            (Some((largest, cost)), None) => {
                let scale = size as f64 / largest as f64;
                Cost { mean_ns: cost.mean_ns * scale, p99_ns: cost.p99_ns * scale }
            }
            (None, None) => unreachable!("at least one size is known"),
        }
    };
    sizes.iter().map(|&size| at(size)).collect()
}

/// The indices of sizes that no larger one beats in time, and no smaller one in samples per second.
fn frontier(sizes: &[usize], curve: &[Cost]) -> Vec<usize> {
    let mut least = f64::INFINITY;
    let mut quick: Vec<usize> = (0..curve.len())
        .rev()
        .filter(|&i| {
            let quicker = curve[i].mean_ns < least;
            least = least.min(curve[i].mean_ns);
            quicker
        })
        .collect();
    quick.reverse();
    let mut best = 0.0;
    quick.retain(|&i| {
        let this = rate(sizes[i], curve[i].mean_ns);
        let better = this > best;
        best = f64::max(best, this);
        better
    });
    quick
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(max: usize, lanes: usize, times: &[(usize, Nanos)]) -> CostTable {
        let mut table = CostTable::new(&BatchSizes::UpTo(max), max, lanes);
        times.iter().for_each(|&(samples, us)| table.record(samples, 1, us * 1000));
        table
    }

    fn mean_us(table: &CostTable, samples: usize, busy: usize) -> Option<f64> {
        table.predict(samples, busy).map(|cost| (cost.mean_ns / 1000.0 * 100.0).round() / 100.0)
    }

    #[test]
    fn the_grid_has_every_small_size_and_the_largest() {
        let sizes = grid(256);
        assert_eq!(sizes[..32], (1..=32).collect::<Vec<_>>());
        assert_eq!(sizes.last(), Some(&256));
        assert!(sizes.len() < 70, "{}", sizes.len());
        assert_eq!(grid(1), [1]);
        assert_eq!(grid(3), [1, 2, 3]);
        for max in 1..600 {
            assert!(grid(max).is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn what_was_not_executed_is_read_off_its_neighbours() {
        let table = table(64, 2, &[(2, 100), (4, 300), (32, 3000)]);
        let cases = [(1, 100.0), (2, 100.0), (3, 200.0), (4, 300.0), (18, 1650.0), (64, 6000.0)];
        for (samples, us) in cases {
            assert_eq!(mean_us(&table, samples, 1), Some(us), "{samples} samples");
        }
        assert_eq!(table.predict(65, 1), None);
        assert_eq!(CostTable::new(&BatchSizes::UpTo(8), 8, 1).predict(1, 1), None);
    }

    #[test]
    fn busy_lanes_make_executions_longer_by_what_was_seen() {
        let mut table = table(8, 4, &[(1, 100), (8, 400)]);
        assert_eq!(mean_us(&table, 8, 3), Some(400.0));
        table.record(1, 2, 150_000);
        assert_eq!(mean_us(&table, 1, 2), Some(150.0));
        assert_eq!(mean_us(&table, 8, 2), Some(600.0));
        assert_eq!(mean_us(&table, 8, 4), Some(600.0), "as for the next fewer that was seen");
        assert_eq!(mean_us(&table, 8, 1), Some(400.0));
    }

    #[test]
    fn a_size_that_is_not_in_use_is_not_better_for_it() {
        let mut table = table(32, 2, &[(8, 100), (16, 190), (32, 360)]);
        table.record(16, 2, 180_000);
        for i in 0..200u64 {
            // Other work makes every execution longer by a fifth and more.
            table.record(32, 2, 430_000 + i % 3 * 10_000);
        }
        table.draw();
        let rate_of = |size: usize| rate(size, table.predict(size, 2).unwrap().mean_ns);
        assert!(rate_of(32) > rate_of(16) && rate_of(16) > rate_of(8));
    }

    #[test]
    fn costs_measured_before_are_where_it_starts_from() {
        let us = Duration::from_micros;
        let cost = |samples, busy, mean| MeasuredCost { samples, busy, mean: us(mean), p99: us(2 * mean) };
        let mut table = table(8, 4, &[]);
        let unusable = [cost(0, 1, 5), cost(9, 1, 5), cost(4, 1, 0)];
        assert!(!table.adopt(&unusable) && table.predict(1, 1).is_none());
        assert!(table.adopt(&[
            cost(8, 2, 600),
            cost(1, 1, 100),
            cost(8, 1, 400),
            cost(1, 2, 150),
            unusable[1]
        ]));
        for (samples, busy, expected) in
            [(1, 1, 100.0), (8, 1, 400.0), (1, 2, 150.0), (8, 2, 600.0), (8, 4, 600.0)]
        {
            assert_eq!(mean_us(&table, samples, busy), Some(expected), "{samples} samples, {busy} busy");
        }
        assert_eq!(table.predict(1, 1).map(|cost| cost.p99_ns), Some(200_000.0));
        // One execution moves it a little; many replace it.
        table.record(8, 1, 440_000);
        table.draw();
        assert!(mean_us(&table, 8, 1).is_some_and(|us| us > 400.0 && us < 405.0));
        (0..200).for_each(|_| table.record(8, 1, 800_000));
        table.draw();
        assert!(mean_us(&table, 8, 1).is_some_and(|us| us > 790.0));
    }

    #[test]
    fn a_bucket_costs_the_same_however_full() {
        let mut table = CostTable::new(&BatchSizes::Buckets(vec![1, 8, 32]), 32, 1);
        table.record(5, 1, 700_000);
        table.record(1, 1, 500_000);
        assert_eq!(mean_us(&table, 2, 1), Some(700.0));
        assert_eq!(mean_us(&table, 1, 1), Some(500.0));
    }

    #[test]
    fn only_sizes_that_pay_are_on_the_frontier() {
        let table =
            table(8, 1, &[(1, 100), (2, 110), (3, 900), (4, 400), (5, 410), (6, 650), (7, 660), (8, 600)]);
        let sizes: Vec<usize> = table.frontier(1).map(|(size, _)| size).collect();
        // 3 takes longer than 5; 4 gives less than 2; 5 beats none but the smaller; 6 and 7 take longer than 8.
        assert_eq!(sizes, [1, 2]);
        let table = self::table(8, 1, &[(1, 100), (2, 110), (4, 180), (8, 320)]);
        assert_eq!(table.frontier(1).map(|(size, _)| size).last(), Some(8));
    }

    #[test]
    fn a_machine_that_changed_is_learned_and_an_outlier_is_not() {
        let mut table = table(4, 1, &[(4, 100); 50]);
        table.record(4, 1, 1_000_000_000);
        table.draw();
        assert!(mean_us(&table, 4, 1).unwrap() < 115.0);
        for _ in 0..150 {
            table.record(4, 1, 200_000);
        }
        table.draw();
        assert!(mean_us(&table, 4, 1).unwrap() > 195.0);
    }

    #[test]
    fn the_99th_percentile_is_about_that() {
        let mut table = CostTable::new(&BatchSizes::UpTo(1), 1, 1);
        for i in 0..20_000u64 {
            table.record(1, 1, if i % 50 == 0 { 300_000 } else { 100_000 + (i * 7919) % 1000 });
        }
        table.draw();
        let cost = table.predict(1, 1).unwrap();
        assert!((100_000.0..110_000.0).contains(&cost.mean_ns), "{cost:?}");
        assert!(cost.p99_ns > 150_000.0, "{cost:?}");
    }

    proptest! {
        #[test]
        fn the_frontier_ascends_in_time_and_rate(times in prop::collection::vec((1usize..100, 1u64..10_000), 1..60)) {
            let table = table(100, 1, &times);
            let frontier: Vec<_> = table.frontier(1).collect();
            prop_assert!(!frontier.is_empty());
            for pair in frontier.windows(2) {
                let [(n0, c0), (n1, c1)] = pair else { unreachable!() };
                prop_assert!(n0 < n1 && c0.mean_ns < c1.mean_ns);
                prop_assert!(rate(*n0, c0.mean_ns) < rate(*n1, c1.mean_ns));
            }
            for &size in table.sizes() {
                prop_assert!(table.predict(size, 1).is_some_and(|cost| cost.mean_ns > 0.0));
            }
        }
    }
}
