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
//! Between the call and the moment its thread takes a batch the queue may grow: the batch is chosen when the lane is there. A
//! caller that is about to block for its answer takes a called lane itself ([`steal`](Dispatch::steal)): it is there already. The
//! lane's thread does not end before it has its lane back.
//!
//! **Help.** While nothing waits, a long execution may have the idle lanes: they are called to help it, and count as idle in all but
//! name. They look for it between two pieces of work whether a request waits ([`is_wanted`](Dispatch::is_wanted)). A lane that
//! helped spins for a moment before its thread sleeps, because executions that are worth helping follow each other.
//!
//! **Traps.** No user code (wakers, devices, drops of what a caller owns) runs under the lock, and no thread is woken under it. A
//! [`Serving`] closes sessions when it is dropped, so handles leave the lock before they are dropped.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ahead::Ahead;
use crate::clock::{Clock, Nanos};
use crate::cost::CostTable;
use crate::decide::{Decision, Load, Take};
use crate::job::Part;
use crate::loaded::Loaded;
use crate::queue::{Arrival, Bounds, LineOptions, Overload, Queue};
use crate::serving::Serving;
use crate::statistics::{LaneTimes, Release};
use crate::sync::{Condvar, Mutex, MutexGuard, Thread, current, lock, park, park_timeout};
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

struct State {
    queue: Queue<Part>,
    /// By [`Loaded::slot`]; `None` when it was unloaded.
    models: Vec<Option<Model>>,
    /// By line.
    serving: Vec<Option<Arc<Serving>>>,
    /// The last to become idle is called first: its caches are warm.
    idle: Vec<Lane>,
    posts: Vec<Post>,
    /// Lanes neither retired nor retiring.
    alive: usize,
    /// Lanes that there shall be; the next that become free are retired until that many are left.
    wanted: usize,
    /// Parts taken out of the queue because no lane was left, and not answered yet.
    orphans: usize,
    phase: Phase,
}

/// A model and the lines of its present version, by variant.
struct Model {
    loaded: Arc<Loaded>,
    lines: Vec<usize>,
    version: u64,
}

/// Where a lane's thread looks for its lane.
#[derive(Default)]
struct Post {
    thread: Option<Thread>,
    called: Option<Call>,
    /// The thread spins: it needs no wake-up.
    spins: bool,
    /// The lane helps, or was called to.
    helps: bool,
    /// The caller that [stole](Dispatch::steal) the lane, as long as it has it.
    guest: Option<Thread>,
    /// The lane is not counted any more, and closes its sessions.
    retiring: bool,
    retired: bool,
    /// How often the index was used before: the thread of a retired lane does not mistake its successor's call for its own.
    generation: u64,
    /// Samples in the lane's latest batch; 0 when it is idle.
    latest: usize,
    /// When what it executes should end.
    until: Nanos,
    /// When the idle lane looks again.
    alarm: Option<Nanos>,
}

/// What a lane was called for.
pub(crate) enum Call {
    /// To execute what waits.
    Serve(Lane),
    /// To help an execution of this program.
    Help(Lane, Arc<Serving>, Running),
}

/// What a lane executes at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    lane: usize,
    ended: usize,
}

/// Shorter executions are over before help has come.
const HELPED_FROM_NS: Nanos = 100_000;
/// One lane is called for each so much predicted time.
const NS_A_HELPER: Nanos = 50_000;
/// How long the thread of a lane that helped spins.
const SPIN: Duration = Duration::from_micros(100);

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
    Overload(Overload),
    Unloaded,
    Draining,
    NoLanes,
}

/// Why a model is not added or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    NameTaken,
    NoSuchModel,
    Draining,
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

/// Where the parts of a request wait.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) due: Nanos,
    pub(crate) numbers: Range<u64>,
}

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
    /// The model's [slot](Loaded::slot).
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

