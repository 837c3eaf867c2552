//! How requests come in: on a lane at once, or into the queue; and how they are taken back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use smallvec::SmallVec;

use super::calls::Call;
use super::state::Phase;
use super::turns::Assignment;
use super::{Dispatch, Lane};
use crate::clock::Nanos;
use crate::job::Part;
use crate::loaded::Loaded;
use crate::queue::{Arrival, Overload};
use crate::statistics::Release;
use crate::sync::{Thread, lock};

/// Why parts are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLarge { limit: usize },
    Overload(Overload),
    Unloaded,
    Draining,
    NoLanes,
}

/// Where the parts of a request wait.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) due: Nanos,
    pub(crate) numbers: Range<u64>,
}

/// For so many times the time of its own execution a caller does not run it itself, after somebody found no lane idle. Callers that
/// come back at once would hold cores that those who were answered need to come back, and execute alone what makes a batch together:
/// four callers of `mlp` on two lanes reach half as much again if lanes execute for all of them.
const CONTENDED_FOR: Nanos = 3;

impl Dispatch {
    /// A lane to run a request on at once, if one is idle or on its way to help (and so nothing waits), nobody had to
    /// wait for one just before, and the model asks for no delay. A request
    /// with a deadline that cannot be met gets none.
    pub(crate) fn claim(
        &self,
        slot: usize,
        variant: usize,
        samples: usize,
        deadline: Option<Instant>,
    ) -> Option<(Lane, Assignment)> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open || !state.queue.is_empty() {
            return None;
        }
        let line = state.models[slot].as_ref()?.lines[variant];
        if state.queue.max_delay(line) > 0 {
            return None;
        }
        let busy = state.busy() + 1;
        let predicted =
            state.queue.costs(line)?.predict(samples, busy).map_or(0, |cost| cost.mean_ns as Nanos);
        let now = self.clock.now();
        if state.contended > 0
            && now.saturating_sub(state.contended) < predicted.saturating_mul(CONTENDED_FOR)
        {
            return None;
        }
        if let Some(deadline) = deadline
            && now.saturating_add(predicted) > self.clock.at(deadline)
        {
            return None;
        }
        let serving = Arc::clone(state.serving[line].as_ref()?);
        let lane = state.take_idle(false).or_else(|| state.recall())?;
        state.queue.charge(line, predicted);
        state.posts[lane.index()].alarm = None;
        state.assign(&lane, samples, now, predicted);
        let (helpers, woken) = self.call_for_help(&mut state, &lane, &serving, now, predicted);
        drop(state);
        woken.iter().for_each(Thread::unpark);
        let release = Release::Inline;
        Some((lane, Assignment { serving, line, samples, release, busy, predicted, helpers }))
    }

    /// How many samples may ever wait, for a request that alone has more, or more bytes.
    pub(crate) fn too_large(&self, samples: usize, bytes: usize) -> Option<usize> {
        if samples <= self.bounds.samples && bytes <= self.bounds.bytes {
            return None;
        }
        let by_bytes = self.bounds.bytes / (bytes / samples.max(1)).max(1);
        Some(self.bounds.samples.min(by_bytes))
    }

    /// Accepts the parts of one request that is not [too large](Self::too_large), all or none; where they wait.
    pub(crate) fn submit(
        &self,
        loaded: &Loaded,
        variant: usize,
        parts: SmallVec<[Part; 1]>,
        request: &Arrival,
    ) -> Result<Place, Refusal> {
        let mut woken: SmallVec<[Thread; 2]> = SmallVec::new();
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Refusal::Draining);
        }
        if state.alive == 0 {
            return Err(Refusal::NoLanes);
        }
        let Some(model) = &state.models[loaded.slot] else { return Err(Refusal::Unloaded) };
        let line = model.lines[variant];
        let (load, ahead) = (state.load(), state.ahead(request.now));
        let admitted = state.queue.admit(line, request, &self.bounds, load, &ahead);
        let request = &admitted.map_err(Refusal::Overload)?;
        // Counted before a lane can answer it, so that no more requests are ever answered than were accepted.
        loaded.counters.accepted();
        let (first, due) = (state.queue.next_number(), request.due());
        let is_lent = state.posts.iter().any(|post| post.helps);
        if state.idle.is_empty() && !is_lent {
            state.contended = request.now;
        }
        for mut part in parts {
            (part.number, part.due, part.line) = (state.queue.next_number(), due, line);
            let samples = part.samples();
            let bytes = request.bytes / request.samples.max(1) * samples;
            state.queue.push(line, &Arrival { samples, bytes, ..*request }, load.lanes, part);
            if let Some(lane) = state.take_idle(true) {
                woken.extend(self.call(&mut state, Call::Serve(lane)));
            } else if is_lent {
                self.wanted.store(true, Ordering::Relaxed);
            }
        }
        let numbers = first..state.queue.next_number();
        drop(state);
        woken.iter().for_each(Thread::unpark);
        Ok(Place { line, due, numbers })
    }

    /// Takes back the parts of a request that still wait.
    pub(crate) fn withdraw(&self, place: &Place) -> Vec<Part> {
        let mut state = lock(&self.state);
        let parts = state.queue.withdraw_all(place.line, place.due, place.numbers.clone());
        let gone = if parts.is_empty() { None } else { state.collect(place.line) };
        drop(state);
        drop(gone);
        parts
    }
}
