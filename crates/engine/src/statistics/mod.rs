//! What is counted, for each model and each lane, and the snapshots that users see.
//!
//! Recording must not slow what it watches: `counters` takes no lock, and on a lane no locked instruction either. Snapshots
//! add up what the lanes counted, whenever they are asked for.
//!
//! **Not here**: single requests and batches in the order of their time; those are [`crate::trace`]'s.

mod buckets;
mod counters;
mod distribution;
mod reasons;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use counters::{Counters, Execution, LaneTimes};
pub use distribution::Distribution;
pub(crate) use reasons::Shed;
pub use reasons::{Refusals, Release, Releases};

/// A snapshot of one model. Counters are read one after the other, so under load they may disagree by the requests that moved
/// meanwhile, but `completed + failed + cancelled + expired` is never more than `accepted`; when the engine is idle, it is as many.
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
    /// Accepted requests that were answered with an error, not executed, because their deadline passed or could no longer be met.
    /// They are not among `failed`.
    pub expired: u64,
    /// Requests refused, by reason; they are not among `accepted`.
    pub refused: Refusals,
    /// Samples executed without an error.
    pub samples: u64,
    /// Samples that a device prepared for and nobody asked for, in executions without an error: a batch of 5 in a bucket of 8
    /// adds 3.
    pub padding: u64,
    /// Executions without an error.
    pub executions: u64,
    /// Executions that failed.
    pub failed_executions: u64,
    /// Executions, failed ones included, by why their batch had the size it had.
    pub released: Releases,
    /// Executions without an error by samples: `(n, count)` counts those of at most `n` samples and more than the `n` before.
    /// Exact below 64 samples, to 1/32 above; ascending, without empty buckets.
    pub batch_sizes: Vec<(u64, u64)>,
    /// Time from acceptance to the start of execution, of every executed request (of each part of a split one). Zero where the
    /// caller executed it.
    pub queue_time: Distribution,
    /// Time of each execution, failed ones included.
    pub execute_time: Distribution,
    /// Time from acceptance to the answer, of every request that completed or failed. Waking who waits for it is not in it.
    pub total_time: Distribution,
}

impl ModelStatistics {
    /// Samples of an average execution; zero without executions.
    pub fn mean_batch(&self) -> f64 {
        self.samples as f64 / self.executions.max(1) as f64
    }
}

/// A snapshot of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStatistics {
    /// Lanes in service.
    pub lanes: usize,
    /// Lanes that are missing: retired because a session could not be opened again, or not yet started by `set_lanes`.
    pub retired: usize,
    /// Lanes executing, or about to.
    pub busy: usize,
    /// Requests waiting (parts, for requests that are split).
    pub queued: usize,
    /// Samples waiting.
    pub queued_samples: usize,
    /// Bytes of inputs and outputs of what waits.
    pub queued_bytes: usize,
    /// Every lane, retired ones included, by index.
    pub by_lane: Vec<LaneStatistics>,
    /// Every model, in the order of loading.
    pub models: Vec<ModelStatistics>,
}

/// A snapshot of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStatistics {
    /// Its index.
    pub lane: usize,
    /// Time of its executions, of all models, those in callers' threads included. What runs now is added when it ends.
    pub busy: Duration,
    /// Time since the lane was started.
    pub lifetime: Duration,
}

impl LaneStatistics {
    /// The share of its lifetime that the lane was executing, from 0 to 1.
    pub fn occupancy(&self) -> f64 {
        (self.busy.as_secs_f64() / self.lifetime.as_secs_f64().max(1e-9)).min(1.0)
    }
}
