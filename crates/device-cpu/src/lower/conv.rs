//! Convolutions, with weights packed when the graph is compiled.
//!
//! Over two axes the result has its channels last, whether the input has or not: then products are stored as they are, a
//! pointwise convolution is a plain product, and depthwise ones fill registers whatever the size of the image. What follows
//! (functions of elements, pools, sums) keeps the order.

use std::ops::Range;
use std::ptr::slice_from_raw_parts_mut;
use std::sync::Arc;

use paceline_graph::{Activation, Conv, ConvTranspose, Node, Tensor};

use super::{Lowering, Unsupported};
use crate::division::Units;
use crate::kernels::conv::{ConvArgs, ConvShape, Convolution, Layout, PackedConv};
use crate::kernels::conv_transpose::{ConvTransposeShape, PackedConvTranspose};
use crate::kernels::set::KernelSet;
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};

impl Lowering<'_> {
    pub fn conv(&mut self, node: &Node, op: &Conv) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        if op.stride.len() > 2 {
            return Err("convolutions over three axes have no kernel here".into());
        }
        let weight = self.constant_weight(node)?;
        let x = self.input(node, 0);
        let mut shape = ConvShape {
            channels_in: x.shape[1],
            channels_out: weight.shape()[0],
            groups: op.groups,
            input: two(&x.shape[2..], 1),
            kernel: two(&weight.shape()[2..], 1),
            stride: two(&op.stride, 1),
            padding: two(&op.padding, (0, 0)),
            dilation: two(&op.dilation, 1),
            layouts: [Layout::ChannelsFirst; 2],
        };
        if shape.input.contains(&0) {
            return Err(
                "an image of nothing but padding has no kernel here; give it at least one element".into()
            );
        }
        let spatial = [0, 1].map(|i| shape.input[i] + shape.padding[i].0 + shape.padding[i].1);
        check_image(shape.channels_in, spatial)?;
        // No second window begins beyond the padded image: any larger stride is as good, and kernels multiply by it.
        shape.stride = [0, 1].map(|i| shape.stride[i].min(spatial[i].max(1)));
        let usual = x.has_channels_last() || !shape.is_depthwise();
        let y = if op.stride.len() == 2 && shape.may_have_channels_last() && usual {
            self.destination_with_channels_last(node.outputs[0])
        } else {
            self.destination(node.outputs[0])
        };
        shape.layouts = [&x, &y].map(layout);
        if shape.is_depthwise() {
            shape.layouts[0] = shape.layouts[1];
        }
        let x = match shape.layouts[0] {
            Layout::ChannelsFirst => self.dense(x),
            Layout::ChannelsLast => x,
        };
        let residual = self.optional(node, 3).map(|residual| self.ordered_as(residual, &y));
        let packed = PackedConv::new(self.kernels, shape, floats(&weight));
        weight.release();
        self.convolve(node, x, y, residual, op.activation, packed);
        Ok(())
    }

    pub fn conv_transpose(&mut self, node: &Node, op: &ConvTranspose) -> Result<(), Unsupported> {
        if op.stride.len() > 1 {
            return Err("transposed convolutions over several axes have no kernel here".into());
        }
        let weight = self.constant_weight(node)?;
        let x = self.dense_input(node, 0);
        let shape = ConvTransposeShape {
            channels_in: x.shape[1],
            channels_out: weight.shape()[1] * op.groups,
            groups: op.groups,
            length: x.shape[2],
            kernel: weight.shape()[2],
            stride: op.stride[0],
            padding: op.padding[0],
            output_padding: op.output_padding[0],
            dilation: op.dilation[0],
        };
        let reach = shape.dilation.saturating_mul(shape.kernel).saturating_mul(2);
        check_image(shape.channels_in, [1, shape.length.saturating_add(reach)])?;
        let packed = PackedConvTranspose::new(self.kernels, shape, floats(&weight));
        weight.release();
        let y = self.destination(node.outputs[0]);
        self.convolve(node, x, y, None, op.activation, packed);
        Ok(())
    }

    fn convolve(
        &mut self,
        node: &Node,
        x: Operand,
        y: Operand,
        residual: Option<Operand>,
        activation: Option<Activation>,
        packed: impl Convolution + 'static,
    ) {
        let bias = self.optional_dense(node, 2);
        let scratch_floats = packed.scratch_floats();
        let step = ConvStep {
            packed,
            images: x.shape[0],
            input: (x.slot, x.elements()),
            bias: bias.as_ref().map(|b| (b.slot, b.elements())),
            residual: residual.as_ref().map(|r| r.slot),
            output: (y.slot, y.elements()),
            activation,
        };
        let reads: Vec<&Operand> =
            [Some(&x), bias.as_ref(), residual.as_ref()].into_iter().flatten().collect();
        self.emit(step, &reads, &y, scratch_floats * size_of::<f32>());
    }

    fn constant_weight(&self, node: &Node) -> Result<Arc<Tensor>, Unsupported> {
        self.constant_input(node, 1)
            .cloned()
            .ok_or_else(|| "a convolution's weight must be a constant here; make it part of the model".into())
    }
}

