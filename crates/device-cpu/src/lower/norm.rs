//! Softmax and the normalisations.

use paceline_graph::{BatchNorm, GroupNorm, LayerNorm, Node, RmsNorm, Softmax};

use super::copy::axis_index;
use super::{Lowering, Unsupported};
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};

impl Lowering<'_> {
    pub fn softmax(&mut self, node: &Node, op: &Softmax) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        let x = self.dense_input(node, 0);
        let y = self.destination(node.outputs[0]);
        let sizes = around(&x.shape, axis_index(op.axis, x.rank()), 1);
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            // SAFETY: both operands are dense and have these sizes for each sample.
            unsafe { (frame.kernels.softmax)(x, y, (sizes.0 * frame.samples, sizes.1, sizes.2)) }
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
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            // SAFETY: both operands are dense rows of `len`; the parameters have `len` elements.
            unsafe {
                let (weight, bias) = (frame.optional(weight_slot, 0), frame.optional(bias_slot, 0));
                (frame.kernels.layer_norm)(x, y, rows * frame.samples, len, epsilon, weight, bias)
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
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            // SAFETY: both operands are dense rows of `len`; the weight has `len` elements.
            unsafe {
                let weight = frame.optional(weight_slot, 0);
                (frame.kernels.rms_norm)(x, y, rows * frame.samples, len, epsilon, weight)
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
        let sizes = (op.groups, channels / op.groups, inner);
        let (weight_slot, bias_slot) = (slot(&weight), slot(&bias));
        let epsilon = op.epsilon;
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            // SAFETY: both operands are dense `[outer, channels, inner]` for each sample; the parameters have `channels` elements.
            unsafe {
                let (weight, bias) = (frame.optional(weight_slot, 0), frame.optional(bias_slot, 0));
                (frame.kernels.group_norm)(x, y, outer * frame.samples, sizes, epsilon, weight, bias)
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
        let (outer, inner) = match around(&x.shape, 1, 1) {
            (outer, _, inner) if y.is_dense() => (outer, inner),
            // Channels last: nothing is behind them.
            (outer, _, inner) => (outer * inner, 1),
        };
        let step = rows_step(x.slot, y.slot, move |frame, x, y| {
            // SAFETY: both operands lie as `[outer, channels, inner]` for each sample; scale and shift have `channels`
            // elements.
            unsafe {
                let sizes = (outer * frame.samples, scale.len(), inner);
                (frame.kernels.channel_affine)(x, y, sizes, scale.as_ptr(), shift.as_ptr())
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

/// A step from one dense operand to another, by a kernel call.
pub(super) fn rows_step(
    x: Slot,
    y: Slot,
    call: impl Fn(&Frame<'_>, *const f32, *mut f32) + Send + Sync + 'static,
) -> impl Step {
    RowsStep { x, y, call }
}

struct RowsStep<F> {
    x: Slot,
    y: Slot,
    call: F,
}

impl<F: Fn(&Frame<'_>, *const f32, *mut f32) + Send + Sync> Step for RowsStep<F> {
    unsafe fn run(&self, frame: &Frame<'_>) {
        // SAFETY: both storages hold f32 elements.
        unsafe { (self.call)(frame, frame.at(self.x, 0), frame.at(self.y, 0)) }
    }
}
