//! Calls: how the threads of lanes learn that there is something to do, and what they do until then.
//!
//! Between the call and the moment its thread takes a batch the queue may grow: the batch is chosen when the lane is there. A
//! caller that is about to block for its answer takes a called lane itself ([`steal`](Dispatch::steal)): it is there already. The
//! lane's thread does not end before it has its lane back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::help::{AWAKE_NS, Running};
use super::state::{Phase, Post, State};
use super::{Dispatch, Lane};
use crate::clock::Nanos;
use crate::serving::Serving;
use crate::sync::{Thread, current, lock, park, park_timeout};

/// What a lane was called for.
pub(crate) enum Call {
    /// To execute what waits.
    Serve(Lane),
    /// To help an execution of this program.
    Help(Lane, Arc<Serving>, Running),
}

/// How long the thread of a lane that helped stays awake.
const AWAKE: Duration = Duration::from_nanos(AWAKE_NS);

impl Dispatch {
    /// For a lane's thread: blocks until its lane is called. `None`: the thread shall end.
    pub(crate) fn await_call(&self, index: usize, generation: u64, helped: bool) -> Option<Call> {
        let me = current();
        if helped {
            self.stay_awake(index, generation);
        }
        loop {
            let mut state = lock(&self.state);
            let over = state.phase == Phase::Closing && state.idle.iter().any(|lane| lane.0 == index);
            let post = &mut state.posts[index];
            if post.retired || post.generation != generation {
                return None;
            }
            post.thread.get_or_insert_with(|| me.clone());
            post.awake = false;
            match post.called.take() {
                Some(Call::Serve(lane)) => {
                    self.called.fetch_sub(1, Ordering::Relaxed);
                    return Some(Call::Serve(lane));
                }
                Some(help) => return Some(help),
                None => {}
            }
            if over {
                return None;
            }
            let Some(alarm) = post.alarm else {
                drop(state);
                park();
                continue;
            };
            let now = self.clock.now();
            if alarm > now {
                drop(state);
                park_timeout(Duration::from_nanos(alarm - now));
                continue;
            }
            post.alarm = None;
            if let Some(position) = state.idle.iter().position(|lane| lane.0 == index) {
                return Some(Call::Serve(state.idle.swap_remove(position)));
            }
        }
    }

    /// A lane that was called and whose thread has not come yet; only while no lane executes and nothing else than this line's requests
    /// wait. (Where others execute, a caller that executed too would take up its answers, and send its next requests, too late
    /// for them. And it shall not execute a slow model's requests before its own.)
    pub(crate) fn steal(&self, line: usize) -> Option<Lane> {
        if self.called.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = lock(&self.state);
        let serves = |post: &&mut Post| matches!(post.called, Some(Call::Serve(_)));
        let busy = state.busy();
        if state.posts.iter_mut().filter(serves).count() < busy || !state.queue.has_only(line) {
            return None;
        }
        let post = state.posts.iter_mut().find(serves)?;
        let Some(Call::Serve(lane)) = post.called.take() else { unreachable!("it was called to serve") };
        post.guest = Some(current());
        self.called.fetch_sub(1, Ordering::Relaxed);
        Some(lane)
    }

    /// When a lane goes its way while something waits for company: has an idle lane, if there is one, look at it and set the alarm, which
    /// the lane that goes may have had. The thread to be woken.
    pub(super) fn rouse(&self, state: &mut State) -> Option<Thread> {
        if state.queue.is_empty() {
            return None;
        }
        let lane = state.take_idle(true)?;
        self.call(state, Call::Serve(lane))
    }

    /// Makes a lane idle; its thread, to be woken, where it has something to do that it does not know of: to wait for an alarm that
    /// a caller set in its place, or to end.
    pub(super) fn settle(&self, state: &mut State, lane: Lane, alarm: Option<Nanos>) -> Option<Thread> {
        let post = &mut state.posts[lane.index()];
        (post.latest, post.until, post.alarm) = (0, 0, alarm);
        let was_stolen = post.guest.take().is_some();
        state.idle.push(lane);
        if state.phase != Phase::Open {
            self.settled.notify_all();
        }
        let wanted = was_stolen && (alarm.is_some() || state.phase == Phase::Closing);
        if wanted { post.thread.clone() } else { None }
    }

    /// Puts a lane where its thread looks for it; the thread to be woken, if it has come to its post once and sleeps.
    pub(super) fn call(&self, state: &mut State, call: Call) -> Option<Thread> {
        let index = match &call {
            Call::Serve(lane) => {
                self.called.fetch_add(1, Ordering::Relaxed);
                lane.0
            }
            Call::Help(lane, ..) => lane.0,
        };
        let post = &mut state.posts[index];
        post.helps = matches!(call, Call::Help(..));
        (post.alarm, post.called, post.guest) = (None, Some(call), None);
        self.signals[index].fetch_add(1, Ordering::Relaxed);
        if post.awake { None } else { post.thread.clone() }
    }

    /// Waits a moment for a call, without sleeping, and lets whoever else wants it have the core. The call itself is found under the
    /// lock.
    fn stay_awake(&self, index: usize, generation: u64) {
        let seen = self.signals[index].load(Ordering::Relaxed);
        let mut state = lock(&self.state);
        let post = &mut state.posts[index];
        if post.called.is_some()
            || post.retired
            || post.generation != generation
            || state.phase != Phase::Open
        {
            return;
        }
        state.posts[index].awake = true;
        drop(state);
        let start = Instant::now();
        while self.signals[index].load(Ordering::Relaxed) == seen && start.elapsed() < AWAKE {
            std::thread::yield_now();
        }
    }
}
