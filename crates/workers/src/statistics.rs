//! What a pool has counted, and how its workers are.

use std::sync::atomic::{AtomicU64, Ordering};

use paceline_engine::{Answer, ExecutionError};

use crate::seat::Phase;
use crate::state::State;

/// What was counted so far, and what is in use now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatistics {
    /// The workers, by number.
    pub workers: Vec<WorkerStatistics>,
    /// Lanes of each worker's engine.
    pub lanes: usize,
    /// Requests that wait because no worker takes any.
    pub waiting: usize,
    /// Requests accepted. Each of them has ended in one of the following ways, or is in a worker, or waits.
    pub accepted: u64,
    /// Requests with outputs.
    pub completed: u64,
    /// Requests with an error.
    pub failed: u64,
    /// Requests that were not executed because of their deadline.
    pub expired: u64,
    /// Requests whose tickets were dropped.
    pub cancelled: u64,
    /// Requests not accepted.
    pub refused: u64,
}

/// How one worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatistics {
    /// What it is doing.
    pub state: WorkerState,
    /// The number of its process, when it serves.
    pub process: Option<u32>,
    /// How often a process was started and served.
    pub starts: u64,
    /// Requests that it holds.
    pub requests: usize,
    /// Their samples.
    pub samples: usize,
    /// Requests that were in it when it died, and are executed again one by one.
    pub suspects: usize,
    /// How it died the last time.
    pub last_failure: Option<String>,
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// Its process starts, or will after a wait.
    Starting,
    /// It serves.
    Serving,
    /// It died too often, and is not started again: why.
    GivenUp(String),
    /// The pool has ended.
    Ended,
}

#[derive(Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn accepted(&self) {
        count(&self.accepted);
    }

    pub(crate) fn refused(&self) {
        count(&self.refused);
    }

    pub(crate) fn cancelled(&self) {
        count(&self.cancelled);
    }

    pub(crate) fn answered(&self, answer: &Answer) {
        count(match answer {
            Ok(_) => &self.completed,
            Err(ExecutionError::Expired { .. }) => &self.expired,
            Err(_) => &self.failed,
        });
    }

    pub(crate) fn snapshot(&self, state: &State, lanes: usize) -> PoolStatistics {
        let worker = |worker: usize| {
            let (seat, now) = (&state.seats[worker], state.occupancy(worker));
            WorkerStatistics {
                state: match &seat.phase {
                    Phase::Starting => WorkerState::Starting,
                    Phase::Up => WorkerState::Serving,
                    Phase::GivenUp(reason) => WorkerState::GivenUp(reason.clone()),
                    Phase::Ended => WorkerState::Ended,
                },
                process: now.process,
                starts: seat.starts,
                requests: now.requests,
                samples: now.samples,
                suspects: now.suspects,
                last_failure: seat.last_failure.clone(),
            }
        };
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolStatistics {
            workers: (0..state.seats.len()).map(worker).collect(),
            lanes,
            waiting: state.waiting(),
            accepted: get(&self.accepted),
            completed: get(&self.completed),
            failed: get(&self.failed),
            expired: get(&self.expired),
            cancelled: get(&self.cancelled),
            refused: get(&self.refused),
        }
    }
}
