//! Who runs what, when: the queue and the lanes under one lock.
//!
//! A [`Lane`] is a value that exists once for each live lane. Whoever holds it may use that lane's sessions, and it is in exactly
//! one place: idle, called (its thread has been told to come), held by its thread, or held by a caller that runs inline.
//!
//! **Invariant: a lane is idle only while nothing waits.** Every accepted part calls a lane, if one is idle; a lane returns to
//! idle only under the lock and with an empty queue. So no request waits while a lane idles, and no wake-up is lost.
//!
//! Between the call and the moment its thread takes a batch the queue may grow: the batch is chosen when the lane is there.
//!
//! **Traps.** No user code (wakers, devices, drops of what a caller owns) runs under the lock, and no thread is woken under it.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::job::Part;
use crate::loaded::Loaded;
use crate::queue::{Queue, Taken};
use crate::statistics::{LaneTimes, Release};
use crate::sync::{Condvar, Mutex, Thread, current, lock, park};
use crate::trace::Recorder;

/// The right to run on a lane.
#[derive(Debug)]
pub(crate) struct Lane(usize);

impl Lane {
    /// Which lane.
    pub(crate) fn index(&self) -> usize {
        self.0
    }
}

/// The queue and the lanes.
pub(crate) struct Dispatch {
    state: Mutex<State>,
    /// Notified when a lane becomes idle or is retired, once the engine drains.
    settled: Condvar,
    lanes: usize,
    max_queued_samples: usize,
    /// How long each lane was executing.
    pub(crate) times: Arc<LaneTimes>,
    /// Where lanes record what they execute, if anybody wants to know.
    pub(crate) trace: Option<Recorder>,
}

struct State {
    queue: Queue<Part>,
    models: Vec<Arc<Loaded>>,
    /// The last to become idle is called first: its caches are warm.
    idle: Vec<Lane>,
    posts: Vec<Post>,
    /// Lanes not retired.
    alive: usize,
    phase: Phase,
}

/// Where a lane's thread looks for its lane.
#[derive(Default)]
struct Post {
    thread: Option<Thread>,
    called: Option<Lane>,
    retired: bool,
    /// Samples in the lane's latest batch; 0 when it is idle.
    latest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Nothing more is accepted; what was accepted is served.
    Draining,
    /// And then the lanes end.
    Closing,
}

/// Why parts are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLarge { limit: usize },
    QueueFull { queued: usize, limit: usize },
    Draining,
    NoLanes,
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    pub(crate) lanes: usize,
    pub(crate) retired: usize,
    pub(crate) busy: usize,
    pub(crate) queued: usize,
    pub(crate) queued_samples: usize,
}

impl Dispatch {
    /// All lanes are idle. At most `max_queued_samples` may wait.
    pub(crate) fn new(lanes: usize, max_queued_samples: usize, trace: Option<Recorder>) -> Self {
        let state = State {
            queue: Queue::new(),
            models: Vec::new(),
            idle: (0..lanes).rev().map(Lane).collect(),
            posts: (0..lanes).map(|_| Post::default()).collect(),
            alive: lanes,
            phase: Phase::Open,
        };
        let times = Arc::new(LaneTimes::new(lanes));
        (0..lanes).for_each(|lane| times.begin(lane));
        let (state, settled) = (Mutex::new(state), Condvar::new());
        Dispatch { state, settled, lanes, max_queued_samples, times, trace }
    }

