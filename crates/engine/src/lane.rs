//! Running batches: the loop of a lane's thread, and the short cut of a caller that finds a lane idle.
//!
//! **Traps.** A lane answers a batch before it opens a lost session again, and takes its next batch before it may become idle.
//! Wakers are the users' code and run on the lane's thread: one that blocks stops the lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paceline_device::Batch;

use crate::dispatch::{Dispatch, Lane};
use crate::error::ExecutionError;
use crate::job::{Answer, Part, buffers, views};
use crate::loaded::{Fault, Loaded};
use crate::statistics::{Execution, LaneCounters, Release};
use crate::trace;
use crate::validate::Valid;
use crate::wake::Wakes;

/// The body of a lane's thread: serves its lane whenever it is called, until the engine closes or the lane is retired.
pub(crate) fn run(dispatch: &Dispatch, index: usize) {
    tracing::debug!(lane = index, "lane started");
    let (mut batch, mut wakes) = (Vec::new(), Wakes::default());
    while let Some(mut lane) = dispatch.await_call(index) {
        while let Some(next) = dispatch.next(lane, &mut batch) {
            let (next, release) = next;
            match execute(dispatch, next, release, &mut batch, &mut wakes) {
                Some(next) => lane = next,
                None => break,
            }
        }
    }
    tracing::debug!(lane = index, "lane stopped");
}

/// Executes a batch of one model and answers its requests. `None`: the lane is retired.
fn execute(
    dispatch: &Dispatch,
    lane: Lane,
    release: Release,
    parts: &mut Vec<Part>,
    wakes: &mut Wakes,
) -> Option<Lane> {
    let model = Arc::clone(&parts.first()?.job.model);
    let counters = model.counters.lane(lane.index());
    let start = Instant::now();
    let mut batch = Batch::with_capacity(parts.len());
    for part in parts.iter_mut() {
        counters.waited(part.waited(start));
        batch.push(part.views());
    }
    let samples = batch.samples();
    let result = model.execute(&lane, &mut batch);
    drop(batch);
    let (ok, end) = (result.is_ok(), Instant::now());
    let ran = Ran { lane: &lane, model: &model, samples, release, ok, start, end };
    ran.record(dispatch, parts.iter().map(Part::request));
    match result {
        Ok(()) => {
            // From the last to the first: a chain of wake-ups is linked from its end, and runs from the oldest request on.
            parts.drain(..).rev().for_each(|part| answer(counters, part, Ok(()), end, wakes));
            wakes.wake();
            Some(lane)
        }
        Err(fault) => {
            report(&model, &lane, &fault);
            for part in parts.drain(..) {
                for sibling in dispatch.withdraw(model.line, part.siblings()) {
                    answer(counters, sibling, Err(fault.error.clone()), end, wakes);
                }
                answer(counters, part, Err(fault.error.clone()), end, wakes);
            }
            wakes.wake();
            recover(dispatch, lane, &model, &fault)
        }
    }
}

/// Executes a request at once, in the thread of its caller, on a lane that it claimed.
pub(crate) fn infer_inline(dispatch: &Dispatch, lane: Lane, model: &Loaded, valid: &Valid) -> Answer {
    let counters = model.counters.lane(lane.index());
    let mut outputs = buffers(model, valid.samples);
    let start = Instant::now();
    let mut batch = Batch::of(views(model, &valid.inputs, 0..valid.samples, &mut outputs));
    let result = model.execute(&lane, &mut batch);
    drop(batch);
    let (samples, ok, end) = (valid.samples, result.is_ok(), Instant::now());
    let ran = Ran { lane: &lane, model, samples, release: Release::Inline, ok, start, end };
    ran.record(dispatch, std::iter::once(trace::Request { samples, accepted: start }));
    counters.waited(Duration::ZERO);
    counters.answered(ok, end - start);
    match result {
        Ok(()) => {
            dispatch.release(lane);
            Ok(model.outputs(valid.samples, outputs))
        }
        Err(fault) => {
            report(model, &lane, &fault);
            if let Some(lane) = recover(dispatch, lane, model, &fault) {
                dispatch.release(lane);
            }
            Err(fault.error)
        }
    }
}

/// An execution that is over.
struct Ran<'a> {
    lane: &'a Lane,
    model: &'a Loaded,
    samples: usize,
    release: Release,
    ok: bool,
    start: Instant,
    end: Instant,
}

impl Ran<'_> {
    /// Counts it, and tells of it where somebody wants to know.
    fn record(&self, dispatch: &Dispatch, requests: impl ExactSizeIterator<Item = trace::Request>) {
        let &Ran { lane, model, samples, release, ok, start, end } = self;
        let (lane, took, prepared) = (lane.index(), end - start, model.prepared(samples));
        model.counters.lane(lane).executed(&Execution { samples, prepared, ok, took, release });
        let (name, took_us) = (model.name.as_str(), took.as_micros() as u64);
        tracing::trace!(model = name, lane, samples, release = release.name(), ok, took_us, "batch executed");
        if let Some(recorder) = &dispatch.trace {
            let batch = trace::Batch { model: name, samples, release, ok, start, end };
            recorder.executed(lane, batch, requests);
        }
    }
}

fn answer(
    counters: LaneCounters<'_>,
    part: Part,
    result: Result<(), ExecutionError>,
    end: Instant,
    wakes: &mut Wakes,
) {
    let total = part.waited(end);
    if let Some(ok) = part.finish(result, wakes) {
        counters.answered(ok, total);
    }
}

fn report(model: &Loaded, lane: &Lane, fault: &Fault) {
    tracing::warn!(model = model.name, lane = lane.index(), lost = fault.lost, error = %fault.error, "execution failed");
}

/// Makes the lane usable after a failed execution, or retires it.
fn recover(dispatch: &Dispatch, lane: Lane, model: &Loaded, fault: &Fault) -> Option<Lane> {
    if !fault.lost {
        return Some(lane);
    }
    let Err(error) = model.reopen(&lane) else { return Some(lane) };
    let index = lane.index();
    tracing::error!(model = model.name, lane = index, %error, "lane retired: its session could not be opened again");
    dispatch.models().iter().for_each(|model| model.close(&lane));
    let (mut wakes, now) = (Wakes::default(), Instant::now());
    for orphan in dispatch.retire(lane) {
        let model = Arc::clone(&orphan.job.model);
        let error = ExecutionError::NoLanes { model: model.name.clone() };
        answer(model.counters.lane(index), orphan, Err(error), now, &mut wakes);
    }
    wakes.wake();
    None
}
