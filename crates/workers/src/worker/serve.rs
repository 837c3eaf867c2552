//! The loop that takes requests out of shared memory and gives them to the engine.
//!
//! A request that comes alone and is short is executed here, without handing it to a lane's thread: on an idle machine that
//! hand-over would be most of its time. For the same reason the loop looks a little longer before it sleeps, as long as that
//! has paid.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use paceline_device::Signature;
use paceline_engine::{InferError, Model, Request};
use paceline_graph::Tensor;
use smallvec::SmallVec;

use super::Served;
use super::tickets::Tickets;
use crate::clock::instant;
use crate::entry::Entry;
use crate::layout::{Block, PING, PONG, SUBMIT_TAIL, slot};
use crate::patience::Patience;
use crate::ring::{Consumer, Corrupt};
use crate::wire::{Wire, Woken};

/// A request that is predicted to take less is executed by the loop: handing it over takes as long.
const INLINE: Duration = Duration::from_micros(30);
/// How long the loop looks for the next request before it sleeps.
const LONGEST_LOOK: Duration = Duration::from_micros(50);

/// Serves until the parent closes the connection.
pub(super) fn until_closed(wire: Wire, served: Served) {
    let layout = wire.layout;
    let tickets = Arc::new(Tickets::new(wire));
    let submitted = Consumer::new(SUBMIT_TAIL, layout.submit, layout.submit_capacity);
    let mut worker = Loop { tickets, submitted, served, patience: Patience::new(LONGEST_LOOK) };
    if worker.run().is_err() {
        // Memory that the parent writes makes no sense; nothing can be said about it through that memory.
        tracing::error!("the parent's requests are corrupt; the worker ends");
    }
}

struct Loop {
    tickets: Arc<Tickets>,
    submitted: Consumer,
    served: Served,
    patience: Patience,
}

/// A request, taken out of its slot.
struct Taken<'m> {
    model: &'m Model,
    request: Request<'m>,
    samples: usize,
    block: Block,
    at: usize,
}

impl Loop {
    fn run(&mut self) -> Result<(), Corrupt> {
        loop {
            self.answer_ping();
            if self.take_all()? || self.look_again() {
                continue;
            }
            let tickets = Arc::clone(&self.tickets);
            let wire = tickets.wire();
            wire.set_bell();
            if self.is_waiting() {
                wire.clear_bell();
                continue;
            }
            let asleep = Instant::now();
            let woken = wire.sleep(None);
            wire.clear_bell();
            self.patience.slept(asleep.elapsed());
            if woken == Woken::Closed {
                return Ok(());
            }
        }
    }

    fn answer_ping(&self) {
        let region = &self.tickets.wire().region;
        let ping = region.word(PING).load(Ordering::Relaxed);
        region.word(PONG).store(ping, Ordering::Relaxed);
    }

    fn is_waiting(&self) -> bool {
        let region = &self.tickets.wire().region;
        region.word(SUBMIT_TAIL).load(Ordering::Acquire) != self.submitted.head()
            || region.word(PING).load(Ordering::Relaxed) != region.word(PONG).load(Ordering::Relaxed)
    }

    /// Waits a little for more; whether it came. Not while lanes execute, who need the core.
    fn look_again(&mut self) -> bool {
        if self.tickets.count() > 0 {
            return false;
        }
        let (tickets, submitted) = (&self.tickets, &self.submitted);
        let tail = tickets.wire().region.word(SUBMIT_TAIL);
        self.patience.watch(|| tail.load(Ordering::Acquire) != submitted.head())
    }

    /// Takes what is there; whether anything was.
    fn take_all(&mut self) -> Result<bool, Corrupt> {
        let Some(mut entry) = self.next()? else { return Ok(false) };
        loop {
            let following = self.next()?;
            match entry {
                Entry::Submit(slot) => self.submit(slot, following.is_none())?,
                Entry::Withdraw(slot) => self.tickets.withdraw(slot),
            }
            match following {
                Some(following) => entry = following,
                None => return Ok(true),
            }
        }
    }

    fn next(&mut self) -> Result<Option<Entry>, Corrupt> {
        let wire = self.tickets.wire();
        let Some(word) = self.submitted.pop(&wire.region)? else { return Ok(None) };
        let entry = Entry::of(word);
        if entry.slot() >= wire.layout.slots { Err(Corrupt) } else { Ok(Some(entry)) }
    }

    fn submit(&self, slot: u32, alone: bool) -> Result<(), Corrupt> {
        if self.tickets.is_held(slot) {
            return Err(Corrupt);
        }
        let Taken { model, request, samples, block, at } = self.take(slot).ok_or(Corrupt)?;
        if alone && self.tickets.count() == 0 && is_short(model, samples) {
            match model.infer(request) {
                Ok(outputs) => self.tickets.answer(slot, Ok(outputs), &block, at),
                Err(InferError::Execution(error)) => self.tickets.answer(slot, Err(error), &block, at),
                Err(InferError::Refused(refusal)) => self.tickets.refuse(slot, &refusal),
            }
            return Ok(());
        }
        match model.submit(request) {
            Ok(ticket) => self.tickets.hold(slot, ticket, block, at),
            Err(refusal) => self.tickets.refuse(slot, &refusal),
        }
        Ok(())
    }

    /// Copies a request out of its slot and block; `None` when it says what cannot be.
    fn take(&self, slot: u32) -> Option<Taken<'_>> {
        let wire = self.tickets.wire();
        let (region, layout, place) = (&wire.region, &wire.layout, wire.layout.slot(slot));
        let word = |at| region.word(place + at).load(Ordering::Relaxed);
        let wide = |at| region.wide(place + at).load(Ordering::Relaxed);
        // From now on this process may die of it.
        region.word(place + slot::TAKEN).store(word(slot::CALLER) & !1, Ordering::Release);
        let model = self.served.models.get(word(slot::MODEL) as usize)?;
        let signature = model.signatures().nth(word(slot::VARIANT) as usize)?;
        let samples = usize::try_from(wide(slot::SAMPLES)).ok()?;
        let block = Block::of(signature, samples)?;
        let begin = usize::try_from(wide(slot::BLOCK)).ok()?;
        begin.checked_add(block.bytes).filter(|&end| end <= layout.arena_bytes)?;
        let at = layout.arena + begin;
        let inputs = read_inputs(wire, signature, samples, &block, at)?;
        let names = signature.inputs.iter().map(|port| port.name.as_str());
        let mut request =
            Request::new(names.zip(inputs)).priority(word(slot::PRIORITY).cast_signed().try_into().ok()?);
        if let Some(deadline) = instant(wide(slot::DEADLINE)) {
            request = request.deadline(deadline);
        }
        Some(Taken { model, request, samples, block, at })
    }
}

fn is_short(model: &Model, samples: usize) -> bool {
    model.predicted_cost(samples, 0).is_some_and(|(mean, _)| mean < INLINE)
}

fn read_inputs(
    wire: &Wire,
    signature: &Signature,
    samples: usize,
    block: &Block,
    at: usize,
) -> Option<SmallVec<[Tensor; 2]>> {
    let mut inputs = SmallVec::new();
    for (port, range) in signature.inputs.iter().zip(&block.inputs) {
        let data = wire.read(port.dtype, at + range.start, port.elements * samples);
        let mut shape = Vec::with_capacity(port.shape.len() + 1);
        shape.extend(signature.batched.then_some(samples));
        shape.extend_from_slice(&port.shape);
        inputs.push(Tensor::new(shape, data).ok()?);
    }
    Some(inputs)
}
