//! An accepted request: its inputs, the parts it is executed in, and the place where its answer is put and waited for.
//!
//! A request is one part, or several when it has more samples than one execution may have. Each [`Part`] carries buffers for its
//! own outputs (made by the caller's thread, so that a lane allocates nothing for it) and is finished exactly once, by the
//! lane that executed it or by whoever withdrew it. The last one to finish answers the request.
//!
//! **Traps.** A waiter is woken after the slot is unlocked and the lane has dropped its part, so that the caller runs into neither.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use paceline_device::{self as device, Signature, View, ViewMut};
use paceline_graph::{Data, Tensor};
use smallvec::SmallVec;

use crate::clock::Nanos;
use crate::dispatch::Place;
use crate::error::ExecutionError;
use crate::loaded::{Loaded, Variant};
use crate::outputs::Outputs;
use crate::sync::{Mutex, lock, park, park_timeout};
use crate::trace;
use crate::validate::Valid;
use crate::wake::{Blocked, Waiter, Wakes};

/// Outputs, or why there are none.
pub type Answer = Result<Outputs, ExecutionError>;

/// The elements of each output of one part.
pub(crate) type Buffers = SmallVec<[Data; 1]>;

/// An accepted request.
pub(crate) struct Job {
    pub(crate) model: Arc<Loaded>,
    /// Which of the model's variants it is for.
    pub(crate) variant: usize,
    pub(crate) inputs: SmallVec<[Tensor; 2]>,
    pub(crate) samples: usize,
    pub(crate) accepted: Instant,
    slot: Mutex<Slot>,
}

struct Slot {
    /// Parts that are not finished.
    pending: usize,
    /// The outputs of each part.
    outputs: SmallVec<[Buffers; 1]>,
    /// Of the first part that failed.
    error: Option<ExecutionError>,
    waiter: Option<Waiter>,
    /// Whom the waiter, a blocked thread, wakes in turn.
    next: Option<Blocked>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Failed,
    /// It was not executed, because its deadline could not be met any more.
    Expired,
}

/// What one execution computes of a request.
pub(crate) struct Part {
    pub(crate) job: Arc<Job>,
    /// Its number in the queue; set when it is put there.
    pub(crate) number: u64,
    /// When it is due; set when it is put into the queue.
    pub(crate) due: Nanos,
    /// Its line in the queue; set when it is put there.
    pub(crate) line: usize,
    index: usize,
    rows: Range<usize>,
    outputs: Buffers,
}

impl Job {
    /// A request and its parts.
    pub(crate) fn new(model: &Arc<Loaded>, valid: Valid) -> (Arc<Job>, SmallVec<[Part; 1]>) {
        let Valid { inputs, samples, variant } = valid;
        let max_samples = model.variants[variant].max_samples;
        let count = samples.div_ceil(max_samples);
        let outputs = (0..count).map(|_| Buffers::new()).collect();
        let slot = Mutex::new(Slot { pending: count, outputs, error: None, waiter: None, next: None });
        let model = Arc::clone(model);
        let job = Arc::new(Job { model, variant, inputs, samples, accepted: Instant::now(), slot });
        let part = |index| {
            let start = index * max_samples;
            let rows = start..samples.min(start + max_samples);
            let outputs = buffers(&job.model.variants[variant].signature, rows.len());
            Part { job: Arc::clone(&job), number: 0, due: 0, line: 0, index, rows, outputs }
        };
        let parts = (0..count).map(part).collect();
        (job, parts)
    }

    /// Whether the answer is there.
    pub(crate) fn is_answered(&self) -> bool {
        lock(&self.slot).pending == 0
    }

    /// The answer, once; `None` while there is none.
    pub(crate) fn take_answer(&self) -> Option<Answer> {
        self.answer_or_wait(|_| None)
    }

    /// Blocks until the answer is there, and takes it.
    pub(crate) fn wait(&self) -> Answer {
        let mut answer = self.answer_or_wait(|_| Some(Waiter::this_thread()));
        loop {
            match answer {
                Some(answer) => return answer,
                None => park(),
            }
            answer = self.take_answer();
        }
    }

