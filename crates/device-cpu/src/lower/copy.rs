//! Operators that move elements: most become views; the others become copies.

use std::ops::Range;

use paceline_graph::{Concat, DType, Node, Pad, PadMode, Slice, Split, Tile, Transpose, axis_position};

use super::{Lowering, Unsupported};
use crate::division::estimated_us;
use crate::kernels::copy::{Plane, copy};
use crate::kernels::set::KernelSet;
use crate::nd::{Block, Nd};
use crate::operand::Operand;
use crate::plan::{Frame, Slot};
use crate::rowwise::Rowwise;

/// A copy of fewer rows is shared by elements.
const ENOUGH_ROWS: usize = 16;

impl Lowering<'_> {
    pub fn reshape(&mut self, node: &Node) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let shape = self.value_shape(node.outputs[0]);
        let view = match x.reshaped(&shape) {
            Some(view) => view,
            None => self.dense(x).reshaped(&shape).expect("dense operands take any shape"),
        };
        self.set_view(node.outputs[0], view);
        Ok(())
    }

    pub fn transpose(&mut self, node: &Node, op: &Transpose) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        self.set_view(node.outputs[0], x.transposed(&op.permutation));
        Ok(())
    }

    pub fn slice(&mut self, node: &Node, op: &Slice) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let axis = axis_index(op.axis, x.rank());
        let length = self.value_shape(node.outputs[0])[axis];
        self.set_view(node.outputs[0], x.sliced(axis, op.start, op.step, length));
        Ok(())
    }

    pub fn split(&mut self, node: &Node, op: &Split) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let axis = axis_index(op.axis, x.rank());
        let mut start = 0;
        for (&value, &size) in node.outputs.iter().zip(&op.sizes) {
            self.set_view(value, x.sliced(axis, start, 1, size));
            start += size;
        }
        Ok(())
    }

    pub fn concat(&mut self, node: &Node, op: &Concat) -> Result<(), Unsupported> {
        let pieces: Vec<Operand> = (0..node.inputs.len()).map(|i| self.input(node, i)).collect();
        let like = pieces.iter().max_by_key(|piece| piece.has_channels_last()).expect("at least one piece");
        let y = self.destination_like(node.outputs[0], like);
        let axis = axis_index(op.axis, y.rank());
        let mut start = 0;
        for piece in &pieces {
            self.copy(piece, &y.sliced(axis, start, 1, piece.shape[axis]));
            start += piece.shape[axis];
        }
        Ok(())
    }

    pub fn pad(&mut self, node: &Node, op: &Pad) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let (DType::F32, PadMode::Constant(value)) = (x.dtype, op.mode) else {
            return Err(format!("Pad is for constants of f32 here, got {:?} of {}", op.mode, x.dtype));
        };
        let y = self.destination(node.outputs[0]);
        let fill = Fill { slot: y.slot, per_sample: y.elements(), value: value as f32 };
        self.emit(fill, &[], &y, 0);
        let inside =
            op.pads.iter().enumerate().fold(y.clone(), |inside, (axis, &(before, _))| {
                inside.sliced(axis, before, 1, x.shape[axis])
            });
        self.copy(&x, &inside);
        Ok(())
    }

    pub fn expand(&mut self, node: &Node) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let value = node.outputs[0];
        let (shape, every_sample) = (self.value_shape(value), self.is_every_sample(value));
        let strides = x.broadcast_strides(&shape);
        self.set_view(value, Operand { shape, strides, every_sample, ..x });
        Ok(())
    }

    pub fn tile(&mut self, node: &Node, op: &Tile) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let y = self.destination(node.outputs[0]);
        // Each axis as two: how often, and its own length.
        let interleaved = |a: &[usize], b: &[usize]| -> Vec<usize> {
            a.iter().zip(b).flat_map(|(&a, &b)| [a, b]).collect()
        };
        let shape = interleaved(&op.repeats, &x.shape);
        let from =
            Operand { strides: interleaved(&vec![0; x.rank()], &x.strides), shape: shape.clone(), ..x };
        let to = y.reshaped(&shape).expect("a storage is dense");
        self.copy(&from, &to);
        Ok(())
    }

    /// Copies every element of `from` to the same place in `to`.
    pub fn copy(&mut self, from: &Operand, to: &Operand) {
        let nd = Nd::new(&to.shape, [&from.strides, &to.strides], [from.sample_stride, to.sample_stride]);
        let copy = Copy { nd, element_bytes: to.dtype.size_bytes(), from: from.slot, to: to.slot };
        self.emit(copy, &[from], to, 0);
    }
}

