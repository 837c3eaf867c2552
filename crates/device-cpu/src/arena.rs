//! Which values share memory: each storage gets a place in the arena for as long as it is alive.

use crate::memory::whole_lines;
use crate::plan::{PlannedStep, Storage, StorageKind};

/// Sizes of the two parts of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArenaBytes {
    /// For each sample.
    pub every_sample: usize,
    /// Once.
    pub once: usize,
}

/// A storage's life, as indices of steps: from the step that writes it first to the one that uses it last.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

/// Places every storage but the constants, so that no two that live at the same time overlap. `None` where the sizes overflow.
///
/// Places the largest first, each at the lowest address where it fits among those it meets (the "greedy by size" of Pisarchyk
/// and Lee, arXiv:2001.03288). A place for each sample is `at * samples`, so two storages that are disjoint for one sample
/// are disjoint for any number.
pub(crate) fn place(storages: &mut [Storage], steps: &[PlannedStep]) -> Option<ArenaBytes> {
    let lives = lives(storages, steps);
    let mut bytes = ArenaBytes { every_sample: 0, once: 0 };
    for every_sample in [true, false] {
        let mut order: Vec<usize> = (0..storages.len())
            .filter(|&i| storages[i].every_sample == every_sample && lives[i].is_some())
            .collect();
        let size = |s: &Storage| s.elements.checked_mul(s.dtype.size_bytes()).and_then(whole_lines);
        for &i in &order {
            size(&storages[i])?;
        }
        order.sort_by_key(|&i| std::cmp::Reverse(size(&storages[i])));
        let mut placed: Vec<(Life, usize, usize)> = Vec::new();
        for i in order {
            let (life, length) = (lives[i]?, size(&storages[i])?);
            let mut met: Vec<(usize, usize)> = placed
                .iter()
                .filter(|(other, ..)| other.first <= life.last && life.first <= other.last)
                .map(|&(_, from, to)| (from, to))
                .collect();
            met.sort_unstable();
            let mut at = 0usize;
            for (from, to) in met {
                if at.checked_add(length)? <= from {
                    break;
                }
                at = at.max(to);
            }
            let end = at.checked_add(length)?;
            placed.push((life, at, end));
            storages[i].at = at;
            let total = if every_sample { &mut bytes.every_sample } else { &mut bytes.once };
            *total = (*total).max(end);
        }
    }
    Some(bytes)
}

/// Inputs live from before the first step, outputs until after the last; constants are not in the arena.
fn lives(storages: &[Storage], steps: &[PlannedStep]) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = storages
        .iter()
        .map(|s| match s.kind {
            StorageKind::Input(_) => Some(Life { first: 0, last: 0 }),
            _ => None,
        })
        .collect();
    for (index, step) in steps.iter().enumerate() {
        for id in step.reads.iter().chain(&step.writes) {
            let life = lives[id.0].get_or_insert(Life { first: index, last: index });
            life.last = life.last.max(index);
        }
    }
    for (life, storage) in lives.iter_mut().zip(storages) {
        match (&storage.kind, life) {
            (StorageKind::Constant(_), life) => *life = None,
            (StorageKind::Output(_), Some(life)) => life.last = steps.len(),
            _ => {}
        }
    }
    lives
}

#[cfg(test)]
mod tests {
    use paceline_graph::DType;

    use super::*;
    use crate::plan::{Frame, Step, StorageId};

    struct Nothing;
    impl Step for Nothing {
        unsafe fn run(&self, _frame: &Frame<'_>) {}
    }

    fn storage(kind: StorageKind, elements: usize) -> Storage {
        Storage { kind, dtype: DType::F32, elements, every_sample: true, at: 0 }
    }

    fn step(reads: &[usize], writes: usize) -> PlannedStep {
        PlannedStep {
            step: Box::new(Nothing),
            every_sample: true,
            reads: reads.iter().map(|&i| StorageId(i)).collect(),
            writes: vec![StorageId(writes)],
            scratch_bytes: 0,
        }
    }

    #[test]
    fn a_chain_alternates_between_two_places() {
        let mut storages = vec![storage(StorageKind::Input(0), 16)];
        storages.extend((0..4).map(|_| storage(StorageKind::Arena, 160)));
        storages.push(storage(StorageKind::Output(0), 16));
        let steps: Vec<_> = (0..5).map(|i| step(&[i], i + 1)).collect();
        let bytes = place(&mut storages, &steps).unwrap();
        assert!(bytes.every_sample <= 2 * 640 + 128, "{bytes:?}");
        assert_eq!(storages[1].at, storages[3].at);
        assert_ne!(storages[1].at, storages[2].at);
    }

    #[test]
    fn storages_alive_together_never_overlap() {
        // A pseudo-random web of reads: every pair is compared.
        let mut storages: Vec<_> = (0..40).map(|i| storage(StorageKind::Arena, 1 + (i * 37) % 90)).collect();
        let steps: Vec<_> = (1..40).map(|i| step(&[i / 2, i - 1 - i % 3 % i], i)).collect();
        place(&mut storages, &steps).unwrap();
        let lives = lives(&storages, &steps);
        for a in 0..40 {
            for b in 0..a {
                let (Some(x), Some(y)) = (lives[a], lives[b]) else { continue };
                let end = |i: usize| storages[i].at + storages[i].elements * 4;
                let together = x.first <= y.last && y.first <= x.last;
                assert!(!together || end(a) <= storages[b].at || end(b) <= storages[a].at, "{a} and {b}");
            }
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let mut storages = vec![storage(StorageKind::Arena, usize::MAX / 2), storage(StorageKind::Arena, 1)];
        assert_eq!(place(&mut storages, &[step(&[0], 1)]), None);
    }
}
