//! Why a batch had the size it had, and why a request was not served.

/// Why a batch was released with the samples it had, and not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// It is the largest batch of the program.
    Full,
    /// It is everything that waited.
    Everything,
    /// The rest was left for the other lanes.
    Share,
    /// By the measured costs, this size makes the most samples per second.
    Rate,
    /// A larger batch would have missed a deadline.
    Deadline,
    /// It is everything that waited when `max_queue_delay` had passed.
    Delay,
    /// It was executed in the thread of its caller, alone.
    Inline,
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shed {
    Invalid,
    TooLarge,
    QueueSamples,
    QueueBytes,
    QueueTime,
    /// When it came, its deadline could not be met any more.
    Deadline,
    Draining,
    Unloaded,
    NoLanes,
}
