//! Callers of the engine that wait for each answer.

use std::time::Instant;

use paceline_device::View;
use paceline_engine::{Model, Outputs, Request};

use super::{Answer, Caller, Verdict};
use crate::workload::{Sample, Workload};

/// A caller that sends one sample at a time through the engine and waits.
pub(crate) struct Blocking<'w> {
    workload: &'w Workload,
    model: Model,
    next: usize,
}

impl<'w> Blocking<'w> {
    /// The `index`th caller; callers begin at different samples.
    pub(crate) fn new(workload: &'w Workload, model: &Model, index: usize) -> Self {
        Blocking { workload, model: model.clone(), next: index }
    }
}

impl Caller for Blocking<'_> {
    fn call(&mut self) -> Answer {
        self.next += 1;
        let sample = self.workload.sample(self.next);
        let request = request(self.workload, sample);
        let start = Instant::now();
        let result = self.model.infer(request);
        let time = start.elapsed();
        let verdict = match result {
            Ok(outputs) => verdict(sample, &outputs),
            Err(error) => Verdict::Failed(error.to_string()),
        };
        Answer { time, verdict }
    }
}

/// A request for one sample.
pub(super) fn request<'w>(workload: &'w Workload, sample: &Sample) -> Request<'w> {
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
