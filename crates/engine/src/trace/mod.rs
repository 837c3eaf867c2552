//! What each lane executed, when, and for which requests: the recent past of an engine, for people to look at.
//!
//! Each lane has a ring of its own behind a mutex that only the lane's holder and [`Recorder::take`] lock. A full ring forgets its
//! oldest batches, with their requests, and counts what it forgot.
//!
//! **Not here**: requests that were refused, cancelled or expired, which no lane executed; statistics count them.

mod chrome;

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use crate::statistics::Release;
use crate::sync::{Mutex, lock};

pub use chrome::write_chrome;

/// One execution, as a lane records it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// The model's name.
    pub(crate) model: &'a str,
    pub(crate) samples: usize,
    pub(crate) release: Release,
    pub(crate) ok: bool,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

/// A request that a batch served; a part, where it was split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) samples: usize,
    pub(crate) accepted: Instant,
}

/// Records what lanes execute.
#[derive(Debug)]
pub(crate) struct Recorder {
    origin: Instant,
    /// The most batches and requests that a ring holds together.
    events: usize,
    rings: Box<[Mutex<Ring>]>,
}

/// What one lane executed lately.
#[derive(Debug, Default)]
struct Ring {
    /// Every model seen, in the order of appearance: a handful, found by looking at each.
    models: Vec<String>,
    /// The oldest first.
    batches: VecDeque<Executed>,
    /// Those of all batches, in their order.
    requests: VecDeque<Served>,
    dropped: u64,
}

/// A batch in a trace. Times are nanoseconds since the recorder was made.
#[derive(Clone, Copy, Debug)]
struct Executed {
    /// An index into the ring's models.
    model: usize,
    samples: usize,
    release: Release,
    ok: bool,
    start: u64,
    end: u64,
    /// Requests that it served.
    requests: usize,
    /// How many of these are kept.
    kept: usize,
}

/// A request in a trace.
#[derive(Clone, Copy, Debug)]
struct Served {
    samples: usize,
    accepted: u64,
}

impl Recorder {
    /// For lanes with an index below `max_lanes`, each with a ring of so many events.
    pub(crate) fn new(max_lanes: usize, events: usize) -> Self {
        let rings = (0..max_lanes).map(|_| Mutex::new(Ring::default())).collect();
        Recorder { origin: Instant::now(), events, rings }
    }

    /// Adds an execution and the requests that it served. For the holder of the lane.
    pub(crate) fn executed(
        &self,
        lane: usize,
        batch: Batch<'_>,
        requests: impl ExactSizeIterator<Item = Request>,
    ) {
        let nanos = |at: Instant| at.saturating_duration_since(self.origin).as_nanos() as u64;
        let mut ring = lock(&self.rings[lane]);
        let kept = ring.make_room(self.events, requests.len());
        let executed = Executed {
            model: ring.model(batch.model),
            samples: batch.samples,
            release: batch.release,
            ok: batch.ok,
            start: nanos(batch.start),
            end: nanos(batch.end),
            requests: requests.len(),
            kept,
        };
        ring.batches.push_back(executed);
        let served =
            |request: Request| Served { samples: request.samples, accepted: nanos(request.accepted) };
        ring.requests.extend(requests.take(kept).map(served));
    }

    /// What was recorded since the last time.
    pub(crate) fn take(&self) -> Trace {
        let take = |(index, ring): (usize, &Mutex<Ring>)| {
            let Ring { models, batches, requests, dropped } = std::mem::take(&mut *lock(ring));
            Lane { index, models, batches: batches.into(), requests: requests.into(), dropped }
        };
        let lanes = self.rings.iter().enumerate().map(take).filter(|lane| !lane.batches.is_empty());
        Trace { origin: Some(self.origin), lanes: lanes.collect() }
    }
}

impl Ring {
    /// Forgets old batches until one with so many requests fits; how many of these may be kept.
    fn make_room(&mut self, limit: usize, requests: usize) -> usize {
        while self.batches.len() + self.requests.len() + 1 + requests > limit
            && let Some(oldest) = self.batches.pop_front()
        {
            self.requests.drain(..oldest.kept);
            self.dropped += 1 + oldest.kept as u64;
        }
        let kept = requests.min(limit.saturating_sub(1));
        self.dropped += (requests - kept) as u64;
        kept
    }

