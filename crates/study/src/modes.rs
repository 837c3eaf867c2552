//! How a workload is called: the modes that are compared, and one measurement in one of them.

use paceline_engine::{Engine, Model, Trace};

use crate::measure::{Bare, Blocking, Clock, Length, Strip, Tally, drive, keep_in_flight};
use crate::results::{EngineRow, Mode, Row};
use crate::workload::Workload;
use crate::{StudyError, Suite};

/// One measurement to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which suite it belongs to.
    pub suite: Suite,
    /// How the workload is called.
    pub mode: Mode,
    /// Threads that call, or tickets in flight.
    pub callers: usize,
    /// Lanes that execute: sessions, where there is no engine.
    pub lanes: usize,
    /// Samples a call.
    pub batch: usize,
    pub(crate) length: Length,
}

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

impl Point {
    /// The baseline of every ratio.
    pub(crate) fn sequential(suite: Suite, length: Length) -> Self {
        Point { suite, mode: Mode::Sequential, callers: 1, lanes: 1, batch: 1, length }
    }

    /// N callers, a session each.
    pub(crate) fn threads(suite: Suite, callers: usize, batch: usize, length: Length) -> Self {
        Point { suite, mode: Mode::Threads, callers, lanes: callers, batch, length }
    }

    /// One caller, a batch a call.
    pub(crate) fn batch(suite: Suite, batch: usize, length: Length) -> Self {
        Point { suite, mode: Mode::Batch, callers: 1, lanes: 1, batch, length }
    }

    /// N callers through the engine.
    pub(crate) fn engine(suite: Suite, callers: usize, lanes: usize, length: Length) -> Self {
        Point { suite, mode: Mode::Engine, callers, lanes, batch: 1, length }
    }

    /// N tickets in flight.
    pub(crate) fn engine_async(suite: Suite, tickets: usize, lanes: usize, length: Length) -> Self {
        Point { suite, mode: Mode::EngineAsync, callers: tickets, lanes, batch: 1, length }
    }

    /// Whether it is measured through the engine.
    pub(crate) fn is_of_the_engine(&self) -> bool {
        matches!(self.mode, Mode::Engine | Mode::EngineAsync)
    }

    /// Measures. Of each lane of an engine, at most so many events are kept for the trace.
    pub(crate) fn measure(&self, workload: &Workload, events: usize) -> Result<Measurement, StudyError> {
        if !self.is_of_the_engine() {
            return Ok(self.measurement(workload, bare(workload, self)?));
        }
        let (engine, model) = load(workload, self.lanes, events)?;
        let tally = if self.mode == Mode::EngineAsync {
            keep_in_flight(workload, &model, self.callers, self.length)
        } else {
            let callers = (0..self.callers).map(|index| Blocking::new(workload, &model, index));
            drive(callers.collect(), self.length, Clock::Wall)?
        };
        // The last callers have their answers before the lanes have counted them.
        engine.drain();
        let mut measurement = self.measurement(workload, tally);
        measurement.row.engine = Some(EngineRow::new(&model.statistics(), &engine.statistics()));
        measurement.trace = engine.take_trace();
        Ok(measurement)
    }

    fn measurement(&self, workload: &Workload, tally: Tally) -> Measurement {
        let samples = tally.measured * self.batch as u64;
        let samples_per_s = tally.calls_per_s * self.batch as f64;
        let row = Row {
            suite: self.suite.to_string(),
            model: workload.name().to_string(),
            mode: self.mode,
            callers: self.callers,
            lanes: self.lanes,
            workers: 0,
            batch: self.batch,
            samples,
            seconds: samples as f64 / samples_per_s,
            samples_per_s,
            latency_us: tally.latencies.summary(),
            expected: tally.expected,
            completed: tally.completed,
            errors: tally.errors,
            wrong: tally.wrong,
            engine: None,
        };
        Measurement { row, first_error: tally.first_error, trace: Trace::default() }
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
    let callers = (0..callers).map(|index| Blocking::new(workload, &model, index).alternating());
    drive(callers.collect(), Length::Calls(iterations), Clock::Wall)
}

fn bare(workload: &Workload, point: &Point) -> Result<Tally, StudyError> {
    let strip = Strip::new(workload, point.batch);
    let callers = (0..point.callers).map(|index| Bare::new(workload, &strip, index));
    drive(callers.collect::<Result<_, _>>()?, point.length, Clock::InCalls)
}

/// The workload in a new engine, which keeps so many events of each lane.
fn load(workload: &Workload, lanes: usize, events: usize) -> Result<(Engine, Model), StudyError> {
    let engine = Engine::builder().lanes(lanes).trace(events).build()?;
    let model = engine.load(workload.name(), workload.program().clone())?;
    Ok((engine, model))
}
