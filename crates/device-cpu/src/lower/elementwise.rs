//! Functions of one and of two elements, comparisons, choices and conversions.

use paceline_graph::{BinaryOp, Cast, Classify, CompareOp, DType, Node, UnaryOp, by_dtype};

use std::ops::Range;

use super::{Lowering, Unsupported};
use crate::division::{estimated_scalar_us, estimated_us};
use crate::kernels::elementwise::RowOperand;
use crate::kernels::set::KernelSet;
use crate::kernels::typed::{self, Elements};
use crate::nd::{Block, Nd, Run};
use crate::operand::{CHANNELS_TO_LAST, Operand};
use crate::plan::{Frame, Slot};
use crate::rowwise::Rowwise;

/// Operations an element of a function that is no single instruction, in units of a multiply-add.
const FUNCTION_OPERATIONS: f64 = 24.0;

impl Lowering<'_> {
    pub fn unary(&mut self, node: &Node, op: UnaryOp) -> Result<(), Unsupported> {
        self.each(node, Each::Unary(op))
    }

    pub fn cast(&mut self, node: &Node, op: &Cast) -> Result<(), Unsupported> {
        self.each(node, Each::Cast(op.to))
    }

    pub fn classify(&mut self, node: &Node, class: Classify) -> Result<(), Unsupported> {
        self.each(node, Each::Classify(class))
    }

    fn each(&mut self, node: &Node, function: Each) -> Result<(), Unsupported> {
        let x = self.input(node, 0);
        let y = self.destination_like(node.outputs[0], &x);
        let x = self.ordered_as(x, &y);
        let step = EachStep { function, dtype: x.dtype, per_sample: x.elements(), x: x.slot, y: y.slot };
        self.emit(step, &[&x], &y, 0);
        Ok(())
    }

    pub fn binary(&mut self, node: &Node, op: BinaryOp) -> Result<(), Unsupported> {
        let (a, b) = (self.input(node, 0), self.input(node, 1));
        if a.dtype != DType::F32 {
            return self.pairs(node, Pair::Binary(op));
        }
        let is_whole = |x: &&Operand| x.shape == self.value_shape(node.outputs[0]);
        let like = [&a, &b].into_iter().filter(is_whole).max_by_key(|x| x.has_channels_last());
        let y = match like {
            Some(x) => self.destination_like(node.outputs[0], x),
            None => self.destination(node.outputs[0]),
        };
        let [a, b] = [a, b].map(|x| self.runs_along(x, &y));
        let nd = if y.is_dense() {
            nest([&a, &b, &y])
        } else {
            let [a, b, y] = [&a, &b, &y].map(|x| x.broadcast(&y.shape).transposed(&CHANNELS_TO_LAST));
            nest([&a, &b, &y])
        };
        let step = Binary { op, nd, a: a.slot, b: b.slot, y: y.slot };
        self.emit(step, &[&a, &b], &y, 0);
        Ok(())
    }

    pub fn compare(&mut self, node: &Node, op: CompareOp) -> Result<(), Unsupported> {
        self.pairs(node, Pair::Compare(op))
    }

    fn pairs(&mut self, node: &Node, function: Pair) -> Result<(), Unsupported> {
        let (a, b) = (self.input(node, 0), self.input(node, 1));
        let y = self.destination(node.outputs[0]);
        let slots = [a.slot, b.slot, y.slot];
        let step = PairStep { function, dtype: a.dtype, nd: nest([&a, &b, &y]), slots };
        self.emit(step, &[&a, &b], &y, 0);
        Ok(())
    }

    pub fn choose(&mut self, node: &Node) -> Result<(), Unsupported> {
        let [condition, a, b] = [0, 1, 2].map(|index| self.input(node, index));
        let y = self.destination(node.outputs[0]);
        let slots = [condition.slot, a.slot, b.slot, y.slot];
        let step = ChooseStep { dtype: y.dtype, nd: nest([&condition, &a, &b, &y]), slots };
        self.emit(step, &[&condition, &a, &b], &y, 0);
        Ok(())
    }

    /// `x`, copied first when its elements are neither side by side nor the same along the axis along which `y`'s are side by
    /// side.
    fn runs_along(&mut self, x: Operand, y: &Operand) -> Operand {
        let strides = x.broadcast_strides(&y.shape);
        let innermost = if y.is_dense() { strides.last() } else { strides.get(1) };
        match innermost {
            None | Some(0 | 1) => x,
            Some(_) if x.shape == y.shape => self.ordered_as(x, y),
            Some(_) if y.is_dense() => self.dense(x),
            Some(_) => {
                let whole = x.broadcast(&y.shape);
                self.ordered_as(whole, y)
            }
        }
    }
}

