//! Reductions.

use paceline_graph::{Node, Reduce, ReduceOp};

use super::copy::axis_index;
use super::norm::{around, rows_step};
use super::{Lowering, Unsupported};
use crate::operand::CHANNELS_TO_LAST;

impl Lowering<'_> {
    pub fn reduce(&mut self, node: &Node, op: &Reduce) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        if !matches!(op.op, ReduceOp::Mean | ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min) {
            return Err(format!("{} has no kernel here", node.op.name()));
        }
        let x = self.input(node, 0);
        let mut axes: Vec<usize> = op.axes.iter().map(|&axis| axis_index(axis, x.rank())).collect();
        axes.sort_unstable();
        // The pixels of an image with channels last are one axis before its channels.
        let pixels = axes == [2, 3] && x.has_channels_last();
        let adjacent = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        // Axes that are apart are moved to the end, where they are one.
        let (x, first) = if pixels {
            (x.transposed(&CHANNELS_TO_LAST), 1)
        } else if adjacent {
            (x, axes[0])
        } else {
            let kept = (0..x.rank()).filter(|axis| !axes.contains(axis));
            let permutation: Vec<usize> = kept.chain(axes.iter().copied()).collect();
            (x.transposed(&permutation), x.rank() - axes.len())
        };
        let x = self.dense(x);
        let y = self.destination(node.outputs[0]);
        let (outer, len, inner) = around(&x.shape, first, axes.len());
        let op = op.op;
        let rows = self.rows(outer, (len * inner) as f64, len * inner);
        let step = rows_step(x.slot, y.slot, rows, move |frame, x, y, rows| {
            // SAFETY: x is dense `[outer, len, inner]` for each sample, y `[outer, inner]`.
            unsafe {
                let (x, y) = (x.add(rows.start * len * inner), y.add(rows.start * inner));
                (frame.kernels.reduce)(op, x, y, (rows.len(), len, inner))
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    pub fn global_average_pool(&mut self, node: &Node) -> Result<(), Unsupported> {
        let spatial = self.input(node, 0).rank() - 2;
        let axes = (2..2 + spatial as isize).collect();
        self.reduce(node, &Reduce { op: ReduceOp::Mean, axes, keep_dims: true })
    }
}