/// How an image lies; one that has only one pixel, or one channel, as if its channels were first.
fn layout(image: &Operand) -> Layout {
    if image.has_channels_last() && !image.is_dense() { Layout::ChannelsLast } else { Layout::ChannelsFirst }
}

/// Height and width, with a height of one where there is one axis only.
fn two<T: Copy>(values: &[T], one: T) -> [T; 2] {
    match values {
        [width] => [one, *width],
        [height, width] => [*height, *width],
        _ => unreachable!("shape rules allow one or two spatial axes"),
    }
}

fn floats(weight: &Tensor) -> &[f32] {
    weight.as_f32().expect("shape rules guarantee f32 weights")
}

/// The kernels address the elements of a padded image with 32 bits. Its rows, or its planes, end with their cache line.
fn check_image(channels: usize, [height, width]: [usize; 2]) -> Result<(), Unsupported> {
    const LINES: usize = 32;
    let rows = channels.max(1).saturating_mul(height);
    let elements = rows.saturating_mul(width.saturating_add(LINES));
    if elements >= 1 << 31 {
        return Err(format!("an image takes {elements} elements with padding; below 2^31 are possible"));
    }
    Ok(())
}

struct ConvStep<C> {
    packed: C,
    /// Images a sample: more than one where an axis is merged with the batch.
    images: usize,
    /// Place and elements a sample.
    input: (Slot, usize),
    /// Place and elements.
    bias: Option<(Slot, usize)>,
    residual: Option<Slot>,
    output: (Slot, usize),
    activation: Option<Activation>,
}

impl<C: Convolution> ConvStep<C> {
    /// What is computed from what, with a thread's scratch of so many floats.
    ///
    /// # Safety
    /// As for [`Step::run_units`].
    unsafe fn args<'a>(&self, frame: &'a Frame<'_>, scratch: *mut u8, floats: usize) -> ConvArgs<'a> {
        // SAFETY: all operands are without gaps, of these sizes for each sample.
        unsafe {
            let all = |slot, elements| std::slice::from_raw_parts(frame.at::<f32>(slot, 0), elements);
            let (output, out_elements) = (self.output.0, self.output.1 * frame.samples);
            let shared = frame.scratch.cast();
            ConvArgs {
                samples: self.images * frame.samples,
                input: all(self.input.0, self.input.1 * frame.samples),
                bias: self.bias.map(|(slot, elements)| all(slot, elements)),
                residual: self.residual.map(|slot| all(slot, out_elements)),
                activation: self.activation,
                out: slice_from_raw_parts_mut(frame.at::<f32>(output, 0), out_elements),
                shared: slice_from_raw_parts_mut(shared, self.packed.scratch_floats()),
                scratch: slice_from_raw_parts_mut(scratch.cast(), floats),
            }
        }
    }
}

impl<C: Convolution> Step for ConvStep<C> {
    unsafe fn run(&self, frame: &Frame<'_>) {
        // SAFETY: the caller's promise.
        unsafe { self.packed.run(self.args(frame, frame.scratch, self.packed.scratch_floats())) }
    }

    fn passes(&self, samples: usize) -> usize {
        self.packed.passes(self.images * samples)
    }

    fn units(&self, _: &KernelSet, samples: usize, pass: usize) -> Option<Units> {
        self.packed.units(self.images * samples, pass)
    }

    fn helper_bytes(&self) -> usize {
        self.packed.helper_floats() * size_of::<f32>()
    }

    unsafe fn run_units(
        &self,
        frame: &Frame<'_>,
        scratch: *mut u8,
        pass: usize,
        units: Option<Range<usize>>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let args = self.args(frame, scratch, self.packed.helper_floats());
            self.packed.run_units(args, pass, units);
        }
    }
}
