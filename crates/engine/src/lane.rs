//! Running batches: the loop of a lane's thread, and the short cut of a caller that finds a lane idle.
//!
//! **Traps.** A lane answers a batch before it opens a lost session again, and takes its next batch before it may become idle.
//! Wakers are the users' code and run on the lane's thread: one that blocks stops the lane.

use std::sync::Arc;
use std::time::Instant;

use paceline_device::Batch;

use crate::dispatch::{Dispatch, Lane};
use crate::error::ExecutionError;
use crate::job::{Answer, Part, buffers, views};
use crate::loaded::{Fault, Loaded};
use crate::statistics::LaneCounters;
use crate::validate::Valid;
use crate::wake::Wakes;

/// The body of a lane's thread: serves its lane whenever it is called, until the engine closes or the lane is retired.
pub(crate) fn run(dispatch: &Dispatch, index: usize) {
    tracing::debug!(lane = index, "lane started");
    let (mut batch, mut wakes) = (Vec::new(), Wakes::default());
    while let Some(mut lane) = dispatch.await_call(index) {
        while let Some(next) = dispatch.next(lane, &mut batch) {
            match execute(dispatch, next, &mut batch, &mut wakes) {
                Some(next) => lane = next,
                None => break,
            }
        }
    }
    tracing::debug!(lane = index, "lane stopped");
}

/// Executes a batch of one model and answers its requests. `None`: the lane is retired.
fn execute(dispatch: &Dispatch, lane: Lane, parts: &mut Vec<Part>, wakes: &mut Wakes) -> Option<Lane> {
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
    counters.executed(samples, result.is_ok(), start.elapsed());
    match result {
        Ok(()) => {
            // From the last to the first: a chain of wake-ups is linked from its end, and runs from the oldest request on.
            parts.drain(..).rev().for_each(|part| answer(counters, part, Ok(()), wakes));
            wakes.wake();
            Some(lane)
        }
        Err(fault) => {
            report(&model, &lane, &fault);
            for part in parts.drain(..) {
                for sibling in dispatch.withdraw(model.line, part.siblings()) {
                    answer(counters, sibling, Err(fault.error.clone()), wakes);
                }
                answer(counters, part, Err(fault.error.clone()), wakes);
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
    counters.executed(valid.samples, result.is_ok(), start.elapsed());
    counters.inlined();
    counters.answered(result.is_ok());
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

fn answer(counters: &LaneCounters, part: Part, result: Result<(), ExecutionError>, wakes: &mut Wakes) {
    if let Some(ok) = part.finish(result, wakes) {
        counters.answered(ok);
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
    let mut wakes = Wakes::default();
    for orphan in dispatch.retire(lane) {
        let model = Arc::clone(&orphan.job.model);
        let error = ExecutionError::NoLanes { model: model.name.clone() };
        answer(model.counters.lane(index), orphan, Err(error), &mut wakes);
    }
    wakes.wake();
    None
}
