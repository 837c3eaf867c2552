//! Rows picked by computed indices.

use paceline_graph::{DType, Element, Gather, Node, by_dtype};

use super::copy::axis_index;
use super::norm::around;
use super::{Lowering, Unsupported};
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};

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

impl Step for GatherStep {
    unsafe fn run(&self, frame: &Frame<'_>) {
        by_dtype!(self.dtypes[0], T => {
            // SAFETY: the caller's promise.
            unsafe {
                match self.dtypes[1] {
                    DType::I32 => self.rows::<T, i32>(frame),
                    _ => self.rows::<T, i64>(frame),
                }
            }
        });
    }
}

impl GatherStep {
    /// # Safety
    /// As for [`Step::run`]; the data is of type `T`, the indices of type `I`.
    unsafe fn rows<T: Element, I: Element>(&self, frame: &Frame<'_>) {
        let [outer, length, inner] = self.sizes;
        for sample in 0..frame.samples {
            let first = |(_, stride): (Slot, usize)| sample * stride;
            // SAFETY: the operands are dense and of these sizes; a row that is read is inside the data.
            unsafe {
                let data = frame.at::<T>(self.data.0, first(self.data)).cast_const();
                let indices = frame.at::<I>(self.indices.0, first(self.indices)).cast_const();
                let mut y = frame.at::<T>(self.y.0, first(self.y));
                for o in 0..outer {
                    for i in 0..self.count {
                        let index = (*indices.add(i)).to_integer();
                        let index = if index < 0 { index + length as i128 } else { index };
                        match usize::try_from(index).ok().filter(|&row| row < length) {
                            Some(row) => {
                                std::ptr::copy_nonoverlapping(data.add((o * length + row) * inner), y, inner);
                            }
                            None => std::slice::from_raw_parts_mut(y, inner).fill(T::missing()),
                        }
                        y = y.add(inner);
                    }
                }
            }
        }
    }
}
