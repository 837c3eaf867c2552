//! A point at work: callers that are made once and measured in rounds.
//!
//! The rounds of all points of a workload take turns, so that a machine that is slow for a second slows a round of each, and not
//! all rounds of one; and a ratio is taken round by round, so that it slows both sides of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paceline_engine::{Callable, Engine, Model, Trace};

use crate::estimate::{Estimate, median};
use crate::measure::{Bare, Blocking, Clock, Length, Round, Strip, Tally, drive, keep_in_flight};
use crate::row::{EngineRow, Mode, Over, Row};
use crate::workload::Workload;
use crate::{Point, StudyError};

/// Rounds take at most so many times the time that was meant for them, but never fewer than [`LEAST_ROUNDS`] are made.
const PATIENCE: f64 = 4.0;
const LEAST_ROUNDS: usize = 3;

/// What a measurement gave.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// As it stands in `results.json`.
    pub row: Row,
    /// The first error of a call, where there was one.
    pub first_error: Option<String>,
    /// What the engine's lanes executed, where there was an engine and a trace was asked for.
    pub trace: Trace,
}

/// A point at work.
pub(crate) struct Runner<'w> {
    point: Point,
    workload: &'w Workload,
    callers: Callers<'w>,
    /// Rounds to be made.
    wanted: usize,
    rounds: Vec<f64>,
    all: Tally,
}

enum Callers<'w> {
    Bare(Vec<Bare>),
    Blocking(Served, Vec<Blocking<'w>>),
    InFlight(Served),
}

/// A workload in an engine of its own.
struct Served {
    engine: Engine,
    model: Model,
    /// Time that all lanes together executed in the rounds, and could have.
    busy: Duration,
    available: Duration,
}

impl<'w> Runner<'w> {
    /// Makes the callers; of each lane of an engine, at most so many events are kept for the trace.
    pub(crate) fn new(
        point: Point,
        workload: &'w Workload,
        rounds: usize,
        events: usize,
    ) -> Result<Self, StudyError> {
        let callers = match point.mode {
            Mode::Engine => {
                let served = Served::new(workload, point.lanes, events)?;
                let blocking = |index| Blocking::new(workload, served.callable(), index);
                let callers = (0..point.callers).map(blocking);
                let callers: Vec<_> = match point.alternates {
                    true => callers.map(Blocking::alternating).collect(),
                    false => callers.collect(),
                };
                Callers::Blocking(served, callers)
            }
            Mode::EngineAsync | Mode::HandOff => {
                Callers::InFlight(Served::new(workload, point.lanes, events)?)
            }
            _ => {
                let strip = Arc::new(Strip::new(workload, point.batch));
                let callers = (0..point.callers).map(|index| Bare::new(workload, &strip, index));
                Callers::Bare(callers.collect::<Result<_, _>>()?)
            }
        };
        let wanted = point.rounds(rounds);
        Ok(Runner { point, workload, callers, wanted, rounds: Vec::new(), all: Tally::default() })
    }

    /// The point.
    pub(crate) fn point(&self) -> &Point {
        &self.point
    }

    /// Whether another round is to be made.
    pub(crate) fn is_wanting(&self) -> bool {
        self.rounds.len() < self.wanted
    }

    /// Measures a round.
    pub(crate) fn round(&mut self) -> Result<(), StudyError> {
        let Point { length, callers: count, .. } = self.point;
        let round = match self.rounds.is_empty() {
            true => Round::first(length),
            false => Round::again(length, self.all.latencies.mean()),
        };
        let start = Instant::now();
        let tally = match &mut self.callers {
            Callers::Bare(callers) => drive(callers, round, Clock::InCalls)?,
            Callers::Blocking(served, callers) => served.watch(|_| drive(callers, round, Clock::Wall))?,
            Callers::InFlight(served) => {
                served.watch(|model| keep_in_flight(self.workload, model, count, round))
            }
        };
        if let (Length::Time(time), true) = (length, self.rounds.is_empty()) {
            let affordable =
                PATIENCE * time.as_secs_f64() * self.wanted as f64 / start.elapsed().as_secs_f64();
            self.wanted = self.wanted.min((affordable as usize).max(LEAST_ROUNDS));
        }
        self.rounds.push(tally.calls_per_s * self.point.batch as f64);
        self.all.merge(tally);
        Ok(())
    }

