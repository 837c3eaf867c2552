//! Why a batch had the size it had, and why a request was not served.

use std::fmt;

/// Why a batch was executed with what it had, and not with more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// No more fits: it is the largest batch of the program, or the next request would exceed that.
    Full,
    /// It was all that waited.
    Everything,
    /// The rest was left for other lanes.
    Share,
    /// It is the size that gives the most samples a second.
    Rate,
    /// A larger batch would have missed a deadline.
    Deadline,
    /// The longest time that a request may wait for others was over.
    Delay,
    /// It was executed in the thread of its caller, who found a lane idle.
    Inline,
}

impl Release {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Release; 7] = [
        Release::Full,
        Release::Everything,
        Release::Share,
        Release::Rate,
        Release::Deadline,
        Release::Delay,
        Release::Inline,
    ];

    /// Its name in traces, reports and metrics: `full`, `everything`, ...
    pub fn name(self) -> &'static str {
        match self {
            Release::Full => "full",
            Release::Everything => "everything",
            Release::Share => "share",
            Release::Rate => "rate",
            Release::Deadline => "deadline",
            Release::Delay => "delay",
            Release::Inline => "inline",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Executions by why their batch was released, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Releases(pub(super) [u64; Release::ALL.len()]);

impl Releases {
    /// How many were released for this reason.
    pub fn of(&self, release: Release) -> u64 {
        self.0[release as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Release, u64)> + '_ {
        Release::ALL.into_iter().map(|release| (release, self.of(release)))
    }

    /// Executions, whatever the reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Its inputs do not fit the model.
    Invalid,
    /// It alone exceeds the queue.
    TooLarge,
    /// Too many samples wait.
    QueueSamples,
    /// Too many bytes wait.
    QueueBytes,
    /// What waits takes too long.
    QueueTime,
    /// Its deadline cannot be met; known at admission.
    Deadline,
    /// Its deadline passed, or could no longer be met, after it was accepted.
    Expired,
    /// The engine is draining.
    Draining,
    /// The model is unloaded.
    Unloaded,
    /// Every lane is retired.
    NoLanes,
}

impl Shed {
    pub(super) const COUNT: usize = Shed::NoLanes as usize + 1;
}

/// Refused requests by reason: they were never accepted, and their callers got the inputs back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// The inputs did not fit the model.
    pub invalid: u64,
    /// The request alone exceeds the queue.
    pub too_large: u64,
    /// Too many samples waited.
    pub queue_samples: u64,
    /// Too many bytes waited.
    pub queue_bytes: u64,
    /// What waited would have taken too long.
    pub queue_time: u64,
    /// The deadline could not be met.
    pub deadline: u64,
    /// The engine was draining.
    pub draining: u64,
    /// The model was unloaded.
    pub unloaded: u64,
    /// Every lane was retired.
    pub no_lanes: u64,
}

impl Refusals {
    /// Refused requests, whatever the reason.
    pub fn total(&self) -> u64 {
        let Refusals {
            invalid,
            too_large,
            queue_samples,
            queue_bytes,
            queue_time,
            deadline,
            draining,
            unloaded,
            no_lanes,
        } = *self;
        invalid
            + too_large
            + queue_samples
            + queue_bytes
            + queue_time
            + deadline
            + draining
            + unloaded
            + no_lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_has_its_place_and_its_name() {
        let counts: [u64; Release::ALL.len()] = std::array::from_fn(|index| index as u64 + 10);
        for (index, (release, count)) in Releases(counts).iter().enumerate() {
            assert_eq!((release as usize, count), (index, index as u64 + 10), "{release}");
            assert_eq!(format!("{release:?}").to_lowercase(), release.name());
        }
    }
}
