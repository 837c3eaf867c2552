//! What one execution of a program costs, by its samples and by how many lanes are busy: measured when the program is loaded, and
//! kept current by every execution since.
//!
//! Nothing is assumed of the shape of the curve: a larger batch may cost less than a smaller one, and many do (tiles, buckets).
//! A size that was never executed is read off the line between its measured neighbours until it is. What is decided from is
//! the **frontier**: the sizes that no larger one beats in time and no smaller one in samples per second.
//!
//! Forgetting: a mean moves by at least a 32nd of the way towards each new time, so a few dozen executions replace what the
//! machine was like before. One time counts as at most four times the mean, so that a thread that was off its core does not
//! pass for a slow kernel.

use std::time::Duration;

use paceline_device::BatchSizes;

use crate::clock::{Nanos, nanos};

/// The weight of a new time in a mean, once there are enough of them.
const FORGETTING: f64 = 1.0 / 32.0;
/// The weight of a time of less than half the mean: other work on the machine makes executions longer, nothing makes them shorter.
const DISPROOF: f64 = 0.25;
/// How often the mean one time may be at most, in the mean.
const OUTLIER: f64 = 4.0;
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
    /// By size.
    cells: Vec<Cell>,
    /// How much longer an execution takes than with one busy lane.
    factor: Mean,
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
            Some(mean) if self.mean.count > 2 => ns.min((OUTLIER * mean).max(1.0)),
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
        self.levels[level].cells[index].add(ns);
        self.relate(index, level, ns);
        self.since_drawn += 1;
        if !was_known || self.since_drawn >= REDRAWN_AFTER {
            self.draw();
        }
    }

    /// Starts from costs that were measured before; whether any of them is of a size that the table has.
    pub(crate) fn adopt(&mut self, costs: &[MeasuredCost]) -> bool {
        let mut costs: Vec<MeasuredCost> =
            costs.iter().copied().filter(|cost| cost.samples > 0 && !cost.mean.is_zero()).collect();
        // Those of one lane first: the others are told as multiples of them.
        costs.sort_by_key(|cost| (cost.busy, cost.samples));
        for MeasuredCost { samples, busy, mean, p99 } in costs {
            let Some(index) = self.index(samples) else { continue };
            let (scale, level) = (self.scale(index, samples), self.level_index(busy));
            let (mean_ns, p99_ns) = (nanos(mean) as f64 * scale, nanos(p99.max(mean)) as f64 * scale);
            self.levels[level].cells[index] = Cell { mean: Mean { value: mean_ns, count: ADOPTED }, p99_ns };
            self.relate(index, level, mean_ns);
        }
        self.draw();
        !self.levels[0].curve.is_empty()
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

    /// Takes note of how much longer an execution took than it does with one busy lane.
    fn relate(&mut self, index: usize, level: usize, ns: f64) {
        if level > 0
            && let Some(alone) = self.levels[0].cells[index].mean.get()
        {
            self.levels[level].factor.add((ns / alone.max(1.0)).min(OUTLIER));
        }
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

    /// Draws the curves anew from all times so far.
    pub(crate) fn draw(&mut self) {
        self.since_drawn = 0;
        // A size that was executed only while others were is taken for what it cost then.
        let least_busy = |index: usize| self.levels.iter().find_map(|level| level.cells[index].get());
        let alone: Vec<Option<Cost>> = (0..self.sizes.len()).map(least_busy).collect();
        let mut factor = 1.0;
        for (number, level) in self.levels.iter_mut().enumerate() {
            if number > 0 {
                factor = level.factor.get().unwrap_or(factor);
            }
            let scaled = |cost: &Option<Cost>| {
                cost.map(|c| Cost { mean_ns: c.mean_ns * factor, p99_ns: c.p99_ns * factor })
            };
            let points: Vec<Option<Cost>> =
                level.cells.iter().zip(&alone).map(|(cell, alone)| cell.get().or(scaled(alone))).collect();
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
        assert_eq!(mean_us(&table, 8, 1), Some(400.0));
        assert_eq!(mean_us(&table, 8, 2), Some(600.0));
        assert_eq!(
            mean_us(&table, 4, 4),
            mean_us(&table, 4, 2).map(|us| us),
            "as for the next fewer that was seen"
        );
        assert_eq!(table.predict(1, 1).map(|cost| cost.p99_ns), Some(200_000.0));
        // One execution moves it by a 32nd; many replace it.
        table.record(8, 1, 432_000);
        table.draw();
        assert_eq!(mean_us(&table, 8, 1), Some(401.0));
        (0..200).for_each(|_| table.record(8, 1, 800_000));
        table.draw();
        assert!(mean_us(&table, 8, 1).unwrap() > 790.0);
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
        assert!(mean_us(&table, 4, 1).unwrap() < 110.0);
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
