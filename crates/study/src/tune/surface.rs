//! What was measured so far of executions: the cost surface.

use std::collections::BTreeMap;
use std::time::Duration;

use paceline_engine::MeasuredCost;
use paceline_profile::CostRow;

use super::knee::knee;
use super::race::ENOUGH;
use super::space::{Point, Row};
use crate::Latencies;
use crate::estimate::Estimate;

/// The points measured so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surface(BTreeMap<Point, Cell>);

/// What was measured of one point.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Samples a second of all lanes together, a value a round.
    rates: Vec<f64>,
    /// Of all rounds; never without a value.
    estimate: Estimate,
    /// Times of single executions.
    times: Latencies,
}

/// What one round gave.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Samples a second of all lanes together.
    pub(crate) samples_per_s: f64,
    /// Times of single executions.
    pub(crate) times: Latencies,
}

impl Surface {
    /// Adds a round. One without an execution says nothing.
    pub(crate) fn add(&mut self, point: Point, round: &Round) {
        let mut rates = self.0.get(&point).map(|cell| cell.rates.clone()).unwrap_or_default();
        rates.push(round.samples_per_s);
        let Some(estimate) = Estimate::of(&rates).filter(|_| round.samples_per_s > 0.0) else { return };
        let cell = self.0.entry(point).or_insert_with(|| Cell {
            rates: Vec::new(),
            estimate,
            times: Latencies::new(),
        });
        (cell.rates, cell.estimate) = (rates, estimate);
        cell.times.merge(&round.times);
    }

    /// The points and what is known of them.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (Point, &Cell)> {
        self.0.iter().map(|(point, cell)| (*point, cell))
    }

    /// What is known of a point.
    pub(crate) fn cell(&self, point: Point) -> Option<&Cell> {
        self.0.get(&point)
    }

    /// Samples a second of a point.
    pub(crate) fn rate(&self, point: Point) -> Option<f64> {
        self.0.get(&point).map(Cell::rate)
    }

    /// The points of a row, by batch.
    pub(crate) fn row(&self, row: Row) -> impl Iterator<Item = (Point, &Cell)> {
        self.cells().filter(move |(point, _)| (point.lanes, point.threads) == (row.lanes, row.threads))
    }

    /// The quickest point of a row.
    pub(crate) fn best(&self, row: Row) -> Option<(Point, &Cell)> {
        self.row(row).max_by(|(_, a), (_, b)| a.rate().total_cmp(&b.rate()))
    }

    /// The best rate by lanes, with one thread each.
    pub(crate) fn by_lanes(&self) -> Vec<(usize, f64)> {
        let mut lanes: Vec<usize> =
            self.cells().filter(|(point, _)| point.threads == 1).map(|(point, _)| point.lanes).collect();
        lanes.dedup();
        let best = |lanes: usize| Some((lanes, self.best(Row { lanes, threads: 1 })?.1.rate()));
        lanes.into_iter().filter_map(best).collect()
    }

    /// The rate of a lone execution of one sample, by threads.
    pub(crate) fn by_threads(&self) -> Vec<(usize, f64)> {
        let lone = |(point, _): &(Point, &Cell)| point.lanes == 1 && point.batch == 1;
        self.cells().filter(lone).map(|(point, cell)| (point.threads, cell.rate())).collect()
    }

    /// The most lanes that are worth having.
    pub(crate) fn knee_lanes(&self) -> usize {
        knee(&self.by_lanes())
    }

    /// Lanes that are worth lending to a lone execution.
    pub(crate) fn useful_helpers(&self) -> usize {
        knee(&self.by_threads()) - 1
    }

    /// As a profile has it.
    pub(crate) fn rows(&self) -> Vec<CostRow> {
        self.cells().map(|(point, cell)| cell.row(point)).collect()
    }

    /// As an engine starts from it.
    pub(crate) fn engine_costs(&self) -> Vec<MeasuredCost> {
        self.rows().iter().filter_map(CostRow::for_engine).collect()
    }
}

impl Cell {
    /// Samples a second of all lanes together.
    pub(crate) fn rate(&self) -> f64 {
        self.estimate.median
    }

    /// The same, with its interval.
    pub(crate) fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// The time of one execution by the rate, which is what most executions take.
    pub(crate) fn time(&self, point: Point) -> Duration {
        Duration::from_secs_f64((point.batch * point.lanes) as f64 / self.rate().max(1e-9))
    }

    /// The 99th percentile of the time of one execution.
    pub(crate) fn p99(&self) -> Duration {
        Duration::from_secs_f64(self.times.summary().p99 / 1e6)
    }

    fn row(&self, point: Point) -> CostRow {
        let Point { lanes, threads, batch: samples } = point;
        let certain = self.estimate.rounds >= ENOUGH;
        CostRow {
            samples,
            lanes,
            threads,
            mean_us: self.time(point).as_secs_f64() * 1e6,
            p99_us: self.times.summary().p99,
            samples_per_s: self.rate(),
            uncertainty: if certain { self.estimate.spread() } else { f64::INFINITY },
            rounds: self.estimate.rounds,
        }
    }
}
