//! Matrix products: with a weight that was packed when the graph was compiled, or with a computed right operand.

use std::ops::Range;

use paceline_graph::{Activation, Linear, Node};

use super::{Lowering, Unsupported};
use crate::division::{ProductDivision, Units, estimated_us, within};
use crate::kernels::gemm::{GemmCall, RightPointer, Strides, tail_floats};
use crate::kernels::pack::{PackedMatrix, panel_floats};
use crate::kernels::set::KernelSet;
use crate::nd::{Nd, Run};
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step};
use crate::rowwise::Rowwise;

/// With fewer matrices, each is divided as well.
const ENOUGH_MATRICES: usize = 16;
/// Rows that a part of a matrix has at least: a right operand that is packed anew for each part costs as much as some of them.
const LEAST_ROWS: usize = 64;

impl Lowering<'_> {
    pub fn linear(&mut self, node: &Node, op: &Linear) -> Result<(), Unsupported> {
        let x = self.contiguous_rows(node, 0);
        let (bias, residual) = (self.optional_dense(node, 2), self.optional_dense(node, 3));
        let activation = op.activation;
        let y = self.destination(node.outputs[0]);
        let Some(weight) = self.constant_input(node, 1).cloned() else {
            let weight = self.input(node, 1);
            let weight = if op.transposed { weight } else { weight.transposed(&[1, 0]) };
            let epilogue = Epilogue { bias, residual, activation };
            self.product(matrix_rows(&x), weight, epilogue, matrix_rows(&y));
            return Ok(());
        };
        let packed = self.weights.packed(&weight, op.transposed);
        self.packed_product(packed, &x, [bias.as_ref(), residual.as_ref()], activation, &y);
        Ok(())
    }

    /// Plans `y = activation(x W^T + bias + residual)`. The rows of `x` are contiguous.
    pub(super) fn packed_product(
        &mut self,
        packed: PackedMatrix,
        x: &Operand,
        [bias, residual]: [Option<&Operand>; 2],
        activation: Option<Activation>,
        y: &Operand,
    ) {
        let rows = |operand: &Operand| operand.strides[..operand.rank() - 1].to_vec();
        let shape = &x.shape[..x.rank() - 1];
        let step = PackedProduct {
            packed,
            rows: Nd::new(shape, [&rows(x), &rows(y)], [x.sample_stride, y.sample_stride]),
            rows_per_sample: shape.iter().product(),
            x: x.slot,
            bias: bias.map(|b| b.slot),
            residual: residual.map(|r| r.slot),
            y: y.slot,
            activation,
        };
        let reads: Vec<&Operand> = [Some(x), bias, residual].into_iter().flatten().collect();
        self.emit(step, &reads, y, 0);
    }

    pub fn matmul(&mut self, node: &Node) -> Result<(), Unsupported> {
        self.only_f32(node, 0)?;
        let a = self.contiguous_rows(node, 0);
        let b = self.input(node, 1);
        let y = self.destination(node.outputs[0]);
        // As NumPy does: a missing row of `a` or column of `b` is added, and dropped from the result.
        let (a_is_vector, b_is_vector) = (a.rank() == 1, b.rank() == 1);
        let mut y_matrix = y.clone();
        if b_is_vector {
            y_matrix = with_axis(&y_matrix, y_matrix.rank());
        }
        if a_is_vector {
            y_matrix = with_axis(&y_matrix, y_matrix.rank() - 1);
        }
        let a = if a_is_vector { with_axis(&a, 0) } else { a };
        let b = if b_is_vector { with_axis(&b, 1) } else { b };
        let none = Epilogue { bias: None, residual: None, activation: None };
        self.product(a, b, none, y_matrix);
        Ok(())
    }

    /// `y [..., m, n] = a [..., m, k] b [..., k, n]`, the axes before the last two broadcast. The rows of `a` are contiguous.
    fn product(&mut self, a: Operand, b: Operand, epilogue: Epilogue, y: Operand) {
        let Epilogue { bias, residual, activation } = epilogue;
        let (m, n) = (y.shape[y.rank() - 2], y.shape[y.rank() - 1]);
        let k = a.shape[a.rank() - 1];
        let (depth_stride, column_stride) = (b.strides[b.rank() - 2], b.strides[b.rank() - 1]);
        let (b, right) = if n <= 1 || column_stride == 1 {
            (b, RightLayout::Rows { stride: depth_stride })
        } else if k <= 1 || depth_stride == 1 {
            (b, RightLayout::Columns { stride: column_stride })
        } else {
            (self.dense(b), RightLayout::Rows { stride: n })
        };
        let scratch = match right {
            RightLayout::Rows { .. } => tail_floats(self.kernels, n, k),
            RightLayout::Columns { .. } => panel_floats(self.kernels, n, k),
        };
        let outer = &y.shape[..y.rank() - 2];
        let outer_strides = |operand: &Operand| {
            let outer_axes = operand.rank() - 2;
            let head = Operand {
                shape: operand.shape[..outer_axes].to_vec(),
                strides: operand.strides[..outer_axes].to_vec(),
                ..operand.clone()
            };
            head.broadcast_strides(outer)
        };
        let nd = Nd::new(
            outer,
            [&outer_strides(&a), &outer_strides(&b), &outer_strides(&y)],
            [a.sample_stride, b.sample_stride, y.sample_stride],
        );
        let reads: Vec<&Operand> =
            [Some(&a), Some(&b), bias.as_ref(), residual.as_ref()].into_iter().flatten().collect();
        let step = Product {
            sizes: [m, n, k],
            outer: nd,
            a: a.slot,
            a_row_stride: a.strides[a.rank() - 2],
            b: b.slot,
            right,
            bias: bias.as_ref().map(|b| b.slot),
            residual: residual.as_ref().map(|r| r.slot),
            y: y.slot,
            activation,
            scratch_bytes: scratch * size_of::<f32>(),
        };
        let scratch_bytes = step.scratch_bytes;
        self.emit(step, &reads, &y, scratch_bytes);
    }

    /// An input whose last axis is contiguous; copied if it is not.
    pub(super) fn contiguous_rows(&mut self, node: &Node, index: usize) -> Operand {
        let x = self.input(node, index);
        if x.last_is_contiguous() { x } else { self.dense(x) }
    }
}

