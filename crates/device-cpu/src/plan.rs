//! What a program does: storages, and steps that read and write them.
//!
//! The batch is an axis in front of everything: a storage holds, one sample behind the other, the value that the graph
//! computes for a batch of one. A step is planned for one sample and repeats itself for as many as the frame has. So one
//! plan serves every batch size, and no step can mix samples.

use std::ops::Range;
use std::sync::Arc;

use paceline_graph::{DType, Tensor};

use crate::division::Units;
use crate::kernels::set::KernelSet;

/// Index of a storage in [`Plan::storages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StorageId(pub usize);

/// A stretch of memory that holds one value, dense.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub kind: StorageKind,
    pub dtype: DType,
    /// Elements of one sample.
    pub elements: usize,
    /// Whether there is one copy for each sample, or one for the whole batch.
    pub every_sample: bool,
    /// Where it begins in the arena: `at * samples` bytes when there is one for each sample, else `at` bytes behind all of those.
    /// Unused by constants.
    pub at: usize,
}

impl Storage {
    /// Bytes of one sample.
    pub fn row_bytes(&self) -> usize {
        self.elements * self.dtype.size_bytes()
    }
}

/// Who owns the memory of a storage.
#[derive(Clone, Debug)]
pub(crate) enum StorageKind {
    /// The session's arena.
    Arena,
    /// The caller's input of this index; the arena, when several callers' rows are gathered.
    Input(usize),
    /// The caller's output of this index; the arena, when rows are scattered to several callers.
    Output(usize),
    /// The graph.
    Constant(Arc<Tensor>),
}

/// One step and what the planner must know of it.
pub(crate) struct PlannedStep {
    pub step: Box<dyn Step>,
    /// Whether it repeats for every sample, or runs once.
    pub every_sample: bool,
    pub reads: Vec<StorageId>,
    pub writes: Vec<StorageId>,
    /// Memory it needs while it runs, whatever the batch.
    pub scratch_bytes: usize,
}

impl PlannedStep {
    /// How often the step repeats for a chunk of so many samples.
    pub fn repeats(&self, samples: usize) -> usize {
        if self.every_sample { samples } else { 1 }
    }

    /// Whether threads may share any of the work for a chunk of so many samples.
    pub fn can_be_shared(&self, kernels: &KernelSet, samples: usize) -> bool {
        let repeats = self.repeats(samples);
        (0..self.step.passes(repeats)).any(|pass| self.step.units(kernels, repeats, pass).is_some())
    }
}

/// A compiled graph: steps in order over storages.
pub(crate) struct Plan {
    pub storages: Vec<Storage>,
    pub steps: Vec<PlannedStep>,
    /// Arena bytes a sample.
    pub sample_bytes: usize,
    /// Arena bytes independent of the batch: values that are the same for every sample, then scratch.
    pub once_bytes: usize,
    /// The part of `once_bytes` that is scratch.
    pub scratch_bytes: usize,
    /// The scratch of a thread that helps.
    pub helper_bytes: usize,
    /// Samples that are executed together.
    pub chunk: usize,
}

/// The memory that steps work on, for one chunk of a batch.
pub(crate) struct Frame<'a> {
    pub kernels: &'static KernelSet,
    /// How often a step repeats: the samples of the chunk, or 1 for a step that runs once.
    pub samples: usize,
    /// Where each storage begins, by [`StorageId`].
    pub pointers: &'a [*mut u8],
    /// The leader's scratch, aligned to a cache line, of the plan's `scratch_bytes`.
    pub scratch: *mut u8,
}

/// A place in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub storage: StorageId,
    /// In elements, from the beginning of the first sample.
    pub offset: usize,
}

// SAFETY: a frame is addresses and sizes; who follows an address answers for it, as `Step::run_units` says for several threads.
unsafe impl Sync for Frame<'_> {}

impl Frame<'_> {
    /// Address of element `index` behind a slot.
    ///
    /// # Safety
    /// The storage holds elements of type `T`, and more than `slot.offset + index` of them.
    #[inline(always)]
    pub unsafe fn at<T>(&self, slot: Slot, index: usize) -> *mut T {
        // SAFETY: inside the storage, by the caller's promise.
        unsafe { self.pointers[slot.storage.0].cast::<T>().add(slot.offset + index) }
    }

    /// Address of element `index` behind a slot, or null without one.
    ///
    /// # Safety
    /// As for [`Frame::at`].
    #[inline(always)]
    pub unsafe fn optional<T>(&self, slot: Option<Slot>, index: usize) -> *const T {
        // SAFETY: the caller's promise.
        slot.map_or(std::ptr::null(), |slot| unsafe { self.at(slot, index) })
    }
}

/// One kernel call, or a loop of them, with everything decided but the memory and the number of samples.
pub(crate) trait Step: Send + Sync {
    /// Runs the step.
    ///
    /// # Safety
    /// The frame's pointers are those of the plan's storages, each with room for `frame.samples` samples (or one, where a storage
    /// is shared by all), and nobody else uses the storage that the step writes, or the scratch, at the same time.
    unsafe fn run(&self, frame: &Frame<'_>);

    /// In how many passes threads share the work for so many samples; each begins when the one before is done.
    fn passes(&self, samples: usize) -> usize {
        let _ = samples;
        1
    }

    /// The work of one pass as threads may share it, if that is worth it.
    fn units(&self, kernels: &KernelSet, samples: usize, pass: usize) -> Option<Units> {
        let _ = (kernels, samples, pass);
        None
    }

    /// The scratch that each further thread needs.
    fn helper_bytes(&self) -> usize {
        0
    }

    /// Runs some of the [`units`](Step::units) of a pass. Stretches that together are all of them, in any order and by any threads,
    /// pass after pass, leave what [`run`](Step::run) leaves, bit for bit. `None`: all of a pass that is not divided. Called only
    /// where some pass has units. `scratch` is this thread's: the leader's own, or that of a helper, of
    /// [`helper_bytes`](Step::helper_bytes).
    ///
    /// # Safety
    /// As for [`run`](Step::run), but that other units of this pass may run at the same time. Nobody else uses `scratch`.
    unsafe fn run_units(
        &self,
        frame: &Frame<'_>,
        scratch: *mut u8,
        pass: usize,
        units: Option<Range<usize>>,
    ) {
        let _ = scratch;
        unreachable!("pass {pass} of a step that is not divided, {units:?} for {} samples", frame.samples)
    }
}
