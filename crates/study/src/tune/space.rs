//! What tuning may choose from: batches, lanes, threads of one execution, worker processes.

use paceline_device::{BatchSizes, DeviceInfo, Program};
use paceline_profile::Configuration;

/// The largest batch that is tried without being asked for.
const LARGEST_BATCH: usize = 256;
/// Inputs and outputs of one execution take at most this much, where batches are not chosen by hand.
const LARGEST_BYTES: usize = 64 << 20;

/// What to try; `None` chooses by device and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    /// The most samples of one execution. One sample is always tried.
    pub batches: Option<Vec<usize>>,
    /// Executions at a time.
    pub lanes: Option<Vec<usize>>,
    /// Threads of one execution. One thread is always tried.
    pub threads: Option<Vec<usize>>,
    /// Processes that execute; 0 is this one.
    pub workers: Option<Vec<usize>>,
}

/// The values of each axis: ascending, above zero (workers may be), none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) batches: Vec<usize>,
    pub(crate) lanes: Vec<usize>,
    pub(crate) threads: Vec<usize>,
    pub(crate) workers: Vec<usize>,
    /// Lanes that suit the device.
    pub(crate) default_lanes: usize,
    /// The most samples that the program allows.
    pub(crate) allowed: usize,
}

/// One way of executing: what a cell of the cost surface is measured of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point {
    /// Executions at a time.
    pub(crate) lanes: usize,
    /// Threads of each.
    pub(crate) threads: usize,
    /// Samples of each.
    pub(crate) batch: usize,
}

/// The points that differ in the batch alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) lanes: usize,
    pub(crate) threads: usize,
}

impl Row {
    pub(crate) fn at(self, batch: usize) -> Point {
        Point { lanes: self.lanes, threads: self.threads, batch }
    }
}

impl Axes {
    /// The largest batch that a program must allow.
    pub fn max_batch(&self) -> usize {
        self.batches.iter().flatten().copied().max().unwrap_or(LARGEST_BATCH).max(1)
    }

    /// What is tried of a program on a device. Lanes go to twice what suits the device, so that a knee shows.
    pub(crate) fn space(&self, info: &DeviceInfo, program: &dyn Program) -> Space {
        let cores = info.default_lanes.max(1);
        let allowed = if program.signature().batched { program.batch_sizes().max() } else { 1 };
        let batches = match &self.batches {
            Some(batches) => batches.iter().copied().filter(|&batch| batch <= allowed).collect(),
            None => default_batches(program, allowed),
        };
        let threads = match (&self.threads, program.can_be_helped()) {
            (_, false) => Vec::new(),
            (Some(threads), true) => threads.clone(),
            (None, true) => doubling(cores),
        };
        let lanes = self.lanes.clone().unwrap_or_else(|| {
            let mut lanes = doubling(cores);
            lanes.push(2 * cores);
            lanes
        });
        Space {
            batches: ascending(batches, &[1]),
            lanes: or_else(ascending(lanes, &[]), 1),
            threads: ascending(threads, &[1]),
            workers: self.workers.clone().map_or(vec![0], |workers| or_else(sorted(workers), 0)),
            default_lanes: cores,
            allowed,
        }
    }
}

impl Space {
    /// What an engine does by itself.
    pub(crate) fn default_configuration(&self) -> Configuration {
        let lanes = self.default_lanes;
        Configuration { workers: 0, lanes, helpers: lanes - 1, max_batch: self.allowed }
    }

    /// One lane and one thread first, then more lanes, then more threads of a lone execution.
    ///
    /// More threads are not tried together with more lanes: an execution is helped by lanes that have nothing to execute, and a
    /// lane that has is worth more than its help.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        let lanes = self.lanes.iter().copied().filter(|&lanes| lanes > 1);
        let threads = self.threads.iter().copied().filter(|&threads| threads > 1);
        std::iter::once(Row { lanes: 1, threads: 1 })
            .chain(lanes.map(|lanes| Row { lanes, threads: 1 }))
            .chain(threads.map(|threads| Row { lanes: 1, threads }))
    }
}

