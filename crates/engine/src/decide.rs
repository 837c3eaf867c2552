//! Which requests form the next batch: a pure function, with no clock, no lock and no thread inside.
//!
//! A lane that is free asks three questions.
//!
//! 1. **Which line?** The model that had least of the lanes' time for its weight goes first, so that no model starves another. A
//!    request whose deadline would pass if it waited for that model's batch goes before it, least slack first, as long as
//!    its model is not too far ahead of its share. Among the shapes of one model, least slack decides.
//! 2. **How many samples?** No more than a fair **share** of what the engine holds, so that the other lanes find work too, except
//!    those that cost no time; of the sizes up to there, the one with the most samples per second, by the measured costs.
//! 3. **Which requests?** In the order in which they are due. One that can no longer be answered in time is shed; one that a
//!    batch of the chosen size would make late is left for another lane, when the size gains more than it loses.
//!
//! The share keeps lanes from starving each other. Callers that wait for answers send their next requests only then; if one lane
//! took everything, the others would stand idle until it is done. With as many equal shares as there are lanes and one more,
//! each lane executes one and finds one waiting when it is done.

use smallvec::SmallVec;

use crate::clock::{NEVER, Nanos};
use crate::cost::{Cost, CostTable, rate};
use crate::statistics::Release;

/// How far a model may be ahead of its share of the lanes' time, in nanoseconds, and still overtake for a deadline.
const CREDIT_NS: u64 = 100_000_000;
/// Sizes whose samples per second differ by less than this are equally good: costs are not known better.
const GAIN: f64 = 1.03;
/// Without deadlines, sizes whose samples per second differ by less than this are equally good: costs move by as much from one batch
/// to the next, and with 64 blocking callers a batch that is small for 3 % costs more than it gains.
const SAME_RATE: f64 = 1.08;
/// An execution up to this long keeps nobody waiting who would notice.
const SHORT_NS: f64 = 2_000_000.0;

/// How late an alarm may ring: a timer and a thread that wakes.
const ALARM_NS: Nanos = 5_000_000;
/// The most requests looked at for one batch.
const MAX_WALK: usize = 1024;

/// What becomes of a request that cannot be answered by its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Late {
    /// It is refused, or dropped before it is executed, with an error that says so: nobody needs a late answer. (Of requests that even
    /// alone would take too long by the measured costs, one in sixteen is executed all the same, to see whether that is still so.)
    #[default]
    Reject,
    /// It is executed all the same: a deadline only says what is urgent.
    Serve,
}

/// What is known of one waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) samples: usize,
    /// [`NEVER`] without one.
    pub(crate) deadline: Nanos,
}

/// The waiting requests of one program: one model, one shape.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a, E> {
    /// What the decision names it by.
    pub(crate) index: usize,
    /// Time of lanes that its model had, divided by the model's weight.
    pub(crate) service: u64,
    /// When its first request is due.
    pub(crate) due: Nanos,
    /// Since when something has been waiting.
    pub(crate) since: Nanos,
    /// Samples waiting; at least one.
    pub(crate) waiting: usize,
    /// Samples that one execution may have; no request has more.
    pub(crate) max_samples: usize,
    /// How long a request may wait for company.
    pub(crate) max_delay: Nanos,
    pub(crate) late: Late,
    pub(crate) costs: &'a CostTable,
    /// Whether any of them has a deadline.
    pub(crate) hurried: bool,
    /// The requests, in the order in which they are due; at least one.
    pub(crate) entries: E,
}

/// What the engine holds, all models together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Lanes that are not retired.
    pub(crate) lanes: usize,
    /// Lanes that execute, the asking one included.
    pub(crate) busy: usize,
    /// Samples waiting.
    pub(crate) waiting: usize,
    /// Samples in the latest batch of each lane, added up, whether it still runs or was just answered.
    pub(crate) running: usize,
}

impl Load {
    /// Samples that a lane should take at most.
    pub(crate) fn share(&self) -> usize {
        (self.waiting + self.running).div_ceil(self.lanes + 1).max(1)
    }
}

/// What a lane does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nothing waits.
    Idle,
    /// What waits may wait for company until then.
    Wait { until: Nanos },
    /// A batch; also one without samples, when there were only requests to shed.
    Take(Take),
}

