//! Runs a program's plan over a batch, chunk by chunk, in one arena.
//!
//! A chunk that lies within one caller's rows is read from, and written to, that caller's memory; rows of several callers are
//! gathered into the arena first, and their results scattered afterwards. Neither changes a result: every step treats
//! every sample alike.

use std::sync::Arc;

use paceline_device::{Batch, DeviceError, Session, View, ViewMut};
use paceline_graph::by_type;

use crate::board::Lead;
use crate::chunk::{Chunk, Cursor};
use crate::memory::Block;
use crate::plan::{Frame, Plan, Step, Storage, StorageKind};
use crate::program::CpuProgram;

/// An arena and the addresses of the storages in it.
pub(crate) struct CpuSession {
    program: Arc<CpuProgram>,
    arena: Block,
    /// By storage, for the chunk at hand; meaningless between launches.
    pointers: Vec<*mut u8>,
}

// SAFETY: `pointers` is written anew for each chunk and read only while `launch` has the session and the batch borrowed; what
// the other fields hold is Send.
unsafe impl Send for CpuSession {}

impl CpuSession {
    pub fn new(program: Arc<CpuProgram>) -> Self {
        let pointers = vec![std::ptr::null_mut(); program.plan.storages.len()];
        CpuSession { program, arena: Block::empty(), pointers }
    }

    fn execute(
        &mut self,
        chunk: Chunk,
        batch: &mut Batch<'_>,
        mut lead: Option<&mut Lead<'_>>,
    ) -> Result<(), DeviceError> {
        let plan = &self.program.plan;
        let bytes = chunk.samples.saturating_mul(plan.sample_bytes).saturating_add(plan.once_bytes);
        if self.arena.len_bytes() < bytes {
            self.arena = Block::zeroed(bytes).map_err(|_| DeviceError::OutOfMemory { bytes })?;
        }
        let arena = self.arena.as_mut_ptr();
        for (pointer, storage) in self.pointers.iter_mut().zip(&plan.storages) {
            // SAFETY: the arena holds every storage `chunk.samples` times; `Batch::check` has compared the lengths of the
            // callers' slices with the signature, and a chunk in place lies within its part.
            *pointer = unsafe { address(storage, plan, arena, chunk, batch) };
        }
        if !chunk.in_place {
            // SAFETY: the pointers of inputs lead to their places in the arena, which hold `chunk.samples` samples.
            unsafe { self.gather(chunk, batch) };
        }
        // SAFETY: scratch lies behind everything else in the arena.
        let scratch = unsafe { arena.add(bytes - plan.scratch_bytes) };
        for step in &plan.steps {
            let samples = step.repeats(chunk.samples);
            let frame = Frame { kernels: self.program.kernels, samples, pointers: &self.pointers, scratch };
            // SAFETY: the pointers were set for this plan and this number of samples, and this session, with its arena, and the
            // callers' outputs are borrowed exclusively.
            unsafe {
                match &mut lead {
                    Some(lead) if step.can_be_shared(frame.kernels, chunk.samples) => {
                        share(&*step.step, &frame, lead);
                    }
                    _ => step.step.run(&frame),
                }
            }
        }
        if !chunk.in_place {
            // SAFETY: the pointers of outputs lead to their places in the arena, which hold `chunk.samples` samples.
            unsafe { self.scatter(chunk, batch) };
        }
        Ok(())
    }

    /// Copies the callers' rows of every input into the arena.
    ///
    /// # Safety
    /// The pointers of the inputs lead to room for the chunk's samples.
    unsafe fn gather(&self, chunk: Chunk, batch: &Batch<'_>) {
        for (storage, &to) in self.program.plan.storages.iter().zip(&self.pointers) {
            let StorageKind::Input(index) = storage.kind else { continue };
            let row_bytes = storage.row_bytes();
            let (mut to, mut stretches) = (to, Cursor::over(chunk));
            while let Some(stretch) = stretches.next_stretch(batch.parts()) {
                let from = first_byte(&batch.parts()[stretch.part].inputs[index]);
                // SAFETY: a stretch lies within its part, whose length was checked; the destination has room for all of them.
                unsafe {
                    let bytes = stretch.samples * row_bytes;
                    std::ptr::copy_nonoverlapping(from.add(stretch.row * row_bytes), to, bytes);
                    to = to.add(bytes);
                }
            }
        }
    }

