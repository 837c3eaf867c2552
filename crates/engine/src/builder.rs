//! Choices made when an engine is made.

use std::thread;
use std::time::Duration;

use crate::clock::nanos;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::queue::Bounds;

/// Makes an [`Engine`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    lanes: Option<usize>,
    helpers: Option<usize>,
    queue_samples: Option<usize>,
    queue_bytes: Option<usize>,
    queue_time: Option<Duration>,
    warm_up: Option<Duration>,
    trace: usize,
}

impl Builder {
    /// Samples that may wait, unless chosen otherwise.
    pub const DEFAULT_QUEUE_SAMPLES: usize = 16_384;

    /// Bytes of inputs and outputs that may wait, unless chosen otherwise: 1 GiB.
    pub const DEFAULT_QUEUE_BYTES: usize = 1 << 30;

    /// Time that a request may have to wait by the measured costs, unless chosen otherwise.
    pub const DEFAULT_QUEUE_TIME: Duration = Duration::from_secs(60);

    /// Time spent for each program on measuring its costs when it is loaded, unless chosen otherwise.
    pub const DEFAULT_WARM_UP: Duration = Duration::from_millis(100);

    /// The most lanes of one engine: a lane is a thread, and no device is served by more.
    pub const MAX_LANES: usize = 4096;

    /// How many executions may run at a time, each on a thread of its own. Without a choice, one for each core; a device knows
    /// better ([`DeviceInfo::default_lanes`](paceline_device::DeviceInfo)).
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// How many idle lanes may help one long execution; all of them, unless chosen otherwise. Zero: none, each execution has one
    /// thread. Devices whose executions cannot be helped take no notice.
    pub fn helpers(mut self, most: usize) -> Self {
        self.helpers = Some(most);
        self
    }

    /// How many samples, of all models together, may wait. Requests beyond are refused at once.
    pub fn queue_samples(mut self, samples: usize) -> Self {
        self.queue_samples = Some(samples);
        self
    }

    /// How many bytes the inputs and outputs of what waits may take, of all models together. Requests beyond are refused at once.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// How long a request may have to wait by the measured costs. Requests that would wait longer are refused at once.
    pub fn queue_time(mut self, time: Duration) -> Self {
        self.queue_time = Some(time);
        self
    }

    /// How much time to spend, for each program that is loaded, on measuring what its executions cost. Zero: they are learned from
    /// the requests. [`LoadOptions::warm_up`](crate::LoadOptions::warm_up) chooses for one model.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.warm_up = Some(time);
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
        let queue_bytes = self.queue_bytes.unwrap_or(Self::DEFAULT_QUEUE_BYTES);
        let options = [
            ("lanes", lanes, 1..=Self::MAX_LANES),
            ("queue_samples", queue_samples, 1..=usize::MAX),
            ("queue_bytes", queue_bytes, 1..=usize::MAX),
        ];
        for (option, got, range) in options {
            if !range.contains(&got) {
                return Err(BuildError::Range { option, range, got });
            }
        }
        let time = nanos(self.queue_time.unwrap_or(Self::DEFAULT_QUEUE_TIME));
        let bounds = Bounds { samples: queue_samples, bytes: queue_bytes, time };
        let helpers = self.helpers.unwrap_or(usize::MAX);
        Engine::start(lanes, bounds, helpers, self.warm_up.unwrap_or(Self::DEFAULT_WARM_UP), self.trace)
    }
}
