//! What waits: one line of entries for each program, in the order in which they are due, and how much of the lanes' time each
//! model had. A plain data structure, without locks or clocks; the simulator runs the same one.
//!
//! **When an entry is due.** At its deadline, or [`PATIENCE_NS`] after it arrived, whichever is first; each step of priority makes
//! that [`PRIORITY_STEP_NS`] earlier. So the order of two entries never changes while they wait, and an entry of the lowest
//! priority is overtaken only by what arrives within a bounded time after it, however much of the highest arrives: priorities are
//! weights, and waiting is what they are weighed against.
//!
//! **Fair shares.** A model's *service* is the time of lanes that it had, divided by its weight. `decide` serves the model with the
//! least. A model that had nothing waiting does not save up its share: it resumes at the service of the model served last
//! (start-time fair queueing: Goyal, Vin and Cheng, 1996).

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ahead::Ahead;
use crate::clock::{NEVER, Nanos};
use crate::cost::CostTable;
use crate::decide::{Decision, Entry, Late, Line, Load, Take, Verdict, decide};

/// An entry without a deadline is due this long after it arrived.
pub(crate) const PATIENCE_NS: Nanos = 1_000_000_000;
/// How much earlier a step of priority makes an entry due.
pub(crate) const PRIORITY_STEP_NS: Nanos = 100_000_000;

/// Of so many requests that even alone would take too long, one is executed, for the table of costs.
const HOPELESS_TO_A_PROBE: u32 = 16;

/// Entries waiting, by line.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    lines: Vec<Option<Waiting<T>>>,
    models: Vec<Share>,
    next: u64,
    entries: usize,
    samples: usize,
    bytes: usize,
    /// The predicted time of one lane for all that waits.
    backlog_ns: Nanos,
    /// Of the models for which something waits.
    active_weight: u64,
    /// The service of the model served last, when it was chosen.
    service: u64,
    /// Nothing waits for company any more.
    hurried: bool,
    verdicts: Vec<Verdict>,
}

/// A model's claim to the lanes.
#[derive(Debug)]
struct Share {
    weight: u32,
    service: u64,
    waiting: usize,
}

impl Share {
    fn weight(&self) -> u64 {
        u64::from(self.weight)
    }
}

/// A larger weight counts as this: time divided by it must not vanish.
const MAX_WEIGHT: u32 = 1000;

#[derive(Debug)]
struct Waiting<T> {
    options: LineOptions,
    costs: CostTable,
    entries: BTreeMap<Key, Queued<T>>,
    samples: usize,
    /// Entries that have a deadline.
    hurried: usize,
    backlog_ns: Nanos,
    /// Since when something has been waiting.
    since: Nanos,
    /// Requests refused because even alone they would take too long.
    hopeless: u32,
    /// Nothing is added any more; the line goes when it is empty.
    retired: bool,
}

/// What distinguishes one line from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineOptions {
    /// From [`Queue::add_model`].
    pub(crate) model: usize,
    pub(crate) max_samples: usize,
    pub(crate) late: Late,
    pub(crate) max_delay: Nanos,
}

/// The place of an entry in its line. The number is unique among all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) due: Nanos,
    pub(crate) number: u64,
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) samples: usize,
    pub(crate) bytes: usize,
    /// [`NEVER`] without one.
    pub(crate) deadline: Nanos,
    pub(crate) priority: i8,
    pub(crate) now: Nanos,
}

#[derive(Debug)]
struct Queued<T> {
    samples: usize,
    bytes: usize,
    deadline: Nanos,
    cost_ns: Nanos,
    value: T,
}

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

impl Arrival {
    /// When it is due.
    pub(crate) fn due(&self) -> Nanos {
        let due = self.deadline.min(self.now.saturating_add(PATIENCE_NS));
        let shift = u64::from(self.priority.unsigned_abs()) * PRIORITY_STEP_NS;
        if self.priority > 0 { due.saturating_sub(shift) } else { due.saturating_add(shift) }
    }
}

impl<T> Queue<T> {
    /// A queue without lines.
    pub(crate) fn new() -> Self {
        Queue {
            lines: Vec::new(),
            models: Vec::new(),
            next: 0,
            entries: 0,
            samples: 0,
            bytes: 0,
            backlog_ns: 0,
            active_weight: 0,
            service: 0,
            hurried: false,
            verdicts: Vec::new(),
        }
    }

    /// Adds a model with a claim to the lanes' time; its number.
    pub(crate) fn add_model(&mut self, weight: u32) -> usize {
        self.models.push(Share { weight: weight.clamp(1, MAX_WEIGHT), service: self.service, waiting: 0 });
        self.models.len() - 1
    }

