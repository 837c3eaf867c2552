//! What is counted. No lock, and on a lane no locked instruction either: what a lane counts, only the holder of that lane writes.
//!
//! Histograms of queue and execution times belong into `LaneCounters`, beside their sums.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A snapshot of one model. Counters are read one after the other, so under load they may disagree by the requests that moved
/// meanwhile; when the engine is idle, `accepted == completed + failed + cancelled`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelStatistics {
    /// The model's name.
    pub name: String,
    /// Requests accepted.
    pub accepted: u64,
    /// Requests answered with outputs, whether or not the ticket was still held.
    pub completed: u64,
    /// Requests answered with an error.
    pub failed: u64,
    /// Requests withdrawn, by dropping the ticket, before they were wholly executed.
    pub cancelled: u64,
    /// Requests dropped before they were executed, because their deadlines could not be met any more.
    pub expired: u64,
    /// Requests refused, by reason.
    pub refused: Refusals,
    /// Samples executed without an error.
    pub samples: u64,
    /// Executions without an error.
    pub executions: u64,
    /// Executions that failed.
    pub failed_executions: u64,
    /// Executions, failed ones included, in the thread of the caller.
    pub inline: u64,
    /// Executions by samples: `(n, count)` counts those of at most `n` samples and more than the `n` before. Powers of two.
    pub batch_sizes: Vec<(u64, u64)>,
    /// Time from acceptance to the start of execution, summed over executed requests (over the parts of a split one).
    pub queue_time: Duration,
    /// Time of executions, summed.
    pub execute_time: Duration,
}

/// Refused requests by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// The inputs did not fit the model.
    pub invalid: u64,
    /// The request alone exceeds the queue.
    pub too_large: u64,
    /// The queue was full.
    pub queue_full: u64,
    /// What waited took too much memory.
    pub queue_bytes: u64,
    /// The wait would have been too long.
    pub queue_time: u64,
    /// The deadline could not be met.
    pub deadline: u64,
    /// The model was unloaded.
    pub unloaded: u64,
    /// The engine was draining.
    pub draining: u64,
    /// Every lane was retired.
    pub no_lanes: u64,
}

/// A snapshot of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStatistics {
    /// Lanes the engine was made with.
    pub lanes: usize,
    /// Lanes retired, because a session could not be opened again.
    pub retired: usize,
    /// Lanes executing, or about to.
    pub busy: usize,
    /// Requests waiting (parts, for requests that are split).
    pub queued: usize,
    /// Samples waiting.
    pub queued_samples: usize,
    /// Bytes of inputs and outputs of what waits.
    pub queued_bytes: usize,
    /// Every model, in the order of loading.
    pub models: Vec<ModelStatistics>,
}

/// A count that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Shared(AtomicU64);

impl Shared {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count that one thread at a time adds to.
#[derive(Debug, Default)]
struct Owned(AtomicU64);

impl Owned {
    fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted for one model.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) accepted: Shared,
    pub(crate) cancelled: Shared,
    pub(crate) expired: Shared,
    pub(crate) invalid: Shared,
    pub(crate) too_large: Shared,
    pub(crate) queue_full: Shared,
    pub(crate) queue_bytes: Shared,
    pub(crate) queue_time: Shared,
    pub(crate) deadline: Shared,
    pub(crate) unloaded: Shared,
    pub(crate) draining: Shared,
    pub(crate) no_lanes: Shared,
    lanes: Box<[LaneCounters]>,
}

/// What one lane counts for one model, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct LaneCounters {
    completed: Owned,
    failed: Owned,
    samples: Owned,
    executions: Owned,
    failed_executions: Owned,
    inline: Owned,
    queue_ns: Owned,
    execute_ns: Owned,
    /// Executions of `2^(i-1) < samples <= 2^i`.
    batch_sizes: [Owned; 32],
}

