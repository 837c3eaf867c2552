//! Softmax and the normalisations.

use paceline_graph::{BatchNorm, GroupNorm, LayerNorm, Node, RmsNorm};

use std::ops::Range;

use super::copy::axis_index;
use super::{Lowering, Unsupported};
use crate::division::{estimated_us, within};
use crate::kernels::set::KernelSet;
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};
use crate::rowwise::Rowwise;

/// Operations an element, in units of a multiply-add.
const SOFTMAX_OPERATIONS: f64 = 24.0;
const NORM_OPERATIONS: f64 = 6.0;

impl Lowering<'_> {
    /// Softmax, or its logarithm.
    pub fn softmax(&mut self, node: &Node, axis: isize, logarithm: bool) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        let x = self.dense_input(node, 0);
        let y = self.destination(node.outputs[0]);
        let (outer, len, inner) = around(&x.shape, axis_index(axis, x.rank()), 1);
        let rows = self.rows(outer, (len * inner) as f64 * SOFTMAX_OPERATIONS, 2 * len * inner);
        let kernel = if logarithm { self.kernels.log_softmax } else { self.kernels.softmax };
        let step = rows_step(x.slot, y.slot, rows, move |_, x, y, rows| {
            let first = rows.start * len * inner;
            // SAFETY: both operands are dense and have these sizes for each sample, in storages of their own; the kernel is of this
            // program's set.
            unsafe { kernel(x.add(first), y.add(first), (rows.len(), len, inner)) }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    pub fn layer_norm(&mut self, node: &Node, op: &LayerNorm) -> Result<(), Unsupported> {
        let x = self.dense_input(node, 0);
        let (weight, bias) = (self.optional_dense(node, 1), self.optional_dense(node, 2));
        let y = self.destination(node.outputs[0]);
        let (rows, len) = rows(&x.shape, op.axes);
        let (weight_slot, bias_slot) = (slot(&weight), slot(&bias));
        let epsilon = op.epsilon;
        let rows = self.rows(rows, len as f64 * NORM_OPERATIONS, 2 * len);
        let step = rows_step(x.slot, y.slot, rows, move |frame, x, y, rows| {
            // SAFETY: both operands are dense rows of `len`; the parameters have `len` elements.
            unsafe {
                let (weight, bias) = (frame.optional(weight_slot, 0), frame.optional(bias_slot, 0));
                let (x, y) = (x.add(rows.start * len), y.add(rows.start * len));
                (frame.kernels.layer_norm)(x, y, rows.len(), len, epsilon, weight, bias)
            }
        });
        self.emit(step, &given(&[Some(&x), weight.as_ref(), bias.as_ref()]), &y, 0);
        Ok(())
    }

    pub fn rms_norm(&mut self, node: &Node, op: &RmsNorm) -> Result<(), Unsupported> {
        let x = self.dense_input(node, 0);
        let weight = self.optional_dense(node, 1);
        let y = self.destination(node.outputs[0]);
        let (rows, len) = rows(&x.shape, op.axes);
        let weight_slot = slot(&weight);
        let epsilon = op.epsilon;
        let rows = self.rows(rows, len as f64 * NORM_OPERATIONS, 2 * len);
        let step = rows_step(x.slot, y.slot, rows, move |frame, x, y, rows| {
            // SAFETY: both operands are dense rows of `len`; the weight has `len` elements.
            unsafe {
                let weight = frame.optional(weight_slot, 0);
                let (x, y) = (x.add(rows.start * len), y.add(rows.start * len));
                (frame.kernels.rms_norm)(x, y, rows.len(), len, epsilon, weight)
            }
        });
        self.emit(step, &given(&[Some(&x), weight.as_ref()]), &y, 0);
        Ok(())
    }

    pub fn group_norm(&mut self, node: &Node, op: &GroupNorm) -> Result<(), Unsupported> {
        let x = self.dense_input(node, 0);
        let (weight, bias) = (self.optional_dense(node, 1), self.optional_dense(node, 2));
        let y = self.destination(node.outputs[0]);
        let (outer, channels, inner) = around(&x.shape, 1, 1);
        let (groups, group) = (op.groups, channels / op.groups);
        let (weight_slot, bias_slot) = (slot(&weight), slot(&bias));
        let epsilon = op.epsilon;
        let rows = self.rows(outer * groups, (group * inner) as f64 * NORM_OPERATIONS, 2 * group * inner);
        let step = rows_step(x.slot, y.slot, rows, move |frame, x, y, rows| {
            for (outer, some) in within(rows, groups) {
                let sizes = (some.len(), group, inner);
                // SAFETY: both operands are dense `[outer, channels, inner]` for each sample; the parameters have `channels`
                // elements.
                unsafe {
                    let first = (outer * groups + some.start) * group * inner;
                    let weight = frame.optional(weight_slot, some.start * group);
                    let bias = frame.optional(bias_slot, some.start * group);
                    (frame.kernels.group_norm)(x.add(first), y.add(first), 1, sizes, epsilon, weight, bias)
                }
            }
        });
        self.emit(step, &given(&[Some(&x), weight.as_ref(), bias.as_ref()]), &y, 0);
        Ok(())
    }

    /// The stored statistics become one factor and one summand a channel.
    pub fn batch_norm(&mut self, node: &Node, op: &BatchNorm) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let channels = x.shape[1];
        let parameter = |lowering: &Self, index: usize, default: f32| match node.inputs.get(index) {
            None | Some(None) => Ok(vec![default; channels]),
            _ => lowering
                .constant_input(node, index)
                .and_then(|tensor| tensor.as_f32())
                .map(<[f32]>::to_vec)
                .ok_or(
                    "BatchNorm's parameters must be constants here; fold what computes them into the model",
                ),
        };
        let (mean, variance) = (parameter(self, 1, 0.0)?, parameter(self, 2, 1.0)?);
        let (weight, bias) = (parameter(self, 3, 1.0)?, parameter(self, 4, 0.0)?);
        let scale: Vec<f64> = (0..channels)
            .map(|c| f64::from(weight[c]) / (f64::from(variance[c]) + f64::from(op.epsilon)).sqrt())
            .collect();
        let shift: Vec<f32> =
            (0..channels).map(|c| (f64::from(bias[c]) - f64::from(mean[c]) * scale[c]) as f32).collect();
        let scale: Vec<f32> = scale.into_iter().map(|s| s as f32).collect();
        let y = self.destination_like(node.outputs[0], &x);
        let x = self.ordered_as(x, &y);
        let (outer, _, inner) = around(&x.shape, 1, 1);
        // Rows are channels, or, where channels lie last, pixels.
        let planes = y.is_dense();
        let rows = if planes {
            self.rows(outer * channels, inner as f64, 2 * inner)
        } else {
            self.rows(outer * inner, channels as f64, 2 * channels)
        };
        let step = rows_step(x.slot, y.slot, rows, move |frame, x, y, rows| {
            let affine = |first: usize, sizes, channels: Range<usize>| {
                let (scale, shift) = (&scale[channels.clone()], &shift[channels]);
                // SAFETY: both operands are without gaps, `[outer, channels, inner]` or `[outer, inner, channels]` for each
                // sample; scale and shift have an element a channel.
                unsafe {
                    let (x, y) = (x.add(first), y.add(first));
                    (frame.kernels.channel_affine)(x, y, sizes, scale.as_ptr(), shift.as_ptr())
                }
            };
            if planes {
                for (outer, some) in within(rows, channels) {
                    affine((outer * channels + some.start) * inner, (1, some.len(), inner), some);
                }
            } else {
                affine(rows.start * channels, (rows.len(), channels, 1), 0..channels);
            }
        });
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }
}

