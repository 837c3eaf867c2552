//! Two runs side by side, and which differences exceed the noise.
//!
//! A rate differs where the intervals of the two runs have no value in common, and both runs have enough rounds that chance would
//! hardly ever put them apart. Rounds of one run know nothing of what changes from run to run, as where memory lies: so a
//! difference of less than [`LEAST`] is none.

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, chance_of_separation};
use crate::results::{Machine, Results, SuiteRun};
use crate::row::{Mode, Row};

/// Runs of the same program differ by this much without a reason that could be found.
pub const LEAST: f64 = 0.02;
/// Chance may put the rounds of two equal rates apart as often as this.
const CHANCE: f64 = 0.01;

/// The schema of [`Comparison`] that this version writes.
pub const COMPARISON_SCHEMA: &str = "paceline.comparison/1";

/// Two runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: String,
    /// The runs: the older, or the one that the other is compared with, first.
    pub runs: [Run; 2],
    /// What both measured.
    pub rows: Vec<Difference>,
    /// Measurements that only one of them has.
    pub only: [usize; 2],
    /// What makes them hard to compare, a sentence each.
    pub cautions: Vec<String>,
}

/// What a run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Version of Paceline.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub commit: String,
    /// When it started.
    pub started: String,
    /// The machine.
    pub machine: Machine,
    /// Instruction set of the kernels.
    pub isa: String,
}

/// The same measurement in both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which suite it belongs to.
    pub suite: String,
    /// The model, operator or layer.
    pub model: String,
    /// How it was called.
    pub mode: Mode,
    /// Callers, or tickets in flight.
    pub callers: usize,
    /// Lanes that execute.
    pub lanes: usize,
    /// Processes that execute.
    pub workers: usize,
    /// Samples a call.
    pub batch: usize,
    /// Samples a second of both.
    pub samples_per_s: [f64; 2],
    /// What the rounds say of each.
    pub intervals: [Option<Estimate>; 2],
    /// The second rate over the first.
    pub ratio: f64,
    /// The second median time of a call over the first.
    pub p50_ratio: f64,
    /// Whether the rates differ by more than the noise.
    pub verdict: Verdict,
}

/// Whether two rates differ by more than the noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The second is lower.
    Slower,
    /// The second is higher.
    Faster,
    /// One of them has wrong or missing answers: its rate means nothing.
    Wrong,
    /// There are too few rounds to tell.
    Unknown,
    /// No more than the noise.
    Same,
}

impl Comparison {
    /// Of two runs.
    pub fn new(first: &Results, second: &Results) -> Self {
        let mut rest: Vec<&Row> = second.rows.iter().collect();
        let mut rows = Vec::new();
        for row in &first.rows {
            if let Some(index) = rest.iter().position(|other| is_same(row, other)) {
                rows.push(Difference::new(row, rest.remove(index)));
            }
        }
        let only = [first.rows.len() - rows.len(), rest.len()];
        let run = |results: &Results| Run {
            version: results.version.clone(),
            commit: results.commit.clone(),
            started: results.started.clone(),
            machine: results.machine.clone(),
            isa: results.device.isa.clone(),
        };
        Comparison {
            schema: COMPARISON_SCHEMA.into(),
            runs: [run(first), run(second)],
            rows,
            only,
            cautions: cautions(first, second),
        }
    }

    /// How many measurements have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// How many differences chance alone would show, at most, were there none.
    pub fn expected_by_chance(&self) -> f64 {
        self.rows
            .iter()
            .filter_map(|row| Some(chance(row.intervals[0].as_ref()?, row.intervals[1].as_ref()?)))
            .filter(|chance| *chance <= CHANCE)
            .sum()
    }
}

impl Difference {
    fn new(first: &Row, second: &Row) -> Self {
        let verdict = match first.is_right() && second.is_right() {
            true => verdict(first, second),
            false => Verdict::Wrong,
        };
        Difference {
            suite: first.suite.clone(),
            model: first.model.clone(),
            mode: first.mode,
            callers: first.callers,
            lanes: first.lanes,
            workers: first.workers,
            batch: first.batch,
            samples_per_s: [first.samples_per_s, second.samples_per_s],
            intervals: [first.interval, second.interval],
            ratio: over(second.samples_per_s, first.samples_per_s),
            p50_ratio: over(second.latency_us.p50, first.latency_us.p50),
            verdict,
        }
    }
}

fn verdict(first: &Row, second: &Row) -> Verdict {
    let (Some(one), Some(other)) = (&first.interval, &second.interval) else { return Verdict::Unknown };
    if chance(one, other) > CHANCE {
        return Verdict::Unknown;
    }
    let ratio = over(other.median, one.median);
    match one.is_apart_from(other) {
        true if ratio > 1.0 + LEAST => Verdict::Faster,
        true if ratio < 1.0 - LEAST => Verdict::Slower,
        _ => Verdict::Same,
    }
}

/// How probable it would be that these intervals are apart, were the rates equal: at most as probable as that all rounds are.
fn chance(one: &Estimate, other: &Estimate) -> f64 {
    chance_of_separation(one.rounds.min(6), other.rounds.min(6))
}

/// Whether two rows are the same measurement.
fn is_same(a: &Row, b: &Row) -> bool {
    let load = |row: &Row| row.load.map(|load| (load.arrivals, (load.share * 1e6).round() as u64));
    (&a.suite, &a.model, a.mode, a.callers, a.lanes, a.workers, a.batch, load(a))
        == (&b.suite, &b.model, b.mode, b.callers, b.lanes, b.workers, b.batch, load(b))
}

/// 0 where there is nothing to divide by.
fn over(value: f64, by: f64) -> f64 {
    if by > 0.0 { value / by } else { 0.0 }
}

