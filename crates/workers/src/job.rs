//! An accepted request: what it takes to execute it, as often as need be, and the place where its answer is put and waited for.
//!
//! Its inputs stay here, in memory of the parent's own, until it is answered: the copy that a worker got may be gone with it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use paceline_engine::Answer;
use paceline_engine::remote::Pending;
use paceline_graph::Tensor;
use smallvec::SmallVec;

use crate::layout::Block;
use crate::link::Link;
use crate::shared::{Shared, lock};
use crate::sleeper;

/// Who sleeps on a slot looks up so often, should nobody wake it.
const LOOK: Duration = Duration::from_millis(250);

/// An accepted request.
pub(crate) struct Job {
    shared: Arc<Shared>,
    /// The model's number.
    pub(crate) model: usize,
    pub(crate) variant: usize,
    pub(crate) samples: usize,
    pub(crate) inputs: SmallVec<[Tensor; 2]>,
    pub(crate) block: Block,
    /// Of the clock that all processes share.
    pub(crate) deadline: u64,
    pub(crate) priority: i8,
    pub(crate) accepted: Instant,
    /// Changed only by who holds the lock of the pool's state.
    place: Mutex<Place>,
    slot: Mutex<Slot>,
}

/// Where an accepted request is.
#[derive(Clone)]
pub(crate) enum Place {
    /// On its way into the pool, or answered, or withdrawn.
    Nowhere,
    /// Waits for a worker: its key.
    Waiting((u64, u64)),
    /// Waits for this worker, to be executed alone.
    Suspect(usize),
    /// In a worker.
    InFlight(Berth),
}

/// The slot of a worker that a request is in.
#[derive(Clone)]
pub(crate) struct Berth {
    pub(crate) worker: usize,
    pub(crate) slot: u32,
    pub(crate) link: Arc<Link>,
    /// The slot's number for this request.
    pub(crate) request: u32,
    /// Whether the worker had no other then.
    pub(crate) alone: bool,
}

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    is_answered: bool,
    waiter: Option<Waiter>,
}

/// Who is told that a request is answered.
pub(crate) enum Waiter {
    /// A parked thread.
    Thread(Thread),
    /// A thread that sleeps on a slot.
    Sleeper(Arc<Link>, u32),
    /// A task.
    Task(Waker),
}

/// What a request is made of.
pub(crate) struct Parts {
    pub(crate) model: usize,
    pub(crate) variant: usize,
    pub(crate) samples: usize,
    pub(crate) inputs: SmallVec<[Tensor; 2]>,
    pub(crate) block: Block,
    pub(crate) deadline: u64,
    pub(crate) priority: i8,
}

impl Job {
    pub(crate) fn new(shared: &Arc<Shared>, parts: Parts) -> Job {
        let Parts { model, variant, samples, inputs, block, deadline, priority } = parts;
        Job {
            shared: Arc::clone(shared),
            model,
            variant,
            samples,
            inputs,
            block,
            deadline,
            priority,
            accepted: Instant::now(),
            place: Mutex::new(Place::Nowhere),
            slot: Mutex::default(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        lock(&self.place).clone()
    }

    /// Moves it. For who holds the lock of the pool's state.
    pub(crate) fn set_place(&self, place: Place) {
        *lock(&self.place) = place;
    }

    /// Answers it, once; who waits for it is to be told.
    pub(crate) fn answer(&self, answer: Answer) -> Option<Waiter> {
        let mut slot = lock(&self.slot);
        debug_assert!(!slot.is_answered, "a request is answered once");
        slot.answer = Some(answer);
        slot.is_answered = true;
        slot.waiter.take()
    }

    /// Takes the answer; if there is none, sets the waiter that `waiter` makes of the one before. That one may be a user's, whose
    /// code runs when it is dropped: not under the lock.
    fn take_or_wait(&self, waiter: impl FnOnce(&Option<Waiter>) -> Option<Waiter>) -> Option<Answer> {
        let mut slot = lock(&self.slot);
        if slot.is_answered {
            return slot.answer.take();
        }
        let before = waiter(&slot.waiter).and_then(|waiter| slot.waiter.replace(waiter));
        drop(slot);
        drop(before);
        None
    }

    fn this_thread(_: &Option<Waiter>) -> Option<Waiter> {
        Some(Waiter::Thread(thread::current()))
    }

    /// Blocks on the slot of the request, until it is answered or in other hands.
    fn sleep_on(&self, berth: &Berth) -> Option<Answer> {
        let Berth { worker, slot, link, request, .. } = berth;
        let sleeper = |_: &Option<Waiter>| Some(Waiter::Sleeper(Arc::clone(link), *slot));
        if let Some(answer) = self.take_or_wait(sleeper) {
            return Some(answer);
        }
        let word = link.caller(*slot);
        let mut asleep = sleeper::announce(word, *request);
        loop {
            // Who is woken by the worker, or came too late to be, takes out what is there, for others too.
            if link.is_pending() {
                self.shared.collect(*worker, link);
            }
            let answer = self.try_take();
            if answer.is_some() || !asleep {
                return answer;
            }
            sleeper::sleep(word, *request, LOOK);
            asleep = word.load(Ordering::Relaxed) == *request | 1;
        }
    }
}

impl Pending for Job {
    fn wait(&self) -> Answer {
        let start = Instant::now();
        let looker = self.shared.look(self);
        let berth = self.shared.berth_to_sleep_on(self);
        let mut answer = berth.and_then(|berth| self.sleep_on(&berth));
        if answer.is_none() {
            answer = self.take_or_wait(Self::this_thread);
        }
        loop {
            if let Some(answer) = answer {
                if let Some(looker) = looker {
                    self.shared.slept(looker, start.elapsed());
                }
                return answer;
            }
            thread::park();
            answer = self.try_take();
        }
    }

    fn wait_timeout(&self, timeout: Duration) -> Option<Answer> {
        let start = Instant::now();
        let mut answer = self.take_or_wait(Self::this_thread);
        while answer.is_none()
            && let Some(left) = timeout.checked_sub(start.elapsed())
        {
            thread::park_timeout(left);
            answer = self.try_take();
        }
        if answer.is_none() {
            let before = lock(&self.slot).waiter.take();
            drop(before);
        }
        answer.or_else(|| self.try_take())
    }

    fn try_take(&self) -> Option<Answer> {
        self.take_or_wait(|_| None)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let answer = self.take_or_wait(|waiter| match waiter {
            Some(Waiter::Task(task)) if task.will_wake(context.waker()) => None,
            _ => Some(Waiter::Task(context.waker().clone())),
        });
        answer.map_or(Poll::Pending, Poll::Ready)
    }

    fn is_answered(&self) -> bool {
        lock(&self.slot).is_answered
    }

    fn cancel(&self) {
        self.shared.cancel(self);
    }
}

impl Waiter {
    pub(crate) fn wake(self) {
        match self {
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Sleeper(link, slot) => {
                sleeper::wake(link.caller(slot));
            }
            Waiter::Task(waker) => {
                // A waker is the users' code, on a thread that others rely on.
                let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
                if woken.is_err() {
                    tracing::error!("waking a task panicked");
                }
            }
        }
    }
}