    /// Lanes, retired ones included.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Adds a model; gives it back when its name is taken or the engine drains.
    pub(crate) fn add_model(&self, mut model: Loaded) -> Result<Arc<Loaded>, Box<Loaded>> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open || state.models.iter().any(|other| other.name == model.name) {
            return Err(Box::new(model));
        }
        model.line = state.queue.add_line(model.max_samples);
        let model = Arc::new(model);
        state.models.push(Arc::clone(&model));
        Ok(model)
    }

    /// The models, in the order they were added.
    pub(crate) fn models(&self) -> Vec<Arc<Loaded>> {
        lock(&self.state).models.clone()
    }

    /// Whether models and requests are still accepted.
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.state).phase == Phase::Open
    }

    /// What is in use now.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let state = lock(&self.state);
        Occupancy {
            lanes: self.lanes,
            retired: self.lanes - state.alive,
            busy: state.alive - state.idle.len(),
            queued: state.queue.len(),
            queued_samples: state.queue.samples(),
        }
    }

    /// A lane to run on at once, if one is idle (and so nothing waits).
    pub(crate) fn claim(&self) -> Option<Lane> {
        let mut state = lock(&self.state);
        if state.phase == Phase::Open { state.idle.pop() } else { None }
    }

    /// Accepts the parts of one request, all or none; their numbers.
    pub(crate) fn submit(&self, parts: SmallVec<[Part; 1]>, samples: usize) -> Result<Range<u64>, Refusal> {
        let limit = self.max_queued_samples;
        if samples > limit {
            return Err(Refusal::TooLarge { limit });
        }
        let mut woken: SmallVec<[Thread; 2]> = SmallVec::new();
        let mut state = lock(&self.state);
        let queued = state.queue.samples();
        if state.phase != Phase::Open {
            return Err(Refusal::Draining);
        }
        if state.alive == 0 {
            return Err(Refusal::NoLanes);
        }
        if samples > limit - queued {
            return Err(Refusal::QueueFull { queued, limit });
        }
        // Counted before a lane can answer it, so that no more requests are ever answered than were accepted.
        if let Some(part) = parts.first() {
            part.job.model.counters.accepted();
        }
        let first = state.queue.next_number();
        for mut part in parts {
            part.number = state.queue.next_number();
            let (line, samples) = (part.job.model.line, part.samples());
            state.queue.push(line, samples, part);
            if let Some(lane) = state.idle.pop() {
                woken.extend(state.call(lane));
            }
        }
        let numbers = first..state.queue.next_number();
        drop(state);
        woken.iter().for_each(Thread::unpark);
        Ok(numbers)
    }

    /// Takes back the parts with these numbers that still wait.
    pub(crate) fn withdraw(&self, line: usize, numbers: Range<u64>) -> Vec<Part> {
        lock(&self.state).queue.withdraw(line, numbers)
    }

    /// The next batch for a lane that is free now, and why it is as large as it is; without one, the lane becomes idle.
    pub(crate) fn next(&self, lane: Lane, batch: &mut Vec<Part>) -> Option<(Lane, Release)> {
        let mut state = lock(&self.state);
        let running = state.posts.iter().map(|post| post.latest).sum();
        let lanes = state.alive;
        let taken = state.queue.take_batch(lanes, running, batch);
        state.posts[lane.index()].latest = taken.map_or(0, |taken| taken.samples);
        if let Some(Taken { release, .. }) = taken {
            return Some((lane, release));
        }
        self.settle(&mut state, lane);
        None
    }

    /// Returns a claimed lane; its thread goes on when something waits.
    pub(crate) fn release(&self, lane: Lane) {
        let mut state = lock(&self.state);
        if state.queue.is_empty() {
            self.settle(&mut state, lane);
            return;
        }
        let thread = state.call(lane);
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Removes a lane for ever. When it was the last, whatever waits comes back, to be answered with an error.
    pub(crate) fn retire(&self, lane: Lane) -> Vec<Part> {
        let mut state = lock(&self.state);
        state.alive -= 1;
        let post = &mut state.posts[lane.index()];
        post.retired = true;
        post.latest = 0;
        let thread = post.thread.clone();
        let orphans = if state.alive == 0 { state.queue.take_all() } else { Vec::new() };
        drop(state);
        self.settled.notify_all();
        if let Some(thread) = thread {
            thread.unpark();
        }
        orphans
    }

    /// For a lane's thread: blocks until its lane is called. `None`: the thread shall end.
    pub(crate) fn await_call(&self, index: usize) -> Option<Lane> {
        let me = current();
        loop {
            let mut state = lock(&self.state);
            let closing = state.phase == Phase::Closing;
            let post = &mut state.posts[index];
            post.thread.get_or_insert_with(|| me.clone());
            if let Some(lane) = post.called.take() {
                return Some(lane);
            }
            if post.retired || closing {
                return None;
            }
            drop(state);
            park();
        }
    }

    /// Accepts nothing more, and returns when everything accepted is answered. On a lane's own thread, which cannot wait for
    /// itself, returns at once.
    pub(crate) fn drain(&self) {
        let on_a_lane = self.is_on_a_lane();
        let mut state = lock(&self.state);
        state.phase = state.phase.max(Phase::Draining);
        while !(on_a_lane || state.is_settled()) {
            state = self.settled.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Accepts nothing more; the lanes end when everything accepted is answered.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.phase = Phase::Closing;
        let threads: Vec<Thread> = state.posts.iter().filter_map(|post| post.thread.clone()).collect();
        drop(state);
        threads.iter().for_each(Thread::unpark);
    }

    /// Whether the calling thread is the thread of a lane.
    pub(crate) fn is_on_a_lane(&self) -> bool {
        let me = current().id();
        let state = lock(&self.state);
        state.posts.iter().any(|post| post.thread.as_ref().is_some_and(|thread| thread.id() == me))
    }

    fn settle(&self, state: &mut State, lane: Lane) {
        state.idle.push(lane);
        if state.phase != Phase::Open {
            self.settled.notify_all();
        }
    }
}

impl State {
    /// Whether everything accepted is answered.
    fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.idle.len() == self.alive
    }

    /// Puts a lane where its thread looks for it; the thread to be woken, if it has come to its post once.
    fn call(&mut self, lane: Lane) -> Option<Thread> {
        let post = &mut self.posts[lane.index()];
        post.called = Some(lane);
        post.thread.clone()
    }
}
