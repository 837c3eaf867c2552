//! What is studied: models with their weights, and the cases that stand for operators and layers.

use std::cmp::Reverse;

use paceline_device::conformance::{Case, cases};
use paceline_device::{Device, Signature};
use paceline_graph::Graph;
use paceline_nn::{Model, StateDict, flops, sample_inputs};

use crate::results::ModelCost;
use crate::workload::{Preparation, Workload, split};
use crate::{StudyError, Suite};

/// A model and where its weights come from.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model.
    pub model: Model,
    /// Its weights.
    pub weights: Weights,
}

/// Where weights come from.
#[derive(Clone, Debug)]
pub enum Weights {
    /// Drawn from a seed.
    Seed(u64),
    /// These.
    State(StateDict),
}

/// Distinct samples of a model: enough that a mix-up of answers shows.
const SAMPLES: usize = 64;
/// Fewer where these many operations are exceeded.
const SAMPLES_FLOPS: u64 = 20_000_000_000;
/// The reference vouches for up to four answers, but always for one.
const REFERENCED: usize = 4;
/// Fewer where these many operations are exceeded.
const REFERENCED_FLOPS: u64 = 200_000_000;
/// Distinct samples of a case.
const CASE_SAMPLES: usize = 8;

impl Subject {
    /// The model's graph with its weights.
    pub fn graph(&self) -> Result<Graph, StudyError> {
        let built = match &self.weights {
            Weights::Seed(seed) => self.model.graph(*seed),
            Weights::State(state) => self.model.graph_with(state),
        };
        built.map_err(|error| StudyError::Build { name: self.model.name().into(), error: error.into() })
    }

    /// What a sample of the model costs.
    pub(crate) fn cost(&self) -> Result<ModelCost, StudyError> {
        let graph = self.graph()?;
        Ok(ModelCost {
            model: self.model.name().into(),
            flops_per_sample: flops(&graph),
            weight_bytes: 4 * graph.parameter_count() as u64,
            sample_bytes: Signature::of(&graph).request_bytes(1) as u64,
        })
    }

    /// The model on a device, with samples drawn from `seed`.
    pub(crate) fn workload(
        &self,
        device: &dyn Device,
        seed: u64,
        max_batch: usize,
    ) -> Result<Workload, StudyError> {
        let (name, graph) = (self.model.name(), self.graph()?);
        let each = flops(&graph).max(1);
        let within = |limit: u64, least: usize, most: usize| ((limit / each) as usize).clamp(least, most);
        let samples = within(SAMPLES_FLOPS, 8, SAMPLES);
        let inputs = sample_inputs(&graph, samples, seed)
            .map_err(|error| StudyError::Inputs { name: name.into(), problem: error.to_string() })?;
        let referenced = within(REFERENCED_FLOPS, 1, REFERENCED);
        let preparation = Preparation { max_batch, referenced, tolerance: None };
        Workload::new(device, name, &graph, split(inputs, samples), preparation)
    }
}

/// A case on a device, with samples drawn from `seed`.
pub(crate) fn case_workload(
    device: &dyn Device,
    case: &Case,
    seed: u64,
    max_batch: usize,
) -> Result<Workload, StudyError> {
    Workload::of_case(device, case, CASE_SAMPLES.min(case.samples().max(1)), seed, max_batch)
}

/// For each operator or layer of a suite the case with the most work in it.
pub(crate) fn representatives(suite: Suite) -> Vec<Case> {
    let mut cases: Vec<Case> = cases().into_iter().filter(|case| suite.has(case)).collect();
    let work = |case: &Case| {
        let elements: usize = case.signature().inputs.iter().map(|port| port.elements).sum();
        (flops(case.graph()), elements)
    };
    cases.sort_by_cached_key(|case| (case.subject().to_string(), Reverse(work(case))));
    cases.dedup_by(|next, first| next.subject() == first.subject());
    cases
}
