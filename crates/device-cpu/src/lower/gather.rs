//! Rows picked by computed indices.

use std::ops::Range;

use paceline_graph::{DType, Element, Gather, Node, by_dtype};

use super::copy::axis_index;
use super::norm::around;
use super::{Lowering, Unsupported};
use crate::division::{estimated_scalar_us, estimated_us, within};
use crate::kernels::set::KernelSet;
use crate::operand::Operand;
use crate::plan::{Frame, Slot};
use crate::rowwise::Rowwise;

impl Lowering<'_> {
    pub fn gather(&mut self, node: &Node, op: &Gather) -> Result<(), Unsupported> {
        let (data, indices) = (self.dense_input(node, 0), self.dense_input(node, 1));
        let y = self.destination(node.outputs[0]);
        let (outer, length, inner) = around(&data.shape, axis_index(op.axis, data.rank()), 1);
        let step = GatherStep {
            sizes: [outer, length, inner],
            count: indices.elements(),
            dtypes: [data.dtype, indices.dtype],
            data: source(&data),
            indices: source(&indices),
            y: source(&y),
        };
        self.emit(step, &[&data, &indices], &y, 0);
        Ok(())
    }
}

/// Where an operand lies, and the distance from one sample to the next.
fn source(operand: &Operand) -> (Slot, usize) {
    (operand.slot, operand.sample_stride)
}

struct GatherStep {
    /// Elements before the axis, along it, and behind it.
    sizes: [usize; 3],
    /// Indices a sample.
    count: usize,
    /// Of the data and of the indices.
    dtypes: [DType; 2],
    data: (Slot, usize),
    indices: (Slot, usize),
    y: (Slot, usize),
}

impl Rowwise for GatherStep {
    fn rows(&self, samples: usize) -> usize {
        self.sizes[0] * self.count * samples
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        estimated_us(kernels, 0.0, (2 * self.sizes[2] * self.dtypes[0].size_bytes()) as f64)
            + estimated_scalar_us(1.0)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        by_dtype!(self.dtypes[0], T => {
            // SAFETY: the caller's promise.
            unsafe {
                match self.dtypes[1] {
                    DType::I32 => self.rows_of::<T, i32>(frame, rows),
                    _ => self.rows_of::<T, i64>(frame, rows),
                }
            }
        });
    }
}

impl GatherStep {
    /// # Safety
    /// As for [`Rowwise::run_rows`]; the data is of type `T`, the indices of type `I`.
    unsafe fn rows_of<T: Element, I: Element>(&self, frame: &Frame<'_>, rows: Range<usize>) {
        let [outer, length, inner] = self.sizes;
        for (stretch, indices) in within(rows, self.count) {
            let (sample, o) = (stretch / outer, stretch % outer);
            let first = |(_, stride): (Slot, usize)| sample * stride;
            // SAFETY: the operands are dense and of these sizes; a row that is read is inside the data.
            unsafe {
                let data = frame.at::<T>(self.data.0, first(self.data) + o * length * inner).cast_const();
                let to = first(self.y) + (o * self.count + indices.start) * inner;
                let mut y = frame.at::<T>(self.y.0, to);
                for i in indices {
                    let index = (*frame.at::<I>(self.indices.0, first(self.indices) + i)).to_integer();
                    let index = if index < 0 { index + length as i128 } else { index };
                    match usize::try_from(index).ok().filter(|&row| row < length) {
                        Some(row) => std::ptr::copy_nonoverlapping(data.add(row * inner), y, inner),
                        None => std::slice::from_raw_parts_mut(y, inner).fill(T::missing()),
                    }
                    y = y.add(inner);
                }
            }
        }
    }
}
