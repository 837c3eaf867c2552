//! Running batches: the loop of a lane's thread, and the short cuts of a caller that finds a lane to run on.
//!
//! **Traps.** A lane answers a batch before it opens a lost session again, and takes its next batch before it may become idle.
//! Wakers are the users' code and run on the lane's thread: one that blocks stops the lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paceline_device::Batch;

use crate::clock::nanos;
use crate::dispatch::{Assignment, Call, Dispatch, Execution, Lane, Next};
use crate::error::ExecutionError;
use crate::job::{Answer, Ending, Job, Part, buffers, views};
use crate::loaded::Loaded;
use crate::serving::{Fault, Serving};
use crate::statistics::{self, Release};
use crate::trace;
use crate::validate::Valid;
use crate::wake::Wakes;

/// What a lane works with from batch to batch.
#[derive(Default)]
struct Work {
    batch: Vec<Part>,
    shed: Vec<Part>,
    wakes: Wakes,
}

/// The body of a lane's thread: serves its lane whenever it is called, until the engine closes or the lane is retired.
pub(crate) fn run(dispatch: &Dispatch, index: usize, generation: u64) {
    tracing::debug!(lane = index, "lane started");
    let mut work = Work::default();
    let mut helped = false;
    while let Some(call) = dispatch.await_call(index, generation, helped) {
        let lane = match call {
            Call::Serve(lane) => {
                helped = false;
                lane
            }
            Call::Help(lane, serving, running) => {
                serving.help(&|| dispatch.is_wanted() || dispatch.is_over(running));
                helped = true;
                lane
            }
        };
        work.serve(dispatch, lane, || false);
    }
    tracing::debug!(lane = index, "lane stopped");
}

/// For a caller that is about to block: if a lane was called and nobody is there yet, runs it until the job is answered.
pub(crate) fn help_until_answered(dispatch: &Dispatch, job: &Job, line: usize) {
    if !job.is_answered()
        && let Some(lane) = dispatch.steal(line)
    {
        Work::default().serve(dispatch, lane, || job.is_answered());
    }
}

impl Work {
    /// Executes batches until nothing waits, or `enough` says so after one.
    fn serve(&mut self, dispatch: &Dispatch, lane: Lane, enough: impl Fn() -> bool) {
        let (mut lane, mut last) = (lane, None::<Done>);
        loop {
            let done = last.as_ref().map(Done::execution);
            match dispatch.next(lane, done, &mut self.batch, &mut self.shed) {
                Next::Execute(next, assignment) => {
                    self.expire(dispatch, &next);
                    let Some((next, done)) = self.execute(dispatch, next, assignment) else { return };
                    (lane, last) = (next, Some(done));
                }
                Next::Shed(next) => {
                    self.expire(dispatch, &next);
                    (lane, last) = (next, None);
                }
                Next::Retire(lane) => return retire(dispatch, lane, Vec::new()),
                Next::Idle => return,
            }
            if enough() {
                return dispatch.release(lane, last.as_ref().map(Done::execution));
            }
        }
    }

    /// Executes a batch and answers its requests. `None`: the lane is retired.
    fn execute(&mut self, dispatch: &Dispatch, lane: Lane, assignment: Assignment) -> Option<(Lane, Done)> {
        let Work { batch: parts, wakes, .. } = self;
        let serving = &assignment.serving;
        let model = Arc::clone(&parts.first()?.job.model);
        let counters = model.counters.lane(lane.index());
        let start = Instant::now();
        let mut batch = Batch::with_capacity(parts.len());
        for part in parts.iter_mut() {
            counters.waited(part.waited(start));
            batch.push(part.views());
        }
        let samples = batch.samples();
        batch.open_to_help(assignment.helpers > 0);
        let result = serving.execute(&lane, &mut batch);
        drop(batch);
        let took = start.elapsed();
        let (lane_index, end, ok) = (lane.index(), start + took, result.is_ok());
        let ran = Ran {
            lane: lane_index,
            model: &model,
            serving,
            samples,
            release: assignment.release,
            ok,
            start,
            end,
        };
        ran.record(dispatch, parts.iter().map(Part::request));
        let (model_slot, took) = (model.slot, nanos(took));
        match result {
            Ok(()) => {
                // From the last to the first: a chain of wake-ups is linked from its end, and runs from the oldest request on.
                for part in parts.drain(..).rev() {
                    answer(&model, lane_index, part, Ok(()), end, wakes);
                }
                wakes.wake();
                Some((lane, Done { assignment, model: model_slot, took, ok }))
            }
            Err(fault) => {
                report(serving, &lane, &fault);
                for part in parts.drain(..) {
                    for sibling in dispatch.withdraw(&part.siblings()) {
                        answer(&model, lane_index, sibling, Err(fault.error.clone()), end, wakes);
                    }
                    answer(&model, lane_index, part, Err(fault.error.clone()), end, wakes);
                }
                wakes.wake();
                let lane = recover(dispatch, lane, serving, &fault)?;
                Some((lane, Done { assignment, model: model_slot, took, ok }))
            }
        }
    }

    /// Answers the requests whose deadlines cannot be met any more, and takes back their other parts.
    fn expire(&mut self, dispatch: &Dispatch, lane: &Lane) {
        if self.shed.is_empty() {
            return;
        }
        let now = Instant::now();
        for part in self.shed.drain(..) {
            let model = Arc::clone(&part.job.model);
            let error = ExecutionError::Expired { model: model.name.to_string(), waited: part.waited(now) };
            for sibling in dispatch.withdraw(&part.siblings()) {
                answer(&model, lane.index(), sibling, Err(error.clone()), now, &mut self.wakes);
            }
            answer(&model, lane.index(), part, Err(error), now, &mut self.wakes);
        }
        self.wakes.wake();
    }
}

