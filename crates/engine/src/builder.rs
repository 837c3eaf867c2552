//! Choices made when an engine is made.

use std::thread;

use crate::engine::Engine;
use crate::error::BuildError;

/// Makes an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    lanes: Option<usize>,
    queue_samples: Option<usize>,
    trace: usize,
}

impl Builder {
    /// Samples that may wait, unless chosen otherwise.
    pub const DEFAULT_QUEUE_SAMPLES: usize = 16_384;

    /// The most lanes of one engine: a lane is a thread, and no device is served by more.
    pub const MAX_LANES: usize = 4096;

    /// How many executions may run at a time, each on a thread of its own. Without a choice, one for each core; a device knows
    /// better ([`DeviceInfo::default_lanes`](paceline_device::DeviceInfo)).
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// How many samples, of all models together, may wait. Requests beyond are refused at once.
    pub fn queue_samples(mut self, samples: usize) -> Self {
        self.queue_samples = Some(samples);
        self
    }

    /// Records what the lanes execute, for [`Engine::take_trace`]: of each lane the latest batches and requests, together at most
    /// so many (about 50 bytes each). Zero, which it is without a choice, records nothing and costs nothing.
    pub fn trace(mut self, events: usize) -> Self {
        self.trace = events;
        self
    }

    /// Starts the lanes.
    pub fn build(self) -> Result<Engine, BuildError> {
        let lanes = self.lanes.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let queue_samples = self.queue_samples.unwrap_or(Self::DEFAULT_QUEUE_SAMPLES);
        let options =
            [("lanes", lanes, 1..=Self::MAX_LANES), ("queue_samples", queue_samples, 1..=usize::MAX)];
        for (option, got, range) in options {
            if !range.contains(&got) {
                return Err(BuildError::Range { option, range, got });
            }
        }
        Engine::start(lanes, queue_samples, self.trace)
    }
}
