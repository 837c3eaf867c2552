//! Recurrent layers: what the inputs contribute to the gates of all steps is one product; then step follows step, each a product
//! with the state and the cell's functions, for all samples together.
//!
//! The state is read where the step before wrote it, in the layer's output.

use std::sync::Arc;

use paceline_graph::{Cell, DType, Direction, Node, Recurrent, Tensor, UnaryOp};

use super::{Lowering, Unsupported};
use crate::kernels::gemm::{GemmCall, RightPointer, Strides};
use crate::kernels::pack::PackedMatrix;
use crate::kernels::recurrent::{CellCall, CellKind};
use crate::nd::{Nd, Run};
use crate::operand::Operand;
use crate::plan::{Frame, Slot, Step, StorageKind};

/// Numbers of the operator's inputs.
const BIAS: usize = 3;
const LENGTHS: usize = 4;
const INITIAL_H: usize = 5;
const INITIAL_C: usize = 6;
const PEEPHOLES: usize = 7;

impl Lowering<'_> {
    pub fn recurrent(&mut self, node: &Node, op: &Recurrent) -> Result<(), Unsupported> {
        let kind = self.cell_kind(node, op)?;
        let [w, r] = [self.weights(node, 1)?, self.weights(node, 2)?];
        let bias = match node.input(BIAS) {
            None => None,
            Some(_) => Some(self.weights(node, BIAS)?),
        };
        let x = self.contiguous_rows(node, 0);
        let initial = [INITIAL_H, INITIAL_C].map(|index| {
            let operand = self.optional(node, index)?;
            Some(if operand.last_is_contiguous() { operand } else { self.dense(operand) })
        });
        let outputs: Vec<Operand> = node.outputs.iter().map(|&value| self.destination(value)).collect();
        let [steps, sequences, inputs] = x.shape[..] else { unreachable!("the shape rule gives three axes") };
        let hidden = r.shape()[2];
        let width = kind.gates() * hidden;
        for direction in 0..op.direction.count() {
            let bias = bias.as_ref().map(|bias| Biases::new(kind, of_direction(bias, direction, 2 * width)));
            let (of_input, of_state) = match bias {
                None => (None, None),
                Some(Biases { of_input, of_state }) => {
                    (Some(self.constant(of_input)), of_state.map(|values| self.constant(values)))
                }
            };
            let gates = self.temporary(DType::F32, vec![steps, sequences, width], x.every_sample);
            let of_x =
                PackedMatrix::new(self.kernels, of_direction(&w, direction, width * inputs), width, inputs);
            self.packed_product(of_x, &x, [of_input.as_ref(), None], None, &gates);
            let of_h =
                PackedMatrix::new(self.kernels, of_direction(&r, direction, width * hidden), width, hidden);
            let from_end = op.direction == Direction::Reverse || direction == 1;
            let walk = Walk { kind, steps, sequences, direction, from_end };
            self.walk(walk, of_h, of_state, &gates, &initial, &outputs);
        }
        [w, r].iter().for_each(|weights| weights.release());
        Ok(())
    }

    /// The cell, if there is a kernel for everything about it.
    fn cell_kind(&self, node: &Node, op: &Recurrent) -> Result<CellKind, Unsupported> {
        use UnaryOp::{Relu, Sigmoid, Tanh};
        let name = node.op.name();
        let (kind, functions): (CellKind, &[UnaryOp]) = match (op.cell, &op.activations[..]) {
            (Cell::Rnn, [Relu, ..]) => (CellKind::RnnRelu, &[Relu]),
            (Cell::Rnn, _) => (CellKind::RnnTanh, &[Tanh]),
            (Cell::Gru { linear_before_reset: true }, _) => (CellKind::Gru, &[Sigmoid, Tanh]),
            (Cell::Lstm { input_forget: false }, _) => (CellKind::Lstm, &[Sigmoid, Tanh, Tanh]),
            (Cell::Gru { linear_before_reset: false }, _) => {
                return Err(format!("{name} has a kernel only with linear_before_reset here"));
            }
            (Cell::Lstm { input_forget: true }, _) => {
                return Err(format!("{name} has a kernel only without input_forget here"));
            }
        };
        let usual = op.activations.chunks(functions.len()).all(|given| given == functions);
        let unusual = [
            (!usual, "other functions than the usual"),
            (op.clip.is_some(), "clip"),
            (node.input(LENGTHS).is_some(), "lengths of sequences"),
            (node.input(PEEPHOLES).is_some(), "peepholes"),
            (self.value_shape(node.outputs[0])[0] == 0, "an empty sequence"),
        ];
        match unusual.iter().find(|(given, _)| *given) {
            Some((_, what)) => Err(format!("{name} has no kernel for {what} here")),
            None => Ok(kind),
        }
    }

    fn weights(&self, node: &Node, index: usize) -> Result<Arc<Tensor>, Unsupported> {
        let constant = self.constant_input(node, index).cloned();
        constant.ok_or_else(|| format!("{} has a kernel for constant weights only here", node.op.name()))
    }

    fn constant(&mut self, values: Vec<f32>) -> Operand {
        let shape = vec![values.len()];
        let tensor = Tensor::new(shape.clone(), values).expect("as many values as the shape has");
        self.new_storage(StorageKind::Constant(Arc::new(tensor)), DType::F32, shape, false)
    }

    fn walk(
        &mut self,
        walk: Walk,
        packed: PackedMatrix,
        bias: Option<Operand>,
        gates: &Operand,
        initial: &[Option<Operand>; 2],
        outputs: &[Operand],
    ) {
        let Walk { kind, sequences, direction, .. } = walk;
        let (width, hidden) = (packed.n, packed.k);
        let products = self.temporary(DType::F32, vec![sequences, width], gates.every_sample);
        let all = &outputs[0].sliced(1, direction, 1, 1);
        let [last_h, last_c] = [1, 2].map(|index| Some(outputs.get(index)?.sliced(0, direction, 1, 1)));
        let initial = initial.each_ref().map(|given| Some(given.as_ref()?.sliced(0, direction, 1, 1)));
        let row = |operand: &Option<Operand>| operand.as_ref().map_or(0, |o| o.strides[1]);
        let sample = |operand: &Option<Operand>| operand.as_ref().map_or(0, |o| o.sample_stride);
        let [initial_h, initial_c] = &initial;
        let rows = Nd::new(
            &[sequences],
            [
                &[width],
                &[width],
                &[hidden],
                &[row(&last_h)],
                &[row(&last_c)],
                &[row(initial_h)],
                &[row(initial_c)],
            ],
            [
                gates.sample_stride,
                products.sample_stride,
                all.sample_stride,
                sample(&last_h),
                sample(&last_c),
                sample(initial_h),
                sample(initial_c),
            ],
        );
        let slot = |operand: &Option<Operand>| operand.as_ref().map(|o| o.slot);
        let step = Recurrence {
            walk,
            packed,
            bias: slot(&bias),
            rows,
            gates: gates.slot,
            gate_step: gates.strides[0],
            products: products.slot,
            all: all.slot,
            state_step: all.strides[0],
            last: [slot(&last_h), slot(&last_c)],
            initial: [slot(initial_h), slot(initial_c)],
            zeros: vec![0.0; hidden],
        };
        let reads: Vec<&Operand> = [Some(gates), bias.as_ref(), initial_h.as_ref(), initial_c.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let writes: Vec<&Operand> =
            [Some(all), last_h.as_ref(), last_c.as_ref(), Some(&products)].into_iter().flatten().collect();
        debug_assert_eq!(kind == CellKind::Lstm, last_c.is_some());
        self.emit_many(step, &reads, &writes);
    }
}