/// Executes a request at once, in the thread of its caller, on a lane that it claimed.
pub(crate) fn infer_inline(
    dispatch: &Dispatch,
    lane: Lane,
    assignment: &Assignment,
    model: &Loaded,
    valid: &Valid,
) -> Answer {
    let (counters, variant) = (model.counters.lane(lane.index()), &model.variants[valid.variant]);
    let mut outputs = buffers(&variant.signature, valid.samples);
    let start = Instant::now();
    let rows = 0..valid.samples;
    let mut batch = Batch::of(views(&variant.signature, &valid.inputs, rows, &mut outputs));
    batch.open_to_help(assignment.helpers > 0);
    let result = assignment.serving.execute(&lane, &mut batch);
    drop(batch);
    let took = start.elapsed();
    let (samples, release, ok, end) = (valid.samples, assignment.release, result.is_ok(), start + took);
    let ran =
        Ran { lane: lane.index(), model, serving: &assignment.serving, samples, release, ok, start, end };
    ran.record(dispatch, std::iter::once(trace::Request { samples, accepted: start }));
    counters.waited(Duration::ZERO);
    counters.answered(ok, took);
    match result {
        Ok(()) => {
            dispatch.release(lane, Some(execution(assignment, model.slot, nanos(took), true)));
            Ok(variant.outputs(valid.samples, outputs))
        }
        Err(fault) => {
            report(&assignment.serving, &lane, &fault);
            if let Some(lane) = recover(dispatch, lane, &assignment.serving, &fault) {
                dispatch.release(lane, Some(execution(assignment, model.slot, nanos(took), false)));
            }
            Err(fault.error)
        }
    }
}

/// An execution that a lane made.
struct Done {
    assignment: Assignment,
    /// The model's slot.
    model: usize,
    took: u64,
    ok: bool,
}

impl Done {
    fn execution(&self) -> Execution<'_> {
        execution(&self.assignment, self.model, self.took, self.ok)
    }
}

fn execution(assignment: &Assignment, model: usize, took: u64, ok: bool) -> Execution<'_> {
    let &Assignment { ref serving, line, samples, busy, predicted, helpers, .. } = assignment;
    Execution { serving, model, line, samples, busy, predicted, took, helpers, ok }
}

/// An execution that is over.
struct Ran<'a> {
    lane: usize,
    model: &'a Loaded,
    serving: &'a Serving,
    samples: usize,
    release: Release,
    ok: bool,
    start: Instant,
    end: Instant,
}

impl Ran<'_> {
    /// Counts it, and tells of it where somebody wants to know.
    fn record(&self, dispatch: &Dispatch, requests: impl ExactSizeIterator<Item = trace::Request>) {
        let &Ran { lane, model, serving, samples, release, ok, start, end } = self;
        let (took, prepared) = (end - start, serving.prepared(samples));
        model.counters.lane(lane).executed(&statistics::Execution { samples, prepared, ok, took, release });
        let (name, took_us) = (&*model.name, took.as_micros() as u64);
        tracing::trace!(model = name, lane, samples, release = release.name(), ok, took_us, "batch executed");
        if let Some(recorder) = &dispatch.trace {
            let batch = trace::Batch { model: name, samples, release, ok, start, end };
            recorder.executed(lane, batch, requests);
        }
    }
}

/// Finishes a part at the time `end`, on a lane that the calling thread holds.
fn answer(
    model: &Loaded,
    lane: usize,
    part: Part,
    result: Result<(), ExecutionError>,
    end: Instant,
    wakes: &mut Wakes,
) {
    let total = part.waited(end);
    match part.finish(result, wakes) {
        Some(Ending::Completed) => model.counters.lane(lane).answered(true, total),
        Some(Ending::Failed) => model.counters.lane(lane).answered(false, total),
        Some(Ending::Expired) => model.counters.expired(),
        None => {}
    }
}

fn report(serving: &Serving, lane: &Lane, fault: &Fault) {
    let (model, lane) = (&*serving.name, lane.index());
    tracing::warn!(model, lane, lost = fault.lost, error = %fault.error, "execution failed");
}

/// Makes the lane usable after a failed execution, or retires it.
fn recover(dispatch: &Dispatch, lane: Lane, serving: &Serving, fault: &Fault) -> Option<Lane> {
    if !fault.lost {
        return Some(lane);
    }
    let Err(error) = serving.reopen(lane.index()) else { return Some(lane) };
    let index = lane.index();
    tracing::error!(model = &*serving.name, lane = index, %error, "lane retired: its session could not be opened again");
    let orphans = dispatch.give_up(&lane);
    retire(dispatch, lane, orphans);
    None
}

/// Answers what no lane is left for, closes the lane's sessions, and gives back its index. Wakers come last: they may wait for that.
fn retire(dispatch: &Dispatch, lane: Lane, orphans: Vec<Part>) {
    let (index, mut wakes, now) = (lane.index(), Wakes::default(), Instant::now());
    for orphan in orphans {
        let model = Arc::clone(&orphan.job.model);
        let error = ExecutionError::NoLanes { model: model.name.to_string() };
        answer(&model, index, orphan, Err(error), now, &mut wakes);
    }
    dispatch.serving().iter().for_each(|serving| serving.close(index));
    dispatch.retire(lane);
    wakes.wake();
}