/// Elements before `axis`, in the `axes` axes from there, and behind them.
pub(super) fn around(shape: &[usize], axis: usize, axes: usize) -> (usize, usize, usize) {
    let product = |part: &[usize]| part.iter().product();
    (product(&shape[..axis]), product(&shape[axis..axis + axes]), product(&shape[axis + axes..]))
}

/// Rows, and elements in the last `axes` axes.
fn rows(shape: &[usize], axes: usize) -> (usize, usize) {
    let (rows, len, _) = around(shape, shape.len() - axes, axes);
    (rows, len)
}

fn slot(operand: &Option<Operand>) -> Option<Slot> {
    operand.as_ref().map(|o| o.slot)
}

fn given<'a>(operands: &[Option<&'a Operand>]) -> Vec<&'a Operand> {
    operands.iter().copied().flatten().collect()
}

/// The rows that a step computes one by one, whatever a row is.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    per_sample: usize,
    /// What one takes, in microseconds.
    us: f64,
}

impl Lowering<'_> {
    /// Rows that take so many operations on f32, and read and write so many.
    pub(super) fn rows(&self, per_sample: usize, operations: f64, floats: usize) -> Rows {
        let bytes = floats as f64 * size_of::<f32>() as f64;
        Rows { per_sample, us: estimated_us(self.kernels, operations, bytes) }
    }
}

/// A step from one dense operand to another, by kernel calls for some of the rows of all samples.
pub(super) fn rows_step(
    x: Slot,
    y: Slot,
    rows: Rows,
    call: impl Fn(&Frame<'_>, *const f32, *mut f32, Range<usize>) + Send + Sync + 'static,
) -> impl Step {
    RowsStep { x, y, rows, call }
}

struct RowsStep<F> {
    x: Slot,
    y: Slot,
    rows: Rows,
    call: F,
}

impl<F: Fn(&Frame<'_>, *const f32, *mut f32, Range<usize>) + Send + Sync> Rowwise for RowsStep<F> {
    fn rows(&self, samples: usize) -> usize {
        self.rows.per_sample * samples
    }

    fn row_us(&self, _: &KernelSet, _: usize) -> f64 {
        self.rows.us
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        // SAFETY: both storages hold f32 elements.
        unsafe { (self.call)(frame, frame.at(self.x, 0), frame.at(self.y, 0), rows) }
    }
}