/// One direction's values of a weight that has `each` for every direction.
fn of_direction(tensor: &Tensor, direction: usize, each: usize) -> &[f32] {
    let all = tensor.as_f32().expect("shape rules guarantee f32 weights");
    &all[direction * each..(direction + 1) * each]
}

/// The biases of one direction as they are added.
struct Biases {
    of_input: Vec<f32>,
    /// What is not simply added: the new gate of GRU applies its reset gate to it first.
    of_state: Option<Vec<f32>>,
}

impl Biases {
    /// From those of W, then those of R.
    fn new(kind: CellKind, values: &[f32]) -> Self {
        let (of_w, of_r) = values.split_at(values.len() / 2);
        let apart = if kind == CellKind::Gru { of_w.len() / 3 * 2 } else { of_w.len() };
        let of_input =
            of_w.iter().zip(of_r).enumerate().map(|(i, (w, r))| if i < apart { w + r } else { *w }).collect();
        let of_state = (apart < of_w.len())
            .then(|| of_r.iter().enumerate().map(|(i, &r)| if i < apart { 0.0 } else { r }).collect());
        Biases { of_input, of_state }
    }
}

/// One direction of a layer.
#[derive(Clone, Copy)]
struct Walk {
    kind: CellKind,
    steps: usize,
    /// Sequences of a sample.
    sequences: usize,
    direction: usize,
    from_end: bool,
}