    fn model(&mut self, name: &str) -> usize {
        self.models.iter().position(|model| model == name).unwrap_or_else(|| {
            self.models.push(name.to_string());
            self.models.len() - 1
        })
    }
}

/// What the lanes of an engine executed lately: [`Engine::take_trace`](crate::Engine::take_trace).
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// When the engine was made; `None` when it records nothing.
    origin: Option<Instant>,
    lanes: Vec<Lane>,
}

/// What one lane executed lately.
#[derive(Clone, Debug)]
struct Lane {
    index: usize,
    models: Vec<String>,
    batches: Vec<Executed>,
    requests: Vec<Served>,
    dropped: u64,
}

impl Lane {
    /// Each batch with the requests that are kept of it.
    fn batches(&self) -> impl Iterator<Item = (&Executed, &[Served])> {
        let mut rest = &self.requests[..];
        self.batches.iter().map(move |batch| {
            let (own, others) = rest.split_at(batch.kept);
            rest = others;
            (batch, own)
        })
    }
}

impl Trace {
    /// Batches in it.
    pub fn batches(&self) -> usize {
        self.lanes.iter().map(|lane| lane.batches.len()).sum()
    }

    /// Requests in it (parts, for requests that were split).
    pub fn requests(&self) -> usize {
        self.lanes.iter().map(|lane| lane.requests.len()).sum()
    }

    /// Batches and requests that were forgotten, because more was executed than
    /// [`Builder::trace`](crate::Builder::trace) allows to be kept.
    pub fn dropped(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.dropped).sum()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Writes it as JSON in Chrome's trace event format, for `chrome://tracing` and <https://ui.perfetto.dev>; see
    /// [`write_chrome`].
    pub fn write_chrome(&self, out: impl io::Write) -> io::Result<()> {
        write_chrome([("paceline", self)], out)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Records batches with these numbers of requests, one after the other, on lane 0.
    fn recorded(events: usize, batches: &[usize]) -> Trace {
        let recorder = Recorder::new(1, events);
        for (number, &requests) in batches.iter().enumerate() {
            let start = recorder.origin + Duration::from_nanos(number as u64 * 10);
            let (samples, end) = (requests, start + Duration::from_nanos(9));
            let batch = Batch { model: "m", samples, release: Release::Everything, ok: true, start, end };
            let request = Request { samples: 1, accepted: start };
            recorder.executed(0, batch, vec![request; requests].into_iter());
        }
        recorder.take()
    }

    #[test]
    fn a_full_ring_forgets_whole_batches_and_says_so() {
        let cases: [(usize, &[usize], usize, usize, u64); 6] = [
            (10, &[2, 3], 2, 5, 0),
            (7, &[2, 3], 2, 5, 0),
            (6, &[2, 3], 1, 3, 3),
            (3, &[5], 1, 2, 3),
            (3, &[5, 1], 1, 1, 6),
            (1, &[2, 4], 1, 0, 7),
        ];
        for (events, batches, kept, requests, dropped) in cases {
            let trace = recorded(events, batches);
            let got = (trace.batches(), trace.requests(), trace.dropped());
            assert_eq!(got, (kept, requests, dropped), "{batches:?} in {events}");
        }
    }

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let recorder = Recorder::new(3, 10);
        let now = Instant::now();
        let batch =
            Batch { model: "m", samples: 1, release: Release::Inline, ok: true, start: now, end: now };
        recorder.executed(2, batch, std::iter::empty());
        assert_eq!(recorder.take().batches(), 1);
        assert!(recorder.take().is_empty());
    }

    proptest! {
        #[test]
        fn a_ring_keeps_the_latest_within_its_bound(
            events in 1..40usize, batches in prop::collection::vec(0..12usize, 1..40),
        ) {
            let trace = recorded(events, &batches);
            prop_assert!(trace.batches() + trace.requests() <= events);
            let all = batches.len() + batches.iter().sum::<usize>();
            prop_assert_eq!(trace.dropped() as usize + trace.batches() + trace.requests(), all);
            let lane = &trace.lanes[0];
            let first = batches.len() - lane.batches.len();
            for ((batch, own), (number, &requests)) in lane.batches().zip(batches.iter().enumerate().skip(first)) {
                prop_assert_eq!((batch.start, batch.requests), (number as u64 * 10, requests));
                prop_assert!(own.len() == requests || lane.batches.len() == 1);
                prop_assert!(own.iter().all(|request| request.accepted == batch.start));
            }
        }
    }
}
