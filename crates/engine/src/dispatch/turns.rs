//! What a lane that is free does next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::calls::Call;
use super::state::State;
use super::{Dispatch, Lane};
use crate::clock::Nanos;
use crate::decide::{Decision, Take};
use crate::job::Part;
use crate::serving::Serving;
use crate::statistics::Release;
use crate::sync::{Thread, lock};

/// What a lane is to execute, beside the parts.
pub(crate) struct Assignment {
    pub(crate) serving: Arc<Serving>,
    pub(crate) line: usize,
    pub(crate) samples: usize,
    pub(crate) release: Release,
    /// Lanes that execute, this one included.
    pub(crate) busy: usize,
    pub(crate) predicted: Nanos,
    /// Lanes that were called to help.
    pub(crate) helpers: usize,
}

/// An execution that took place, for the table of costs.
#[derive(Clone, Copy)]
pub(crate) struct Execution<'a> {
    pub(crate) serving: &'a Serving,
    /// The model's [slot](crate::loaded::Loaded::slot).
    pub(crate) model: usize,
    pub(crate) line: usize,
    pub(crate) samples: usize,
    pub(crate) busy: usize,
    pub(crate) predicted: Nanos,
    pub(crate) took: Nanos,
    /// Lanes that were called to help.
    pub(crate) helpers: usize,
    pub(crate) ok: bool,
}

/// What a lane that is free does.
pub(crate) enum Next {
    /// The batch is filled.
    Execute(Lane, Assignment),
    /// Nothing to execute, but requests to shed: answer them and ask again.
    Shed(Lane),
    /// The lane shall be retired.
    Retire(Lane),
    /// The lane is idle now.
    Idle,
}

impl Dispatch {
    /// What a lane that is free does next. The parts of its batch are put into `batch`, those that are too late into `shed`.
    pub(crate) fn next(
        &self,
        lane: Lane,
        done: Option<Execution<'_>>,
        batch: &mut Vec<Part>,
        shed: &mut Vec<Part>,
    ) -> Next {
        // Dropped after the lock is released.
        let mut gone: SmallVec<[Arc<Serving>; 1]> = SmallVec::new();
        self.end(&lane);
        let mut state = lock(&self.state);
        state.record(done);
        let helped = std::mem::take(&mut state.posts[lane.index()].helps);
        if state.alive > state.wanted {
            // At once, so that of lanes that become free together not one too many goes.
            let woken = self.leave(&mut state, &lane);
            drop(state);
            woken.iter().for_each(Thread::unpark);
            return Next::Retire(lane);
        }
        loop {
            let now = self.clock.now();
            let load = state.load();
            let decision = state.queue.take_batch(load, now, batch, shed);
            let alarm = match decision {
                Decision::Take(Take { samples: 0, line, .. }) => {
                    gone.extend(state.collect(line));
                    continue;
                }
                Decision::Take(Take { line, samples, release, predicted }) => {
                    state.assign(&lane, samples, now, predicted);
                    let serving = state.collect(line).or_else(|| state.serving[line].clone());
                    let Some(serving) = serving else {
                        unreachable!("a line has a program as long as it is there")
                    };
                    let (helpers, mut woken) =
                        self.call_for_help(&mut state, &lane, &serving, now, predicted);
                    woken.extend(self.rouse(&mut state));
                    drop(state);
                    woken.iter().for_each(Thread::unpark);
                    let busy = load.busy;
                    let assignment = Assignment { serving, line, samples, release, busy, predicted, helpers };
                    return Next::Execute(lane, assignment);
                }
                _ if !shed.is_empty() => return Next::Shed(lane),
                Decision::Wait { until } => Some(until),
                Decision::Idle => {
                    self.wanted.store(false, Ordering::Relaxed);
                    None
                }
            };
            // In the same moment, or the caller whom it helped would take it, and leave its own lane to be woken.
            state.posts[lane.index()].awake = helped;
            let thread = self.settle(&mut state, lane, alarm);
            drop(state);
            if let Some(thread) = thread {
                thread.unpark();
            }
            return Next::Idle;
        }
    }

    /// Returns a claimed lane; its thread goes on when something waits.
    pub(crate) fn release(&self, lane: Lane, done: Option<Execution<'_>>) {
        self.end(&lane);
        let mut state = lock(&self.state);
        state.record(done);
        let thread = if state.queue.is_empty() && state.alive <= state.wanted {
            self.settle(&mut state, lane, None)
        } else {
            state.posts[lane.index()].until = 0;
            self.call(&mut state, Call::Serve(lane))
        };
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}

impl State {
    /// A lane begins to execute.
    pub(super) fn assign(&mut self, lane: &Lane, samples: usize, now: Nanos, predicted: Nanos) {
        let (post, until) = (&mut self.posts[lane.index()], now.saturating_add(predicted));
        (post.latest, post.until, post.served_until) = (samples, until, until);
    }

    fn record(&mut self, done: Option<Execution<'_>>) {
        let Some(Execution { serving, model, line, samples, busy, predicted, took, helpers, ok }) = done
        else {
            return;
        };
        self.queue.settle_account(model, predicted, took);
        // The line may be another program's by now.
        if ok && self.serving[line].as_deref().is_some_and(|there| std::ptr::eq(there, serving)) {
            self.queue.record(line, samples, busy, predicted, took, helpers);
        }
    }
}
