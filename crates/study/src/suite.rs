//! The suites: which points are measured, and of what.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use paceline_device::conformance::{Case, Kind};
use serde::{Deserialize, Serialize};

use crate::Point;
use crate::measure::{Arrivals, Length};

/// Callers and iterations of the study's check of operators and layers.
pub const CALLERS_BY_ITERATIONS: (usize, u64) = (8, 50);

/// Callers and iterations of [`Suite::Stress`].
pub const STRESS: [(usize, u64); 2] = [CALLERS_BY_ITERATIONS, (31, 100)];

/// A part of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Every operator: eight callers by fifty iterations through the engine, next to one at a time.
    Ops,
    /// The same for every layer.
    Layers,
    /// Whole models: eight callers by fifty iterations, and thirty-one by a hundred.
    Stress,
    /// More and more callers: threads with a session each, callers of the engine, tickets in flight.
    Threads,
    /// Eight callers next to one, on larger and larger layers.
    Workload,
    /// Larger and larger batches on one session.
    Batches,
    /// Threads, batches and the engine at equal parallelism.
    Compare,
    /// Requests of 64 samples to an engine in this process, and to one, two and four worker processes.
    Workers,
    /// Four callers of a speech model and four of a translation model at once.
    Mixed,
    /// More and more tickets in flight, then requests at times of their own: where throughput flattens, and what bounds it.
    Saturation,
    /// One load for minutes: whether rate, memory, descriptors and threads stay what they are.
    Soak,
}

/// No suite has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no suite '{0}'; the suites are {names}", names = Suite::ALL.map(Suite::name).join(", "))]
pub struct UnknownSuite(pub String);

/// What the suites of models vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Numbers of callers; of [`Suite::Saturation`], tickets in flight.
    pub callers: Vec<usize>,
    /// Batch sizes of [`Suite::Batches`].
    pub batches: Vec<usize>,
    /// Batch sizes of [`Mode::Threads`](crate::Mode::Threads) in [`Suite::Threads`].
    pub thread_batches: Vec<usize>,
    /// The same for models of these names.
    pub thread_batches_of: BTreeMap<String, Vec<usize>>,
    /// Lanes of the engine.
    pub lanes: usize,
    /// Time of each measurement: of all of its rounds.
    pub time: Duration,
    /// Rounds of each measurement, at least 1; fewer are made of what takes very long.
    pub rounds: usize,
    /// How requests come in the open loops of [`Suite::Saturation`].
    pub arrivals: Vec<Arrivals>,
    /// Rates of these open loops, as shares of the best rate of the closed ones.
    pub shares: Vec<f64>,
    /// Numbers of workers of [`Suite::Workers`], each at least 1.
    pub workers: Vec<usize>,
    /// How long [`Suite::Soak`] takes.
    pub soak: Duration,
}

impl Default for Scale {
    /// Short, and of little; a base for literals.
    fn default() -> Self {
        Scale {
            callers: vec![1, 2],
            batches: vec![1, 8],
            thread_batches: vec![1],
            thread_batches_of: BTreeMap::new(),
            lanes: 2,
            time: Duration::from_millis(10),
            rounds: 2,
            arrivals: vec![Arrivals::Poisson],
            shares: vec![0.5],
            workers: vec![1],
            soak: Duration::from_secs(1),
        }
    }
}

impl Scale {
    /// Of one round.
    pub(crate) fn round_time(&self) -> Duration {
        self.time / self.rounds.max(1) as u32
    }
}

impl Suite {
    /// Every suite, in the order of a report.
    pub const ALL: [Suite; 11] = [
        Suite::Ops,
        Suite::Layers,
        Suite::Stress,
        Suite::Threads,
        Suite::Workload,
        Suite::Batches,
        Suite::Compare,
        Suite::Workers,
        Suite::Mixed,
        Suite::Saturation,
        Suite::Soak,
    ];

