//! Nodes without a kernel: evaluated one sample after the other by the operator's reference evaluation. Slow, and right.
//!
//! The evaluation sees what the graph defines for a batch of one, so it cannot mix samples, and a sample's result does not
//! depend on what travels with it. It allocates, which no kernel does.

use std::ops::Range;
use std::sync::Arc;

use paceline_graph::{Data, Element, Node, Op, Tensor, by_type};

use super::{Lowering, Unsupported};
use crate::division::estimated_scalar_us;
use crate::kernels::set::KernelSet;
use crate::operand::Operand;
use crate::plan::Frame;
use crate::rowwise::Rowwise;

/// Elements of one sample of one operand beyond which a node is refused: an evaluation takes tens of bytes and nanoseconds for
/// each.
const MOST_ELEMENTS: usize = 1 << 26;
/// What an element takes at least, in elements of a plain loop.
const EVALUATION_ELEMENTS: f64 = 20.0;

impl Lowering<'_> {
    /// Plans the evaluation of a node.
    pub fn evaluated(&mut self, node: &Node) -> Result<(), Unsupported> {
        let elements = |&value: &paceline_graph::Value| {
            self.graph.value(value).ty.shape.elements_per_sample().unwrap_or(usize::MAX)
        };
        let largest = node.inputs.iter().flatten().chain(&node.outputs).map(elements).max().unwrap_or(0);
        if largest > MOST_ELEMENTS {
            return Err(format!(
                "it has no kernel here, and with {largest} elements it is too large to be evaluated without; at most \
                 {MOST_ELEMENTS} are possible"
            ));
        }
        let inputs: Vec<Option<Given>> = (0..node.inputs.len())
            .map(|index| match self.constant_input(node, index) {
                Some(tensor) => Some(Given::Constant(self.weights.resident(tensor))),
                None => self.optional_dense(node, index).map(Given::Computed),
            })
            .collect();
        let outputs: Vec<Operand> = node.outputs.iter().map(|&value| self.destination(value)).collect();
        let reads: Vec<Operand> = inputs
            .iter()
            .flatten()
            .filter_map(|given| match given {
                Given::Computed(operand) => Some(operand.clone()),
                Given::Constant(_) => None,
            })
            .collect();
        let step = Evaluated { op: node.op.clone(), inputs, outputs: outputs.clone() };
        self.emit_many(step, &reads.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>());
        Ok(())
    }
}

enum Given {
    Constant(Arc<Tensor>),
    /// Dense.
    Computed(Operand),
}

struct Evaluated {
    op: Op,
    inputs: Vec<Option<Given>>,
    /// Dense.
    outputs: Vec<Operand>,
}

impl Rowwise for Evaluated {
    fn rows(&self, samples: usize) -> usize {
        samples
    }

    fn row_us(&self, _: &KernelSet, _: usize) -> f64 {
        let elements: usize = self.outputs.iter().map(Operand::elements).sum();
        EVALUATION_ELEMENTS * estimated_scalar_us(elements as f64)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        let shapes: Vec<Vec<usize>> = self.outputs.iter().map(|operand| operand.shape.clone()).collect();
        for sample in rows {
            // SAFETY: the operands are dense and have `frame.samples` samples, or one where all share it.
            let inputs: Vec<Option<Tensor>> =
                self.inputs.iter().map(|given| unsafe { read(frame, given.as_ref()?, sample) }).collect();
            let given: Vec<Option<&Tensor>> = self
                .inputs
                .iter()
                .zip(&inputs)
                .map(|(given, computed)| match given {
                    Some(Given::Constant(tensor)) => Some(tensor.as_ref()),
                    _ => computed.as_ref(),
                })
                .collect();
            let results = self.op.evaluate(&given, &shapes);
            for (operand, tensor) in self.outputs.iter().zip(&results) {
                // SAFETY: as above; the storage is this step's to write.
                unsafe { write(frame, operand, sample, tensor) };
            }
        }
    }
}

/// One sample of a computed operand; `None` for a constant.
///
/// # Safety
/// The operand is dense and has this sample.
unsafe fn read(frame: &Frame<'_>, given: &Given, sample: usize) -> Option<Tensor> {
    let Given::Computed(operand) = given else { return None };
    let mut data = Data::zeros(operand.dtype, operand.elements());
    // SAFETY: the storage holds elements of this type, initialised, and these are the sample's.
    by_type!(Data, &mut data, to => unsafe { copy_out(frame, operand, sample, to) });
    Some(Tensor::new(operand.shape.clone(), data).expect("as many elements as the shape has"))
}

/// # Safety
/// The operand is dense, has this sample, and as many elements, of this type.
unsafe fn copy_out<T: Element>(frame: &Frame<'_>, operand: &Operand, sample: usize, to: &mut [T]) {
    // SAFETY: the caller's promise.
    unsafe {
        let from = frame.at::<T>(operand.slot, sample * operand.sample_stride);
        std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len());
    }
}

/// Writes one sample of an operand.
///
/// # Safety
/// The operand is dense, has this sample, and nobody else uses it.
unsafe fn write(frame: &Frame<'_>, operand: &Operand, sample: usize, tensor: &Tensor) {
    assert_eq!(
        (tensor.dtype(), tensor.shape()),
        (operand.dtype, &operand.shape[..]),
        "an evaluation gives what its shape rule says"
    );
    by_type!(Data, tensor.data(), from => {
        // SAFETY: the storage has room for so many elements of this type.
        unsafe {
            let to = frame.at(operand.slot, sample * operand.sample_stride);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        }
    });
}
