//! Who runs what, when: the queue and the lanes under one lock.
//!
//! A [`Lane`] is a value that exists once for each live lane. Whoever holds it may use that lane's sessions, and it is in exactly
//! one place: idle, called (its thread has been told to come), held by its thread, or held by a caller that runs inline or stole it.
//!
//! **Invariant: a lane is idle only while nothing is ripe.** Every accepted part calls a lane, if one is idle; a lane returns to
//! idle only under the lock and when the policy finds nothing to take. So no request waits while a lane idles, unless its model
//! has a `max_queue_delay`; then an idle lane has an alarm, and looks again. A lane that goes its way while something waits has
//! another one look ([`rouse`](Dispatch::rouse)), so the alarm never goes with it. No wake-up is lost.
//!
//! **Traps.** No user code (wakers, devices, drops of what a caller owns) runs under the lock, and no thread is woken under it. A
//! [`Serving`](crate::serving::Serving) closes sessions when it is dropped, so handles leave the lock before they are dropped.
//!
//! **Where.** `state`: what the lock guards. `intake`: requests come in. `turns`: a free lane takes what is best. `calls`: idle lanes
//! are called. `help`: idle lanes are lent. `lanes`, `models`: both come and go under load. `shutdown`: the end.

mod calls;
mod help;
mod intake;
mod lanes;
mod models;
mod shutdown;
mod state;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use crate::clock::Clock;
use crate::queue::{Bounds, Queue};
use crate::statistics::LaneTimes;
use crate::sync::{Condvar, Mutex, lock};
use crate::trace::Recorder;
use help::Series;
use state::{Phase, Post, State};

pub(crate) use calls::Call;
pub(crate) use intake::{Place, Refusal};
pub(crate) use models::{Conflict, Lines};
pub(crate) use turns::{Assignment, Execution, Next};

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
    clock: Clock,
    bounds: Bounds,
    /// Idle lanes that may help one execution.
    max_helpers: usize,
    /// Lanes have indices below this.
    capacity: usize,
    /// Lanes that were called to serve and whose threads have not come: a hint, so that nobody locks to find none.
    called: AtomicUsize,
    /// Whether helping lanes shall look for requests.
    wanted: AtomicBool,
    /// By lane: changes with every call, for the thread that spins.
    signals: Box<[AtomicUsize]>,
    /// By lane: changes whenever what it executed is over, for those that help.
    ended: Box<[AtomicUsize]>,
    /// How long each lane was executing.
    pub(crate) times: Arc<LaneTimes>,
    /// Where lanes record what they execute, if anybody wants to know.
    pub(crate) trace: Option<Recorder>,
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    pub(crate) lanes: usize,
    pub(crate) retired: usize,
    pub(crate) busy: usize,
    pub(crate) queued: usize,
    pub(crate) queued_samples: usize,
    pub(crate) queued_bytes: usize,
}

impl Dispatch {
    /// All lanes are idle.
    pub(crate) fn new(
        lanes: usize,
        capacity: usize,
        bounds: Bounds,
        max_helpers: usize,
        trace: Option<Recorder>,
    ) -> Self {
        let state = State {
            queue: Queue::new(),
            models: Vec::new(),
            serving: Vec::new(),
            idle: (0..lanes).rev().map(Lane).collect(),
            posts: (0..lanes).map(|_| Post::default()).collect(),
            alive: lanes,
            wanted: lanes,
            series: Series::default(),
            contended: 0,
            phase: Phase::Open,
        };
        let (state, settled, called) = (Mutex::new(state), Condvar::new(), AtomicUsize::new(0));
        let (wanted, clock) = (AtomicBool::new(false), Clock::start());
        let [signals, ended] = [(); 2].map(|()| (0..capacity).map(|_| AtomicUsize::new(0)).collect());
        let times = Arc::new(LaneTimes::new(capacity));
        (0..lanes).for_each(|lane| times.begin(lane));
        Dispatch {
            state,
            settled,
            clock,
            bounds,
            max_helpers,
            capacity,
            called,
            wanted,
            signals,
            ended,
            times,
            trace,
        }
    }

    /// Lanes have indices below this.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The engine's clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is in use now.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let state = lock(&self.state);
        Occupancy {
            lanes: state.alive,
            retired: state.wanted.saturating_sub(state.alive),
            busy: state.busy(),
            queued: state.queue.len(),
            queued_samples: state.queue.samples(),
            queued_bytes: state.queue.bytes(),
        }
    }
}
