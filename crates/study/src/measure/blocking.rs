//! Callers of the engine that wait for each answer.
//!
//! **Traps.** A quick graph is computed in the thread of its caller, and fifty such calls are over before the next thread wakes up:
//! callers that only call never meet, and no batch is larger than one. A ticket is never computed by its caller. Callers that
//! send every second request by ticket wait for lanes and for each other, however quick the graph, and share batches.

use std::sync::Arc;
use std::time::Instant;

use paceline_device::View;
use paceline_engine::{Callable, InferError, Outputs, Request};

use super::{Answer, Caller, Verdict};
use crate::workload::{Sample, Workload};

/// A caller that sends one sample at a time through the engine and waits.
pub(crate) struct Blocking<'w> {
    workload: &'w Workload,
    model: Arc<dyn Callable>,
    next: usize,
    alternates: bool,
}

impl<'w> Blocking<'w> {
    /// The `index`th caller; callers begin at different samples.
    pub(crate) fn new(workload: &'w Workload, model: Arc<dyn Callable>, index: usize) -> Self {
        Blocking { workload, model, next: index, alternates: false }
    }

    /// The same, with every second request sent by ticket.
    pub(crate) fn alternating(self) -> Self {
        Blocking { alternates: true, ..self }
    }

    fn answer(&self, request: Request<'_>) -> Result<Outputs, InferError> {
        if self.alternates && self.next.is_multiple_of(2) {
            Ok(self.model.submit(request)?.wait()?)
        } else {
            self.model.infer(request)
        }
    }
}

impl Caller for Blocking<'_> {
    fn call(&mut self) -> Answer {
        self.next += 1;
        let sample = self.workload.sample(self.next);
        let request = request(self.workload, sample);
        let start = Instant::now();
        let result = self.answer(request);
        let time = start.elapsed();
        Answer::new(sample, time, result.map_err(|error| error.to_string()))
    }
}

/// A request for one sample.
pub(crate) fn request<'w>(workload: &'w Workload, sample: &Sample) -> Request<'w> {
    let names = workload.signature().inputs.iter().map(|port| port.name.as_str());
    Request::new(names.zip(sample.inputs.iter().cloned()))
}

/// Whether these outputs are the sample's answer.
pub(super) fn verdict(sample: &Sample, outputs: &Outputs) -> Verdict {
    if sample.is_answered_by(outputs.iter().map(|(_, tensor)| View::of(tensor.data()))) {
        Verdict::Right
    } else {
        Verdict::Wrong
    }
}
