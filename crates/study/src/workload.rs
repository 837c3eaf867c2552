//! What is measured: a program, and samples whose answers are known.
//!
//! The answers come from a bare session that was given each sample alone; the reference interpreter vouches for the first
//! few. Whatever is measured later must give the same bits.

use std::sync::Arc;

use paceline_device::conformance::{Case, Tolerance};
use paceline_device::fake::FakeProgram;
use paceline_device::{
    Batch, CompileOptions, Device, Part, Program, Session, Signature, View, ViewMut, execute,
};
use paceline_graph::{Data, Graph, Tensor, reference};

use crate::StudyError;
use crate::answers::same;

/// Requests of many samples that are told apart.
const TURNS: usize = 8;

/// A program and samples whose answers are known.
pub struct Workload {
    name: String,
    program: Arc<dyn Program>,
    samples: Vec<Sample>,
}

/// One sample and its answer.
pub(crate) struct Sample {
    /// In the signature's order, with a batch of one where the program has a batch.
    pub(crate) inputs: Vec<Tensor>,
    /// In the signature's order.
    pub(crate) answer: Vec<Data>,
}

/// How a workload is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation {
    /// The largest batch of one execution.
    pub(crate) max_batch: usize,
    /// How many answers are compared with the reference.
    pub(crate) referenced: usize,
    /// How near they must be; `None` for 1e-4 of the largest element.
    pub(crate) tolerance: Option<Tolerance>,
}

impl Workload {
    /// The workload of a case of the conformance suite, all of whose samples the reference vouches for.
    pub(crate) fn of_case(
        device: &dyn Device,
        case: &Case,
        samples: usize,
        seed: u64,
        max_batch: usize,
    ) -> Result<Self, StudyError> {
        let batched = case.signature().batched;
        let inputs = if batched {
            split(case.inputs(samples, seed), samples)
        } else {
            (0..samples as u64).map(|i| case.inputs(1, seed + i)).collect()
        };
        let preparation = Preparation { max_batch, referenced: samples, tolerance: Some(case.tolerance()) };
        Self::new(device, case.name(), case.graph(), inputs, preparation)
    }

    /// A workload of these samples.
    pub(crate) fn new(
        device: &dyn Device,
        name: &str,
        graph: &Graph,
        inputs: Vec<Vec<Tensor>>,
        preparation: Preparation,
    ) -> Result<Self, StudyError> {
        let mut options = CompileOptions::default();
        options.max_batch = preparation.max_batch;
        let compiled = device.compile(graph, &options);
        let program = compiled.map_err(|error| StudyError::Compile { name: name.into(), error })?;
        let workload = Self::of_program(name, program, inputs)?;
        workload.agrees_with_reference(graph, preparation)?;
        Ok(workload)
    }

    /// A workload of these samples for a program whose answers nothing else vouches for.
    pub(crate) fn of_program(
        name: &str,
        program: Arc<dyn Program>,
        inputs: Vec<Vec<Tensor>>,
    ) -> Result<Self, StudyError> {
        let failed = |error| StudyError::Device { name: name.into(), error };
        let mut session = program.clone().open().map_err(failed)?;
        let mut samples = Vec::with_capacity(inputs.len());
        for inputs in inputs {
            let answer = alone(program.signature(), &mut *session, &inputs).map_err(failed)?;
            samples.push(Sample { inputs, answer });
        }
        Ok(Workload { name: name.into(), program, samples })
    }

    /// The name of the model, operator or layer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same under another name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The same requests for a program that computes next to nothing, and its answers.
    pub(crate) fn hand_off(&self) -> Result<Self, StudyError> {
        let signature = self.signature().clone();
        let program: Arc<dyn Program> =
            Arc::new(FakeProgram::new(signature).batch_sizes(self.program.batch_sizes().clone()));
        Self::of_program(
            &self.name,
            program,
            self.samples.iter().map(|sample| sample.inputs.clone()).collect(),
        )
    }

