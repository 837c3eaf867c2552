//! The requests that a worker's engine holds, by slot, and how their answers go back.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use paceline_device::DeviceError;
use paceline_engine::{Answer, ExecutionError, Outputs, SubmitError, Ticket};

use crate::clock::nanos;
use crate::layout::{Block, DONE_TAIL, TEXT, slot};
use crate::ring::Producer;
use crate::sleeper;
use crate::status::Status;
use crate::wire::Wire;

/// The requests of every slot.
pub(super) struct Tickets {
    wire: Wire,
    done: Mutex<Producer>,
    held: Box<[Mutex<Option<Held>>]>,
    count: AtomicUsize,
}

/// A request that the engine has.
struct Held {
    ticket: Ticket,
    block: Block,
    at: usize,
}

impl Tickets {
    pub(super) fn new(wire: Wire) -> Self {
        let layout = wire.layout;
        let done = Mutex::new(Producer::new(DONE_TAIL, layout.done, layout.done_capacity));
        let held = (0..layout.slots).map(|_| Mutex::default()).collect();
        Tickets { wire, done, held, count: AtomicUsize::new(0) }
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Requests that the engine has.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the slot's request is on its way here.
    pub(super) fn is_held(&self, slot: u32) -> bool {
        lock(&self.held[slot as usize]).is_some()
    }

    /// Holds the ticket of a slot, and sends its answer when it comes.
    pub(super) fn hold(self: &Arc<Self>, slot: u32, ticket: Ticket, block: Block, at: usize) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *lock(&self.held[slot as usize]) = Some(Held { ticket, block, at });
        self.poll(slot);
    }

    /// Withdraws the request of a slot, if it is not answered.
    pub(super) fn withdraw(&self, slot: u32) {
        let held = lock(&self.held[slot as usize]).take();
        if held.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            drop(held);
            self.finish(slot, Status::Cancelled);
        }
    }

    fn poll(self: &Arc<Self>, slot: u32) {
        let mut place = lock(&self.held[slot as usize]);
        // Nobody is here when the request was withdrawn, or its answer was there before the waker was called.
        let Some(held) = &mut *place else { return };
        let waker = Waker::from(Arc::new(Arrival { tickets: Arc::clone(self), slot }));
        if let Poll::Ready(answer) = Pin::new(&mut held.ticket).poll(&mut Context::from_waker(&waker)) {
            let held = place.take();
            drop(place);
            self.count.fetch_sub(1, Ordering::Relaxed);
            if let Some(Held { block, at, .. }) = held {
                self.answer(slot, answer, &block, at);
            }
        }
    }

    /// Sends an answer.
    pub(super) fn answer(&self, slot: u32, answer: Answer, block: &Block, at: usize) {
        match answer {
            Ok(outputs) => {
                self.write_outputs(&outputs, block, at);
                self.finish(slot, Status::Completed);
            }
            Err(error) => self.fail(slot, &error),
        }
    }

    fn write_outputs(&self, outputs: &Outputs, block: &Block, at: usize) {
        for ((_, tensor), range) in outputs.iter().zip(&block.outputs) {
            self.wire.write(at + range.start, tensor.data());
        }
    }

    fn fail(&self, slot: u32, error: &ExecutionError) {
        let place = self.wire.layout.slot(slot);
        let lane_is = |lane: usize| {
            self.wire
                .region
                .word(place + slot::LANE)
                .store(u32::try_from(lane).unwrap_or(u32::MAX), Ordering::Relaxed);
        };
        match error {
            ExecutionError::Device { lane, error, .. } => {
                lane_is(*lane);
                match error {
                    DeviceError::Lost(text) => self.finish_with(slot, Status::Lost, text),
                    DeviceError::Failed(text) => self.finish_with(slot, Status::Failed, text),
                    other => self.finish_with(slot, Status::Failed, &other.to_string()),
                }
            }
            ExecutionError::Panicked { lane, message, .. } => {
                lane_is(*lane);
                self.finish_with(slot, Status::Panicked, message);
            }
            ExecutionError::Expired { waited, .. } => {
                self.wire.region.wide(place + slot::WAITED).store(nanos(*waited), Ordering::Relaxed);
                self.finish(slot, Status::Expired);
            }
            // A worker without a lane is of no use; its parent starts another.
            ExecutionError::NoLanes { .. } => std::process::exit(NO_LANES),
            other => self.finish_with(slot, Status::Failed, &other.to_string()),
        }
    }

    /// Answers a request that the engine refused.
    pub(super) fn refuse(&self, slot: u32, refusal: &SubmitError) {
        match refusal {
            SubmitError::Deadline { .. } => {
                let place = self.wire.layout.slot(slot);
                self.wire.region.wide(place + slot::WAITED).store(0, Ordering::Relaxed);
                self.finish(slot, Status::Expired);
            }
            SubmitError::NoLanes { .. } => std::process::exit(NO_LANES),
            other => self.finish_with(slot, Status::Failed, &other.to_string()),
        }
    }

    /// Says how a request ended, with a text as far as there is room.
    pub(super) fn finish_with(&self, slot: u32, status: Status, text: &str) {
        let place = self.wire.layout.slot(slot);
        let text = &text[..text.floor_char_boundary(TEXT)];
        self.wire.region.write(place + slot::TEXT, text.as_bytes());
        self.wire.region.word(place + slot::TEXT_LENGTH).store(text.len() as u32, Ordering::Relaxed);
        self.finish(slot, status);
    }

    fn finish(&self, slot: u32, status: Status) {
        let region = &self.wire.region;
        let place = self.wire.layout.slot(slot);
        region.word(place + slot::STATUS).store(status as u32, Ordering::Relaxed);
        lock(&self.done).push(region, slot);
        if !sleeper::wake(region.word(place + slot::CALLER)) {
            self.wire.ring();
        }
    }
}

/// The code with which a worker ends whose lanes are all retired.
const NO_LANES: i32 = 3;

/// Calls for a slot's answer.
struct Arrival {
    tickets: Arc<Tickets>,
    slot: u32,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.tickets.poll(self.slot);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