/// The next batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Take {
    /// Of which line.
    pub(crate) line: usize,
    /// Samples taken.
    pub(crate) samples: usize,
    /// Why not more.
    pub(crate) release: Release,
    /// What the execution should take; 0 while no cost is known.
    pub(crate) predicted: Nanos,
}

/// What becomes of one of the line's first requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Take,
    /// It cannot be answered in time.
    Shed,
    Leave,
}

/// The next batch from the lines of all models; a line where nothing waits is not among them. `verdicts` receives what becomes of
/// the first requests of the line that is chosen, in order.
pub(crate) fn decide<'a, E>(
    lines: impl Iterator<Item = Line<'a, E>>,
    load: Load,
    now: Nanos,
    verdicts: &mut Vec<Verdict>,
) -> Decision
where
    E: Iterator<Item = Entry> + Clone,
{
    verdicts.clear();
    match choose_line(lines, load, now) {
        Ok(line) => Decision::Take(fill(&line, load, now, verdicts)),
        Err(Some(until)) => Decision::Wait { until },
        Err(None) => Decision::Idle,
    }
}

/// The line to take from; otherwise when one will be ripe, if anything waits.
fn choose_line<'a, E>(
    lines: impl Iterator<Item = Line<'a, E>>,
    load: Load,
    now: Nanos,
) -> Result<Line<'a, E>, Option<Nanos>>
where
    E: Iterator<Item = Entry> + Clone,
{
    let mut fair: Option<Candidate<'a, E>> = None;
    let mut rivals: SmallVec<[Candidate<'a, E>; 4]> = SmallVec::new();
    let mut wake = None;
    for line in lines {
        let ripe = line.ripe_at(load);
        if ripe > now {
            wake = Some(wake.map_or(ripe, |earliest: Nanos| earliest.min(ripe)));
            continue;
        }
        let candidate = Candidate::new(line, load);
        match &mut fair {
            Some(fair) if candidate.key() < fair.key() => rivals.push(std::mem::replace(fair, candidate)),
            Some(_) => rivals.push(candidate),
            None => fair = Some(candidate),
        }
    }
    let Some(fair) = fair else { return Err(wake) };
    if rivals.iter().all(|rival| rival.deadline == NEVER) {
        return Ok(fair.line);
    }
    let (turn, limit) = (fair.batch_cost(load), fair.line.service.saturating_add(CREDIT_NS));
    let urgent = |rival: &Candidate<'_, E>| {
        let alone = now.saturating_add(rival.cost);
        rival.line.service <= limit && alone <= rival.deadline && alone.saturating_add(turn) > rival.deadline
    };
    let own_slack = fair.slack(now);
    let most_urgent = rivals.into_iter().filter(urgent).min_by_key(|rival| rival.slack(now));
    match most_urgent {
        Some(rival) if rival.slack(now) < own_slack => Ok(rival.line),
        _ => Ok(fair.line),
    }
}

/// A line and what its first request needs.
struct Candidate<'a, E> {
    line: Line<'a, E>,
    deadline: Nanos,
    /// The time to execute the first request alone.
    cost: Nanos,
}

impl<'a, E: Iterator<Item = Entry> + Clone> Candidate<'a, E> {
    fn new(line: Line<'a, E>, load: Load) -> Self {
        let first = line.entries.clone().next();
        let (samples, deadline) = first.map_or((1, NEVER), |entry| (entry.samples, entry.deadline));
        let cost = line.costs.predict(samples, load.busy).map_or(0, |cost| cost.mean_ns as Nanos);
        Candidate { line, deadline, cost }
    }

    /// Who goes first as long as nobody is late: least service, then least slack.
    fn key(&self) -> (u64, Nanos, usize) {
        (self.line.service, self.line.due.saturating_sub(self.cost), self.line.index)
    }

    fn slack(&self, now: Nanos) -> Nanos {
        self.deadline.saturating_sub(now.saturating_add(self.cost))
    }

    /// The time of a batch of this line.
    fn batch_cost(&self, load: Load) -> Nanos {
        let samples = self.line.waiting.min(load.share()).min(self.line.max_samples);
        self.line.costs.predict(samples, load.busy).map_or(self.cost, |cost| cost.mean_ns as Nanos)
    }
}

