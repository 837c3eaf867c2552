//! Lanes that come and go under load.

use smallvec::SmallVec;

use super::calls::Call;
use super::state::{Post, State};
use super::{Dispatch, Lane};
use crate::job::Part;
use crate::sync::{Thread, lock};

impl Dispatch {
    /// The indices of the lanes that are not retired.
    pub(crate) fn lanes(&self) -> Vec<usize> {
        let state = lock(&self.state);
        (0..state.posts.len()).filter(|&lane| !state.posts[lane].retired).collect()
    }

    /// Takes a lane that failed out of service; it is missed. When it was the last, whatever waits comes back, to be answered with an
    /// error before the lane is [retired](Self::retire).
    pub(crate) fn give_up(&self, lane: &Lane) -> Vec<Part> {
        self.end(lane);
        let mut state = lock(&self.state);
        let woken = self.leave(&mut state, lane);
        let orphans = if state.alive == 0 { state.queue.take_all() } else { Vec::new() };
        let gone: Vec<_> = (0..state.serving.len()).filter_map(|line| state.collect(line)).collect();
        drop(state);
        drop(gone);
        woken.iter().for_each(Thread::unpark);
        orphans
    }

    /// Counts a lane no more. Until it is retired it still has its index. The thread to be woken.
    pub(super) fn leave(&self, state: &mut State, lane: &Lane) -> Option<Thread> {
        state.alive -= 1;
        let post = &mut state.posts[lane.index()];
        (post.retiring, post.latest, post.until) = (true, 0, 0);
        self.rouse(state)
    }

    /// Removes a lane that is not counted any more, for ever: its index is free, and its thread ends.
    pub(crate) fn retire(&self, lane: Lane) {
        let mut state = lock(&self.state);
        let post = &mut state.posts[lane.index()];
        let thread = post.thread.take();
        *post = Post { retired: true, generation: post.generation, ..Post::default() };
        drop(state);
        self.settled.notify_all();
        thread.iter().for_each(Thread::unpark);
    }

    /// How many lanes there shall be. Superfluous ones are retired as they become free; the indices of new ones are returned, each with its
    /// generation, to be [started](Self::start_lane) when their sessions and threads are there.
    pub(crate) fn want_lanes(&self, lanes: usize) -> Vec<(usize, u64)> {
        let mut woken: SmallVec<[Thread; 2]> = SmallVec::new();
        // An index is free when the lane that had it has closed its sessions.
        let no_lane_retires = |state: &State| !state.posts.iter().any(|post| post.retiring);
        let mut state = self.wait_until(lock(&self.state), no_lane_retires);
        state.wanted = lanes;
        let mut new = Vec::new();
        let reserved = state.posts.iter().filter(|post| !post.retired).count();
        for _ in reserved..lanes {
            let index = match state.posts.iter().position(|post| post.retired) {
                Some(free) => free,
                None => {
                    state.posts.push(Post::default());
                    state.posts.len() - 1
                }
            };
            let generation = state.posts[index].generation + 1;
            state.posts[index] = Post { generation, ..Post::default() };
            new.push((index, generation));
        }
        for _ in lanes..state.alive {
            if let Some(lane) = state.idle.pop() {
                woken.extend(self.call(&mut state, Call::Serve(lane)));
            }
        }
        woken.extend(self.rouse(&mut state));
        drop(state);
        woken.iter().for_each(Thread::unpark);
        new
    }

    /// Puts a new lane into service.
    pub(crate) fn start_lane(&self, index: usize) {
        self.times.begin(index);
        let mut state = lock(&self.state);
        state.alive += 1;
        let thread = self.call(&mut state, Call::Serve(Lane(index)));
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Gives up a new lane that could not be started.
    pub(crate) fn abandon_lane(&self, index: usize) {
        let mut state = lock(&self.state);
        state.posts[index].retired = true;
        state.wanted = state.wanted.min(state.alive).max(1);
    }
}
