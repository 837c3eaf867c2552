//! Pooling over one or two axes; one axis is a plane of one row.

use paceline_graph::{AveragePool, MaxPool, Node};

use super::norm::rows_step;
use super::{Lowering, Unsupported};
use crate::kernels::pool::PoolAxis;
use crate::operand::Operand;

impl Lowering<'_> {
    pub fn max_pool(&mut self, node: &Node, op: &MaxPool) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        if op.kernel.len() > 2 || op.indices {
            return Err("pooling over three axes, or with indices, has no kernel here".into());
        }
        let (x, y) = self.pooled(node);
        let [rows, columns] = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let ([images, channels], planes) = ([x.shape[0], x.shape[1]], y.is_dense());
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            let images = images * frame.samples;
            // SAFETY: both operands are without gaps, planes or with channels last, of these sizes.
            unsafe {
                if planes {
                    (frame.kernels.max_pool)(x, y, images * channels, &rows, &columns);
                } else {
                    (frame.kernels.max_pool_channels)(x, y, [images, channels], &rows, &columns);
                }
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    pub fn average_pool(&mut self, node: &Node, op: &AveragePool) -> Result<(), Unsupported> {
        if op.kernel.len() > 2 || (op.ceil && op.count_include_pad) {
            return Err("pooling over three axes, or over the padded end, has no kernel here".into());
        }
        let (x, y) = self.pooled(node);
        let [rows, columns] = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let ([images, channels], planes) = ([x.shape[0], x.shape[1]], y.is_dense());
        let count_include_pad = op.count_include_pad;
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            let images = images * frame.samples;
            // SAFETY: both operands are without gaps, planes or with channels last, of these sizes.
            unsafe {
                let kernels = frame.kernels;
                if planes {
                    (kernels.average_pool)(x, y, images * channels, &rows, &columns, count_include_pad);
                } else {
                    let sizes = [images, channels];
                    (kernels.average_pool_channels)(x, y, sizes, &rows, &columns, count_include_pad);
                }
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    /// The operands of a pool, in one order.
    fn pooled(&mut self, node: &Node) -> (Operand, Operand) {
        let x = self.input(node, 0);
        let y = self.destination_like(node.outputs[0], &x);
        (self.ordered_as(x, &y), y)
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
