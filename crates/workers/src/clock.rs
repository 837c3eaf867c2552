//! The clock that all processes of a machine share.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Later than any time that comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.cast_unsigned())
}

/// An instant of this process as all processes know it.
pub(crate) fn shared(instant: Instant) -> u64 {
    now().saturating_add(nanos(instant.saturating_duration_since(Instant::now())))
}

/// A shared time as an instant of this process; `None` when it never comes.
pub(crate) fn instant(shared: u64) -> Option<Instant> {
    if shared == NEVER {
        return None;
    }
    Instant::now().checked_add(Duration::from_nanos(shared.saturating_sub(now())))
}

/// A duration in nanoseconds, at most [`NEVER`].
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
