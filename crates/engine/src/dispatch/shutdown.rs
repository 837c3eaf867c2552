//! The end: nothing more is accepted, and what was accepted is answered.

use super::Dispatch;
use super::calls::Call;
use super::state::{Phase, State};
use crate::sync::{MutexGuard, Thread, current, lock};

impl Dispatch {
    /// Accepts nothing more, and returns when everything accepted is answered. On a lane's own thread, which cannot wait for
    /// itself, returns at once.
    pub(crate) fn drain(&self) {
        let on_a_lane = self.is_on_a_lane();
        self.stop(Phase::Draining);
        drop(self.wait_until(lock(&self.state), |state| on_a_lane || state.is_settled()));
    }

    /// Accepts nothing more; the lanes end when everything accepted is answered.
    pub(crate) fn close(&self) {
        self.stop(Phase::Closing);
    }

    /// Whether the calling thread is the thread of a lane, or has stolen one.
    pub(crate) fn is_on_a_lane(&self) -> bool {
        let me = current().id();
        let state = lock(&self.state);
        let mut threads = state.posts.iter().flat_map(|post| post.thread.iter().chain(&post.guest));
        threads.any(|thread| thread.id() == me)
    }

    /// Blocks until it is so; that is asked again when a lane is retired, and, once the engine drains, when one becomes idle.
    pub(super) fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        is_so: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !is_so(&state) {
            state = self.settled.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state
    }

    pub(super) fn stop(&self, phase: Phase) {
        let mut state = lock(&self.state);
        state.phase = state.phase.max(phase);
        state.queue.hurry();
        for _ in 0..state.queue.len() {
            let Some(lane) = state.idle.pop() else { break };
            self.call(&mut state, Call::Serve(lane));
        }
        let threads: Vec<Thread> = state.posts.iter().filter_map(|post| post.thread.clone()).collect();
        drop(state);
        threads.iter().for_each(Thread::unpark);
    }
}

impl State {
    /// Whether everything accepted is answered.
    fn is_settled(&self) -> bool {
        let leaves = self.posts.iter().any(|post| post.retiring);
        self.queue.is_empty() && self.idle.len() == self.alive && !leaves
    }
}
