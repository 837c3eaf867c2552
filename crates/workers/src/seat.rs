//! A worker's place in the pool: which process has it, and what that process holds.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use range_alloc::RangeAllocator;

use crate::job::{Berth, Job, Place};
use crate::layout::{DONE_TAIL, Layout};
use crate::link::Link;
use crate::ring::Consumer;

/// A worker's place in the pool, whichever process has it.
pub(crate) struct Seat {
    pub(crate) phase: Phase,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) table: Table,
    pub(crate) suspects: VecDeque<Waiting>,
    /// Whether the one request in flight is a suspect.
    pub(crate) isolating: bool,
    pub(crate) samples: usize,
    /// Predicted nanoseconds of all in flight.
    pub(crate) load_ns: u64,
    /// By the process that is there now.
    pub(crate) answered: u64,
    pub(crate) starts: u64,
    pub(crate) last_failure: Option<String>,
}

/// What a worker's seat is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its process starts, or will after a wait.
    Starting,
    /// Its process serves.
    Up,
    /// Nothing any more: why.
    GivenUp(String),
    /// Nothing any more: the pool has ended.
    Ended,
}

/// The slots and the memory that one process shares with its parent.
pub(crate) struct Table {
    pub(crate) entries: Vec<Option<InFlight>>,
    free: Vec<u32>,
    arena: RangeAllocator<usize>,
    pub(crate) done: Consumer,
    /// The even number of the latest request.
    request: u32,
}

/// A request that no process has.
pub(crate) struct Waiting {
    pub(crate) job: Arc<Job>,
    /// Predicted nanoseconds of its execution.
    pub(crate) cost_ns: u64,
    /// When it is due, in the order in which requests wait.
    pub(crate) due: u64,
    /// Executions that ended with a death.
    pub(crate) deaths: u32,
    /// Whether it was in a worker that died and said that it had not taken it. That is believed once.
    pub(crate) spared: bool,
}

/// A request that a process has.
pub(crate) struct InFlight {
    pub(crate) waiting: Waiting,
    /// Its number in its slot.
    pub(crate) request: u32,
    pub(crate) block: Range<usize>,
    /// When it should have been answered, at the latest; `None` where that is beyond all times.
    pub(crate) late: Option<Instant>,
    pub(crate) withdrawn: bool,
}

/// A request that is to be sent.
pub(crate) struct Transfer {
    link: Arc<Link>,
    slot: u32,
    begin: usize,
    request: u32,
    job: Arc<Job>,
}

/// How a seat is, for statistics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    pub(crate) process: Option<u32>,
    pub(crate) requests: usize,
    pub(crate) samples: usize,
    pub(crate) suspects: usize,
}

impl Seat {
    pub(crate) fn new(layout: &Layout) -> Seat {
        Seat {
            phase: Phase::Starting,
            link: None,
            table: Table::new(layout),
            suspects: VecDeque::new(),
            isolating: false,
            samples: 0,
            load_ns: 0,
            answered: 0,
            starts: 0,
            last_failure: None,
        }
    }

    /// Whether it serves, or will.
    pub(crate) fn has_future(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Up)
    }

    pub(crate) fn takes_requests(&self) -> bool {
        self.phase == Phase::Up && self.suspects.is_empty() && !self.isolating
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.samples == 0
    }

    /// Gives a request a slot and memory, if there are any.
    pub(crate) fn put(
        &mut self,
        worker: usize,
        waiting: Waiting,
        timeout: Duration,
    ) -> Result<Transfer, Waiting> {
        let Some(link) = self.link.clone() else { return Err(waiting) };
        let Some(slot) = self.table.free.pop() else { return Err(waiting) };
        let Ok(block) = self.table.arena.allocate_range(waiting.job.block.bytes) else {
            self.table.free.push(slot);
            return Err(waiting);
        };
        let alone = self.is_idle();
        self.samples += waiting.job.samples;
        self.load_ns += waiting.cost_ns;
        self.table.request = self.table.request.wrapping_add(2);
        let request = self.table.request;
        let job = Arc::clone(&waiting.job);
        job.set_place(Place::InFlight(Berth { worker, slot, link: Arc::clone(&link), request, alone }));
        let begin = block.start;
        // Twice what everything before it is predicted to take on one lane.
        let queue = Duration::from_nanos(self.load_ns.saturating_mul(2));
        let late = Instant::now().checked_add(timeout.saturating_add(queue));
        let in_flight = InFlight { waiting, request, block, late, withdrawn: false };
        self.table.entries[slot as usize] = Some(in_flight);
        Ok(Transfer { link, slot, begin, request, job })
    }

    /// A request that was taken out of the table is answered: its slot and its memory are free.
    pub(crate) fn free(&mut self, slot: u32, in_flight: &InFlight) {
        self.table.free.push(slot);
        self.table.arena.free_range(in_flight.block.clone());
        self.samples -= in_flight.waiting.job.samples;
        self.load_ns -= in_flight.waiting.cost_ns;
    }
}

impl Table {
    pub(crate) fn new(layout: &Layout) -> Table {
        Table {
            entries: (0..layout.slots).map(|_| None).collect(),
            // The first slots are used again and again, so that they stay in the caches.
            free: (0..layout.slots).rev().collect(),
            arena: RangeAllocator::new(0..layout.arena_bytes),
            done: Consumer::new(DONE_TAIL, layout.done, layout.done_capacity),
            request: 0,
        }
    }

    pub(crate) fn taken_bytes(&self) -> usize {
        self.entries.iter().flatten().map(|in_flight| in_flight.block.len()).sum()
    }
}

impl InFlight {
    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.waiting.job
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }
}

impl Transfer {
    /// Sends it. The worker may be dead by now; then the request is in other hands, and this does nothing of consequence.
    pub(crate) fn send(&self) {
        self.link.send(self.slot, self.begin, self.request, &self.job);
    }
}
