//! Pooling over one or two axes; one axis is a plane of one row.

use paceline_graph::{AveragePool, MaxPool, Node};

use super::norm::{Rows, rows_step};
use super::{Lowering, Unsupported};
use crate::kernels::pool::PoolAxis;
use crate::operand::Operand;

/// Operations a tap, in units of a multiply-add: windows apart from each other are gathered.
const TAP_OPERATIONS: f64 = 4.0;

impl Lowering<'_> {
    pub fn max_pool(&mut self, node: &Node, op: &MaxPool) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        if op.kernel.len() > 2 || op.indices {
            return Err("pooling over three axes, or with indices, has no kernel here".into());
        }
        let x = self.dense_input(node, 0);
        let y = self.destination(node.outputs[0]);
        let [rows, columns] = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let planes = x.shape[0] * x.shape[1];
        let some = self.planes(planes, &rows, &columns);
        let step = rows_step(x.slot, y.slot, some, move |frame, x, y, planes| {
            // SAFETY: both operands are dense planes of these sizes.
            unsafe {
                let x = x.add(planes.start * rows.input * columns.input);
                let y = y.add(planes.start * rows.output * columns.output);
                (frame.kernels.max_pool)(x, y, planes.len(), &rows, &columns)
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    pub fn average_pool(&mut self, node: &Node, op: &AveragePool) -> Result<(), Unsupported> {
        if op.kernel.len() > 2 || (op.ceil && op.count_include_pad) {
            return Err("pooling over three axes, or over the padded end, has no kernel here".into());
        }
        let x = self.dense_input(node, 0);
        let y = self.destination(node.outputs[0]);
        let [rows, columns] = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let planes = x.shape[0] * x.shape[1];
        let count_include_pad = op.count_include_pad;
        let some = self.planes(planes, &rows, &columns);
        let step = rows_step(x.slot, y.slot, some, move |frame, x, y, planes| {
            // SAFETY: both operands are dense planes of these sizes.
            unsafe {
                let x = x.add(planes.start * rows.input * columns.input);
                let y = y.add(planes.start * rows.output * columns.output);
                (frame.kernels.average_pool)(x, y, planes.len(), &rows, &columns, count_include_pad)
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    /// So many planes with windows along two axes.
    fn planes(&self, count: usize, rows: &PoolAxis, columns: &PoolAxis) -> Rows {
        let windows = rows.output * columns.output;
        let taps = (windows * rows.kernel * columns.kernel) as f64;
        self.rows(count, taps * TAP_OPERATIONS, rows.input * columns.input + windows)
    }
}

/// The windows along height and width.
fn plane(
    x: &Operand,
    y: &Operand,
    kernel: &[usize],
    stride: &[usize],
    padding: &[(usize, usize)],
    dilation: &[usize],
) -> [PoolAxis; 2] {
    let axis = |i: usize| PoolAxis {
        input: x.shape[2 + i],
        output: y.shape[2 + i],
        kernel: kernel[i],
        stride: stride[i],
        padding: padding[i].0,
        dilation: dilation[i],
    };
    let one = PoolAxis { input: 1, output: 1, kernel: 1, stride: 1, padding: 0, dilation: 1 };
    if kernel.len() == 1 { [one, axis(0)] } else { [axis(0), axis(1)] }
}
