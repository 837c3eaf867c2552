//! Pooling over one or two axes; one axis is a plane of one row.

use std::ops::Range;

use paceline_graph::{AveragePool, MaxPool, Node};

use super::norm::{Rows, rows_step};
use super::{Lowering, Unsupported};
use crate::kernels::pool::PoolAxis;
use crate::operand::Operand;

/// Operations a tap, in units of a multiply-add: windows apart from each other are gathered.
const TAP_OPERATIONS: f64 = 4.0;

/// The most taps along an axis of which more than half lie in the padding: kernels look at each.
const MOST_TAPS: usize = 1 << 10;

impl Lowering<'_> {
    pub fn max_pool(&mut self, node: &Node, op: &MaxPool) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        if op.kernel.len() > 2 || op.indices {
            return Err("pooling over three axes, or with indices, has no kernel here".into());
        }
        let (x, y) = self.pooled(node, &op.kernel)?;
        let axes = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let pool = Pool::new(&x, &y, axes);
        let step = rows_step(x.slot, y.slot, pool.divided(self), move |frame, x, y, some| {
            // SAFETY: both operands are without gaps, planes or with channels last, of these sizes.
            unsafe {
                let ((x, y), kernels) = (pool.at(x, y, &some), frame.kernels);
                if pool.planes {
                    (kernels.max_pool)(x, y, some.len(), &pool.rows, &pool.columns);
                } else {
                    (kernels.max_pool_channels)(x, y, some, pool.channels, &pool.rows, &pool.columns);
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
        let (x, y) = self.pooled(node, &op.kernel)?;
        let axes = plane(&x, &y, &op.kernel, &op.stride, &op.padding, &op.dilation);
        let count_include_pad = op.count_include_pad;
        let pool = Pool::new(&x, &y, axes);
        let step = rows_step(x.slot, y.slot, pool.divided(self), move |frame, x, y, some| {
            // SAFETY: both operands are without gaps, planes or with channels last, of these sizes.
            unsafe {
                let ((x, y), kernels) = (pool.at(x, y, &some), frame.kernels);
                if pool.planes {
                    (kernels.average_pool)(x, y, some.len(), &pool.rows, &pool.columns, count_include_pad);
                } else {
                    let channels = pool.channels;
                    (kernels.average_pool_channels)(
                        x,
                        y,
                        some,
                        channels,
                        &pool.rows,
                        &pool.columns,
                        count_include_pad,
                    );
                }
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    /// The operands of a pool, in one order.
    fn pooled(&mut self, node: &Node, kernel: &[usize]) -> Result<(Operand, Operand), Unsupported> {
        let x = self.input(node, 0);
        for (&taps, &length) in kernel.iter().zip(&x.shape[2..]) {
            if taps > MOST_TAPS.max(length.saturating_mul(2)) {
                return Err(format!("a window of {taps} over an axis of {length} has no kernel here"));
            }
        }
        let y = self.destination_like(node.outputs[0], &x);
        Ok((self.ordered_as(x, &y), y))
    }
}

/// What a pool does one by one: planes, or, where channels lie last, lines of results.
#[derive(Clone, Copy)]
struct Pool {
    planes: bool,
    images: usize,
    channels: usize,
    rows: PoolAxis,
    columns: PoolAxis,
}

impl Pool {
    fn new(x: &Operand, y: &Operand, [rows, columns]: [PoolAxis; 2]) -> Self {
        Pool { planes: y.is_dense(), images: x.shape[0], channels: x.shape[1], rows, columns }
    }

    fn divided(&self, lowering: &Lowering<'_>) -> Rows {
        let Pool { planes, images, channels, rows, columns } = self;
        let windows = rows.output * columns.output;
        let taps = windows as f64 * rows.kernel as f64 * columns.kernel as f64;
        let floats = rows.input * columns.input + windows;
        if *planes {
            return lowering.rows(images * channels, taps * TAP_OPERATIONS, floats);
        }
        let a_line = |plane: f64| plane * *channels as f64 / rows.output.max(1) as f64;
        lowering.rows(images * rows.output, a_line(taps), a_line(floats as f64) as usize)
    }

    /// Where the kernels begin to read and to write for some planes or lines.
    ///
    /// # Safety
    /// They lie within the operands, which begin at `x` and `y`.
    unsafe fn at(&self, x: *const f32, y: *mut f32, some: &Range<usize>) -> (*const f32, *mut f32) {
        if !self.planes {
            return (x, y);
        }
        let plane = |axis: fn(&PoolAxis) -> usize| some.start * axis(&self.rows) * axis(&self.columns);
        // SAFETY: the caller's promise.
        unsafe { (x.add(plane(|axis| axis.input)), y.add(plane(|axis| axis.output))) }
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