    /// Requests of so many samples each, a few that differ, and their answers.
    pub(crate) fn joined(&self, batch: usize) -> Result<Self, StudyError> {
        let inputs = |name: &str, problem: String| StudyError::Inputs { name: name.into(), problem };
        let mut samples = Vec::new();
        for turn in 0..TURNS.min(self.len()) {
            let rows: Vec<&Sample> = (0..batch).map(|row| self.sample(turn + row)).collect();
            let mut joined = Sample { inputs: Vec::new(), answer: Vec::new() };
            for port in 0..self.signature().inputs.len() {
                let mut data = Data::zeros(rows[0].inputs[port].dtype(), 0);
                rows.iter().for_each(|row| View::of(row.inputs[port].data()).append_to(&mut data));
                let shape = std::iter::once(batch).chain(rows[0].inputs[port].shape()[1..].iter().copied());
                let tensor = Tensor::new(shape.collect::<Vec<_>>(), data);
                joined.inputs.push(tensor.map_err(|error| inputs(&self.name, error.to_string()))?);
            }
            for port in 0..self.signature().outputs.len() {
                let mut data = Data::zeros(self.signature().outputs[port].dtype, 0);
                rows.iter().for_each(|row| View::of(&row.answer[port]).append_to(&mut data));
                joined.answer.push(data);
            }
            samples.push(joined);
        }
        Ok(Workload { name: self.name.clone(), program: self.program.clone(), samples })
    }

    /// What runs it.
    pub(crate) fn program(&self) -> &Arc<dyn Program> {
        &self.program
    }

    /// Inputs and outputs.
    pub(crate) fn signature(&self) -> &Signature {
        self.program.signature()
    }

    /// A new bare session.
    pub(crate) fn open(&self) -> Result<Box<dyn Session>, StudyError> {
        let opened = self.program.clone().open();
        opened.map_err(|error| StudyError::Device { name: self.name.clone(), error })
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Sample `index`, counted around the end.
    pub(crate) fn sample(&self, index: usize) -> &Sample {
        &self.samples[index % self.samples.len()]
    }

    fn agrees_with_reference(&self, graph: &Graph, preparation: Preparation) -> Result<(), StudyError> {
        for (index, sample) in self.samples.iter().take(preparation.referenced).enumerate() {
            let expected = reference::evaluate(graph, &sample.inputs).map_err(|error| {
                StudyError::Inputs { name: self.name.clone(), problem: error.to_string() }
            })?;
            for ((port, expected), got) in self.signature().outputs.iter().zip(&expected).zip(&sample.answer)
            {
                let tolerance = preparation.tolerance.unwrap_or_else(|| of_largest(expected, 1e-4));
                let (expected, got) = (View::of(expected.data()), View::of(got));
                if let Some(mismatch) = tolerance.first_mismatch(expected, got) {
                    let problem =
                        format!("output '{}' of sample {index}, given alone, {mismatch}", port.name);
                    return Err(StudyError::Wrong { name: self.name.clone(), problem });
                }
            }
        }
        Ok(())
    }
}

impl Sample {
    /// Whether these outputs, in the signature's order, are the answer.
    pub(crate) fn is_answered_by<'a>(&self, outputs: impl Iterator<Item = View<'a>>) -> bool {
        let mut answer = self.answer.iter();
        outputs.into_iter().all(|got| answer.next().is_some_and(|expected| same(got, View::of(expected))))
            && answer.next().is_none()
    }
}

/// The tensors of a batch, cut into samples.
pub(crate) fn split(batch: Vec<Tensor>, samples: usize) -> Vec<Vec<Tensor>> {
    let row = |tensor: &Tensor, index: usize| {
        let elements = tensor.len() / samples.max(1);
        let mut data = Data::zeros(tensor.dtype(), 0);
        View::of(tensor.data()).slice(index * elements, (index + 1) * elements).append_to(&mut data);
        let shape: Vec<usize> = std::iter::once(1).chain(tensor.shape()[1..].iter().copied()).collect();
        Tensor::new(shape, data).expect("a row has the elements of one sample")
    };
    (0..samples).map(|index| batch.iter().map(|tensor| row(tensor, index)).collect()).collect()
}

/// The outputs of one sample, given to a session by itself.
fn alone(
    signature: &Signature,
    session: &mut dyn Session,
    inputs: &[Tensor],
) -> Result<Vec<Data>, paceline_device::DeviceError> {
    let mut outputs: Vec<Data> =
        signature.outputs.iter().map(|port| Data::zeros(port.dtype, port.elements)).collect();
    let mut batch = Batch::of(Part {
        samples: 1,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(ViewMut::of).collect(),
    });
    execute(session, &mut batch)?;
    drop(batch);
    Ok(outputs)
}

/// An absolute tolerance of this share of the largest finite element.
fn of_largest(expected: &Tensor, share: f32) -> Tolerance {
    let elements = expected.as_f32().unwrap_or_default().iter();
    let largest = elements.map(|v| v.abs()).filter(|v| v.is_finite()).fold(0.0, f32::max);
    Tolerance { relative: 0.0, absolute: (share * largest).max(f32::MIN_POSITIVE) }
}