/// The loop nest over the last operand, to which the others are broadcast.
fn nest<const K: usize>(operands: [&Operand; K]) -> Nd<K> {
    let shape = &operands[K - 1].shape;
    let strides = operands.map(|operand| operand.broadcast_strides(shape));
    Nd::new(
        shape,
        strides.each_ref().map(|strides| &strides[..]),
        operands.map(|operand| operand.sample_stride),
    )
}

/// A function of one element.
#[derive(Clone, Copy)]
enum Each {
    Unary(UnaryOp),
    Cast(DType),
    Classify(Classify),
}

struct EachStep {
    function: Each,
    /// The element type of `x`.
    dtype: DType,
    per_sample: usize,
    x: Slot,
    y: Slot,
}

impl Rowwise for EachStep {
    fn rows(&self, samples: usize) -> usize {
        self.per_sample * samples
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        match (self.function, self.dtype) {
            (Each::Unary(op), DType::F32) => {
                let simple = matches!(op, UnaryOp::Relu | UnaryOp::Neg | UnaryOp::Abs);
                let operations = if simple { 1.0 } else { FUNCTION_OPERATIONS };
                estimated_us(kernels, operations, 2.0 * size_of::<f32>() as f64)
            }
            _ => estimated_scalar_us(1.0),
        }
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        let (first, len) = (rows.start, rows.len());
        // SAFETY: both operands are dense and have these elements, of the types that the graph says.
        unsafe {
            match (self.function, self.dtype) {
                (Each::Unary(op), DType::F32) => {
                    (frame.kernels.unary)(op, frame.at(self.x, first), frame.at(self.y, first), len);
                }
                (Each::Unary(op), dtype) => by_dtype!(dtype, T => {
                    typed::unary::<T>(op, frame.at(self.x, first), frame.at(self.y, first), len);
                }),
                (Each::Cast(to), from) => by_dtype!(from, A => by_dtype!(to, R => {
                    typed::cast::<A, R>(frame.at(self.x, first), frame.at(self.y, first), len);
                })),
                (Each::Classify(class), dtype) => by_dtype!(dtype, T => {
                    typed::classify::<T>(class, frame.at(self.x, first), frame.at(self.y, first), len);
                }),
            }
        }
    }
}

/// A function of two elements of one type, which is not f32 where arithmetic is meant.
#[derive(Clone, Copy)]
enum Pair {
    Binary(BinaryOp),
    Compare(CompareOp),
}

struct PairStep {
    function: Pair,
    /// The element type of the operands.
    dtype: DType,
    nd: Nd<3>,
    /// a, b, y.
    slots: [Slot; 3],
}

impl Rowwise for PairStep {
    fn rows(&self, samples: usize) -> usize {
        self.nd.elements(samples)
    }

    fn row_us(&self, _: &KernelSet, _: usize) -> f64 {
        estimated_scalar_us(1.0)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        // SAFETY: the loop nest stays inside the operands, which have the types that the graph says.
        by_dtype!(self.dtype, T => self.nd.for_each_run_of(frame.samples, rows, |run| unsafe {
            let [a, b] = [0, 1].map(|k| elements::<T, 3>(frame, self.slots[k], &run, k));
            match self.function {
                Pair::Binary(op) => typed::binary(op, a, b, place(frame, self.slots[2], &run), run.length),
                Pair::Compare(op) => typed::compare(op, a, b, place(frame, self.slots[2], &run), run.length),
            }
        }));
    }
}

