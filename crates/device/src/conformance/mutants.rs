//! Devices that are wrong in one way each, to see that the suite notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use paceline_graph::Graph;

use super::*;
use crate::{Batch, DeviceError, DeviceInfo, Session, UnsupportedNode, View, ViewMut};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Imprecise,
    HidesNan,
    LosesZeroSigns,
    ForgetsLastElement,
    ForgetsBools,
    FailsEmptyBatch,
    ForgetsLastRowOfBatch,
    DependsOnBatch,
    DependsOnPart,
    MixesParts,
    LeaksNan,
    KeepsScratchOfLargerBatch,
    FinishesLastFirst,
    SharesScratch,
    PanicsOnOtherThreads,
    DependsOnHelp,
    AcceptsWrongBatches,
    WritesBeforeRefusing,
    IsLostByRefusing,
    PanicsOnWrongBatches,
    SaysWrongBatchesFailed,
    CompilesForNothing,
    RenamesOutputs,
    AllowsMoreThanAsked,
    HasUnsortedBuckets,
    PanicsWhenCompiling,
    NamesOneUnsupportedNode,
    NamesUnknownNodes,
    GivesNoReason,
}

/// Each fault, and the check that must fail for it.
const FAULTS: [(Fault, Check); 29] = [
    (Fault::Imprecise, Check::Reference),
    (Fault::HidesNan, Check::Reference),
    (Fault::LosesZeroSigns, Check::Reference),
    (Fault::ForgetsLastElement, Check::Reference),
    (Fault::ForgetsBools, Check::Reference),
    (Fault::FailsEmptyBatch, Check::Batches),
    (Fault::ForgetsLastRowOfBatch, Check::Batches),
    (Fault::DependsOnBatch, Check::Batches),
    (Fault::DependsOnPart, Check::Parts),
    (Fault::MixesParts, Check::Parts),
    (Fault::LeaksNan, Check::Isolation),
    (Fault::KeepsScratchOfLargerBatch, Check::Reuse),
    (Fault::FinishesLastFirst, Check::InFlight),
    (Fault::SharesScratch, Check::Threads),
    (Fault::PanicsOnOtherThreads, Check::Threads),
    (Fault::DependsOnHelp, Check::Help),
    (Fault::AcceptsWrongBatches, Check::WrongBatches),
    (Fault::WritesBeforeRefusing, Check::WrongBatches),
    (Fault::IsLostByRefusing, Check::WrongBatches),
    (Fault::PanicsOnWrongBatches, Check::WrongBatches),
    (Fault::SaysWrongBatchesFailed, Check::WrongBatches),
    (Fault::CompilesForNothing, Check::Compile),
    (Fault::RenamesOutputs, Check::Compile),
    (Fault::AllowsMoreThanAsked, Check::Compile),
    (Fault::HasUnsortedBuckets, Check::Compile),
    (Fault::PanicsWhenCompiling, Check::Compile),
    (Fault::NamesOneUnsupportedNode, Check::Compile),
    (Fault::NamesUnknownNodes, Check::Compile),
    (Fault::GivesNoReason, Check::Compile),
];

#[test]
fn every_fault_is_noticed_by_its_check() {
    let only = [
        "Linear/16-16",
        "Relu/extreme-33",
        "Transpose/last-two-f32",
        "Structure/inputs-returned-of-every-type",
        "Structure/no-batch",
        "Structure/several-outputs",
    ];
    let only = only.map(String::from).to_vec();
    let options = Options { max_samples: 17, only, ..Options::default() };
    let cases = cases();
    for (fault, check) in FAULTS {
        let report = run_cases(&Mutant(fault), &cases, &options, &mut |_| ());
        let noticed =
            report.outcomes.iter().any(|o| o.check == check && matches!(o.status, Status::Failed(_)));
        assert!(noticed, "a device that {fault:?} was not noticed by the check of {check}: {report}");
        assert!(!report.is_clean());
    }
}

/// A device whose results differ in their last bit from batch to batch.
pub(super) fn depends_on_batch() -> impl Device {
    Mutant(Fault::DependsOnBatch)
}

/// The reference device with a fault.
struct Mutant(Fault);

struct MutantProgram {
    fault: Fault,
    inner: Arc<dyn Program>,
    signature: Signature,
    sizes: BatchSizes,
    compiled_on: ThreadId,
    open_sessions: Arc<AtomicUsize>,
}

