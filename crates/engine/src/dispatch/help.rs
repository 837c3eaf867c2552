//! Idle lanes that are lent to a long execution, while nothing waits: they are called to help it, and count as idle in all but
//! name. They look for it between two pieces of work whether a request waits ([`is_wanted`](Dispatch::is_wanted)). A lane that
//! helped spins for a moment before its thread sleeps, because executions that are worth helping follow each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::Dispatch;
use super::calls::Call;
use super::state::State;
use crate::clock::Nanos;
use crate::serving::Serving;
use crate::sync::Thread;

/// Shorter executions are over before help has come.
const HELPED_FROM_NS: Nanos = 100_000;
/// One lane is called for each so much predicted time.
const NS_A_HELPER: Nanos = 50_000;

impl Dispatch {
    /// Calls idle lanes to help an execution, if it is long enough and nothing waits; how many, and the threads to be woken.
    pub(super) fn call_for_help(
        &self,
        state: &mut State,
        serving: &Arc<Serving>,
        predicted: Nanos,
    ) -> (usize, SmallVec<[Thread; 2]>) {
        let (mut helpers, mut woken) = (0, SmallVec::new());
        if predicted < HELPED_FROM_NS || !serving.can_be_helped || !state.queue.is_empty() {
            return (helpers, woken);
        }
        self.wanted.store(false, Ordering::Relaxed);
        let most = (predicted / NS_A_HELPER).min(self.max_helpers as Nanos);
        while (helpers as Nanos) < most
            && let Some(lane) = state.take_idle(true)
        {
            woken.extend(self.call(state, Call::Help(lane, Arc::clone(serving))));
            helpers += 1;
        }
        (helpers, woken)
    }

    /// Whether a lane that helps shall look for requests.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
