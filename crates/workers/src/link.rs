//! The parent's side of the connection to one worker process. When the process dies it goes with it; the next one gets another.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use paceline_device::DeviceError;
use paceline_engine::remote::Contract;
use paceline_engine::{Answer, ExecutionError};

use crate::entry::Entry;
use crate::job::Job;
use crate::layout::{DONE_TAIL, PING, PONG, SUBMIT_TAIL, TEXT, slot};
use crate::ring::{Corrupt, Producer};
use crate::shared::lock;
use crate::status::Status;
use crate::wire::{Wire, Woken};

/// The connection to one worker process.
pub(crate) struct Link {
    wire: Wire,
    submit: Mutex<Producer>,
    /// The end of the done ring up to which everything was taken out.
    taken: AtomicU32,
    /// Threads that look at the done ring, so that nobody needs to be woken for it.
    watchers: AtomicU32,
    pub(crate) process: u32,
}

impl Link {
    pub(crate) fn new(wire: Wire, process: u32) -> Link {
        let layout = wire.layout;
        let submit = Mutex::new(Producer::new(SUBMIT_TAIL, layout.submit, layout.submit_capacity));
        Link { wire, submit, taken: AtomicU32::new(0), watchers: AtomicU32::new(0), process }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Puts a request into a slot, whose word becomes `request`, and its inputs into the block at `begin`, and tells the worker.
    pub(crate) fn send(&self, slot: u32, begin: usize, request: u32, job: &Job) {
        let (region, layout, place) = (&self.wire.region, &self.wire.layout, self.wire.layout.slot(slot));
        let at = layout.arena + begin;
        for (tensor, range) in job.inputs.iter().zip(&job.block.inputs) {
            self.wire.write(at + range.start, tensor.data());
        }
        let word = |at, value| region.word(place + at).store(value, Ordering::Relaxed);
        let wide = |at, value| region.wide(place + at).store(value, Ordering::Relaxed);
        word(slot::MODEL, job.model as u32);
        word(slot::VARIANT, job.variant as u32);
        wide(slot::SAMPLES, job.samples as u64);
        wide(slot::DEADLINE, job.deadline);
        wide(slot::BLOCK, begin as u64);
        word(slot::PRIORITY, i32::from(job.priority).cast_unsigned());
        word(slot::STATUS, 0);
        word(slot::CALLER, request);
        self.push(Entry::Submit(slot));
    }

    /// Tells the worker that nobody wants the answer to a slot's request.
    pub(crate) fn withdraw(&self, slot: u32) {
        self.push(Entry::Withdraw(slot));
    }

    fn push(&self, entry: Entry) {
        lock(&self.submit).push(&self.wire.region, entry.word());
        self.wire.ring();
    }

    /// How the request of a slot ended, whose block is at `begin`; `None` where it was withdrawn.
    pub(crate) fn outcome(
        &self,
        slot: u32,
        begin: usize,
        job: &Job,
        contract: &Contract,
    ) -> Result<Option<Answer>, Corrupt> {
        let (region, place) = (&self.wire.region, self.wire.layout.slot(slot));
        let model = contract.name().to_string();
        let lane = region.word(place + slot::LANE).load(Ordering::Relaxed) as usize;
        let status = Status::of(region.word(place + slot::STATUS).load(Ordering::Relaxed)).ok_or(Corrupt)?;
        Ok(Some(match status {
            Status::Completed => {
                let at = self.wire.layout.arena + begin;
                let ports = &contract.signature(job.variant).outputs;
                let elements = ports.iter().zip(&job.block.outputs);
                let data = elements.map(|(port, range)| {
                    self.wire.read(port.dtype, at + range.start, port.elements * job.samples)
                });
                Ok(contract.outputs(job.variant, job.samples, data.collect()))
            }
            Status::Failed => {
                Err(ExecutionError::Device { model, lane, error: DeviceError::Failed(self.text(place)) })
            }
            Status::Lost => {
                Err(ExecutionError::Device { model, lane, error: DeviceError::Lost(self.text(place)) })
            }
            Status::Panicked => Err(ExecutionError::Panicked { model, lane, message: self.text(place) }),
            Status::Expired => {
                let waited = region.wide(place + slot::WAITED).load(Ordering::Relaxed);
                Err(ExecutionError::Expired { model, waited: Duration::from_nanos(waited) })
            }
            Status::Cancelled => return Ok(None),
        }))
    }

    fn text(&self, place: usize) -> String {
        let length = self.wire.region.word(place + slot::TEXT_LENGTH).load(Ordering::Relaxed) as usize;
        let bytes = self.wire.region.read::<u8>(place + slot::TEXT, length.min(TEXT));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The word on which the caller of a slot's request may sleep.
    pub(crate) fn caller(&self, slot: u32) -> &AtomicU32 {
        self.wire.region.word(self.wire.layout.slot(slot) + slot::CALLER)
    }

    /// Whether the worker has taken this request out of its slot.
    pub(crate) fn has_taken(&self, slot: u32, request: u32) -> bool {
        let place = self.wire.layout.slot(slot);
        self.wire.region.word(place + slot::TAKEN).load(Ordering::Acquire) == request
    }

    /// Whether something is in the done ring that nobody took out.
    pub(crate) fn is_pending(&self) -> bool {
        let tail = self.wire.region.word(DONE_TAIL).load(Ordering::Acquire);
        tail != self.taken.load(Ordering::Relaxed)
    }

    /// Everything up to here was taken out of the done ring.
    pub(crate) fn set_taken(&self, head: u32) {
        self.taken.store(head, Ordering::Relaxed);
    }

    /// From now on this thread looks at the done ring: nobody is woken.
    pub(crate) fn begin_watching(&self) {
        if self.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.wire.clear_bell();
        }
    }

    /// This thread looks no more. If it was the last, whoever puts something into the done ring from now on wakes the supervisor;
    /// what was put there before must be taken out by the caller.
    pub(crate) fn end_watching(&self) {
        if self.watchers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.wire.set_bell();
        }
    }

    /// Sets the bell for the supervisor, unless somebody watches.
    pub(crate) fn arm(&self) {
        if self.watchers.load(Ordering::Relaxed) == 0 {
            self.wire.set_bell();
        }
    }

    /// Sleeps until something was put into the done ring, the worker is dead, or so long.
    pub(crate) fn sleep(&self, timeout: Duration) -> Woken {
        self.wire.sleep(Some(timeout))
    }

    /// Asks for a sign of life. Whether the worker has given one to the last question.
    pub(crate) fn ping(&self) -> bool {
        let region = &self.wire.region;
        let (ping, pong) = (region.word(PING), region.word(PONG));
        let asked = ping.load(Ordering::Relaxed);
        let answered = pong.load(Ordering::Relaxed) == asked;
        if answered {
            ping.store(asked.wrapping_add(1), Ordering::Relaxed);
        }
        self.wire.ring();
        answered
    }

    /// Has a worker that holds nothing end.
    pub(crate) fn close(&self) {
        self.wire.close();
    }
}