struct MutantSession {
    fault: Fault,
    inner: Box<dyn Session>,
    compiled_on: ThreadId,
    open_sessions: Arc<AtomicUsize>,
    largest: usize,
    lost: bool,
    /// Results of the f32 outputs of each part, for each execution in flight.
    in_flight: Vec<Vec<Vec<f32>>>,
}

impl Device for Mutant {
    fn info(&self) -> DeviceInfo {
        ReferenceDevice.info()
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        let fault = self.0;
        let refuse = |nodes: &[(&str, &'static str, &str)]| {
            let node = |&(node, operator, reason): &(&str, _, &str)| UnsupportedNode {
                node: node.into(),
                operator,
                reason: reason.into(),
            };
            Err(CompileError::Unsupported {
                device: "mutant".into(),
                nodes: nodes.iter().map(node).collect(),
            })
        };
        if let Some(node) = graph.nodes().first() {
            let (name, operator) = (node.name.as_str(), node.op.name());
            match fault {
                Fault::PanicsWhenCompiling => panic!("compiling panics, as it is meant to"),
                Fault::NamesOneUnsupportedNode => return refuse(&[(name, operator, "not today")]),
                Fault::NamesUnknownNodes => return refuse(&[("elsewhere", operator, "not today")]),
                Fault::GivesNoReason => return refuse(&[(name, operator, "")]),
                _ => {}
            }
        }
        let mut options = options.clone();
        if fault == Fault::CompilesForNothing {
            options.max_batch = options.max_batch.max(1);
        }
        let inner = ReferenceDevice.compile(graph, &options)?;
        let (mut signature, mut sizes) = (inner.signature().clone(), inner.batch_sizes().clone());
        match fault {
            Fault::RenamesOutputs => signature.outputs[0].name.push('_'),
            Fault::AllowsMoreThanAsked => sizes = BatchSizes::UpTo(sizes.max() + 1),
            Fault::HasUnsortedBuckets => sizes = BatchSizes::Buckets(vec![2, 1]),
            _ => {}
        }
        Ok(Arc::new(MutantProgram {
            fault,
            inner,
            signature,
            sizes,
            compiled_on: thread::current().id(),
            open_sessions: Arc::default(),
        }))
    }
}

impl Program for MutantProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_sizes(&self) -> &BatchSizes {
        &self.sizes
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        self.open_sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MutantSession {
            fault: self.fault,
            inner: self.inner.clone().open()?,
            compiled_on: self.compiled_on,
            open_sessions: self.open_sessions.clone(),
            largest: 0,
            lost: false,
            in_flight: Vec::new(),
        }))
    }
}