impl Counters {
    pub(crate) fn new(lanes: usize) -> Self {
        Counters {
            accepted: Shared::default(),
            cancelled: Shared::default(),
            expired: Shared::default(),
            invalid: Shared::default(),
            too_large: Shared::default(),
            queue_full: Shared::default(),
            queue_bytes: Shared::default(),
            queue_time: Shared::default(),
            deadline: Shared::default(),
            unloaded: Shared::default(),
            draining: Shared::default(),
            no_lanes: Shared::default(),
            lanes: (0..lanes).map(|_| LaneCounters::default()).collect(),
        }
    }

    /// The counters of one lane, for the holder of that lane.
    pub(crate) fn lane(&self, lane: usize) -> &LaneCounters {
        &self.lanes[lane]
    }

    pub(crate) fn snapshot(&self, name: &str) -> ModelStatistics {
        let mut all = ModelStatistics {
            name: name.to_string(),
            accepted: self.accepted.get(),
            cancelled: self.cancelled.get(),
            expired: self.expired.get(),
            refused: Refusals {
                invalid: self.invalid.get(),
                too_large: self.too_large.get(),
                queue_full: self.queue_full.get(),
                queue_bytes: self.queue_bytes.get(),
                queue_time: self.queue_time.get(),
                deadline: self.deadline.get(),
                unloaded: self.unloaded.get(),
                draining: self.draining.get(),
                no_lanes: self.no_lanes.get(),
            },
            ..ModelStatistics::default()
        };
        let mut sizes = [0; 32];
        for lane in &self.lanes {
            all.completed += lane.completed.get();
            all.failed += lane.failed.get();
            all.samples += lane.samples.get();
            all.executions += lane.executions.get();
            all.failed_executions += lane.failed_executions.get();
            all.inline += lane.inline.get();
            all.queue_time += Duration::from_nanos(lane.queue_ns.get());
            all.execute_time += Duration::from_nanos(lane.execute_ns.get());
            sizes.iter_mut().zip(&lane.batch_sizes).for_each(|(sum, count)| *sum += count.get());
        }
        let classes = sizes.iter().enumerate().filter(|(_, count)| **count > 0);
        all.batch_sizes = classes.map(|(i, &count)| (1 << i, count)).collect();
        all
    }
}

impl LaneCounters {
    /// One execution took place.
    pub(crate) fn executed(&self, samples: usize, ok: bool, took: Duration) {
        if ok {
            self.executions.add(1);
            self.samples.add(samples as u64);
            self.batch_sizes[class(samples)].add(1);
        } else {
            self.failed_executions.add(1);
        }
        self.execute_ns.add(nanos(took));
    }

    /// The execution was in the caller's thread.
    pub(crate) fn inlined(&self) {
        self.inline.add(1);
    }

    /// A request began to be executed after this time.
    pub(crate) fn waited(&self, time: Duration) {
        self.queue_ns.add(nanos(time));
    }

    /// A request was answered.
    pub(crate) fn answered(&self, ok: bool) {
        if ok { self.completed.add(1) } else { self.failed.add(1) }
    }
}

/// The `i` with `2^(i-1) < samples <= 2^i`, at most 31.
fn class(samples: usize) -> usize {
    (samples.max(1).next_power_of_two().trailing_zeros() as usize).min(31)
}

fn nanos(time: Duration) -> u64 {
    time.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_sizes_are_counted_by_powers_of_two() {
        let cases = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9), (1 << 40, 31)];
        for (samples, expected) in cases {
            assert_eq!(class(samples), expected, "{samples}");
        }
    }

    #[test]
    fn a_snapshot_sums_the_lanes() {
        let counters = Counters::new(2);
        counters.accepted.add(3);
        counters.lane(0).executed(3, true, Duration::from_micros(5));
        counters.lane(1).executed(4, true, Duration::from_micros(7));
        counters.lane(1).executed(9, false, Duration::from_micros(1));
        counters.lane(1).answered(true);
        counters.lane(0).answered(false);
        counters.lane(0).inlined();
        let got = counters.snapshot("m");
        assert_eq!((got.accepted, got.completed, got.failed, got.inline), (3, 1, 1, 1));
        assert_eq!((got.executions, got.failed_executions, got.samples), (2, 1, 7));
        assert_eq!(got.execute_time, Duration::from_micros(13));
        assert_eq!(got.batch_sizes, [(4, 2)]);
    }
}
