//! What a program takes and gives, and in which batch sizes.

use paceline_graph::{DType, Graph, Value};

/// The inputs and outputs of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// In the graph's order.
    pub inputs: Vec<Port>,
    /// In the graph's order.
    pub outputs: Vec<Port>,
    /// Whether axis 0 of every input and output is the batch. If not, one request is one execution.
    pub batched: bool,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The shape of one sample, without the batch axis; the whole shape, when there is no batch.
    pub shape: Vec<usize>,
    /// Elements in one sample.
    pub elements: usize,
}

impl Signature {
    /// Bytes of the inputs and outputs of so many samples.
    pub fn request_bytes(&self, samples: usize) -> usize {
        let ports = self.inputs.iter().chain(&self.outputs);
        let sample: usize = ports.map(|port| port.elements.saturating_mul(port.dtype.size_bytes())).sum();
        sample.saturating_mul(samples)
    }

    /// The signature of a graph.
    pub fn of(graph: &Graph) -> Self {
        let batched = graph.is_batched();
        let port = |name: &str, value: Value| {
            let ty = &graph.value(value).ty;
            let shape = ty.shape.resolve(1).split_off(usize::from(batched));
            let elements = shape.iter().product();
            Port { name: name.to_string(), dtype: ty.dtype, shape, elements }
        };
        Signature {
            inputs: graph.inputs().iter().map(|&v| port(&graph.value(v).name, v)).collect(),
            outputs: graph.outputs().iter().map(|o| port(&o.name, o.value)).collect(),
            batched,
        }
    }
}

/// The batch sizes that one execution may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSizes {
    /// Any size from 0 to this one, at the cost of its samples.
    UpTo(usize),
    /// These sizes are prepared, ascending; a smaller batch runs in the next larger one.
    Buckets(Vec<usize>),
}

impl BatchSizes {
    /// The largest batch that one execution may have.
    pub fn max(&self) -> usize {
        match self {
            BatchSizes::UpTo(max) => *max,
            BatchSizes::Buckets(sizes) => sizes.last().copied().unwrap_or(0),
        }
    }

    /// Samples that an execution of this many computes: those of the bucket that it runs in, where sizes are prepared.
    pub fn prepared(&self, samples: usize) -> usize {
        match self {
            BatchSizes::UpTo(_) => samples,
            BatchSizes::Buckets(sizes) => {
                sizes.iter().copied().find(|&size| size >= samples).unwrap_or(samples)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_runs_in_the_next_larger_bucket() {
        let buckets = BatchSizes::Buckets(vec![1, 4, 16]);
        for (samples, prepared) in [(1, 1), (2, 4), (4, 4), (5, 16), (16, 16), (17, 17)] {
            assert_eq!(buckets.prepared(samples), prepared, "{samples}");
        }
        assert_eq!(BatchSizes::UpTo(8).prepared(5), 5);
    }
}