impl<E: Iterator<Item = Entry> + Clone> Line<'_, E> {
    /// From when on its requests need not wait for company any more.
    fn ripe_at(&self, load: Load) -> Nanos {
        let best = self.costs.frontier(load.busy).last().map_or(self.max_samples, |(size, _)| size);
        if self.max_delay == 0 || self.waiting >= best.min(self.max_samples) {
            return 0;
        }
        let patience = self.since.saturating_add(self.max_delay);
        let earliest = self.entries.clone().take(MAX_WALK).map(|entry| entry.deadline).min();
        let urgency = match earliest.filter(|&deadline| self.hurried && deadline < NEVER) {
            Some(deadline) => {
                let cost = self.costs.predict(self.waiting.min(self.max_samples), load.busy);
                let needed = 2 * cost.map_or(0, |cost| cost.p99_ns as Nanos) + ALARM_NS;
                deadline.saturating_sub(needed)
            }
            None => NEVER,
        };
        patience.min(urgency)
    }
}

impl<E> Line<'_, E> {
    /// The most of the waiting samples that take hardly longer than so many: what costs no time is not left for another lane.
    fn stretched(&self, samples: usize, busy: usize) -> usize {
        let mean_ns = |samples| self.costs.predict(samples, busy).map(|cost| cost.mean_ns);
        let most = self.waiting.min(self.max_samples);
        let Some(base_ns) = mean_ns(samples).filter(|_| samples < most) else { return samples };
        let sizes = self.costs.sizes();
        let larger = &sizes[sizes.partition_point(|&size| size <= samples)..];
        let larger = larger.iter().copied().take_while(|&size| size < most).chain([most]);
        let free = |&size: &usize| mean_ns(size).is_some_and(|ns| ns <= base_ns * GAIN);
        larger.take_while(free).last().unwrap_or(samples)
    }
}

/// A size that a batch may have.
#[derive(Clone, Copy, Debug)]
struct Size {
    samples: usize,
    mean_ns: f64,
    /// When an execution of this size that begins now ends.
    end: Nanos,
    /// Samples waiting that an execution of this size, and of no larger one, answers in time.
    just_in_time: usize,
}