    /// Adds a line; its number, which is used again when the line is gone.
    pub(crate) fn add_line(&mut self, options: LineOptions, costs: CostTable) -> usize {
        let (entries, samples, hurried, backlog_ns, since, hopeless) = (BTreeMap::new(), 0, 0, 0, 0, 0);
        let line = Waiting {
            options,
            costs,
            entries,
            samples,
            hurried,
            backlog_ns,
            since,
            hopeless,
            retired: false,
        };
        match self.lines.iter().position(Option::is_none) {
            Some(free) => {
                self.lines[free] = Some(line);
                free
            }
            None => {
                self.lines.push(Some(line));
                self.lines.len() - 1
            }
        }
    }

    /// Has the line go when nothing waits in it any more; whether it is gone now.
    pub(crate) fn retire_line(&mut self, line: usize) -> bool {
        if let Some(waiting) = &mut self.lines[line] {
            waiting.retired = true;
        }
        self.collect(line)
    }

    /// From now on, nothing waits for company.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// What is known of the costs of a line.
    pub(crate) fn costs(&self, line: usize) -> Option<&CostTable> {
        self.lines.get(line)?.as_ref().map(|waiting| &waiting.costs)
    }

    /// Takes note of what an execution cost. With help, all that is known is that alone it takes no longer than the help was great:
    /// that counts where more was expected.
    pub(crate) fn record(
        &mut self,
        line: usize,
        samples: usize,
        busy: usize,
        predicted: Nanos,
        took: Nanos,
        helpers: usize,
    ) {
        let Some(waiting) = self.lines.get_mut(line).and_then(Option::as_mut) else { return };
        let alone_at_most = took.saturating_mul(helpers as u64 + 1);
        if helpers == 0 || alone_at_most < predicted {
            waiting.costs.record(samples, busy, alone_at_most);
        }
    }

    /// Puts a model's account right when the lanes' time that was predicted has been spent.
    pub(crate) fn settle_account(&mut self, model: usize, predicted: Nanos, took: Nanos) {
        let share = &mut self.models[model];
        share.service = (share.service + took / share.weight()).saturating_sub(predicted / share.weight());
    }

    /// [`settle_account`](Self::settle_account) and [`record`](Self::record), for an execution without help.
    #[cfg(any(test, feature = "simulator"))]
    pub(crate) fn executed(
        &mut self,
        line: usize,
        samples: usize,
        busy: usize,
        predicted: Nanos,
        took: Nanos,
    ) {
        if let Some(model) = self.lines[line].as_ref().map(|waiting| waiting.options.model) {
            self.settle_account(model, predicted, took);
        }
        self.record(line, samples, busy, predicted, took, 0);
    }

    /// Changes a model's claim to the lanes' time.
    pub(crate) fn set_weight(&mut self, model: usize, weight: u32) {
        let (weight, share) = (weight.clamp(1, MAX_WEIGHT), &mut self.models[model]);
        if share.waiting > 0 {
            self.active_weight = self.active_weight - share.weight() + u64::from(weight);
        }
        share.weight = weight;
    }

    /// Whether everything that waits is in this line.
    pub(crate) fn has_only(&self, line: usize) -> bool {
        let here = self.lines.get(line).and_then(Option::as_ref).map_or(0, |waiting| waiting.entries.len());
        here == self.entries
    }

    /// Counts lane time that is about to be spent on a request of this line that did not wait.
    pub(crate) fn charge(&mut self, line: usize, predicted: Nanos) {
        let Some(waiting) = self.lines.get(line).and_then(Option::as_ref) else { return };
        let share = &mut self.models[waiting.options.model];
        share.service = share.service.max(self.service);
        self.service = share.service;
        share.service += predicted / share.weight();
    }

    /// How long an entry of this line may wait for company.
    pub(crate) fn max_delay(&self, line: usize) -> Nanos {
        self.lines[line].as_ref().map_or(0, |waiting| waiting.options.max_delay)
    }

    /// The number that the next entry will have.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Entries waiting.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Samples waiting.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Bytes that belong to what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

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
            let predicted = wait + if at_once { alone } else { time(company, load.lanes) };
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

    /// Adds an entry; its place.
    pub(crate) fn push(&mut self, line: usize, arrival: &Arrival, busy: usize, value: T) -> Key {
        let key = Key { due: arrival.due(), number: self.next };
        let Some(waiting) = &mut self.lines[line] else {
            unreachable!("entries are added to lines that are there")
        };
        let cost_ns = (arrival.samples as f64 * waiting.costs.unit_ns(busy)) as Nanos;
        let &Arrival { samples, bytes, deadline, now, .. } = arrival;
        if waiting.entries.is_empty() {
            waiting.since = now;
        }
        waiting.entries.insert(key, Queued { samples, bytes, deadline, cost_ns, value });
        waiting.samples += samples;
        waiting.hurried += usize::from(deadline < NEVER);
        waiting.backlog_ns += cost_ns;
        let share = &mut self.models[waiting.options.model];
        if share.waiting == 0 {
            share.service = share.service.max(self.service);
            self.active_weight += share.weight();
        }
        share.waiting += 1;
        self.next += 1;
        self.entries += 1;
        self.samples += samples;
        self.bytes += bytes;
        self.backlog_ns += cost_ns;
        key
    }

