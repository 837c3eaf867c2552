//! Table look-up.

use std::ops::Range;

use paceline_graph::Node;

use super::{Lowering, Unsupported};
use crate::division::estimated_us;
use crate::kernels::set::KernelSet;
use crate::plan::{Frame, Slot};
use crate::rowwise::Rowwise;

impl Lowering<'_> {
    pub fn embedding(&mut self, node: &Node) -> Result<(), Unsupported> {
        let indices = self.dense_input(node, 0);
        let table = self.dense_input(node, 1);
        let y = self.destination(node.outputs[0]);
        let step = Embedding {
            rows: table.shape[0],
            columns: table.shape[1],
            per_sample: indices.elements(),
            indices: indices.slot,
            table: table.slot,
            y: y.slot,
        };
        self.emit(step, &[&indices, &table], &y, 0);
        Ok(())
    }
}

struct Embedding {
    rows: usize,
    columns: usize,
    /// Indices a sample.
    per_sample: usize,
    indices: Slot,
    table: Slot,
    y: Slot,
}

impl Rowwise for Embedding {
    fn rows(&self, samples: usize) -> usize {
        self.per_sample * samples
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        estimated_us(kernels, 0.0, (2 * self.columns * size_of::<f32>()) as f64)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        for i in rows {
            // SAFETY: all operands are dense with these many rows; the row read is inside the table.
            unsafe {
                let y =
                    std::slice::from_raw_parts_mut(frame.at::<f32>(self.y, i * self.columns), self.columns);
                match usize::try_from(*frame.at::<i64>(self.indices, i)).ok().filter(|&row| row < self.rows) {
                    Some(row) => {
                        let row = frame.at::<f32>(self.table, row * self.columns);
                        std::ptr::copy_nonoverlapping(row, y.as_mut_ptr(), self.columns);
                    }
                    None => y.fill(f32::NAN),
                }
            }
        }
    }
}