/// The index of an axis that may count from the end.
pub(super) fn axis_index(axis: isize, rank: usize) -> usize {
    axis_position(axis, rank).expect("shape rules have checked the axis")
}

struct Copy {
    nd: Nd<2>,
    element_bytes: usize,
    from: Slot,
    to: Slot,
}

impl Rowwise for Copy {
    fn rows(&self, samples: usize) -> usize {
        if self.is_divided_by_elements(samples) { self.nd.elements(samples) } else { self.nd.rows(samples) }
    }

    fn row_us(&self, kernels: &KernelSet, samples: usize) -> f64 {
        let row = self.nd.elements(samples) as f64 / self.rows(samples).max(1) as f64;
        // Where source and destination run along different axes, it takes about twice the time.
        estimated_us(kernels, 0.0, row * (4 * self.element_bytes) as f64)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        // SAFETY: the operands are different storages with elements of these many bytes, and the loop nest stays inside them.
        unsafe {
            match self.element_bytes {
                1 => self.planes::<u8>(frame, rows, |plane, from, to| copy(plane, from, to)),
                2 => self.planes::<u16>(frame, rows, |plane, from, to| copy(plane, from, to)),
                4 => self
                    .planes::<f32>(frame, rows, |plane, from, to| (frame.kernels.copy_f32)(plane, from, to)),
                8 => self.planes::<u64>(frame, rows, |plane, from, to| copy(plane, from, to)),
                other => unreachable!("no element type has {other} bytes"),
            }
        }
    }
}

impl Copy {
    /// Whether there are too few rows to share.
    fn is_divided_by_elements(&self, samples: usize) -> bool {
        self.nd.rows(samples) < ENOUGH_ROWS
    }

    /// Applies a kernel to the two innermost axes, again and again.
    ///
    /// # Safety
    /// The slots are places of elements as large as `T`, and the loop nest stays inside their storages.
    unsafe fn planes<T>(
        &self,
        frame: &Frame<'_>,
        rows: Range<usize>,
        kernel: impl Fn(Plane, *const T, *mut T),
    ) {
        let copy = |Block { offsets: [from, to], lengths, strides }: Block<2>| {
            let plane = Plane { lengths, src_strides: strides[0], dst_strides: strides[1] };
            // SAFETY: the caller's promise.
            unsafe { kernel(plane, frame.at(self.from, from), frame.at(self.to, to)) }
        };
        if rows == (0..self.rows(frame.samples)) {
            self.nd.for_each_block_of(frame.samples, 0..self.nd.rows(frame.samples), copy);
        } else if self.is_divided_by_elements(frame.samples) {
            self.nd.for_each_run_of(frame.samples, rows, |run| copy(run.into()));
        } else {
            self.nd.for_each_block_of(frame.samples, rows, copy);
        }
    }
}

/// A value everywhere.
struct Fill {
    slot: Slot,
    per_sample: usize,
    value: f32,
}

impl Rowwise for Fill {
    fn rows(&self, samples: usize) -> usize {
        self.per_sample * samples
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        estimated_us(kernels, 0.0, size_of::<f32>() as f64)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        // SAFETY: the storage is dense and has these f32 elements.
        let some =
            unsafe { std::slice::from_raw_parts_mut(frame.at::<f32>(self.slot, rows.start), rows.len()) };
        some.fill(self.value);
    }
}
