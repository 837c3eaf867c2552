//! Callers of bare sessions: one sample a call or a batch, nothing between caller and device.

use std::sync::Arc;
use std::time::Instant;

use paceline_device::{Batch, Part, Session, Signature, View, ViewMut, execute};
use paceline_graph::{DType, Data};

use super::{Answer, Caller, Verdict};
use crate::StudyError;
use crate::answers::same;
use crate::workload::Workload;

/// Batches taken in turns: a result that a call left over from an earlier one is a wrong one.
const TURNS: usize = 8;

/// A caller with a session of its own.
pub(crate) struct Bare {
    session: Box<dyn Session>,
    strip: Arc<Strip>,
    outputs: Vec<Data>,
    turn: usize,
    is_helped: bool,
}

/// Consecutive samples of a workload in one piece; batch `i` is those from `i` on.
pub(crate) struct Strip {
    signature: Signature,
    batch: usize,
    turns: usize,
    inputs: Vec<Data>,
    answers: Vec<Data>,
}

impl Strip {
    /// The batches of `batch` samples.
    pub(crate) fn new(workload: &Workload, batch: usize) -> Self {
        let signature = workload.signature().clone();
        let turns = TURNS.min(workload.len());
        let empty = |dtypes: Vec<DType>| dtypes.into_iter().map(|dtype| Data::zeros(dtype, 0)).collect();
        let mut inputs: Vec<Data> = empty(signature.inputs.iter().map(|port| port.dtype).collect());
        let mut answers: Vec<Data> = empty(signature.outputs.iter().map(|port| port.dtype).collect());
        for index in 0..turns + batch - 1 {
            let sample = workload.sample(index);
            for (all, tensor) in inputs.iter_mut().zip(&sample.inputs) {
                View::of(tensor.data()).append_to(all);
            }
            for (all, data) in answers.iter_mut().zip(&sample.answer) {
                View::of(data).append_to(all);
            }
        }
        Strip { signature, batch, turns, inputs, answers }
    }
}

impl Bare {
    /// The `index`th caller; callers begin at different samples.
    pub(crate) fn new(workload: &Workload, strip: &Arc<Strip>, index: usize) -> Result<Self, StudyError> {
        let outputs = strip.signature.outputs.iter();
        Ok(Bare {
            session: workload.open()?,
            strip: Arc::clone(strip),
            outputs: outputs.map(|port| Data::zeros(port.dtype, port.elements * strip.batch)).collect(),
            turn: index,
            is_helped: false,
        })
    }

    /// The same, with executions that other threads may help.
    pub(crate) fn helped(self, is_helped: bool) -> Self {
        Bare { is_helped, ..self }
    }
}

impl Caller for Bare {
    fn call(&mut self) -> Answer {
        let Strip { signature, batch: samples, turns, inputs, answers } = &*self.strip;
        self.turn = (self.turn + 1) % turns;
        let rows = |data, elements: usize| {
            View::of(data).slice(self.turn * elements, (self.turn + samples) * elements)
        };
        let ports = signature.inputs.iter();
        let mut batch = Batch::of(Part {
            samples: *samples,
            inputs: ports.zip(inputs).map(|(port, data)| rows(data, port.elements)).collect(),
            outputs: self.outputs.iter_mut().map(ViewMut::of).collect(),
        });
        batch.open_to_help(self.is_helped);
        let start = Instant::now();
        let result = execute(&mut *self.session, &mut batch);
        let time = start.elapsed();
        drop(batch);
        let mut answered = signature.outputs.iter().zip(answers).zip(&self.outputs);
        let verdict = match result {
            Err(error) => Verdict::Failed(error.to_string()),
            Ok(()) if answered.all(|((port, all), got)| same(View::of(got), rows(all, port.elements))) => {
                Verdict::Right
            }
            Ok(()) => Verdict::Wrong,
        };
        Answer { time, verdict }
    }
}
