//! Time as the policy sees it: nanoseconds since the engine was made, so that it can be a plain argument.

use std::time::{Duration, Instant};

/// Nanoseconds since the engine was made, or a difference of two such times.
pub(crate) type Nanos = u64;

/// Later than any time that comes.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// The engine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Clock(Instant::now())
    }

    /// The time now.
    pub(crate) fn now(&self) -> Nanos {
        self.at(Instant::now())
    }

    /// A time told by the system's clock; what lies before the start is 0.
    pub(crate) fn at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.0))
    }
}

/// A duration in nanoseconds, at most [`NEVER`].
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