/// What is done to a product before it is stored.
struct Epilogue {
    bias: Option<Operand>,
    residual: Option<Operand>,
    activation: Option<Activation>,
}

/// An operand with at least two axes: a vector becomes a matrix of one row.
fn matrix_rows(operand: &Operand) -> Operand {
    if operand.rank() == 1 { with_axis(operand, 0) } else { operand.clone() }
}

/// The same elements with an axis of length 1 at `at`.
fn with_axis(operand: &Operand, at: usize) -> Operand {
    let mut operand = operand.clone();
    operand.shape.insert(at, 1);
    operand.strides.insert(at, 0);
    operand
}

/// `y = activation(x W^T + bias + residual)` with a packed `W`.
struct PackedProduct {
    packed: PackedMatrix,
    /// Rows of x, and of y, with which the residual is dense.
    rows: Nd<2>,
    /// Rows of one sample.
    rows_per_sample: usize,
    x: Slot,
    bias: Option<Slot>,
    residual: Option<Slot>,
    y: Slot,
    activation: Option<Activation>,
}

impl PackedProduct {
    fn division(&self, kernels: &KernelSet, samples: usize) -> Option<ProductDivision> {
        let sizes = [self.rows_per_sample * samples, self.packed.n, self.packed.k];
        ProductDivision::of(kernels, sizes, self.packed.k)
    }

    /// Computes for every run the blocks of rows and columns that `blocks` names for a run's length. Columns begin with a panel.
    ///
    /// # Safety
    /// As for [`Step::run`], for these rows and columns.
    unsafe fn compute<I: Iterator<Item = (Range<usize>, Range<usize>)>>(
        &self,
        frame: &Frame<'_>,
        blocks: impl Fn(usize) -> I,
    ) {
        let k = self.packed.k;
        self.rows.for_each_run(frame.samples, |Run { offsets, length, strides }| {
            let stride = |stride| Strides { sample: 0, row: stride, column: 1 };
            for (rows, columns) in blocks(length) {
                let to = offsets[1] + rows.start * strides[1] + columns.start;
                // SAFETY: the operands have rows of `k` and `n` elements at these strides, and the panels before the first
                // column are whole.
                unsafe {
                    (frame.kernels.gemm)(&GemmCall {
                        samples: 1,
                        m: rows.len(),
                        n: columns.len(),
                        k,
                        left: frame.at(self.x, offsets[0] + rows.start * strides[0]),
                        left_strides: stride(strides[0]),
                        left_offsets: std::ptr::null(),
                        left_row_floats: k,
                        right: RightPointer::Panels(self.packed.panels().as_ptr().add(columns.start * k)),
                        bias: frame.optional(self.bias, columns.start),
                        residual: frame.optional(self.residual, to),
                        residual_strides: stride(strides[1]),
                        activation: self.activation,
                        out: frame.at(self.y, to),
                        out_strides: stride(strides[1]),
                    });
                }
            }
        });
    }
}

impl Step for PackedProduct {
    unsafe fn run(&self, frame: &Frame<'_>) {
        // SAFETY: the caller's promise.
        unsafe { self.compute(frame, |rows| std::iter::once((0..rows, 0..self.packed.n))) }
    }

    fn units(&self, kernels: &KernelSet, samples: usize, _: usize) -> Option<Units> {
        Some(self.division(kernels, samples)?.units())
    }