/// A choice by a condition.
struct ChooseStep {
    /// The element type of what is chosen from.
    dtype: DType,
    nd: Nd<4>,
    /// condition, a, b, y.
    slots: [Slot; 4],
}

impl Rowwise for ChooseStep {
    fn rows(&self, samples: usize) -> usize {
        self.nd.elements(samples)
    }

    fn row_us(&self, _: &KernelSet, _: usize) -> f64 {
        estimated_scalar_us(1.0)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        // SAFETY: the loop nest stays inside the operands, which have the types that the graph says.
        by_dtype!(self.dtype, T => self.nd.for_each_run_of(frame.samples, rows, |run| unsafe {
            let condition = elements::<bool, 4>(frame, self.slots[0], &run, 0);
            let [a, b] = [1, 2].map(|k| elements::<T, 4>(frame, self.slots[k], &run, k));
            typed::choose(condition, a, b, place(frame, self.slots[3], &run), run.length);
        }));
    }
}

/// The elements of operand `k` of a run.
///
/// # Safety
/// The slot is that operand's, its elements are of type `T`, and the run stays inside it.
unsafe fn elements<T, const K: usize>(frame: &Frame<'_>, slot: Slot, run: &Run<K>, k: usize) -> Elements<T> {
    // SAFETY: the caller's promise.
    Elements { start: unsafe { frame.at::<T>(slot, run.offsets[k]) }.cast_const(), stride: run.strides[k] }
}

/// Where the results of a run, the last operand, go, and the distance between them.
///
/// # Safety
/// As for [`elements`].
unsafe fn place<T, const K: usize>(frame: &Frame<'_>, slot: Slot, run: &Run<K>) -> (*mut T, usize) {
    // SAFETY: the caller's promise.
    (unsafe { frame.at(slot, run.offsets[K - 1]) }, run.strides[K - 1])
}

/// A function of two f32 elements.
struct Binary {
    op: BinaryOp,
    nd: Nd<3>,
    a: Slot,
    b: Slot,
    y: Slot,
}

impl Rowwise for Binary {
    fn rows(&self, samples: usize) -> usize {
        self.nd.elements(samples)
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        estimated_us(kernels, 1.0, 3.0 * size_of::<f32>() as f64)
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, _: *mut u8, rows: Range<usize>) {
        self.nd.for_each_part_of(frame.samples, rows, |Block { offsets, lengths: [rows, len], strides }| {
            let row = strides.map(|[row, _]| row);
            let each = strides.map(|[_, each]| each);
            // SAFETY: the loop nest stays inside the operands.
            unsafe {
                let call = |first: usize, rows, len, strides: [usize; 3], scalars: [bool; 2]| {
                    let operand = |slot, k: usize| RowOperand {
                        start: frame.at::<f32>(slot, offsets[k] + first * row[k]).cast_const(),
                        row_stride: strides[k],
                        scalar: scalars[k],
                    };
                    let y = frame.at(self.y, offsets[2] + first * row[2]);
                    (frame.kernels.binary)(self.op, operand(self.a, 0), operand(self.b, 1), y, rows, len);
                };
                let in_rows = each[0] <= 1 && each[1] <= 1 && each[2] == 1;
                if in_rows && (rows == 1 || row[2] == len) {
                    call(0, rows, len, row, [each[0] == 0, each[1] == 0]);
                    return;
                }
                // A row by itself, or, where an operand has gaps between its elements, as rows of one.
                for first in 0..rows {
                    if in_rows {
                        call(first, 1, len, [0; 3], [each[0] == 0, each[1] == 0]);
                    } else {
                        call(first, len, 1, each, [true; 2]);
                    }
                }
            }
        });
    }
}