/// Programs to be served, each with its line's options and costs.
pub(crate) type Lines = Vec<(Arc<Serving>, LineOptions, CostTable)>;

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
            orphans: 0,
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

    /// The indices of the lanes that are not retired.
    pub(crate) fn lanes(&self) -> Vec<usize> {
        let state = lock(&self.state);
        (0..state.posts.len()).filter(|&lane| !state.posts[lane].retired).collect()
    }

    /// Adds a model with this weight.
    pub(crate) fn add_model(
        &self,
        mut loaded: Loaded,
        weight: u32,
        lines: Lines,
    ) -> Result<Arc<Loaded>, Conflict> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Conflict::Draining);
        }
        if state.find(&loaded.name).is_some() {
            return Err(Conflict::NameTaken);
        }
        let share = state.queue.add_model(weight);
        loaded.slot = share;
        let loaded = Arc::new(loaded);
        let lines = state.add_lines(share, lines);
        state.models.push(Some(Model { loaded: Arc::clone(&loaded), lines, version: 1 }));
        Ok(loaded)
    }

    /// Has other programs serve a model from the next request on; its version.
    pub(crate) fn replace_model(&self, slot: usize, weight: u32, lines: Lines) -> Result<u64, Conflict> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Conflict::Draining);
        }
        if state.models[slot].is_none() {
            return Err(Conflict::NoSuchModel);
        }
        state.queue.set_weight(slot, weight);
        let new = state.add_lines(slot, lines);
        let Some(model) = &mut state.models[slot] else { unreachable!("it was there under the same lock") };
        model.version += 1;
        let (version, old) = (model.version, std::mem::replace(&mut model.lines, new));
        let gone = state.retire_lines(&old);
        drop(state);
        drop(gone);
        Ok(version)
    }

    /// Accepts no more requests for a model; what waits for it is served. Whether there was such a model.
    pub(crate) fn remove_model(&self, name: &str) -> bool {
        let mut state = lock(&self.state);
        let Some(slot) = state.find(name) else { return false };
        let Some(model) = state.models[slot].take() else { return false };
        let gone = state.retire_lines(&model.lines);
        drop(state);
        drop((gone, model));
        true
    }

    /// The models, in the order they were added.
    pub(crate) fn models(&self) -> Vec<Arc<Loaded>> {
        lock(&self.state).models.iter().flatten().map(|model| Arc::clone(&model.loaded)).collect()
    }

    /// The model of this name.
    pub(crate) fn model(&self, name: &str) -> Option<Arc<Loaded>> {
        let state = lock(&self.state);
        state.models[state.find(name)?].as_ref().map(|model| Arc::clone(&model.loaded))
    }

    /// Which version serves a model; `None` when it was unloaded.
    pub(crate) fn version(&self, slot: usize) -> Option<u64> {
        lock(&self.state).models[slot].as_ref().map(|model| model.version)
    }

    /// Looks something up in what is known of the costs of a model's variant; `None` when it was unloaded.
    pub(crate) fn costs<T>(
        &self,
        slot: usize,
        variant: usize,
        look_up: impl FnOnce(&CostTable) -> T,
    ) -> Option<T> {
        let state = lock(&self.state);
        let line = state.models[slot].as_ref()?.lines[variant];
        state.queue.costs(line).map(look_up)
    }

    /// Every program that is served.
    pub(crate) fn serving(&self) -> Vec<Arc<Serving>> {
        lock(&self.state).serving.iter().flatten().cloned().collect()
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

    /// A lane to run a request on at once, if one is idle (and so nothing waits), and the model asks for no delay. A request
    /// with a deadline that cannot be met gets none.
    pub(crate) fn claim(
        &self,
        slot: usize,
        variant: usize,
        samples: usize,
        deadline: Option<Instant>,
    ) -> Option<(Lane, Assignment)> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open || state.idle.is_empty() || !state.queue.is_empty() {
            return None;
        }
        let line = state.models[slot].as_ref()?.lines[variant];
        if state.queue.max_delay(line) > 0 {
            return None;
        }
        let busy = state.busy() + 1;
        let predicted =
            state.queue.costs(line)?.predict(samples, busy).map_or(0, |cost| cost.mean_ns as Nanos);
        if let Some(deadline) = deadline
            && self.clock.now().saturating_add(predicted) > self.clock.at(deadline)
        {
            return None;
        }
        let serving = Arc::clone(state.serving[line].as_ref()?);
        let lane = state.take_idle(false)?;
        state.queue.charge(line, predicted);
        let post = &mut state.posts[lane.index()];
        post.alarm = None;
        (post.latest, post.until) = (samples, self.clock.now().saturating_add(predicted));
        let (helpers, woken) = self.call_for_help(&mut state, &lane, &serving, predicted);
        drop(state);
        woken.iter().for_each(Thread::unpark);
        let release = Release::Inline;
        Some((lane, Assignment { serving, line, samples, release, busy, predicted, helpers }))
    }

    /// Accepts the parts of one request, all or none; where they wait.
    pub(crate) fn submit(
        &self,
        loaded: &Loaded,
        variant: usize,
        parts: SmallVec<[Part; 1]>,
        request: &Arrival,
    ) -> Result<Place, Refusal> {
        if request.samples > self.bounds.samples || request.bytes > self.bounds.bytes {
            let by_bytes = self.bounds.bytes / (request.bytes / request.samples.max(1)).max(1);
            return Err(Refusal::TooLarge { limit: self.bounds.samples.min(by_bytes) });
        }
        let mut woken: SmallVec<[Thread; 2]> = SmallVec::new();
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Refusal::Draining);
        }
        if state.alive == 0 {
            return Err(Refusal::NoLanes);
        }
        let Some(model) = &state.models[loaded.slot] else { return Err(Refusal::Unloaded) };
        let line = model.lines[variant];
        let (load, ahead) = (state.load(), state.ahead(request.now));
        let admitted = state.queue.admit(line, request, &self.bounds, load, &ahead);
        let request = &admitted.map_err(Refusal::Overload)?;
        // Counted before a lane can answer it, so that no more requests are ever answered than were accepted.
        loaded.counters.accepted();
        let (first, due) = (state.queue.next_number(), request.due());
        for mut part in parts {
            (part.number, part.due, part.line) = (state.queue.next_number(), due, line);
            let samples = part.samples();
            let bytes = request.bytes / request.samples.max(1) * samples;
            state.queue.push(line, &Arrival { samples, bytes, ..*request }, load.lanes, part);
            if let Some(lane) = state.take_idle(true) {
                woken.extend(self.call(&mut state, Call::Serve(lane)));
            } else if state.posts.iter().any(|post| post.helps) {
                self.wanted.store(true, Ordering::Relaxed);
            }
        }
        let numbers = first..state.queue.next_number();
        drop(state);
        woken.iter().for_each(Thread::unpark);
        Ok(Place { line, due, numbers })
    }

    /// Takes back the parts of a request that still wait.
    pub(crate) fn withdraw(&self, place: &Place) -> Vec<Part> {
        let mut state = lock(&self.state);
        let parts = state.queue.withdraw_all(place.line, place.due, place.numbers.clone());
        let gone = if parts.is_empty() { None } else { state.collect(place.line) };
        drop(state);
        drop(gone);
        parts
    }

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
        state.posts[lane.index()].helps = false;
        if state.alive > state.wanted {
            // Counted at once, so that of lanes that become free together not one too many goes.
            state.alive -= 1;
            let post = &mut state.posts[lane.index()];
            (post.retiring, post.latest, post.until) = (true, 0, 0);
            let woken = self.rouse(&mut state);
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
                    let post = &mut state.posts[lane.index()];
                    (post.latest, post.until) = (samples, now.saturating_add(predicted));
                    let serving = state.collect(line).or_else(|| state.serving[line].clone());
                    let Some(serving) = serving else {
                        unreachable!("a line has a program as long as it is there")
                    };
                    let (helpers, mut woken) = self.call_for_help(&mut state, &lane, &serving, predicted);
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

    /// Removes a lane for ever; one that failed is missed, one that was not wanted any more is not. When it was the last, whatever
    /// waits comes back, to be answered with an error.
    pub(crate) fn retire(&self, lane: Lane) -> Vec<Part> {
        self.end(&lane);
        let mut state = lock(&self.state);
        let post = &mut state.posts[lane.index()];
        let (thread, was_counted) = (post.thread.take(), !post.retiring);
        *post = Post { retired: true, generation: post.generation, ..Post::default() };
        state.alive -= usize::from(was_counted);
        let woken = self.rouse(&mut state);
        let orphans = if state.alive == 0 { state.queue.take_all() } else { Vec::new() };
        state.orphans += orphans.len();
        let gone: Vec<_> = (0..state.serving.len()).filter_map(|line| state.collect(line)).collect();
        drop(state);
        drop(gone);
        self.settled.notify_all();
        thread.iter().chain(&woken).for_each(Thread::unpark);
        orphans
    }

    /// So many of the parts that came back from [`retire`](Self::retire) were answered.
    pub(crate) fn answered_orphans(&self, parts: usize) {
        lock(&self.state).orphans -= parts;
        self.settled.notify_all();
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

    /// For a lane's thread: blocks until its lane is called. `None`: the thread shall end.
    pub(crate) fn await_call(&self, index: usize, generation: u64, helped: bool) -> Option<Call> {
        let me = current();
        if helped {
            self.spin(index, generation);
        }
        loop {
            let mut state = lock(&self.state);
            let over = state.phase == Phase::Closing && state.idle.iter().any(|lane| lane.0 == index);
            let post = &mut state.posts[index];
            if post.retired || post.generation != generation {
                return None;
            }
            post.thread.get_or_insert_with(|| me.clone());
            post.spins = false;
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
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        is_so: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !is_so(&state) {
            state = self.settled.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state
    }

    fn stop(&self, phase: Phase) {
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

    /// When a lane goes its way while something waits for company: has an idle lane, if there is one, look at it and set the alarm, which
    /// the lane that goes may have had. The thread to be woken.
    fn rouse(&self, state: &mut State) -> Option<Thread> {
        if state.queue.is_empty() {
            return None;
        }
        let lane = state.take_idle(true)?;
        self.call(state, Call::Serve(lane))
    }

    /// Makes a lane idle; its thread, to be woken, where it has something to do that it does not know of: to wait for an alarm that
    /// a caller set in its place, or to end.
    fn settle(&self, state: &mut State, lane: Lane, alarm: Option<Nanos>) -> Option<Thread> {
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
    fn call(&self, state: &mut State, call: Call) -> Option<Thread> {
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
        if post.spins { None } else { post.thread.clone() }
    }

    /// Calls idle lanes to help what a lane is about to execute, if it is long enough and nothing waits; how many, and the threads to be woken.
    fn call_for_help(
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
    fn end(&self, lane: &Lane) {
        self.ended[lane.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a lane that helps shall look for requests.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Waits a moment for a call, without sleeping. The call itself is found under the lock.
    fn spin(&self, index: usize, generation: u64) {
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
        state.posts[index].spins = true;
        drop(state);
        let start = Instant::now();
        while self.signals[index].load(Ordering::Relaxed) == seen && start.elapsed() < SPIN {
            (0..32).for_each(|_| std::hint::spin_loop());
        }
    }
}

impl State {
    fn find(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model.as_ref().is_some_and(|model| &*model.loaded.name == name))
    }

    fn add_lines(&mut self, share: usize, lines: Lines) -> Vec<usize> {
        let add = |(serving, options, costs): (Arc<Serving>, LineOptions, CostTable)| {
            let line = self.queue.add_line(LineOptions { model: share, ..options }, costs);
            self.serving.resize_with(self.serving.len().max(line + 1), || None);
            self.serving[line] = Some(serving);
            line
        };
        lines.into_iter().map(add).collect()
    }

    /// Lines to which nothing is added any more; the programs of those where nothing waits.
    fn retire_lines(&mut self, lines: &[usize]) -> Vec<Option<Arc<Serving>>> {
        let retire =
            |&line: &usize| if self.queue.retire_line(line) { self.serving[line].take() } else { None };
        lines.iter().map(retire).collect()
    }

    /// The program of a retired line, when nothing waits in it any more.
    fn collect(&mut self, line: usize) -> Option<Arc<Serving>> {
        if self.queue.collect(line) { self.serving[line].take() } else { None }
    }

    /// Whether everything accepted is answered.
    fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.idle.len() == self.alive && self.orphans == 0
    }

    /// Lanes that execute, or are about to; those that help are not counted.
    fn busy(&self) -> usize {
        let helping = self.posts.iter().filter(|post| post.helps).count();
        (self.alive - self.idle.len()).saturating_sub(helping)
    }

    /// An idle lane, the last to become idle first; preferably one whose thread spins, or does not.
    fn take_idle(&mut self, spins: bool) -> Option<Lane> {
        let preferred = self.idle.iter().rposition(|lane| self.posts[lane.0].spins == spins);
        let position = preferred.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(position))
    }

    fn load(&self) -> Load {
        let running = self.posts.iter().map(|post| post.latest).sum();
        Load { lanes: self.alive, busy: self.busy(), waiting: self.queue.samples(), running }
    }

    /// What the lanes still have to do of what they execute.
    fn ahead(&self, now: Nanos) -> Ahead {
        let alive = self.posts.iter().filter(|post| !post.retired && !post.retiring);
        alive.map(|post| post.until.saturating_sub(now)).collect()
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