    unsafe fn run_units(&self, frame: &Frame<'_>, _: *mut u8, _: usize, units: Option<Range<usize>>) {
        let (Some(division), Some(units)) = (self.division(frame.kernels, frame.samples), units) else {
            unreachable!("a step without units is run as a whole")
        };
        // SAFETY: the caller's promise; no two units have rows and columns in common.
        unsafe { self.compute(frame, |rows| division.blocks(units.clone(), rows)) }
    }
}

/// How a computed right operand lies in memory.
#[derive(Clone, Copy)]
enum RightLayout {
    /// The elements of a row side by side.
    Rows { stride: usize },
    /// The elements of a column side by side, as the keys of attention: packed anew each time.
    Columns { stride: usize },
}

/// A product of two computed operands, for each index of the axes before their last two.
struct Product {
    /// m, n, k.
    sizes: [usize; 3],
    /// Matrices of a, of b, and of y, with which the residual is dense.
    outer: Nd<3>,
    a: Slot,
    a_row_stride: usize,
    b: Slot,
    right: RightLayout,
    bias: Option<Slot>,
    residual: Option<Slot>,
    y: Slot,
    activation: Option<Activation>,
    scratch_bytes: usize,
}

impl Product {
    /// So many blocks of rows is a matrix computed in, each by itself, where there are few matrices.
    fn row_blocks(&self, samples: usize) -> usize {
        let [m, ..] = self.sizes;
        if self.outer.elements(samples) < ENOUGH_MATRICES { (m / LEAST_ROWS).max(1) } else { 1 }
    }

    /// Computes for each of some matrices these blocks of rows, of so many.
    ///
    /// # Safety
    /// As for [`Step::run_units`].
    unsafe fn matrices(
        &self,
        frame: &Frame<'_>,
        scratch: *mut f32,
        matrices: Range<usize>,
        blocks: Range<usize>,
        row_blocks: usize,
    ) {
        let [m, n, k] = self.sizes;
        let rows = m * blocks.start / row_blocks..m * blocks.end / row_blocks;
        self.outer.for_each_run_of(frame.samples, matrices, |Run { offsets, length, strides }| {
            // One right operand for the whole run, or one a matrix.
            let (products, samples) = if strides[1] == 0 { (1, length) } else { (length, 1) };
            let rows_of_y = Strides { sample: strides[2], row: n, column: 1 };
            for index in 0..products {
                let at = |operand: usize| offsets[operand] + index * strides[operand];
                let y = at(2) + rows.start * n;
                // SAFETY: the loop nest stays inside the operands, and the scratch was sized for this layout.
                unsafe {
                    let b = frame.at::<f32>(self.b, at(1)).cast_const();
                    let right = match self.right {
                        RightLayout::Rows { stride } => RightPointer::Rows { data: b, stride, tail: scratch },
                        RightLayout::Columns { stride } => {
                            (frame.kernels.pack)(b, stride, n, k, scratch);
                            RightPointer::Panels(scratch)
                        }
                    };
                    (frame.kernels.gemm)(&GemmCall {
                        samples,
                        m: rows.len(),
                        n,
                        k,
                        left: frame.at(self.a, at(0) + rows.start * self.a_row_stride),
                        left_strides: Strides { sample: strides[0], row: self.a_row_stride, column: 1 },
                        left_offsets: std::ptr::null(),
                        left_row_floats: k,
                        right,
                        bias: frame.optional(self.bias, 0),
                        residual: frame.optional(self.residual, y),
                        residual_strides: rows_of_y,
                        activation: self.activation,
                        out: frame.at(self.y, y),
                        out_strides: rows_of_y,
                    });
                }
            }
        });
    }
}

impl Rowwise for Product {
    fn rows(&self, samples: usize) -> usize {
        self.outer.elements(samples) * self.row_blocks(samples)
    }

    fn row_us(&self, kernels: &KernelSet, samples: usize) -> f64 {
        let [m, n, k] = self.sizes.map(|size| size as f64);
        let operations = m / self.row_blocks(samples) as f64 * n * k;
        estimated_us(kernels, operations, n * k * size_of::<f32>() as f64)
    }

    fn helper_bytes(&self) -> usize {
        self.scratch_bytes
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, scratch: *mut u8, rows: Range<usize>) {
        let row_blocks = self.row_blocks(frame.samples);
        if row_blocks == 1 || rows == (0..self.rows(frame.samples)) {
            let matrices = rows.start / row_blocks..rows.end / row_blocks;
            // SAFETY: the caller's promise.
            return unsafe { self.matrices(frame, scratch.cast(), matrices, 0..1, 1) };
        }
        for (matrix, blocks) in within(rows, row_blocks) {
            // SAFETY: the caller's promise.
            unsafe { self.matrices(frame, scratch.cast(), matrix..matrix + 1, blocks, row_blocks) }
        }
    }
}
