//! Who is told that a request is answered, and how a whole batch of callers is woken cheaply.
//!
//! Waking a thread that last ran on another core interrupts that core, which costs several times what the wake-up itself does,
//! and more so in a virtual machine. So a lane wakes one blocked caller on each core, and each of them wakes the next one of
//! its core: a **chain** for each core, linked through the answers. Where every caller has a core of its own, each chain has one
//! member, and the lane wakes all.
//!
//! **Traps.** Only a thread that is blocked until its answer comes may be a link: it surely passes the wake-up on. A task may be
//! dropped instead of polled, so tasks are woken by the lane. A thread that stops waiting must take its waiter out of the slot.

use std::task::Waker;

use smallvec::SmallVec;

use crate::serving::isolated;
use crate::sync::{Thread, current, current_core};

/// Who is told that a request is answered.
pub(crate) enum Waiter {
    /// A thread that is blocked until then.
    Thread(Blocked),
    /// A task.
    Task(Waker),
}

/// A blocked thread, and the core on which it went to sleep.
pub(crate) struct Blocked {
    thread: Thread,
    core: Option<usize>,
}

/// Those whom a lane has to wake itself.
#[derive(Default)]
pub(crate) struct Wakes {
    tasks: Vec<Waker>,
    /// The first of each chain; no two of one core.
    heads: SmallVec<[Blocked; 8]>,
}

impl Waiter {
    /// The calling thread.
    pub(crate) fn this_thread() -> Self {
        Waiter::Thread(Blocked { thread: current(), core: current_core() })
    }
}

impl Blocked {
    /// Wakes it.
    pub(crate) fn wake(self) {
        self.thread.unpark();
    }
}

impl Wakes {
    /// Adds one. A thread may come before another of its core: then that one is returned, and is to be woken by this thread.
    pub(crate) fn add(&mut self, waiter: Waiter) -> Option<Blocked> {
        match waiter {
            Waiter::Task(waker) => self.tasks.push(waker),
            Waiter::Thread(blocked) => {
                let same = |head: &&mut Blocked| blocked.core.is_some() && head.core == blocked.core;
                match self.heads.iter_mut().find(same) {
                    Some(head) => return Some(std::mem::replace(head, blocked)),
                    None => self.heads.push(blocked),
                }
            }
        }
        None
    }

    /// Wakes all that were added.
    pub(crate) fn wake(&mut self) {
        self.heads.drain(..).for_each(Blocked::wake);
        for waker in self.tasks.drain(..) {
            if let Err(message) = isolated(|| waker.wake()) {
                tracing::error!(message, "waking a task panicked");
            }
        }
    }
}