    /// The name used on command lines and in `results.json`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Ops => "ops",
            Suite::Layers => "layers",
            Suite::Stress => "stress",
            Suite::Threads => "threads",
            Suite::Workload => "workload",
            Suite::Batches => "batches",
            Suite::Compare => "compare",
            Suite::Workers => "workers",
            Suite::Mixed => "mixed",
            Suite::Saturation => "saturation",
            Suite::Soak => "soak",
        }
    }

    /// Whether it measures models by name, whichever are wanted; not the cases of operators or layers, nor models of its own.
    pub fn is_of_models(self) -> bool {
        !matches!(self, Suite::Ops | Suite::Layers | Suite::Workload | Suite::Mixed)
    }

    /// Whether a study has it unless suites are chosen.
    pub fn is_default(self) -> bool {
        self != Suite::Soak
    }

    /// Whether what lanes of an engine execute for it is traced.
    pub fn is_traced(self) -> bool {
        !matches!(self, Suite::Batches | Suite::Workers | Suite::Mixed | Suite::Saturation | Suite::Soak)
    }

    /// Whether it measures this case: operators and layers on ordinary numbers.
    pub(crate) fn has(self, case: &Case) -> bool {
        let kind = match self {
            Suite::Ops => Kind::Operator,
            Suite::Layers => Kind::Layer,
            _ => return false,
        };
        case.kind() == kind && case.signature().batched && !case.name().contains("extreme")
    }

    /// The points of one workload, by name, that do not depend on what other points give; the first baseline first.
    pub(crate) fn points(self, scale: &Scale, name: &str) -> Vec<Point> {
        let time = Length::Time(scale.round_time());
        let lanes = scale.lanes;
        let mut points = vec![Point::sequential(self, time)];
        match self {
            Suite::Ops | Suite::Layers => {
                let (callers, iterations) = CALLERS_BY_ITERATIONS;
                points[0] = Point::sequential(self, Length::Calls(iterations * callers as u64));
                points.push(Point::engine(self, callers, lanes, Length::Calls(iterations)));
            }
            Suite::Stress => {
                points.clear();
                for (callers, iterations) in STRESS {
                    let point = Point::engine(self, callers, lanes, Length::Calls(iterations));
                    points.push(point.over(None).alternating());
                }
            }
            Suite::Threads => {
                for &batch in scale.thread_batches_of.get(name).unwrap_or(&scale.thread_batches) {
                    let baseline = if batch == 1 { 0 } else { points.len() };
                    if batch > 1 {
                        points.push(Point::batch(self, batch, time));
                    }
                    let threads = |&n| Point::threads(self, n, batch, time).over(baseline);
                    points.extend(scale.callers.iter().map(threads));
                }
                points.extend(scale.callers.iter().map(|&n| Point::engine(self, n, lanes, time)));
                points.extend(scale.callers.iter().map(|&n| Point::engine_async(self, n, lanes, time)));
            }
            Suite::Workload => {
                for &n in &scale.callers {
                    points.push(Point::threads(self, n, 1, time));
                    points.push(Point::engine(self, n, lanes, time));
                }
            }
            Suite::Batches => {
                points.extend(scale.batches.iter().map(|&batch| Point::batch(self, batch, time)));
            }
            Suite::Compare => {
                for &n in scale.callers.iter().filter(|&&n| n > 1) {
                    points.push(Point::threads(self, n, 1, time));
                    points.push(Point::batch(self, n, time));
                    points.push(Point::engine(self, n, lanes, time));
                    points.push(Point::engine_async(self, n, lanes, time));
                }
            }
            Suite::Saturation => {
                points.extend(scale.callers.iter().map(|&n| Point::engine_async(self, n, lanes, time)));
            }
            Suite::Workers | Suite::Mixed | Suite::Soak => points.clear(),
        }
        points
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(name: &str) -> Result<Self, UnknownSuite> {
        Self::ALL.into_iter().find(|suite| suite.name() == name).ok_or_else(|| UnknownSuite(name.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    fn scale(callers: &[usize], batches: &[usize], thread_batches: &[usize]) -> Scale {
        Scale {
            callers: callers.to_vec(),
            batches: batches.to_vec(),
            thread_batches: thread_batches.to_vec(),
            lanes: 3,
            ..Scale::default()
        }
    }

    #[test]
    fn every_suite_begins_with_its_baseline_and_varies_what_it_is_for() {
        use Mode::*;
        let cases = [
            (Suite::Ops, scale(&[1, 2], &[], &[]), vec![(Engine, 8, 1)]),
            (Suite::Layers, scale(&[4], &[9], &[9]), vec![(Engine, 8, 1)]),
            (
                Suite::Threads,
                scale(&[1, 4], &[9], &[1]),
                vec![
                    (Threads, 1, 1),
                    (Threads, 4, 1),
                    (Engine, 1, 1),
                    (Engine, 4, 1),
                    (EngineAsync, 1, 1),
                    (EngineAsync, 4, 1),
                ],
            ),
            (
                Suite::Threads,
                scale(&[2], &[9], &[8]),
                vec![(Batch, 1, 8), (Threads, 2, 8), (Engine, 2, 1), (EngineAsync, 2, 1)],
            ),
            (Suite::Workload, scale(&[8], &[9], &[9]), vec![(Threads, 8, 1), (Engine, 8, 1)]),
            (Suite::Batches, scale(&[2], &[8, 64], &[9]), vec![(Batch, 1, 8), (Batch, 1, 64)]),
            (
                Suite::Compare,
                scale(&[1, 4], &[9], &[1]),
                vec![(Threads, 4, 1), (Batch, 1, 4), (Engine, 4, 1), (EngineAsync, 4, 1)],
            ),
            (Suite::Saturation, scale(&[1, 64], &[9], &[1]), vec![(EngineAsync, 1, 1), (EngineAsync, 64, 1)]),
        ];
        for (suite, scale, expected) in cases {
            let points = suite.points(&scale, "m");
            assert_eq!((points[0].mode, points[0].callers, points[0].batch), (Sequential, 1, 1));
            assert_eq!(points[0].baseline, None);
            let got: Vec<_> = points[1..].iter().map(|p| (p.mode, p.callers, p.batch)).collect();
            assert_eq!(got, expected, "{suite}");
            for point in &points {
                let lanes = match point.mode {
                    Engine | EngineAsync => 3,
                    _ => point.callers,
                };
                assert_eq!(point.lanes, lanes);
            }
        }
    }

    #[test]
    fn baselines_do_as_much_a_call() {
        let mut scale = scale(&[1, 4], &[], &[1]);
        scale.thread_batches_of.insert("large".into(), vec![1, 32]);
        let points = Suite::Threads.points(&scale, "large");
        let threads = points.iter().filter(|point| point.mode == Mode::Threads);
        let baselines: Vec<_> = threads.map(|point| points[point.baseline.unwrap()].name()).collect();
        assert_eq!(baselines, ["sequential", "sequential", "batch 32", "batch 32"]);
        assert!(Suite::Threads.points(&scale, "small").iter().all(|point| point.batch == 1));
        let stress: Vec<_> =
            Suite::Stress.points(&scale, "m").iter().map(|p| (p.callers, p.length)).collect();
        assert_eq!(stress, [(8, Length::Calls(50)), (31, Length::Calls(100))]);
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for suite in Suite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        assert!("speed".parse::<Suite>().unwrap_err().to_string().contains("ops, layers, stress"));
    }
}