    /// Ends it; `rounds` are those of every point, by index.
    pub(crate) fn finish(self, points: &[(Point, Vec<f64>)]) -> Measurement {
        let mut measurement = self.measurement(points);
        if let Callers::Blocking(served, _) | Callers::InFlight(served) = self.callers {
            // The last callers have their answers before the lanes have counted them.
            served.engine.drain();
            measurement.row.engine = Some(EngineRow::new(&served.model.statistics(), served.occupancy()));
            measurement.trace = served.engine.take_trace();
        }
        measurement
    }

    /// Samples a second of the rounds so far.
    pub(crate) fn rounds(&self) -> &[f64] {
        &self.rounds
    }

    fn measurement(&self, points: &[(Point, Vec<f64>)]) -> Measurement {
        let Point { callers, lanes, batch, .. } = self.point;
        let over =
            self.point.baseline.and_then(|index| points.get(index)).and_then(|(baseline, of_baseline)| {
                let parallelism = (callers * batch) as f64 / (baseline.callers * baseline.batch) as f64;
                Over::new(baseline.name(), &self.rounds, of_baseline, parallelism)
            });
        let identity = Identity {
            suite: self.point.suite.name(),
            model: self.workload.name(),
            mode: self.point.mode,
            callers,
            lanes,
            batch,
        };
        Measurement {
            row: Row { over, ..identity.row(&self.rounds, &self.all) },
            first_error: self.all.first_error.clone(),
            trace: Trace::default(),
        }
    }
}

/// What is measured, in a row.
pub(crate) struct Identity<'a> {
    pub(crate) suite: &'a str,
    pub(crate) model: &'a str,
    pub(crate) mode: Mode,
    pub(crate) callers: usize,
    pub(crate) lanes: usize,
    pub(crate) batch: usize,
}

impl Identity<'_> {
    /// The row of these rounds, in samples a second, and all of their calls.
    pub(crate) fn row(&self, rounds: &[f64], all: &Tally) -> Row {
        let samples = all.measured * self.batch as u64;
        let samples_per_s = median(rounds);
        Row {
            suite: self.suite.into(),
            model: self.model.into(),
            mode: self.mode,
            callers: self.callers,
            lanes: self.lanes,
            workers: 0,
            batch: self.batch,
            samples,
            seconds: if samples_per_s > 0.0 { samples as f64 / samples_per_s } else { 0.0 },
            samples_per_s,
            latency_us: all.latencies.summary(),
            expected: all.expected,
            completed: all.completed,
            errors: all.errors,
            wrong: all.wrong,
            rounds: rounds.to_vec(),
            interval: Estimate::of(rounds).filter(|estimate| estimate.rounds > 1),
            over: None,
            load: None,
            engine: None,
        }
    }
}

impl Served {
    fn new(workload: &Workload, lanes: usize, events: usize) -> Result<Self, StudyError> {
        let (engine, model) = load(workload, lanes, events)?;
        Ok(Served { engine, model, busy: Duration::ZERO, available: Duration::ZERO })
    }

    /// Measures a round, and how busy the lanes are meanwhile.
    fn watch<T>(&mut self, round: impl FnOnce(&Model) -> T) -> T {
        let busy =
            |engine: &Engine| -> Duration { engine.statistics().by_lane.iter().map(|lane| lane.busy).sum() };
        let (start, before) = (Instant::now(), busy(&self.engine));
        let result = round(&self.model);
        self.busy += busy(&self.engine).saturating_sub(before);
        self.available += start.elapsed() * self.engine.statistics().by_lane.len() as u32;
        result
    }

    fn callable(&self) -> Arc<dyn Callable> {
        Arc::new(self.model.clone())
    }

    fn occupancy(&self) -> f64 {
        (self.busy.as_secs_f64() / self.available.as_secs_f64().max(1e-9)).min(1.0)
    }
}

/// Lets each of these callers call so often through the engine, every second time by ticket.
pub(crate) fn check_answers(
    workload: &Workload,
    callers: usize,
    lanes: usize,
    iterations: u64,
) -> Result<Tally, StudyError> {
    let (_engine, model) = load(workload, lanes, 0)?;
    let model: Arc<dyn Callable> = Arc::new(model);
    let callers = (0..callers).map(|index| Blocking::new(workload, Arc::clone(&model), index).alternating());
    drive(&mut callers.collect::<Vec<_>>(), Round::first(Length::Calls(iterations)), Clock::Wall)
}

/// The workload in a new engine, which keeps so many events of each lane.
pub(crate) fn load(workload: &Workload, lanes: usize, events: usize) -> Result<(Engine, Model), StudyError> {
    let engine = Engine::builder().lanes(lanes).trace(events).build()?;
    let model = engine.load(workload.name(), workload.program().clone())?;
    Ok((engine, model))
}
