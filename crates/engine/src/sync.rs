//! Every synchronisation primitive of this crate, so that one switch (`--cfg loom`) puts a model checker under all of it.
//!
//! Two things are deliberately the standard library's in both cases. `Arc`: there is no `unsafe` here that its checks could
//! help, and loom's cannot hold a trait object. The counters of [`crate::statistics`]: nothing is decided by them, so exploring
//! their values would only multiply the states.
//!
//! **Traps.** A parked thread may wake without a reason: every `park` here stands in a loop that looks at the state again.

pub(crate) use primitives::*;

/// Locks. Of the users' code only the clone of a waker runs under a lock of this crate, before anything is changed, so a poisoned
/// one still holds a consistent value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(not(loom))]
mod primitives {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{JoinHandle, Thread, current, park, park_timeout};

    pub(crate) fn spawn(
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(body)
    }

    /// Whether the thread has ended.
    pub(crate) fn is_finished(thread: &JoinHandle<()>) -> bool {
        thread.is_finished()
    }

    /// Whether it is the calling thread.
    pub(crate) fn is_current(thread: &JoinHandle<()>) -> bool {
        thread.thread().id() == current().id()
    }

    /// The core that the calling thread runs on, where the system tells.
    pub(crate) fn current_core() -> Option<usize> {
        #[cfg(target_os = "linux")]
        return Some(rustix::thread::sched_getcpu());
        #[cfg(not(target_os = "linux"))]
        return None;
    }
}

#[cfg(loom)]
mod primitives {
    use std::sync::Arc;
    use std::time::Duration;

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::JoinHandle;

    pub(crate) fn spawn(_: String, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        Ok(loom::thread::spawn(body))
    }

    /// The token of [`std::thread::park`] over a mutex: loom's own `unpark` mistakes a thread blocked on a lock for a parked one.
    #[derive(Clone)]
    pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

    loom::thread_local! {
        static CURRENT: Thread = Thread(Arc::new((Mutex::new(false), Condvar::new())));
    }

    pub(crate) fn is_finished(_: &JoinHandle<()>) -> bool {
        false
    }

    pub(crate) fn is_current(thread: &JoinHandle<()>) -> bool {
        thread.thread().id() == loom::thread::current().id()
    }

    pub(crate) fn current_core() -> Option<usize> {
        Some(0)
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Thread::clone)
    }

    pub(crate) fn park() {
        let thread = current();
        let mut token = super::lock(&thread.0.0);
        while !*token {
            token = thread.0.1.wait(token).unwrap();
        }
        *token = false;
    }

    pub(crate) fn park_timeout(_: Duration) {
        loom::thread::yield_now();
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            *super::lock(&self.0.0) = true;
            self.0.1.notify_one();
        }

        pub(crate) fn id(&self) -> *const () {
            Arc::as_ptr(&self.0).cast()
        }
    }
}
