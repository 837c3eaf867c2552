//! Functions of one and of two elements.

use paceline_graph::{BinaryOp, DType, Node, UnaryOp};

use super::{Lowering, Unsupported};
use crate::kernels::elementwise::{RowOperand, binary_i64};
use crate::nd::{Nd, Run};
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};

impl Lowering<'_> {
    pub fn unary(&mut self, node: &Node, op: UnaryOp) -> Result<(), Unsupported> {
        let x = self.dense_input(node, 0);
        let y = self.destination(node.outputs[0]);
        self.emit(Unary { op, per_sample: x.elements(), x: x.slot, y: y.slot }, &[&x], &y, 0);
        Ok(())
    }

    pub fn binary(&mut self, node: &Node, op: BinaryOp) -> Result<(), Unsupported> {
        let (a, b) = (self.input(node, 0), self.input(node, 1));
        let y = self.destination(node.outputs[0]);
        let (a, b) = (self.runs_along(a, &y), self.runs_along(b, &y));
        let nd = Nd::new(
            &y.shape,
            [&a.broadcast_strides(&y.shape), &b.broadcast_strides(&y.shape), &y.strides],
            [a.sample_stride, b.sample_stride, y.sample_stride],
        );
        self.emit(Binary { op, dtype: y.dtype, nd, a: a.slot, b: b.slot, y: y.slot }, &[&a, &b], &y, 0);
        Ok(())
    }

    /// `x`, copied first when its elements are neither side by side nor the same along the last axis of `y`.
    fn runs_along(&mut self, x: Operand, y: &Operand) -> Operand {
        let same = y.rank() == 0 || x.broadcast_strides(&y.shape).last() == Some(&0);
        if same || x.last_is_contiguous() { x } else { self.dense(x) }
    }
}

struct Unary {
    op: UnaryOp,
    per_sample: usize,
    x: Slot,
    y: Slot,
}

impl Step for Unary {
    unsafe fn run(&self, frame: &Frame<'_>) {
        // SAFETY: both operands are dense and have this many elements a sample.
        unsafe {
            (frame.kernels.unary)(
                self.op,
                frame.at(self.x, 0),
                frame.at(self.y, 0),
                self.per_sample * frame.samples,
            )
        }
    }
}

struct Binary {
    op: BinaryOp,
    dtype: DType,
    nd: Nd<3>,
    a: Slot,
    b: Slot,
    y: Slot,
}

impl Step for Binary {
    unsafe fn run(&self, frame: &Frame<'_>) {
        match self.dtype {
            // SAFETY: the loop nest stays inside the operands.
            DType::I64 => self.nd.for_each_run(frame.samples, |run| unsafe {
                self.run_along(frame, run, |a, b, y, rows, len| binary_i64(self.op, a, b, y, rows, len))
            }),
            // SAFETY: as above.
            _ => self.nd.for_each_run(frame.samples, |run| unsafe {
                self.run_along(frame, run, |a, b, y, rows, len| {
                    (frame.kernels.binary)(self.op, a, b, y, rows, len)
                })
            }),
        }
    }
}

impl Binary {
    /// Applies a kernel to one run: as one row, or, where an operand has gaps between its elements, as rows of one.
    ///
    /// # Safety
    /// The operands hold elements of type `T`, and the run stays inside them.
    unsafe fn run_along<T>(
        &self,
        frame: &Frame<'_>,
        run: Run<3>,
        kernel: impl Fn(RowOperand<T>, RowOperand<T>, *mut T, usize, usize),
    ) {
        let Run { offsets, length, strides } = run;
        let as_rows = strides[..2].iter().any(|&stride| stride > 1) || strides[2] != 1;
        let operand = |slot, index: usize| RowOperand {
            // SAFETY: the run stays inside the operand.
            start: unsafe { frame.at::<T>(slot, offsets[index]) }.cast_const(),
            row_stride: if as_rows { strides[index] } else { 0 },
            scalar: strides[index] == 0 || as_rows,
        };
        // SAFETY: as above.
        let y = unsafe { frame.at::<T>(self.y, offsets[2]) };
        let (rows, len) = if as_rows { (length, 1) } else { (1, length) };
        kernel(operand(self.a, 0), operand(self.b, 1), y, rows, len);
    }
}
