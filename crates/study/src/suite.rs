//! The suites: which points are measured, and of what.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use paceline_device::conformance::{Case, Kind};

use crate::Point;
use crate::measure::Length;

/// Callers and iterations of the study's check of operators and layers.
pub const CALLERS_BY_ITERATIONS: (usize, u64) = (8, 50);

/// A part of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    /// Every operator: eight callers by fifty iterations through the engine, next to one at a time.
    Ops,
    /// The same for every layer.
    Layers,
    /// More and more callers: threads with a session each, callers of the engine, tickets in flight.
    Threads,
    /// Larger and larger batches on one session.
    Batches,
    /// Threads, batches and the engine at equal parallelism.
    Compare,
}

/// No suite has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no suite '{0}'; the suites are ops, layers, threads, batches, compare")]
pub struct UnknownSuite(pub String);

/// What the suites of models vary.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Numbers of callers.
    pub callers: Vec<usize>,
    /// Batch sizes of [`Suite::Batches`].
    pub batches: Vec<usize>,
    /// Batch sizes of [`Mode::Threads`](crate::Mode::Threads) in [`Suite::Threads`].
    pub thread_batches: Vec<usize>,
    /// Lanes of the engine.
    pub lanes: usize,
    /// Time of each measurement.
    pub time: Duration,
}

impl Suite {
    /// Every suite, in the order of a report.
    pub const ALL: [Suite; 5] = [Suite::Ops, Suite::Layers, Suite::Threads, Suite::Batches, Suite::Compare];

    /// The name used on command lines and in `results.json`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Ops => "ops",
            Suite::Layers => "layers",
            Suite::Threads => "threads",
            Suite::Batches => "batches",
            Suite::Compare => "compare",
        }
    }

    /// Whether it measures models by name, not the cases of operators or layers.
    pub fn is_of_models(self) -> bool {
        !matches!(self, Suite::Ops | Suite::Layers)
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

    /// The points of one workload, the baseline first.
    pub(crate) fn points(self, scale: &Scale) -> Vec<Point> {
        let time = Length::Time(scale.time);
        let lanes = scale.lanes;
        let mut points = Vec::new();
        match self {
            Suite::Ops | Suite::Layers => {
                let (callers, iterations) = CALLERS_BY_ITERATIONS;
                let calls = Length::Calls(iterations);
                points.push(Point::sequential(self, Length::Calls(iterations * callers as u64)));
                points.push(Point::engine(self, callers, lanes, calls));
            }
            Suite::Threads => {
                points.push(Point::sequential(self, time));
                for &callers in &scale.callers {
                    points.extend(
                        scale.thread_batches.iter().map(|&batch| Point::threads(self, callers, batch, time)),
                    );
                }
                points.extend(scale.callers.iter().map(|&n| Point::engine(self, n, lanes, time)));
                points.extend(scale.callers.iter().map(|&n| Point::engine_async(self, n, lanes, time)));
            }
            Suite::Batches => {
                points.push(Point::sequential(self, time));
                points.extend(scale.batches.iter().map(|&batch| Point::batch(self, batch, time)));
            }
            Suite::Compare => {
                points.push(Point::sequential(self, time));
                for &n in scale.callers.iter().filter(|&&n| n > 1) {
                    points.push(Point::threads(self, n, 1, time));
                    points.push(Point::batch(self, n, time));
                    points.push(Point::engine(self, n, lanes, time));
                }
            }
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

    #[test]
    fn every_suite_begins_with_its_baseline_and_varies_what_it_is_for() {
        let scale = |callers: &[usize], batches: &[usize], thread_batches: &[usize]| Scale {
            callers: callers.to_vec(),
            batches: batches.to_vec(),
            thread_batches: thread_batches.to_vec(),
            lanes: 3,
            time: Duration::from_millis(1),
        };
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
                vec![(Threads, 2, 8), (Engine, 2, 1), (EngineAsync, 2, 1)],
            ),
            (Suite::Batches, scale(&[2], &[8, 64], &[9]), vec![(Batch, 1, 8), (Batch, 1, 64)]),
            (
                Suite::Compare,
                scale(&[1, 4], &[9], &[1]),
                vec![(Threads, 4, 1), (Batch, 1, 4), (Engine, 4, 1)],
            ),
        ];
        for (suite, scale, expected) in cases {
            let points = suite.points(&scale);
            assert_eq!((points[0].mode, points[0].callers, points[0].batch), (Sequential, 1, 1));
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
    fn names_round_trip_and_others_are_refused() {
        for suite in Suite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        assert!("speed".parse::<Suite>().unwrap_err().to_string().contains("ops, layers, threads"));
    }
}
