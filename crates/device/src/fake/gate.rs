//! What hanging executions wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::lock;

/// Holds back executions with [`Outcome::Hang`](super::Outcome::Hang) until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<GateState>);

#[derive(Debug, Default)]
struct GateState {
    open_and_waiting: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through, now and later.
    pub fn open(&self) {
        lock(&self.0.open_and_waiting).0 = true;
        self.0.changed.notify_all();
    }

    /// Returns when at least `executions` wait at the gate, or it is open.
    pub fn wait_for(&self, executions: usize) {
        let held = lock(&self.0.open_and_waiting);
        let done = self.0.changed.wait_while(held, |&mut (open, waiting)| !open && waiting < executions);
        drop(done.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn pass(&self) {
        let mut held = lock(&self.0.open_and_waiting);
        held.1 += 1;
        self.0.changed.notify_all();
        let passed = self.0.changed.wait_while(held, |&mut (open, _)| !open);
        passed.unwrap_or_else(PoisonError::into_inner).1 -= 1;
    }
}