    /// Copies the rows of every output from the arena to the callers.
    ///
    /// # Safety
    /// The pointers of the outputs lead to the chunk's samples.
    unsafe fn scatter(&self, chunk: Chunk, batch: &mut Batch<'_>) {
        for (storage, &from) in self.program.plan.storages.iter().zip(&self.pointers) {
            let StorageKind::Output(index) = storage.kind else { continue };
            let row_bytes = storage.row_bytes();
            let (mut from, mut stretches) = (from.cast_const(), Cursor::over(chunk));
            while let Some(stretch) = stretches.next_stretch(batch.parts()) {
                let to = first_byte_mut(&mut batch.parts_mut()[stretch.part].outputs[index]);
                // SAFETY: a stretch lies within its part, whose length was checked; the source has all of them. Bytes that go
                // to booleans are copies of booleans.
                unsafe {
                    let bytes = stretch.samples * row_bytes;
                    std::ptr::copy_nonoverlapping(from, to.add(stretch.row * row_bytes), bytes);
                    from = from.add(bytes);
                }
            }
        }
    }
}

impl Session for CpuSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        batch.check(&self.program.signature, self.program.batch_sizes.max())?;
        let program = batch.is_open_to_help().then(|| self.program.clone());
        let mut lead = program.as_ref().and_then(|program| program.board.lead());
        let mut cursor = Cursor::new(batch.samples());
        while let Some(chunk) = cursor.next_chunk(batch.parts(), self.program.plan.chunk) {
            self.execute(chunk, batch, lead.as_mut())?;
        }
        Ok(())
    }

    fn finish(&mut self, _batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Runs a step with the threads that help.
///
/// # Safety
/// As for [`Step::run`].
unsafe fn share(step: &dyn Step, frame: &Frame<'_>, lead: &mut Lead<'_>) {
    for pass in 0..step.passes(frame.samples) {
        match step.units(frame.kernels, frame.samples, pass) {
            Some(units) => lead.share(units, frame.scratch, &|piece, scratch| {
                // SAFETY: the caller's promise; `share` calls with each unit once, all calls have returned when it does, and each
                // thread has scratch of its own.
                unsafe { step.run_units(frame, scratch, pass, Some(piece)) }
            }),
            // SAFETY: the caller's promise.
            None => unsafe { step.run_units(frame, frame.scratch, pass, None) },
        }
    }
}

/// Where a storage begins while `chunk` is executed.
///
/// # Safety
/// `arena` has room for the plan at `chunk.samples` samples; the batch has passed its check; a chunk in place lies within its part.
unsafe fn address(
    storage: &Storage,
    plan: &Plan,
    arena: *mut u8,
    chunk: Chunk,
    batch: &mut Batch<'_>,
) -> *mut u8 {
    let row = chunk.row * storage.row_bytes();
    // SAFETY: inside the arena or the caller's slice, as promised.
    unsafe {
        match &storage.kind {
            StorageKind::Constant(tensor) => first_byte(&View::of(tensor.data())).cast_mut(),
            StorageKind::Input(index) if chunk.in_place => {
                first_byte(&batch.parts()[chunk.part].inputs[*index]).add(row).cast_mut()
            }
            StorageKind::Output(index) if chunk.in_place => {
                first_byte_mut(&mut batch.parts_mut()[chunk.part].outputs[*index]).add(row)
            }
            _ if storage.every_sample => arena.add(storage.at * chunk.samples),
            _ => arena.add(plan.sample_bytes * chunk.samples + storage.at),
        }
    }
}

fn first_byte(view: &View<'_>) -> *const u8 {
    by_type!(View, view, v => v.as_ptr().cast())
}

fn first_byte_mut(view: &mut ViewMut<'_>) -> *mut u8 {
    by_type!(ViewMut, view, v => v.as_mut_ptr().cast())
}
