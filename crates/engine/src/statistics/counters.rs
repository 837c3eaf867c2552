//! What is counted while the engine runs, and how it is added up.
//!
//! What a lane counts, only the holder of that lane writes; what any thread counts, it adds to with one locked instruction. A
//! snapshot reads it all without a lock. A lane's counters come into being with its first execution.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::buckets::{Owned, Recorder, Totals, buckets_below};
use super::{Distribution, LaneStatistics, ModelStatistics, Refusals, Release, Releases, Shed};

/// Nanoseconds, to 18 minutes.
type Times = Recorder<{ buckets_below(40) }>;
/// Samples, to a million.
type Sizes = Recorder<{ buckets_below(20) }>;

/// A count that many threads add to.
#[derive(Debug, Default)]
struct Shared(AtomicU64);

impl Shared {
    /// Whoever sees it sees what was counted before; pairs with the fence in `Counters::snapshot`.
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One execution that took place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    /// Samples executed.
    pub(crate) samples: usize,
    /// Samples of the bucket that they were executed in: as many, where a device prepares none.
    pub(crate) prepared: usize,
    pub(crate) ok: bool,
    pub(crate) took: Duration,
    pub(crate) release: Release,
}

/// What is counted for one model.
#[derive(Debug)]
pub(crate) struct Counters {
    accepted: Shared,
    cancelled: Shared,
    shed: [Shared; Shed::COUNT],
    times: Arc<LaneTimes>,
    lanes: Box<[OnceLock<Box<Cells>>]>,
}

/// What one lane counts for one model, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Cells {
    completed: Owned,
    failed: Owned,
    samples: Owned,
    padding: Owned,
    executions: Owned,
    failed_executions: Owned,
    released: [Owned; Release::ALL.len()],
    queue_time: Times,
    execute_time: Times,
    total_time: Times,
    batch_sizes: Sizes,
}

/// The counters of one lane, for the holder of that lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneCounters<'a> {
    cells: &'a Cells,
    time: &'a LaneTime,
}

/// How long each lane of an engine was executing, whatever the model.
#[derive(Debug)]
pub(crate) struct LaneTimes(Box<[OnceLock<Box<LaneTime>>]>);

#[derive(Debug)]
#[repr(align(128))]
struct LaneTime {
    since: Instant,
    busy_ns: Owned,
}

impl LaneTimes {
    /// For lanes with an index below this.
    pub(crate) fn new(max_lanes: usize) -> Self {
        LaneTimes((0..max_lanes).map(|_| OnceLock::new()).collect())
    }

    /// From now on a lane counts as there; at the latest, this is when it first executes.
    pub(crate) fn begin(&self, lane: usize) {
        self.lane(lane);
    }

    fn lane(&self, lane: usize) -> &LaneTime {
        self.0[lane].get_or_init(|| Box::new(LaneTime { since: Instant::now(), busy_ns: Owned::new() }))
    }

    /// Every lane that began, by index.
    pub(crate) fn snapshot(&self) -> Vec<LaneStatistics> {
        let lanes = self.0.iter().enumerate().filter_map(|(lane, time)| Some((lane, &**time.get()?)));
        let statistics = |(lane, time): (usize, &LaneTime)| LaneStatistics {
            lane,
            busy: Duration::from_nanos(time.busy_ns.get()),
            lifetime: time.since.elapsed(),
        };
        lanes.map(statistics).collect()
    }
}

impl Counters {
    /// For the lanes that `times` is for.
    pub(crate) fn new(times: &Arc<LaneTimes>) -> Self {
        Counters {
            accepted: Shared::default(),
            cancelled: Shared::default(),
            shed: Default::default(),
            times: Arc::clone(times),
            lanes: (0..times.0.len()).map(|_| OnceLock::new()).collect(),
        }
    }

    /// A request was accepted.
    pub(crate) fn accepted(&self) {
        self.accepted.add_one();
    }

    /// An accepted request was withdrawn by its caller.
    pub(crate) fn cancelled(&self) {
        self.cancelled.add_one();
    }

    /// An accepted request was dropped because of its deadline.
    pub(crate) fn expired(&self) {
        self.refused(Shed::Expired);
    }

