//! What waits: one line of entries for each model, numbered in the order of arrival across models. A plain data structure,
//! without locks or clocks.
//!
//! **Traps.** An entry withdrawn from the middle of a line stays there as a gap; a line never begins with a gap, so that an empty
//! line is one where nothing waits. Gaps are cleared before they outnumber what waits, so that withdrawing costs memory
//! only for a while, and constant time on average.

use std::collections::VecDeque;
use std::ops::Range;

use crate::decide::{Decision, Line, Load, decide};
use crate::statistics::Release;

/// Entries waiting, by model.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    lines: Vec<Waiting<T>>,
    next: u64,
    entries: usize,
    samples: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    max_samples: usize,
    entries: VecDeque<Entry<T>>,
    gaps: usize,
}

/// A batch that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its samples.
    pub(crate) samples: usize,
    /// Why not more.
    pub(crate) release: Release,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    samples: usize,
    /// `None`: a gap.
    value: Option<T>,
}

impl<T> Queue<T> {
    /// A queue without lines.
    pub(crate) fn new() -> Self {
        Queue { lines: Vec::new(), next: 0, entries: 0, samples: 0 }
    }

    /// Adds a line of which one batch may take this many samples; its index.
    pub(crate) fn add_line(&mut self, max_samples: usize) -> usize {
        self.lines.push(Waiting { max_samples, entries: VecDeque::with_capacity(64), gaps: 0 });
        self.lines.len() - 1
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

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds an entry at the end of a line.
    pub(crate) fn push(&mut self, line: usize, samples: usize, value: T) {
        let number = self.next;
        self.next += 1;
        self.entries += 1;
        self.samples += samples;
        self.lines[line].entries.push_back(Entry { number, samples, value: Some(value) });
    }

    /// Moves the entries of the next batch to `batch`, for one of `lanes` lanes whose latest batches had `running` samples.
    /// `None` when nothing waits.
    pub(crate) fn take_batch(&mut self, lanes: usize, running: usize, batch: &mut Vec<T>) -> Option<Taken> {
        let load = Load { lanes, waiting: self.samples, running };
        let lines = self.lines.iter().enumerate().filter_map(|(i, line)| Some((i, line.view()?)));
        let Decision { line, requests } = decide(lines, load)?;
        let line = &mut self.lines[line];
        let (mut wanted, before) = (requests, self.samples);
        while wanted > 0
            && let Some(entry) = line.entries.pop_front()
        {
            match entry.value {
                Some(value) => {
                    wanted -= 1;
                    self.entries -= 1;
                    self.samples -= entry.samples;
                    batch.push(value);
                }
                None => line.gaps -= 1,
            }
        }
        line.trim();
        let samples = before - self.samples;
        let room = line.max_samples - samples;
        let release = match line.entries.front() {
            _ if room == 0 => Release::Full,
            None => Release::Everything,
            Some(next) if next.samples > room => Release::Full,
            Some(_) => Release::Share,
        };
        Some(Taken { samples, release })
    }

    /// Removes the entries of a line that have these numbers and still wait.
    pub(crate) fn withdraw(&mut self, line: usize, numbers: Range<u64>) -> Vec<T> {
        let line = &mut self.lines[line];
        let start = line.entries.partition_point(|entry| entry.number < numbers.start);
        let mut withdrawn = Vec::new();
        for entry in line.entries.range_mut(start..).take_while(|entry| entry.number < numbers.end) {
            if let Some(value) = entry.value.take() {
                self.entries -= 1;
                self.samples -= entry.samples;
                line.gaps += 1;
                withdrawn.push(value);
            }
        }
        line.trim();
        withdrawn
    }

    /// Removes everything.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        (self.entries, self.samples) = (0, 0);
        let entries = self.lines.iter_mut().flat_map(|line| {
            line.gaps = 0;
            line.entries.drain(..)
        });
        entries.filter_map(|entry| entry.value).collect()
    }
}

impl<T> Waiting<T> {
    fn view(&self) -> Option<Line<impl Iterator<Item = usize>>> {
        let oldest = self.entries.front()?.number;
        let live = self.entries.iter().filter(|entry| entry.value.is_some());
        Some(Line { oldest, max_samples: self.max_samples, samples: live.map(|entry| entry.samples) })
    }

    /// Drops the gaps at the front, and all of them when they are the larger part.
    fn trim(&mut self) {
        if self.gaps > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.value.is_some());
            self.gaps = 0;
        }
        while self.entries.front().is_some_and(|entry| entry.value.is_none()) {
            self.entries.pop_front();
            self.gaps -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_that_come_and_go_behind_one_that_stays_take_no_memory() {
        let mut queue = Queue::new();
        queue.add_line(4);
        queue.push(0, 1, "stays");
        for round in 0..100_000 {
            let number = queue.next_number();
            queue.push(0, 1, "goes");
            if round % 3 > 0 {
                assert_eq!(queue.withdraw(0, number..number + 1), ["goes"]);
            } else if round > 3 {
                assert_eq!(queue.withdraw(0, number - 3..number - 2), ["goes"]);
            }
            assert!(queue.lines[0].entries.len() <= 2 * queue.len() + 2);
        }
        assert_eq!(queue.len(), 3);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { line: usize, samples: usize },
        Take,
        Withdraw { line: usize, start: u64, count: u64 },
        TakeAll,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..3usize, 1..=4usize).prop_map(|(line, samples)| Step::Push { line, samples }),
            2 => Just(Step::Take),
            3 => (0..3usize, 0..60u64, 1..4u64)
                .prop_map(|(line, start, count)| Step::Withdraw { line, start, count }),
            1 => Just(Step::TakeAll),
        ]
    }

    proptest! {
        /// Against a list of `(line, number, samples)`: each entry leaves once, in order, and the totals are right.
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec(step(), 1..120)) {
            let mut queue = Queue::new();
            let limits = [4, 6, 9];
            for limit in limits {
                queue.add_line(limit);
            }
            let mut list: Vec<(usize, u64, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Push { line, samples } => {
                        let number = queue.next_number();
                        queue.push(line, samples, (line, number, samples));
                        list.push((line, number, samples));
                    }
                    Step::Take => {
                        let mut batch = Vec::new();
                        let taken = queue.take_batch(1, usize::MAX / 2, &mut batch);
                        prop_assert_eq!(taken.map_or(0, |taken| taken.samples), batch.iter().map(|entry| entry.2).sum::<usize>());
                        let mut expected = Vec::new();
                        if let Some(&(line, ..)) = list.first() {
                            let mut room = limits[line];
                            for entry in list.iter().filter(|entry| entry.0 == line) {
                                let Some(left) = room.checked_sub(entry.2) else { break };
                                room = left;
                                expected.push(*entry);
                            }
                        }
                        prop_assert_eq!(&batch, &expected);
                        list.retain(|entry| !expected.contains(entry));
                    }
                    Step::Withdraw { line, start, count } => {
                        let range = start..start + count;
                        let gone = |entry: &(usize, u64, usize)| entry.0 == line && range.contains(&entry.1);
                        let expected: Vec<_> = list.iter().copied().filter(gone).collect();
                        prop_assert_eq!(queue.withdraw(line, range.clone()), expected);
                        list.retain(|entry| !gone(entry));
                    }
                    Step::TakeAll => {
                        let mut all = queue.take_all();
                        all.sort_unstable_by_key(|entry| entry.1);
                        prop_assert_eq!(all, std::mem::take(&mut list));
                    }
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.is_empty(), list.is_empty());
                prop_assert_eq!(queue.samples(), list.iter().map(|entry| entry.2).sum::<usize>());
            }
        }
    }
}