impl Drop for MutantSession {
    fn drop(&mut self) {
        self.open_sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session for MutantSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        let samples = batch.samples();
        match self.fault {
            Fault::FailsEmptyBatch if samples == 0 => {
                return Err(DeviceError::Failed("nothing to do".into()));
            }
            Fault::PanicsOnOtherThreads if thread::current().id() != self.compiled_on => {
                panic!("another thread panics, as it is meant to")
            }
            Fault::SharesScratch => thread::sleep(Duration::from_millis(1)),
            _ if self.lost => return Err(DeviceError::Lost("by refusing a batch".into())),
            _ => {}
        }
        let before: Vec<Vec<Vec<f32>>> =
            batch.parts_mut().iter_mut().map(|part| floats(&mut part.outputs)).collect();
        let bools_before = bools(batch);
        if let Err(error) = self.inner.launch(batch) {
            return self.refuse(batch, error);
        }
        let stale = self.largest > samples;
        self.largest = self.largest.max(samples);
        match self.fault {
            Fault::Imprecise => change(batch, |_, v| v.iter_mut().for_each(|v| *v += *v * 1e-3)),
            Fault::HidesNan => change(batch, |_, v| {
                v.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 0.0);
            }),
            Fault::LosesZeroSigns => change(batch, |_, v| v.iter_mut().for_each(|v| *v += 0.0)),
            Fault::ForgetsLastElement => restore(batch, &before, |_| 1),
            Fault::ForgetsBools => set_bools(batch, &bools_before),
            Fault::ForgetsLastRowOfBatch if samples > 1 => restore(batch, &before, |row| row),
            Fault::DependsOnBatch if samples > 1 => nudge(batch, 0),
            Fault::DependsOnPart => nudge(batch, 1),
            Fault::DependsOnHelp if batch.is_open_to_help() => nudge(batch, 0),
            Fault::MixesParts if batch.parts().len() > 1 => copy_first_part(batch),
            Fault::LeaksNan if has_nan(batch) => change(batch, |_, v| v.fill(f32::NAN)),
            Fault::KeepsScratchOfLargerBatch if stale => nudge(batch, 0),
            Fault::SharesScratch if self.open_sessions.load(Ordering::Relaxed) > 1 => nudge(batch, 0),
            Fault::FinishesLastFirst => {
                let results = batch.parts_mut().iter_mut().map(|part| floats(&mut part.outputs).concat());
                self.in_flight.push(results.collect());
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        if let Some(results) = self.in_flight.pop() {
            let mut results = results.concat().into_iter();
            change(batch, |_, v| v.iter_mut().zip(&mut results).for_each(|(v, r)| *v = r));
        }
        self.inner.finish(batch)
    }
}

impl MutantSession {
    /// What comes of a batch that does not fit.
    fn refuse(&mut self, batch: &mut Batch<'_>, error: DeviceError) -> Result<(), DeviceError> {
        match self.fault {
            Fault::AcceptsWrongBatches => return Ok(()),
            Fault::WritesBeforeRefusing => change(batch, |_, v| v.fill(0.0)),
            Fault::IsLostByRefusing => self.lost = true,
            Fault::PanicsOnWrongBatches => panic!("a wrong batch panics, as it is meant to"),
            Fault::SaysWrongBatchesFailed => return Err(DeviceError::Failed(error.to_string())),
            _ => {}
        }
        Err(error)
    }
}

/// Applies `change` to every f32 output, with the index of its part.
fn change(batch: &mut Batch<'_>, mut change: impl FnMut(usize, &mut [f32])) {
    for (index, part) in batch.parts_mut().iter_mut().enumerate() {
        for output in &mut part.outputs {
            if let ViewMut::F32(v) = output {
                change(index, v);
            }
        }
    }
}

/// Changes the last bit of the first element of every output from part `first_part` on.
fn nudge(batch: &mut Batch<'_>, first_part: usize) {
    change(batch, |part, v| {
        if part >= first_part
            && let Some(v) = v.first_mut()
        {
            *v = f32::from_bits(v.to_bits() ^ 1);
        }
    });
}

/// The f32 outputs of a part.
fn floats(outputs: &mut [ViewMut<'_>]) -> Vec<Vec<f32>> {
    let floats = |output: &mut ViewMut<'_>| match output {
        ViewMut::F32(v) => Some(v.to_vec()),
        _ => None,
    };
    outputs.iter_mut().filter_map(floats).collect()
}

/// Undoes the writing of the last elements of every f32 output of the last part: as many as `count` makes of a row's length.
fn restore(batch: &mut Batch<'_>, before: &[Vec<Vec<f32>>], count: impl Fn(usize) -> usize) {
    let Some(part) = batch.parts_mut().last_mut().filter(|part| part.samples > 0) else { return };
    let samples = part.samples;
    let floats = part.outputs.iter_mut().filter_map(|output| match output {
        ViewMut::F32(v) => Some(v),
        _ => None,
    });
    for (v, before) in floats.zip(before.last().expect("there is a part")) {
        let kept = v.len() - count(v.len() / samples);
        v[kept..].copy_from_slice(&before[kept..]);
    }
}

fn bools(batch: &mut Batch<'_>) -> Vec<bool> {
    let mut all = Vec::new();
    for output in batch.parts_mut().iter_mut().flat_map(|part| &mut part.outputs) {
        if let ViewMut::Bool(v) = output {
            all.extend_from_slice(v);
        }
    }
    all
}

fn set_bools(batch: &mut Batch<'_>, values: &[bool]) {
    let mut values = values.iter();
    for output in batch.parts_mut().iter_mut().flat_map(|part| &mut part.outputs) {
        if let ViewMut::Bool(v) = output {
            v.iter_mut().zip(&mut values).for_each(|(v, &value)| *v = value);
        }
    }
}

/// Gives every part the beginning of the first part's results.
fn copy_first_part(batch: &mut Batch<'_>) {
    let first = floats(&mut batch.parts_mut()[0].outputs).concat();
    change(batch, |_, v| v.iter_mut().zip(&first).for_each(|(v, &first)| *v = first));
}

fn has_nan(batch: &Batch<'_>) -> bool {
    let nan = |view: &View<'_>| matches!(view, View::F32(v) if v.iter().any(|v| v.is_nan()));
    batch.parts().iter().flat_map(|part| &part.inputs).any(nan)
}
