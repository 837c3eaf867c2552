//! Admission: what may wait, and how long to stay away where it may not.

use super::{Arrival, Queue, Waiting};
use crate::ahead::Ahead;
use crate::clock::{NEVER, Nanos};
use crate::decide::{Late, Load};

/// Of so many requests that even alone would take too long, one is executed, for the table of costs.
const HOPELESS_TO_A_PROBE: u32 = 16;
/// Nobody is told to come back sooner.
const MIN_RETRY_NS: Nanos = 1_000_000;

/// How much may wait, all lines together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) samples: usize,
    pub(crate) bytes: usize,
    /// Predicted time until a request that is added now would be executed.
    pub(crate) time: Nanos,
}

/// Why a request is not added, with how long to wait before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overload {
    Samples { queued: usize, limit: usize, retry_after: Nanos },
    Bytes { queued: usize, limit: usize, retry_after: Nanos },
    Time { predicted: Nanos, limit: Nanos, retry_after: Nanos },
    Deadline { predicted: Nanos, left: Nanos, retry_after: Nanos },
}

impl<T> Queue<T> {
    /// Whether a request may be added, and as what. `ahead` is what the lanes still have to do of what they execute.
    ///
    /// A table of costs that is wrong would refuse every request with a deadline, and never be put right, for want of executions. So of
    /// the requests that even alone would take too long, now and then one is added as if it had no deadline: a probe.
    pub(crate) fn admit(
        &mut self,
        line: usize,
        request: &Arrival,
        bounds: &Bounds,
        load: Load,
        ahead: &Ahead,
    ) -> Result<Arrival, Overload> {
        let Some(waiting) = &self.lines[line] else { return Ok(*request) };
        let lanes = load.lanes.max(1) as u64;
        let unit_ns = waiting.costs.unit_ns(load.busy.max(1));
        let drain = |samples: usize| ((samples as f64 * unit_ns) as Nanos / lanes).max(MIN_RETRY_NS);
        if request.samples > bounds.samples.saturating_sub(self.samples) {
            let (queued, limit) = (self.samples, bounds.samples);
            let retry_after = drain(request.samples - (limit - queued));
            return Err(Overload::Samples { queued, limit, retry_after });
        }
        if request.bytes > bounds.bytes.saturating_sub(self.bytes) {
            let (queued, limit) = (self.bytes, bounds.bytes);
            let excess = (request.bytes - (limit - queued)) as f64 / self.bytes.max(1) as f64;
            let retry_after = ((self.backlog_ns as f64 * excess) as Nanos / lanes).max(MIN_RETRY_NS);
            return Err(Overload::Bytes { queued, limit, retry_after });
        }
        // An idle lane takes it at once, whatever the others do.
        let at_once = self.entries == 0 && load.busy < load.lanes;
        let wait = if at_once { 0 } else { ahead.wait(self.backlog_before(waiting, request.due())) };
        if wait > bounds.time {
            let retry_after = (wait - bounds.time).max(MIN_RETRY_NS);
            return Err(Overload::Time { predicted: wait, limit: bounds.time, retry_after });
        }
        if waiting.options.late == Late::Reject && request.deadline < NEVER {
            let parts = request.samples.div_ceil(waiting.options.max_samples).max(1) as u64;
            let time = |samples: usize, busy| {
                let samples = samples.min(waiting.options.max_samples);
                let execution = waiting.costs.predict(samples, busy).map_or(0, |cost| cost.mean_ns as Nanos);
                execution.saturating_mul(parts.div_ceil(lanes))
            };
            let alone = time(request.samples, load.busy + 1);
            let company = load.share().min(waiting.samples + request.samples).max(request.samples);
            let predicted = wait.saturating_add(if at_once { alone } else { time(company, load.lanes) });
            let left = request.deadline.saturating_sub(request.now);
            if predicted > left || left == 0 {
                if left > 0 && alone > left && self.is_probe(line) {
                    return Ok(Arrival { deadline: NEVER, ..*request });
                }
                let retry_after = (predicted - left.min(predicted)).max(MIN_RETRY_NS);
                return Err(Overload::Deadline { predicted, left, retry_after });
            }
        }
        Ok(*request)
    }

    /// Whether the request that would be refused is to be executed all the same.
    fn is_probe(&mut self, line: usize) -> bool {
        let Some(waiting) = &mut self.lines[line] else { return false };
        waiting.hopeless += 1;
        waiting.hopeless.is_multiple_of(HOPELESS_TO_A_PROBE)
    }

    /// The predicted time of one lane for what is executed before an entry of this line that is due then: the part of the line
    /// that is due before, and as much of the other models as their weights give them meanwhile.
    fn backlog_before(&self, line: &Waiting<T>, due: Nanos) -> Nanos {
        let own = match (line.entries.first_key_value(), line.entries.last_key_value()) {
            (Some((first, _)), Some((last, _))) if due < last.due => {
                let span = (last.due - first.due).max(1) as f64;
                (line.backlog_ns as f64 * due.saturating_sub(first.due) as f64 / span) as Nanos
            }
            _ => line.backlog_ns,
        };
        let share = &self.models[line.options.model];
        let active = self.active_weight - if share.waiting > 0 { share.weight() } else { 0 };
        let others = u128::from(own) * u128::from(active) / u128::from(share.weight());
        let others = u64::try_from(others).unwrap_or(NEVER);
        own + others.min(self.backlog_ns.saturating_sub(line.backlog_ns))
    }
}
