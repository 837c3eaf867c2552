//! Which point to measure next: a pure function of what is known and how much time is left.
//!
//! **First** the surface is explored, row by row, from one lane and one thread on. In a row batches grow until three in a row have not
//! made it quicker; nothing is assumed of the shape of a row beyond that. Rows of more lanes, and of more threads, come until two
//! in a row lie beyond the knee. **Then** what could still be the best is measured again until it is ranked; each point of the
//! table often enough to be believed.

use std::time::Duration;

use super::knee::knee;
use super::race;
use super::space::{Point, Row, Space};
use super::surface::{Cell, Surface};
use crate::estimate::Estimate;

/// Batches that may bring nothing before a row is given up.
const PATIENCE: usize = 3;
/// Rows that may lie beyond the knee before there are no more.
const ROWS_BEYOND: usize = 2;
/// From which gain on a larger batch has brought something.
const GAIN: f64 = 1.03;

/// The next point; `None` when everything is known that can be in the time that is left. The first point takes as long as it takes.
pub(crate) fn next(space: &Space, surface: &Surface, round: Duration, left: Duration) -> Option<Point> {
    let first = Row { lanes: 1, threads: 1 }.at(1);
    if surface.cell(first).is_none() {
        return Some(first);
    }
    let fits = |point: &Point| expected(surface, *point, round) <= left;
    explore(space, surface).into_iter().find(fits).or_else(|| refine(surface, fits))
}

/// How long a round of a point takes at least, by the points that are known.
pub(crate) fn expected(surface: &Surface, point: Point, round: Duration) -> Duration {
    let per_sample = |(known, cell): (Point, &Cell)| {
        let lanes = (point.lanes as f64 / known.lanes as f64).max(1.0);
        cell.time(known).mul_f64(lanes * (point.batch as f64 / known.batch as f64).max(1.0))
    };
    let row = Row { lanes: point.lanes, threads: point.threads };
    let same = surface.cell(point).map(|cell| cell.time(point));
    let near = || surface.row(row).filter(|(known, _)| known.batch < point.batch).last().map(per_sample);
    let alone = || {
        surface
            .row(Row { lanes: 1, threads: 1 })
            .filter(|(known, _)| known.batch <= point.batch)
            .last()
            .map(per_sample)
    };
    let execution = same.or_else(near).or_else(alone).unwrap_or_default();
    // A warm-up and a measured part; at least an execution in each, and one while others finish.
    round.mul_f64(1.3) + 3 * execution
}

/// The next point of each row that is not at its end, the first row first; none of rows beyond the knee.
fn explore(space: &Space, surface: &Surface) -> Vec<Point> {
    let mut open = Vec::new();
    let (mut by_lanes, mut by_threads) = (Vec::new(), Vec::new());
    for row in space.rows() {
        let known = if row.threads == 1 { &mut by_lanes } else { &mut by_threads };
        let position = known.iter().position(|&(of, _)| of == knee(known)).unwrap_or(0);
        if known.len() > position + ROWS_BEYOND {
            continue;
        }
        let rates: Vec<Option<f64>> =
            space.batches.iter().map(|&batch| surface.rate(row.at(batch))).collect();
        open.extend(climb(&rates).map(|index| row.at(space.batches[index])));
        if row == (Row { lanes: 1, threads: 1 }) {
            by_threads.extend(rates[0].map(|rate| (1, rate)));
        }
        let (of, rate) = match row.threads {
            1 => (row.lanes, surface.best(row).map(|(_, cell)| cell.rate())),
            threads => (threads, rates[0]),
        };
        let known = if row.threads == 1 { &mut by_lanes } else { &mut by_threads };
        known.extend(rate.map(|rate| (of, rate)));
    }
    open
}

/// The first size of a row that is not measured, unless the last few that are have brought nothing.
fn climb(rates: &[Option<f64>]) -> Option<usize> {
    let (mut best, mut in_vain) = (0.0, 0);
    for (index, rate) in rates.iter().enumerate() {
        let Some(rate) = *rate else { return Some(index) };
        if rate >= best * GAIN {
            (best, in_vain) = (rate, 0);
        } else {
            in_vain += 1;
        }
        if in_vain >= PATIENCE {
            return None;
        }
    }
    None
}

/// What to measure again: what may be the quickest of a lone sample's threads, then what may be the quickest of its lanes, so that
/// lanes can be compared; then what was measured too few times.
fn refine(surface: &Surface, fits: impl Fn(&Point) -> bool) -> Option<Point> {
    let cells = surface.cells().map(|(point, cell)| (point, cell.estimate()));
    let cells: Vec<(Point, Estimate)> = cells.filter(|(point, _)| fits(point)).collect();
    let race = |takes_part: &dyn Fn(&Point) -> bool| {
        let (points, estimates): (Vec<Point>, Vec<Estimate>) =
            cells.iter().copied().filter(|(point, _)| takes_part(point)).unzip();
        race::next(&estimates).map(|index| points[index])
    };
    let of_lanes = |lanes: usize| race(&|point: &Point| point.threads == 1 && point.lanes == lanes);
    race(&|point: &Point| point.lanes == 1 && point.batch == 1)
        .or_else(|| surface.by_lanes().into_iter().find_map(|(lanes, _)| of_lanes(lanes)))
        .or_else(|| {
            let seldom = cells.iter().filter(|(_, estimate)| estimate.rounds < race::ENOUGH);
            seldom.min_by_key(|(_, estimate)| estimate.rounds).map(|(point, _)| *point)
        })
}