    /// Moves the entries of the next batch to `batch`, and those that are too late to `shed`.
    pub(crate) fn take_batch(
        &mut self,
        load: Load,
        now: Nanos,
        batch: &mut Vec<T>,
        shed: &mut Vec<T>,
    ) -> Decision {
        if self.entries == 0 {
            return Decision::Idle;
        }
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let load = Load { waiting: self.samples, ..load };
        let lines =
            self.lines.iter().enumerate().filter_map(|(index, line)| self.view(index, line.as_ref()?));
        let decision = decide(lines, load, now, &mut verdicts);
        if let Decision::Take(Take { line, predicted, .. }) = decision {
            self.carry_out(line, &verdicts, batch, shed);
            let model = self.lines[line].as_ref().map(|waiting| waiting.options.model);
            if let Some(share) = model.map(|model| &mut self.models[model]) {
                self.service = self.service.max(share.service);
                share.service += predicted / share.weight();
            }
        }
        self.verdicts = verdicts;
        decision
    }

    /// Removes the line if it is retired and empty; whether it is gone.
    pub(crate) fn collect(&mut self, line: usize) -> bool {
        let gone =
            matches!(&self.lines[line], Some(waiting) if waiting.retired && waiting.entries.is_empty());
        if gone {
            self.lines[line] = None;
        }
        gone
    }

    /// Removes an entry that still waits.
    pub(crate) fn withdraw(&mut self, line: usize, key: Key) -> Option<T> {
        let queued = self.lines.get_mut(line)?.as_mut()?.entries.remove(&key)?;
        Some(self.forget(line, queued))
    }

    /// Removes the entries of one request, which have consecutive numbers.
    pub(crate) fn withdraw_all(&mut self, line: usize, due: Nanos, numbers: Range<u64>) -> Vec<T> {
        numbers.filter_map(|number| self.withdraw(line, Key { due, number })).collect()
    }

    /// Removes everything.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.entries);
        for line in 0..self.lines.len() {
            while let Some((_, queued)) = self.lines[line].as_mut().and_then(|line| line.entries.pop_first())
            {
                all.push(self.forget(line, queued));
            }
        }
        all
    }

    fn view<'a>(
        &'a self,
        index: usize,
        line: &'a Waiting<T>,
    ) -> Option<Line<'a, impl Iterator<Item = Entry> + Clone + use<'a, T>>> {
        let (first, _) = line.entries.first_key_value()?;
        let entry = |queued: &Queued<T>| Entry { samples: queued.samples, deadline: queued.deadline };
        Some(Line {
            index,
            service: self.models[line.options.model].service,
            due: first.due,
            since: line.since,
            waiting: line.samples,
            max_samples: line.options.max_samples,
            max_delay: if self.hurried { 0 } else { line.options.max_delay },
            late: line.options.late,
            costs: &line.costs,
            hurried: line.hurried > 0,
            entries: line.entries.values().map(entry),
        })
    }

    fn carry_out(&mut self, line: usize, verdicts: &[Verdict], batch: &mut Vec<T>, shed: &mut Vec<T>) {
        let mut left = Vec::new();
        for verdict in verdicts {
            let Some((key, queued)) = self.lines[line].as_mut().and_then(|line| line.entries.pop_first())
            else {
                break;
            };
            match verdict {
                Verdict::Take => batch.push(self.forget(line, queued)),
                Verdict::Shed => shed.push(self.forget(line, queued)),
                Verdict::Leave => left.push((key, queued)),
            }
        }
        if let Some(line) = &mut self.lines[line] {
            line.entries.extend(left);
        }
    }

    /// Takes an entry that was removed out of the totals.
    fn forget(&mut self, line: usize, queued: Queued<T>) -> T {
        if let Some(line) = &mut self.lines[line] {
            line.samples -= queued.samples;
            line.hurried -= usize::from(queued.deadline < NEVER);
            line.backlog_ns -= queued.cost_ns;
            let share = &mut self.models[line.options.model];
            share.waiting -= 1;
            if share.waiting == 0 {
                self.active_weight -= share.weight();
            }
        }
        self.entries -= 1;
        self.samples -= queued.samples;
        self.bytes -= queued.bytes;
        self.backlog_ns -= queued.cost_ns;
        queued.value
    }
}

/// Nobody is told to come back sooner.
const MIN_RETRY_NS: Nanos = 1_000_000;

#[cfg(test)]
mod tests;
