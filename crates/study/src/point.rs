//! How a workload is called: one measurement to be made, in one of the modes that are compared.

use crate::Suite;
use crate::measure::Length;
use crate::row::Mode;

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
    /// Which point of the same list its rate is compared with.
    pub(crate) baseline: Option<usize>,
    /// Whether callers of the engine send every second request by ticket.
    pub(crate) alternates: bool,
    /// Of each round.
    pub(crate) length: Length,
}

impl Point {
    /// The baseline of most ratios.
    pub(crate) fn sequential(suite: Suite, length: Length) -> Self {
        let (baseline, alternates) = (None, false);
        Point { suite, mode: Mode::Sequential, callers: 1, lanes: 1, batch: 1, baseline, alternates, length }
    }

    /// N callers, a session each.
    pub(crate) fn threads(suite: Suite, callers: usize, batch: usize, length: Length) -> Self {
        let one = Self::sequential(suite, length);
        Point { mode: Mode::Threads, callers, lanes: callers, batch, baseline: Some(0), ..one }
    }

    /// One caller, a batch a call.
    pub(crate) fn batch(suite: Suite, batch: usize, length: Length) -> Self {
        Point { mode: Mode::Batch, batch, baseline: Some(0), ..Self::sequential(suite, length) }
    }

    /// N callers through the engine.
    pub(crate) fn engine(suite: Suite, callers: usize, lanes: usize, length: Length) -> Self {
        Point { mode: Mode::Engine, callers, lanes, baseline: Some(0), ..Self::sequential(suite, length) }
    }

    /// N tickets in flight.
    pub(crate) fn engine_async(suite: Suite, tickets: usize, lanes: usize, length: Length) -> Self {
        Point { mode: Mode::EngineAsync, ..Self::engine(suite, tickets, lanes, length) }
    }

    /// The same, next to another point than the first.
    pub(crate) fn over(self, baseline: impl Into<Option<usize>>) -> Self {
        Point { baseline: baseline.into(), ..self }
    }

    /// The same, with every second request sent by ticket.
    pub(crate) fn alternating(self) -> Self {
        Point { alternates: true, ..self }
    }

    /// Whether it is measured through the engine.
    pub(crate) fn is_of_the_engine(&self) -> bool {
        matches!(self.mode, Mode::Engine | Mode::EngineAsync)
    }

    /// Rounds, where so many are wanted: calls that are counted are made once.
    pub(crate) fn rounds(&self, wanted: usize) -> usize {
        if matches!(self.length, Length::Calls(_)) { 1 } else { wanted.max(1) }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        let Point { callers, batch, .. } = self;
        match (self.mode, batch) {
            (Mode::Sequential, _) => "sequential".into(),
            (Mode::Batch, _) => format!("batch {batch}"),
            (mode, 1) => format!("{} {callers}", mode.name()),
            (mode, _) => format!("{} {callers} x {batch}", mode.name()),
        }
    }
}