/// Chooses the size of the batch and its requests.
fn fill<E>(line: &Line<'_, E>, load: Load, now: Nanos, verdicts: &mut Vec<Verdict>) -> Take
where
    E: Iterator<Item = Entry> + Clone,
{
    // What waited for company is not divided among the lanes again.
    let share = if line.max_delay > 0 { usize::MAX } else { load.share() };
    let first = line.entries.clone().next().map_or(1, |entry| entry.samples);
    let limit = line.max_samples.min(share).min(line.waiting).max(first);
    let limit = line.stretched(limit, load.busy);
    let mean_ns = |samples| line.costs.predict(samples, load.busy).map_or(0.0, |cost| cost.mean_ns);
    let mut sizes: SmallVec<[Size; 64]> = line
        .costs
        .frontier(load.busy)
        .take_while(|&(samples, _)| samples < limit)
        .skip_while(|&(samples, _)| samples < first)
        .map(|(samples, Cost { mean_ns, .. })| Size::new(samples, mean_ns, now))
        .collect();
    sizes.push(Size::new(limit, mean_ns(limit), now));
    // The first request alone, where nothing else is as quick: it is left only for a size that answers more.
    if mean_ns(first) < sizes[0].mean_ns {
        sizes.insert(0, Size::new(first, mean_ns(first), now));
    }

    let strict = line.late == Late::Reject;
    let walked = line.max_samples.saturating_mul(2);
    // Most entries have as many samples as the one before: its time is not looked up again.
    let mut known = (0, 0);
    let mut is_late = |entry: &Entry| {
        entry.deadline < NEVER && {
            if known.0 != entry.samples {
                known = (entry.samples, now.saturating_add(mean_ns(entry.samples) as Nanos));
            }
            entry.deadline < known.1
        }
    };
    let mut hurried = false;
    if strict && line.hurried {
        let (mut seen, mut near) = (0, 0);
        for entry in line.entries.clone().take(MAX_WALK).take_while(|entry| {
            seen += entry.samples;
            seen <= walked || seen == entry.samples
        }) {
            hurried |= entry.deadline < NEVER;
            if is_late(&entry) {
                continue;
            }
            if let Some(size) = largest_in_time(&mut sizes, entry.deadline, &mut near) {
                size.just_in_time += entry.samples;
            }
            // Those that follow are due later, and there are enough for any size.
            if sizes[sizes.len() - 1].just_in_time >= limit {
                break;
            }
        }
    }
    let alone = load.running == 0 && line.waiting <= limit;
    let (target, hindered) = if hurried { best_in_time(&sizes) } else { (best_rate(&sizes, alone), false) };
    let finish = target.end;
    let (mut taken, mut seen, mut took_all) = (0, 0, true);
    for entry in line.entries.clone() {
        seen += entry.samples;
        if taken >= target.samples || seen > walked && taken > 0 || verdicts.len() >= MAX_WALK {
            took_all = false;
            break;
        }
        let verdict = if strict && is_late(&entry) {
            Verdict::Shed
        } else if taken > 0 && taken + entry.samples > target.samples
            || taken == 0 && entry.samples > line.max_samples
            || strict && hurried && entry.deadline < finish
        {
            took_all = false;
            Verdict::Leave
        } else {
            taken += entry.samples;
            Verdict::Take
        };
        verdicts.push(verdict);
    }
    let release = if taken >= line.max_samples {
        Release::Full
    } else if took_all {
        if line.max_delay > 0 { Release::Delay } else { Release::Everything }
    } else if hindered {
        Release::Deadline
    } else if target.samples < limit {
        Release::Rate
    } else {
        Release::Share
    };
    let predicted = if taken == 0 { 0 } else { mean_ns(taken) as Nanos };
    Take { line: line.index, samples: taken, release, predicted }
}

impl Size {
    fn new(samples: usize, mean_ns: f64, now: Nanos) -> Self {
        Size { samples, mean_ns, end: now.saturating_add(mean_ns as Nanos), just_in_time: 0 }
    }
}

/// The largest of the sizes whose execution ends by then. Their ends ascend, but perhaps for the last. `near` is where it was
/// found for the entry before, whose deadline is often as near.
fn largest_in_time<'s>(sizes: &'s mut [Size], deadline: Nanos, near: &mut usize) -> Option<&'s mut Size> {
    let (last, others) = sizes.split_last_mut()?;
    if last.end <= deadline {
        return Some(last);
    }
    let is_near = others.get(*near).is_some_and(|size| size.end <= deadline)
        && others.get(*near + 1).is_none_or(|next| next.end > deadline);
    if !is_near {
        *near = others.partition_point(|size| size.end <= deadline).checked_sub(1)?;
    }
    others.get_mut(*near)
}

/// The size that makes the most samples per second; of those that make nearly as many, the largest whose execution is short, or
/// else the smallest: a short execution is mostly what stands around it, a long one keeps everybody else waiting. What is
/// `alone`, with nothing left to join the remainder, is not divided.
fn best_rate(sizes: &[Size], alone: bool) -> Size {
    let last = sizes[sizes.len() - 1];
    if alone || last.mean_ns == 0.0 {
        return last;
    }
    let best = sizes.iter().map(|size| rate(size.samples, size.mean_ns)).fold(0.0, f64::max);
    let good = |size: &&Size| rate(size.samples, size.mean_ns) * SAME_RATE >= best;
    let short = sizes.iter().rev().filter(good).find(|size| size.mean_ns <= SHORT_NS);
    short.or_else(|| sizes.iter().find(good)).copied().unwrap_or(last)
}

/// The size that answers the most samples per second in time, where those that it makes late count against it; and whether a
/// deadline kept it from being larger.
fn best_in_time(sizes: &[Size]) -> (Size, bool) {
    let total: usize = sizes.iter().map(|size| size.just_in_time).sum();
    let (mut late, mut best, mut best_value) = (0, sizes[0], f64::NEG_INFINITY);
    for size in sizes {
        let good = size.samples.min(total - late);
        let value = (good as f64 - late as f64) / good.max(1) as f64 * rate(good, size.mean_ns);
        if value > best_value * if best_value > 0.0 { GAIN } else { 1.0 } {
            (best, best_value) = (*size, value);
        }
        late += size.just_in_time;
    }
    let last = sizes[sizes.len() - 1].samples;
    (best, best.samples < last && best.just_in_time > 0)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