    /// Blocks until the answer is there, and takes it; `None` when it does not come in time.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> Option<Answer> {
        let start = Instant::now();
        let mut answer = self.answer_or_wait(|_| Some(Waiter::this_thread()));
        while answer.is_none()
            && let Some(left) = timeout.checked_sub(start.elapsed())
        {
            park_timeout(left);
            answer = self.take_answer();
        }
        answer.or_else(|| self.stop_waiting())
    }

    /// The answer, if it came after all; otherwise nobody is told any more.
    fn stop_waiting(&self) -> Option<Answer> {
        let mut slot = lock(&self.slot);
        if slot.pending > 0 {
            slot.waiter = None;
            return None;
        }
        drop(slot);
        self.take_answer()
    }

    /// Takes the answer, or has the task woken when it is there.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let answer = self.answer_or_wait(|waiter| match waiter {
            Some(Waiter::Task(task)) if task.will_wake(context.waker()) => None,
            _ => Some(Waiter::Task(context.waker().clone())),
        });
        answer.map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes the answer; if there is none, sets the waiter that `waiter` makes of the one before.
    fn answer_or_wait(&self, waiter: impl FnOnce(&Option<Waiter>) -> Option<Waiter>) -> Option<Answer> {
        let mut slot = lock(&self.slot);
        if slot.pending > 0 {
            let before = waiter(&slot.waiter).and_then(|waiter| slot.waiter.replace(waiter));
            drop(slot);
            drop(before);
            return None;
        }
        let (outputs, error, next) = (std::mem::take(&mut slot.outputs), slot.error.take(), slot.next.take());
        drop(slot);
        if let Some(next) = next {
            next.wake();
        }
        Some(match error {
            Some(error) => Err(error),
            None => Ok(self.model.variants[self.variant].outputs(self.samples, join(outputs))),
        })
    }
}

impl Part {
    /// Samples of this part.
    pub(crate) fn samples(&self) -> usize {
        self.rows.len()
    }

    /// Where the parts of the request wait.
    pub(crate) fn siblings(&self) -> Place {
        let first = self.number - self.index as u64;
        let max_samples = self.job.model.variants[self.job.variant].max_samples;
        let numbers = first..first + self.job.samples.div_ceil(max_samples) as u64;
        Place { line: self.line, due: self.due, numbers }
    }

    /// Time since the request was accepted.
    pub(crate) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.job.accepted)
    }

    /// As a trace has it.
    pub(crate) fn request(&self) -> trace::Request {
        trace::Request { samples: self.samples(), accepted: self.job.accepted }
    }

    /// The slices that a device reads and writes.
    pub(crate) fn views(&mut self) -> device::Part<'_> {
        let signature = &self.job.model.variants[self.job.variant].signature;
        views(signature, &self.job.inputs, self.rows.clone(), &mut self.outputs)
    }

    /// Finishes the part. If it was the last, the request is answered, who waits for it is added to `wakes`, and the result is how
    /// it ended.
    pub(crate) fn finish(self, result: Result<(), ExecutionError>, wakes: &mut Wakes) -> Option<Ending> {
        let mut slot = lock(&self.job.slot);
        match result {
            Ok(()) => slot.outputs[self.index] = self.outputs,
            Err(error) => {
                slot.error.get_or_insert(error);
            }
        }
        slot.pending -= 1;
        if slot.pending > 0 {
            return None;
        }
        slot.next = slot.waiter.take().and_then(|waiter| wakes.add(waiter));
        Some(match slot.error {
            None => Ending::Completed,
            Some(ExecutionError::Expired { .. }) => Ending::Expired,
            Some(_) => Ending::Failed,
        })
    }
}

/// Zeroed output elements for this many samples.
pub(crate) fn buffers(signature: &Signature, samples: usize) -> Buffers {
    signature.outputs.iter().map(|port| Data::zeros(port.dtype, port.elements * samples)).collect()
}

/// The slices of `rows` of the inputs, and of the buffers made for them.
pub(crate) fn views<'a>(
    signature: &Signature,
    inputs: &'a [Tensor],
    rows: Range<usize>,
    outputs: &'a mut [Data],
) -> device::Part<'a> {
    let slice = |(tensor, elements): (&'a Tensor, usize)| {
        View::of(tensor.data()).slice(rows.start * elements, rows.end * elements)
    };
    device::Part {
        samples: rows.len(),
        inputs: inputs.iter().zip(signature.inputs.iter().map(|port| port.elements)).map(slice).collect(),
        outputs: outputs.iter_mut().map(ViewMut::of).collect(),
    }
}

impl Variant {
    /// The outputs of a request of this many samples.
    pub(crate) fn outputs(&self, samples: usize, buffers: Buffers) -> Outputs {
        let batch = self.signature.batched.then_some(samples);
        let tensor = |(port, data): (&device::Port, Data)| {
            let mut shape = Vec::with_capacity(port.shape.len() + 1);
            shape.extend(batch);
            shape.extend_from_slice(&port.shape);
            Some(Tensor::new(shape, data).expect("buffers have the length of their port"))
        };
        let tensors = self.signature.outputs.iter().zip(buffers).map(tensor).collect();
        Outputs::new(Arc::clone(&self.signature), tensors)
    }
}

/// The outputs of a request from those of its parts, in order.
fn join(parts: SmallVec<[Buffers; 1]>) -> Buffers {
    let mut parts = parts.into_iter();
    let mut joined = parts.next().unwrap_or_default();
    for part in parts {
        joined.iter_mut().zip(part).for_each(|(all, rows)| View::of(&rows).append_to(all));
    }
    joined
}
