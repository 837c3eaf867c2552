//! Idle lanes that are lent to a long execution, while nothing waits: they are called to help it, and count as idle in all but
//! name. They look for it between two pieces of work whether a request waits ([`is_wanted`](Dispatch::is_wanted)). A lane that
//! helped spins for a moment before its thread sleeps, because executions that are worth helping follow each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::calls::Call;
use super::state::State;
use super::{Dispatch, Lane};
use crate::clock::Nanos;
use crate::serving::Serving;
use crate::sync::Thread;

/// Shorter executions are over before help has come.
const HELPED_FROM_NS: Nanos = 100_000;
/// What a lane executes at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    lane: usize,
    ended: usize,
}

/// One lane is called for each so much predicted time.
const NS_A_HELPER: Nanos = 50_000;

impl Dispatch {
    /// Calls idle lanes to help what a lane is about to execute, if it is long enough and nothing waits; how many, and the threads to be woken.
    pub(super) fn call_for_help(
        &self,
        state: &mut State,
        leader: &Lane,
        serving: &Arc<Serving>,
        predicted: Nanos,
    ) -> (usize, SmallVec<[Thread; 2]>) {
        let (mut helpers, mut woken) = (0, SmallVec::new());
        if predicted < HELPED_FROM_NS || !serving.can_be_helped || !state.queue.is_empty() {
            return (helpers, woken);
        }
        self.wanted.store(false, Ordering::Relaxed);
        let lane = leader.index();
        let running = Running { lane, ended: self.ended[lane].load(Ordering::Relaxed) };
        let most = (predicted / NS_A_HELPER).min(self.max_helpers as Nanos);
        while (helpers as Nanos) < most
            && let Some(lane) = state.take_idle(true)
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
