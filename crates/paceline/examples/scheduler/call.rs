//! One request as the load generators see it: when it was sent, and when its answer came, told by whoever gives the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A request under way. As a waker it takes note of the time.
pub struct Call {
    pub sent: Instant,
    pub samples: usize,
    /// Nanoseconds from `sent` to the answer; 0 before.
    done: AtomicU64,
    /// Who is blocked until then.
    owner: Option<Thread>,
}

impl Call {
    pub fn new(samples: usize, owner: Option<Thread>) -> Arc<Self> {
        Arc::new(Call { sent: Instant::now(), samples, done: AtomicU64::new(0), owner })
    }

    /// The answer came at this time.
    pub fn finish(&self, now: Instant) {
        let ns = now.saturating_duration_since(self.sent).as_nanos() as u64;
        self.done.store(ns.max(1), Ordering::Release); // pairs with `time`: who sees it sees what was written before
        if let Some(owner) = &self.owner {
            owner.unpark();
        }
    }

    /// How long it took, once the answer came.
    pub fn time(&self) -> Option<Duration> {
        match self.done.load(Ordering::Acquire) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }

    /// Blocks the owner until the answer comes.
    pub fn wait(&self) -> Duration {
        loop {
            if let Some(time) = self.time() {
                return time;
            }
            std::thread::park();
        }
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.finish(Instant::now());
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    pub samples: usize,
    /// After the beginning of the measurement.
    pub sent: Duration,
    /// `None`: refused, or dropped before it was executed.
    pub time: Option<Duration>,
}