    /// A request was refused.
    pub(crate) fn refused(&self, reason: Shed) {
        self.shed[reason as usize].add_one();
    }

    /// The counters of one lane, for the holder of that lane.
    pub(crate) fn lane(&self, lane: usize) -> LaneCounters<'_> {
        let cells = self.lanes[lane].get_or_init(|| Box::new(Cells::new()));
        LaneCounters { cells, time: self.times.lane(lane) }
    }

    pub(crate) fn snapshot(&self, name: &str) -> ModelStatistics {
        let shed = |reason: Shed| self.shed[reason as usize].get();
        let mut all = ModelStatistics {
            name: name.to_string(),
            cancelled: self.cancelled.get(),
            expired: shed(Shed::Expired),
            refused: Refusals {
                invalid: shed(Shed::Invalid),
                too_large: shed(Shed::TooLarge),
                queue_samples: shed(Shed::QueueSamples),
                queue_bytes: shed(Shed::QueueBytes),
                queue_time: shed(Shed::QueueTime),
                deadline: shed(Shed::Deadline),
                draining: shed(Shed::Draining),
                unloaded: shed(Shed::Unloaded),
                no_lanes: shed(Shed::NoLanes),
            },
            ..ModelStatistics::default()
        };
        let mut released = [0; Release::ALL.len()];
        let [mut queue, mut execute, mut total, mut sizes] = [const { Totals::ZERO }; 4];
        for cells in self.lanes.iter().filter_map(OnceLock::get) {
            all.completed += cells.completed.get();
            all.failed += cells.failed.get();
            all.samples += cells.samples.get();
            all.padding += cells.padding.get();
            all.executions += cells.executions.get();
            all.failed_executions += cells.failed_executions.get();
            released.iter_mut().zip(&cells.released).for_each(|(sum, count)| *sum += count.get());
            queue.add(&cells.queue_time);
            execute.add(&cells.execute_time);
            total.add(&cells.total_time);
            sizes.add(&cells.batch_sizes);
        }
        // After what became of the requests: no more of them came to an end than were accepted.
        fence(Ordering::Acquire); // pairs with `answered` and `add_one`
        all.accepted = self.accepted.get();
        all.released = Releases(released);
        [all.queue_time, all.execute_time, all.total_time] =
            [queue, execute, total].map(|t| Distribution::new(&t));
        all.batch_sizes = sizes.buckets();
        all
    }
}

impl Cells {
    const fn new() -> Self {
        Cells {
            completed: Owned::new(),
            failed: Owned::new(),
            samples: Owned::new(),
            padding: Owned::new(),
            executions: Owned::new(),
            failed_executions: Owned::new(),
            released: [const { Owned::new() }; Release::ALL.len()],
            queue_time: Times::new(),
            execute_time: Times::new(),
            total_time: Times::new(),
            batch_sizes: Sizes::new(),
        }
    }
}

impl LaneCounters<'_> {
    /// An execution took place.
    pub(crate) fn executed(&self, execution: &Execution) {
        let &Execution { samples, prepared, ok, took, release } = execution;
        let (cells, took) = (self.cells, nanos(took));
        if ok {
            cells.executions.add(1);
            cells.samples.add(samples as u64);
            cells.padding.add(prepared.saturating_sub(samples) as u64);
            cells.batch_sizes.record(samples as u64);
        } else {
            cells.failed_executions.add(1);
        }
        cells.released[release as usize].add(1);
        cells.execute_time.record(took);
        self.time.busy_ns.add(took);
    }

    /// A request began to be executed so long after it was accepted.
    pub(crate) fn waited(&self, time: Duration) {
        self.cells.queue_time.record(nanos(time));
    }

    /// A request was answered so long after it was accepted.
    pub(crate) fn answered(&self, ok: bool, total: Duration) {
        fence(Ordering::Release); // whoever sees it sees that it was accepted: pairs with the fence in `Counters::snapshot`
        if ok {
            self.cells.completed.add(1)
        } else {
            self.cells.failed.add(1)
        }
        self.cells.total_time.record(nanos(total));
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(time.subsec_nanos()))
}
