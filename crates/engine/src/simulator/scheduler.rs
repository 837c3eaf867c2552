//! What the world asks of a scheduler.

use super::traffic::Request;
use crate::clock::Nanos;

/// Decides what lanes execute. Requests are known by their numbers.
pub(super) trait Scheduler {
    /// What reports call it.
    fn name(&self) -> String;

    /// A request comes while so many lanes are busy; whether it is accepted.
    fn offer(&mut self, number: usize, request: &Request, busy: usize) -> bool;

    /// What a lane that is free does. `busy` counts it. The requests of its batch are put into `batch`, those that end without
    /// being executed into `shed`.
    fn next(
        &mut self,
        lane: usize,
        busy: usize,
        now: Nanos,
        batch: &mut Vec<usize>,
        shed: &mut Vec<usize>,
    ) -> Next;

    /// The lane's batch was executed in this time.
    fn finished(&mut self, lane: usize, took: Nanos);

    /// Whether something waits that an idle lane should execute at once.
    fn is_ripe(&self) -> bool;
}

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Executes the batch, all of it of this line.
    Execute { line: usize },
    /// Idles until then, or until the next request.
    Wait { until: Nanos },
    /// Idles until the next request.
    Idle,
}
