//! An accepted request: what it takes to execute it, as often as need be, and the place where its answer is put and waited for.
//!
//! Its inputs stay here, in memory of the parent's own, until it is answered: the copy that a worker got may be gone with it.

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
    /// In a slot of this worker.
    InFlight {
        worker: usize,
        slot: u32,
        link: Arc<Link>,
        /// Whether the worker had no other then.
        alone: bool,
    },
}

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    is_answered: bool,
    waiter: Option<Waiter>,
}

/// Who is told that a request is answered.
pub(crate) enum Waiter {
    Thread(Thread),
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

    fn take_or_wait(&self, waiter: impl FnOnce() -> Option<Waiter>) -> Option<Answer> {
        let mut slot = lock(&self.slot);
        if slot.is_answered {
            return slot.answer.take();
        }
        slot.waiter = waiter().or(slot.waiter.take());
        None
    }

    fn this_thread() -> Option<Waiter> {
        Some(Waiter::Thread(thread::current()))
    }
}

impl Pending for Job {
    fn wait(&self) -> Answer {
        let start = Instant::now();
        let looker = self.shared.look(self);
        if let Some(answer) = self.take_or_wait(Self::this_thread) {
            return answer;
        }
        loop {
            thread::park();
            if let Some(answer) = self.try_take() {
                if let Some(looker) = looker {
                    self.shared.slept(looker, start.elapsed());
                }
                return answer;
            }
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
            lock(&self.slot).waiter = None;
        }
        answer.or_else(|| self.try_take())
    }

    fn try_take(&self) -> Option<Answer> {
        self.take_or_wait(|| None)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let answer = self.take_or_wait(|| Some(Waiter::Task(context.waker().clone())));
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
