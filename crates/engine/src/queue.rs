//! What waits: one line of entries for each program, in the order in which they are due, and how much of the lanes' time each
//! model had. A plain data structure, without locks or clocks; the simulator runs the same one.
//!
//! **When an entry is due.** At its deadline, or [`PATIENCE_NS`] after it arrived, whichever is first; each step of priority makes
//! that [`PRIORITY_STEP_NS`] earlier. So the order of two entries never changes while they wait, and an entry of the lowest
//! priority is overtaken only by what arrives within a bounded time after it, however much of the highest arrives: priorities are
//! weights, and waiting is what they are weighed against.

mod admission;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::clock::{NEVER, Nanos};
use crate::cost::CostTable;
use crate::decide::{Decision, Entry, Late, Line, Load, Take, Verdict, decide};
use shares::Share;

pub(crate) use admission::{Bounds, Overload};

/// An entry without a deadline is due this long after it arrived.
pub(crate) const PATIENCE_NS: Nanos = 1_000_000_000;
/// How much earlier a step of priority makes an entry due.
pub(crate) const PRIORITY_STEP_NS: Nanos = 100_000_000;

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

    /// Has the line go when nothing waits in it any more; whether it is gone now. What waits there for company waits no longer: none
    /// will come.
    pub(crate) fn retire_line(&mut self, line: usize) -> bool {
        if let Some(waiting) = &mut self.lines[line] {
            waiting.retired = true;
            waiting.options.max_delay = 0;
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
            waiting.costs.learn(samples, busy, alone_at_most);
        }
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

    /// Whether everything that waits is in this line.
    pub(crate) fn has_only(&self, line: usize) -> bool {
        let here = self.lines.get(line).and_then(Option::as_ref).map_or(0, |waiting| waiting.entries.len());
        here == self.entries
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