/// What makes two runs hard to compare.
fn cautions(first: &Results, second: &Results) -> Vec<String> {
    let mut cautions = Vec::new();
    if first.machine != second.machine {
        cautions.push(format!(
            "the machines differ: {}, {} cores, {}; and {}, {} cores, {}",
            first.machine.cpu,
            first.machine.cores,
            first.machine.os,
            second.machine.cpu,
            second.machine.cores,
            second.machine.os
        ));
    }
    if first.device.isa != second.device.isa {
        cautions.push(format!("the kernels differ: {} and {}", first.device.isa, second.device.isa));
    }
    for (name, results) in [("first", first), ("second", second)] {
        if results.suites.iter().any(SuiteRun::is_noisy) {
            cautions.push(format!("the machine was noisy during the {name} run"));
        }
        if !results.problems.is_empty() {
            cautions.push(format!("the {name} run has problems: {}", results.problems.join("; ")));
        }
    }
    if let (Some(a), Some(b)) = (flops(first), flops(second))
        && (a / b - 1.0).abs() > 0.05
    {
        cautions.push(format!(
            "the machine's own rate of multiply-adds was {:.0} and {:.0} GFLOP/s: its clock, or its load, was another",
            a / 1e9,
            b / 1e9
        ));
    }
    cautions
}

fn flops(results: &Results) -> Option<f64> {
    results.ceilings.as_ref()?.flops_with(1)
}

#[cfg(test)]
mod tests {
    use paceline_device::Device;
    use paceline_device::conformance::ReferenceDevice;

    use super::*;
    use crate::measure::Tally;
    use crate::runner::Identity;

    fn row(callers: usize, rounds: &[f64]) -> Row {
        let (suite, model, mode) = ("threads", "mlp", Mode::Engine);
        Identity { suite, model, mode, callers, lanes: 2, batch: 1 }.row(rounds, &Tally::default())
    }

    fn results(rows: Vec<Row>) -> Results {
        Results { rows, ..Results::begin("0", "c", "test".into(), &ReferenceDevice.info()) }
    }

    fn around(rate: f64, rounds: usize) -> Vec<f64> {
        (0..rounds).map(|i| rate * (1.0 + (i as f64 - rounds as f64 / 2.0) * 0.005)).collect()
    }

    #[test]
    fn differences_are_those_beyond_the_noise() {
        for (one, other, expected) in [
            (around(100.0, 6), around(100.0, 6), Verdict::Same),
            (around(100.0, 6), around(101.0, 6), Verdict::Same),
            (around(100.0, 6), around(110.0, 6), Verdict::Faster),
            (around(100.0, 6), around(80.0, 6), Verdict::Slower),
            (around(100.0, 5), around(80.0, 5), Verdict::Slower),
            // All rounds are apart, by so little that another run might do it.
            (vec![100.0; 6], vec![101.5; 6], Verdict::Same),
            // Three rounds and three are apart by chance one time in ten.
            (around(100.0, 3), around(50.0, 3), Verdict::Unknown),
            (vec![100.0], vec![50.0], Verdict::Unknown),
            (vec![50.0, 80.0, 90.0, 100.0, 120.0, 150.0], around(110.0, 6), Verdict::Same),
        ] {
            let comparison = Comparison::new(&results(vec![row(1, &one)]), &results(vec![row(1, &other)]));
            assert_eq!(comparison.rows[0].verdict, expected, "{one:?} and {other:?}");
            let ratio = crate::median(&other) / crate::median(&one);
            assert!((comparison.rows[0].ratio - ratio).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_are_matched_by_what_they_measure() {
        let first = results(vec![row(1, &around(1.0, 6)), row(2, &around(2.0, 6)), row(4, &around(4.0, 6))]);
        let mut wrong = row(4, &around(4.0, 6));
        wrong.expected = 5;
        let second = results(vec![wrong, row(8, &around(8.0, 6)), row(2, &around(3.0, 6))]);
        let comparison = Comparison::new(&first, &second);
        let got: Vec<_> = comparison.rows.iter().map(|row| (row.callers, row.verdict)).collect();
        assert_eq!(got, [(2, Verdict::Faster), (4, Verdict::Wrong)]);
        assert_eq!(comparison.only, [1, 1]);
        assert_eq!((comparison.count(Verdict::Faster), comparison.count(Verdict::Slower)), (1, 0));
        assert!((comparison.expected_by_chance() - 2.0 * 2.0 / 924.0).abs() < 1e-9);
    }

    #[test]
    fn equal_rates_are_hardly_ever_told_apart() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut found = 0;
        let trials = 5_000;
        for _ in 0..trials {
            // One-sided noise, as of interruptions.
            let mut rounds =
                || -> Vec<f64> { (0..6).map(|_| 100.0 / (1.0 + random.random::<f64>().powi(4))).collect() };
            let comparison =
                Comparison::new(&results(vec![row(1, &rounds())]), &results(vec![row(1, &rounds())]));
            found += usize::from(comparison.rows[0].verdict != Verdict::Same);
        }
        assert!(found as f64 / f64::from(trials) < 0.006, "{found} of {trials}");
    }

    #[test]
    fn what_makes_runs_hard_to_compare_is_told() {
        let (first, mut second) = (results(Vec::new()), results(Vec::new()));
        assert!(Comparison::new(&first, &second).cautions.is_empty());
        second.machine.cores += 1;
        second.device.isa = "other".into();
        second.problems.push("the suite crashed".into());
        let cautions = Comparison::new(&first, &second).cautions;
        assert_eq!(cautions.len(), 3, "{cautions:?}");
        assert!(cautions[2].contains("second run has problems: the suite crashed"));
    }
}
