//! One case: a graph, how its inputs are drawn, and how near the results must be.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use paceline_graph::{Data, Graph, Tensor, reference};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Tolerance, Values};
use crate::Signature;

/// What a case stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One operator with one choice of sizes and attributes.
    Operator,
    /// How operators, inputs and outputs are connected.
    Structure,
    /// A layer in PyTorch's vocabulary.
    Layer,
    /// A small version of a whole model.
    Model,
    /// A graph drawn at random.
    Random,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Operator => "operator",
            Kind::Structure => "structure",
            Kind::Layer => "layer",
            Kind::Model => "model",
            Kind::Random => "random graph",
        })
    }
}

/// A graph that a device must compute, and all that is needed to check that it does.
#[derive(Debug)]
pub struct Case {
    name: String,
    kind: Kind,
    graph: Graph,
    signature: Signature,
    values: Vec<Values>,
    tolerance: Tolerance,
    samples: usize,
    worked: Mutex<Option<(u64, usize, Arc<Example>)>>,
}

/// Inputs of a case and what the reference interpreter makes of them.
#[derive(Debug)]
pub struct Example {
    /// Samples in every tensor; 1 when the graph has no batch.
    pub samples: usize,
    /// In the graph's order.
    pub inputs: Vec<Tensor>,
    /// In the graph's order.
    pub outputs: Vec<Tensor>,
}

/// Up to how many samples a case is executed with, where its constructor does not say otherwise.
const DEFAULT_SAMPLES: usize = 64;

impl Case {
    /// A case. `values` has one entry a graph input.
    ///
    /// # Panics
    /// When `values` does not fit the graph's inputs.
    pub fn new(name: impl Into<String>, kind: Kind, graph: Graph, values: Vec<Values>) -> Self {
        let (name, signature) = (name.into(), Signature::of(&graph));
        let types = |port: &crate::Port| port.dtype;
        assert!(
            signature.inputs.iter().map(types).eq(values.iter().map(Values::dtype)),
            "case '{name}': the inputs are {:?}, the values {values:?}",
            signature.inputs
        );
        let samples = if signature.batched { DEFAULT_SAMPLES } else { 1 };
        Case {
            name,
            kind,
            graph,
            signature,
            values,
            tolerance: Tolerance::of(1e-5),
            samples,
            worked: Mutex::new(None),
        }
    }

    /// The same case with another tolerance.
    pub fn within(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The same case with at most `samples` samples, where the reference would take too long for more.
    pub fn at_most(mut self, samples: usize) -> Self {
        self.samples = self.samples.min(samples);
        self
    }

    /// `Conv/stride-2`: what is tested, and which variant of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is tested: the name up to its first `/`.
    pub fn subject(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    /// What the case stands for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is computed.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph's inputs and outputs.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How each input is drawn, in the graph's order.
    pub fn values(&self) -> &[Values] {
        &self.values
    }

    /// How near a device must come to the reference.
    pub fn tolerance(&self) -> Tolerance {
        self.tolerance
    }

    /// Up to how many samples the case is executed with; 1 when the graph has no batch.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Inputs of `samples` samples, in the graph's order. Sample `i` depends on `seed` and `i` alone, so that a larger batch
    /// begins with a smaller one.
    pub fn inputs(&self, samples: usize, seed: u64) -> Vec<Tensor> {
        let samples = if self.signature.batched { samples } else { 1 };
        let draw = |(input, (port, values)): (usize, (&crate::Port, &Values))| {
            let mut data = Data::zeros(port.dtype, 0);
            for sample in 0..samples {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(((input as u64) << 32) | sample as u64);
                values.draw(&mut rng, port.elements, &mut data);
            }
            let batch = self.signature.batched.then_some(samples);
            let shape: Vec<usize> = batch.into_iter().chain(port.shape.iter().copied()).collect();
            Tensor::new(shape, data).expect("as many elements as the port declares were drawn")
        };
        self.signature.inputs.iter().zip(&self.values).enumerate().map(draw).collect()
    }

    /// Inputs of `samples` samples with the reference's outputs. The last one is kept, so that checking several devices
    /// evaluates the reference once.
    pub fn example(&self, samples: usize, seed: u64) -> Arc<Example> {
        let samples = if self.signature.batched { samples } else { 1 };
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_seed, of_samples, example)) = &*worked
            && (*of_seed, *of_samples) == (seed, samples)
        {
            return example.clone();
        }
        let inputs = self.inputs(samples, seed);
        let outputs = reference::evaluate(&self.graph, &inputs).expect("the inputs fit the graph");
        let example = Arc::new(Example { samples, inputs, outputs });
        *worked = Some((seed, samples, example.clone()));
        example
    }
}