fn default_batches(program: &dyn Program, allowed: usize) -> Vec<usize> {
    let sizes = match program.batch_sizes() {
        BatchSizes::UpTo(_) => doubling(allowed.min(LARGEST_BATCH)),
        BatchSizes::Buckets(sizes) => sizes.iter().copied().filter(|&size| size <= allowed).collect(),
    };
    let fits = |&size: &usize| program.signature().request_bytes(size) <= LARGEST_BYTES;
    sizes.into_iter().filter(fits).collect()
}

/// 1, 2, 4, ..., and `most`.
fn doubling(most: usize) -> Vec<usize> {
    let mut values: Vec<usize> =
        std::iter::successors(Some(1), |value| Some(value * 2)).take_while(|&value| value < most).collect();
    values.push(most.max(1));
    values
}

/// Those above zero and these, ascending.
fn ascending(mut values: Vec<usize>, always: &[usize]) -> Vec<usize> {
    values.extend(always);
    values.retain(|&value| value > 0);
    sorted(values)
}

fn sorted(mut values: Vec<usize>) -> Vec<usize> {
    values.sort_unstable();
    values.dedup();
    values
}

fn or_else(values: Vec<usize>, otherwise: usize) -> Vec<usize> {
    if values.is_empty() { vec![otherwise] } else { values }
}

#[cfg(test)]
mod tests {
    use paceline_device::fake::{FakeProgram, rows};

    use super::*;

    fn info(cores: usize) -> DeviceInfo {
        DeviceInfo { id: "fake".into(), name: "fake".into(), isa: "none".into(), default_lanes: cores }
    }

    #[test]
    fn axes_without_a_choice_follow_device_and_model() {
        let space = |axes: &Axes, program: FakeProgram| axes.space(&info(6), &program);
        let free = space(&Axes::default(), FakeProgram::new(rows(2)));
        assert_eq!(free.batches, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert_eq!((free.lanes, free.threads, free.workers), (vec![1, 2, 4, 6, 12], vec![1], vec![0]));
        let buckets = FakeProgram::new(rows(2)).batch_sizes(BatchSizes::Buckets(vec![4, 12, 600]));
        assert_eq!(space(&Axes::default(), buckets).batches, [1, 4, 12, 600]);
        let wide = FakeProgram::new(rows(1 << 20));
        assert_eq!(space(&Axes::default(), wide).batches, [1, 2, 4, 8], "8 MiB a sample");
        let nothing = Axes {
            batches: Some(vec![]),
            lanes: Some(vec![0]),
            threads: Some(vec![]),
            workers: Some(vec![]),
        };
        let least = Space {
            batches: vec![1],
            lanes: vec![1],
            threads: vec![1],
            workers: vec![0],
            default_lanes: 6,
            allowed: 256,
        };
        assert_eq!(space(&nothing, FakeProgram::new(rows(2))), least);
        let chosen = Axes { batches: Some(vec![8, 3, 8, 900]), lanes: Some(vec![4]), ..Axes::default() };
        let space = space(&chosen, FakeProgram::new(rows(2)));
        assert_eq!((space.batches, space.lanes), (vec![1, 3, 8], vec![4]));
        assert_eq!((chosen.max_batch(), Axes::default().max_batch()), (900, 256));
    }

    #[test]
    fn rows_begin_with_one_lane_and_one_thread() {
        let space = Space {
            batches: vec![1],
            lanes: vec![2, 4],
            threads: vec![1, 2],
            workers: vec![0],
            default_lanes: 2,
            allowed: 1,
        };
        let rows: Vec<(usize, usize)> = space.rows().map(|row| (row.lanes, row.threads)).collect();
        assert_eq!(rows, [(1, 1), (2, 1), (4, 1), (1, 2)]);
    }
}
