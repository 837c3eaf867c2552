//! When requests come, and what they ask for.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::{NEVER, Nanos};

/// How long after the caller before it the next caller of a batch runs.
const CHAIN_NS: Nanos = 2_000;

/// Requests of one kind.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// What reports call them.
    pub(super) class: &'static str,
    /// The lines that they go to, one after the other.
    pub(super) lines: Vec<usize>,
    pub(super) samples: usize,
    /// Time from arrival to deadline.
    pub(super) deadline: Option<Nanos>,
    pub(super) priority: i8,
    pub(super) source: Source,
}

/// Who sends them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// Independent callers without number.
    Poisson { per_second: f64 },
    /// The same, but only for `on` of every `on + off` nanoseconds.
    Bursts { per_second: f64, on: Nanos, off: Nanos },
    /// So many, each of which sends its next request when it has run for `pause` with the answer.
    Callers { callers: usize, pause: Nanos },
    /// One that keeps so many requests in flight, and needs `turn` for the answers of one batch.
    Driver { tickets: usize, turn: Nanos },
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) stream: usize,
    pub(super) line: usize,
    pub(super) samples: usize,
    pub(super) deadline: Nanos,
    pub(super) priority: i8,
    pub(super) arrived: Nanos,
}

/// A stream at work.
#[derive(Debug)]
pub(super) struct Generator {
    stream: Stream,
    index: usize,
    random: ChaCha8Rng,
    sent: usize,
    /// When the driver has dealt with the answers that it has.
    free: Nanos,
}

impl Generator {
    pub(super) fn new(stream: &Stream, index: usize, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
        Generator { stream: stream.clone(), index, random, sent: 0, free: 0 }
    }

    /// When the first requests come.
    pub(super) fn first(&mut self) -> Vec<Nanos> {
        match self.stream.source {
            Source::Poisson { .. } | Source::Bursts { .. } => self.after(0).into_iter().collect(),
            Source::Callers { callers, .. } => {
                (0..callers as Nanos).map(|caller| caller * CHAIN_NS).collect()
            }
            Source::Driver { tickets, turn } => {
                (0..tickets as Nanos).map(|ticket| ticket * turn / tickets as Nanos).collect()
            }
        }
    }

    /// When the request after one that comes now comes, if it waits for no answer.
    pub(super) fn after(&mut self, now: Nanos) -> Option<Nanos> {
        match self.stream.source {
            Source::Poisson { per_second } => Some(now + self.gap(per_second)),
            Source::Bursts { per_second, on, off } => {
                // Time runs on only while the burst lasts.
                let at = now / (on + off) * on + (now % (on + off)).min(on) + self.gap(per_second);
                Some(at / on * (on + off) + at % on)
            }
            Source::Callers { .. } | Source::Driver { .. } => None,
        }
    }

    /// Whether requests wait for answers.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.stream.source, Source::Callers { .. } | Source::Driver { .. })
    }

    /// When the requests come that follow on `answers` answers of one batch.
    pub(super) fn answered(&mut self, answers: usize, now: Nanos) -> Vec<Nanos> {
        let answers = answers as Nanos;
        match self.stream.source {
            Source::Poisson { .. } | Source::Bursts { .. } => Vec::new(),
            Source::Callers { pause, .. } => (0..answers).map(|i| now + pause + i * CHAIN_NS).collect(),
            Source::Driver { turn, .. } => {
                let start = self.free.max(now);
                self.free = start + turn;
                (1..=answers).map(|i| start + turn * i / answers).collect()
            }
        }
    }

    /// The request that comes now.
    pub(super) fn request(&mut self, now: Nanos) -> Request {
        let Stream { lines, samples, deadline, priority, .. } = &self.stream;
        let line = lines[self.sent % lines.len()];
        self.sent += 1;
        let deadline = deadline.map_or(NEVER, |after| now + after);
        Request { stream: self.index, line, samples: *samples, deadline, priority: *priority, arrived: now }
    }

    fn gap(&mut self, per_second: f64) -> Nanos {
        (-(1.0 - self.random.random::<f64>()).ln() * 1e9 / per_second) as Nanos
    }
}