/// The steps of one direction.
struct Recurrence {
    walk: Walk,
    /// R.
    packed: PackedMatrix,
    bias: Option<Slot>,
    /// Rows of gates, products, states, last states, last cells, initial states and initial cells.
    rows: Nd<7>,
    gates: Slot,
    /// From one step to the next.
    gate_step: usize,
    products: Slot,
    all: Slot,
    state_step: usize,
    /// State and cell.
    last: [Option<Slot>; 2],
    initial: [Option<Slot>; 2],
    zeros: Vec<f32>,
}

impl Step for Recurrence {
    unsafe fn run(&self, frame: &Frame<'_>) {
        let (Walk { steps, from_end, .. }, hidden) = (self.walk, self.packed.k);
        self.rows.for_each_run(frame.samples, |run| {
            // SAFETY: the loop nest stays inside the operands; every row has `hidden` values, or `width` of gates. What is read of
            // the output was written by the step before.
            unsafe {
                self.begin_cell(frame, &run);
                let (mut state, mut stride): (*const f32, usize) = match self.initial[0] {
                    Some(slot) => (frame.at(slot, run.offsets[5]), run.strides[5]),
                    None => (self.zeros.as_ptr(), 0),
                };
                for step in 0..steps {
                    let t = if from_end { steps - 1 - step } else { step };
                    self.step(frame, &run, t, state, stride);
                    (state, stride) =
                        (frame.at(self.all, run.offsets[2] + t * self.state_step), run.strides[2]);
                }
                if let Some(slot) = self.last[0] {
                    let to = frame.at(slot, run.offsets[3]);
                    copy_rows(state, stride, to, run.strides[3], [run.length, hidden]);
                }
            }
        });
    }
}

impl Recurrence {
    /// Sets the cell to what it is before the first step.
    ///
    /// # Safety
    /// As for [`Step::run`], for this run of its rows.
    unsafe fn begin_cell(&self, frame: &Frame<'_>, run: &Run<7>) {
        let Some(slot) = self.last[1] else { return };
        // SAFETY: the caller's promise.
        unsafe {
            let (from, stride) = match self.initial[1] {
                Some(slot) => (frame.at::<f32>(slot, run.offsets[6]).cast_const(), run.strides[6]),
                None => (self.zeros.as_ptr(), 0),
            };
            let to = frame.at(slot, run.offsets[4]);
            copy_rows(from, stride, to, run.strides[4], [run.length, self.packed.k]);
        }
    }

    /// Takes step `t` from the state at `state`.
    ///
    /// # Safety
    /// As for [`Step::run`], for this run of its rows; the state has a row for each.
    unsafe fn step(&self, frame: &Frame<'_>, run: &Run<7>, t: usize, state: *const f32, state_stride: usize) {
        let (width, hidden) = (self.packed.n, self.packed.k);
        let Run { offsets, length, strides } = *run;
        let rows = |row: usize| Strides { sample: 0, row, column: 1 };
        // SAFETY: the caller's promise.
        unsafe {
            let products: *mut f32 = frame.at(self.products, offsets[1]);
            (frame.kernels.gemm)(&GemmCall {
                samples: 1,
                m: length,
                n: width,
                k: hidden,
                left: state,
                left_strides: rows(state_stride),
                left_offsets: std::ptr::null(),
                left_row_floats: hidden,
                right: RightPointer::Panels(self.packed.panels().as_ptr()),
                bias: frame.optional(self.bias, 0),
                residual: std::ptr::null(),
                residual_strides: rows(0),
                activation: None,
                out: products,
                out_strides: rows(strides[1]),
            });
            (frame.kernels.cell)(&CellCall {
                kind: self.walk.kind,
                rows: length,
                hidden,
                inputs: frame.at(self.gates, offsets[0] + t * self.gate_step),
                input_stride: strides[0],
                products,
                product_stride: strides[1],
                state,
                state_stride,
                cell: self.last[1].map_or(std::ptr::null_mut(), |slot| frame.at(slot, offsets[4])),
                cell_stride: strides[4],
                out: frame.at(self.all, offsets[2] + t * self.state_step),
                out_stride: strides[2],
            });
        }
    }
}

/// # Safety
/// The rows are readable and writable, and do not overlap.
unsafe fn copy_rows(
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    [rows, len]: [usize; 2],
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.add(row * from_stride), to.add(row * to_stride), len) };
    }
}
