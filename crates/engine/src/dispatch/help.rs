//! Idle lanes that are lent to an execution, while nothing waits: they are called to help it, and count as idle in all but name.
//! They look for it between two pieces of work whether a request waits ([`is_wanted`](Dispatch::is_wanted)).
//!
//! **Who is called.** To wake a thread takes longer than many executions. So a lane that helped stays awake for a moment, because
//! executions that are worth helping follow each other, and lanes that sleep are called for long executions only, or where
//! short ones follow each other closely. A lane whose own callers are surely about to come back is left to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::calls::Call;
use super::state::{Post, State};
use super::{Dispatch, Lane};
use crate::clock::Nanos;
use crate::serving::Serving;
use crate::sync::Thread;

/// Of shorter executions hardly anything is left when a lane that slept has come.
const LONG_NS: Nanos = 150_000;
/// Shorter executions have little that is worth sharing.
const HELPED_FROM_NS: Nanos = 30_000;
/// One lane is called for each so much predicted time, and at least one.
const NS_A_HELPER: Nanos = 50_000;
/// How long a lane that helped stays awake; and how long ago a lane must have executed to be lent to a short execution.
pub(super) const AWAKE_NS: Nanos = 100_000;
/// So many executions, each of which begins no longer than it takes after the one before should have ended, make a series.
const SERIES: u32 = 3;

/// What a lane executes at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    lane: usize,
    ended: usize,
}

/// How many executions have followed each other closely.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Series {
    length: u32,
    until: Nanos,
}

impl Series {
    /// An execution begins that should take `predicted`; whether it is one of a series.
    fn goes_on(&mut self, now: Nanos, predicted: Nanos) -> bool {
        let follows = now.saturating_sub(self.until) <= predicted;
        self.length = if follows { self.length.saturating_add(1) } else { 0 };
        self.until = now.saturating_add(predicted);
        self.length >= SERIES
    }
}

impl Dispatch {
    /// Calls idle lanes to help what a lane is about to execute, if it is long enough and nothing waits; how many, and the threads to be woken.
    pub(super) fn call_for_help(
        &self,
        state: &mut State,
        leader: &Lane,
        serving: &Arc<Serving>,
        now: Nanos,
        predicted: Nanos,
    ) -> (usize, SmallVec<[Thread; 2]>) {
        let (mut helpers, mut woken) = (0, SmallVec::new());
        let is_series = state.series.goes_on(now, predicted);
        if predicted < HELPED_FROM_NS || !serving.can_be_helped || !state.queue.is_empty() {
            return (helpers, woken);
        }
        self.wanted.store(false, Ordering::Relaxed);
        let lane = leader.index();
        let running = Running { lane, ended: self.ended[lane].load(Ordering::Relaxed) };
        let most = (predicted / NS_A_HELPER).max(1).min(self.max_helpers as Nanos);
        while (helpers as Nanos) < most
            && let Some(lane) =
                if predicted < LONG_NS { state.take_ready(now, is_series) } else { state.take_idle(true) }
        {
            woken.extend(self.call(state, Call::Help(lane, Arc::clone(serving), running)));
            helpers += 1;
        }
        (helpers, woken)
    }

    /// Whether an execution is over. A hint: what it has written is not to be read for that.
    pub(crate) fn is_over(&self, running: Running) -> bool {
        self.ended[running.lane].load(Ordering::Relaxed) != running.ended
    }

    /// Says that what a lane executed is over.
    pub(super) fn end(&self, lane: &Lane) {
        self.ended[lane.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a lane that helps shall look for requests.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

impl State {
    /// Takes back a lane that was called to help, before its thread has come.
    pub(super) fn recall(&mut self) -> Option<Lane> {
        let is_for_help = |post: &&mut Post| matches!(post.called, Some(Call::Help(..)));
        let post = self.posts.iter_mut().find(is_for_help)?;
        let Some(Call::Help(lane, ..)) = post.called.take() else { unreachable!("it was called to help") };
        post.helps = false;
        Some(lane)
    }

    /// An idle lane that has not executed for a moment, and whose thread is awake; in a series also one that sleeps.
    fn take_ready(&mut self, now: Nanos, is_series: bool) -> Option<Lane> {
        let is_ready = |lane: &Lane| {
            let post = &self.posts[lane.index()];
            (post.awake || is_series) && now >= post.served_until.saturating_add(AWAKE_NS)
        };
        let awake = self.idle.iter().rposition(|lane| self.posts[lane.index()].awake && is_ready(lane));
        let position = awake.or_else(|| self.idle.iter().rposition(is_ready))?;
        Some(self.idle.remove(position))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn executions_that_follow_each_other_are_a_series_and_others_are_not() {
        const US: Nanos = 1000;
        let cases: [(&str, Nanos, bool); 4] = [
            ("one after the other", 2 * US, true),
            ("with a pause for the next input", 45 * US, true),
            ("at random times", 120 * US, false),
            ("earlier than predicted", 0, true),
        ];
        for (name, gap, expected) in cases {
            let (mut series, mut now) = (Series::default(), 1_000_000 * US);
            let was_series: Vec<bool> = (0..6)
                .map(|_| {
                    let is_series = series.goes_on(now, 70 * US);
                    now += 70 * US + gap;
                    is_series
                })
                .collect();
            let first = usize::try_from(SERIES).unwrap();
            assert!(was_series[..first].iter().all(|&is_series| !is_series), "{name}: {was_series:?}");
            assert!(
                was_series[first..].iter().all(|&is_series| is_series == expected),
                "{name}: {was_series:?}"
            );
        }
    }
}
