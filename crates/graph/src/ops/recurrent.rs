//! Recurrent layers: a state that each step of a sequence changes.

use super::Operator;
use super::check::Arguments;
use super::operands::{f32s, optional, rounded, tensor};
use super::unary::UnaryOp;
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// A recurrent layer over a sequence, in one direction or in both.
///
/// Inputs, with `D` directions and `G` gates (1, 3 or 4): `x [T, N, I]`, `w [D, G * H, I]`, `r [D, G * H, H]`, optional `bias [D, 2 * G * H]`
/// (that of `w`, then that of `r`), optional `lengths [N]` (i32), optional `initial_h [D, N, H]`; for LSTM also optional `initial_c [D, N, H]` and
/// `peepholes [D, 3 * H]`. Outputs: every state `[T, D, N, H]`, the last one `[D, N, H]`, and for LSTM the last cell `[D, N, H]`. Steps beyond a
/// sequence's length give zeros and leave the state alone. `N`, or nothing, is the batch. Gates lie in ONNX's order: update, reset, new
/// for GRU; input, output, forget, cell for LSTM. Source: ONNX LSTM-22, GRU-22, RNN-22.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// How a step changes the state.
    pub cell: Cell,
    /// From which end.
    pub direction: Direction,
    /// The functions of the gates: one for RNN, two for GRU, three for LSTM, for each direction.
    pub activations: Vec<UnaryOp>,
    /// What the functions are given is held to this magnitude.
    pub clip: Option<f32>,
}

/// How a step changes the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// `h = f(x W^T + h R^T + bias)`
    Rnn,
    /// torch.nn.GRU with `linear_before_reset`.
    Gru {
        /// Whether the reset gate is applied to what the state was multiplied to, with its bias, or to the state.
        linear_before_reset: bool,
    },
    /// torch.nn.LSTM.
    Lstm {
        /// Whether the forget gate is 1 minus the input gate.
        input_forget: bool,
    },
}

/// From which end of the sequence steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the beginning.
    Forward,
    /// From the end.
    Reverse,
    /// Both, with weights of their own.
    Bidirectional,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru { .. } => 3,
            Cell::Lstm { .. } => 4,
        }
    }

    fn functions(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru { .. } => 2,
            Cell::Lstm { .. } => 3,
        }
    }

    fn is_lstm(self) -> bool {
        matches!(self, Cell::Lstm { .. })
    }
}

impl Direction {
    /// How many directions there are.
    pub fn count(self) -> usize {
        if self == Direction::Bidirectional { 2 } else { 1 }
    }
}

/// One direction of a layer at work on one sequence.
struct Walk<'a> {
    op: &'a Recurrent,
    functions: &'a [UnaryOp],
    w: &'a [f32],
    r: &'a [f32],
    bias: Option<&'a [f32]>,
    peepholes: Option<&'a [f32]>,
    inputs: usize,
    hidden: usize,
}

impl Walk<'_> {
    /// The function of number `index`, of what is clipped first.
    fn function(&self, index: usize, x: f64) -> f64 {
        let clipped = self.op.clip.map_or(x, |clip| x.clamp(-f64::from(clip), f64::from(clip)));
        self.functions[index].of(clipped)
    }

    /// `x W^T + bias` for row `row` of W.
    fn of_input(&self, row: usize, x: &[f32]) -> f64 {
        let weights = &self.w[row * self.inputs..][..self.inputs];
        let product: f64 = x.iter().zip(weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
        product + self.bias.map_or(0.0, |bias| f64::from(bias[row]))
    }

    /// `h R^T + bias` for row `row` of R.
    fn of_state(&self, row: usize, h: &[f64]) -> f64 {
        let weights = &self.r[row * self.hidden..][..self.hidden];
        let product: f64 = h.iter().zip(weights).map(|(&h, &r)| h * f64::from(r)).sum();
        product + self.bias.map_or(0.0, |bias| f64::from(bias[self.op.cell.gates() * self.hidden + row]))
    }

    /// What gate `gate` of unit `unit` is given, before any peephole.
    fn gate(&self, gate: usize, unit: usize, x: &[f32], h: &[f64]) -> f64 {
        let row = gate * self.hidden + unit;
        self.of_input(row, x) + self.of_state(row, h)
    }

    /// Takes one step.
    fn step(&self, x: &[f32], h: &mut Vec<f64>, c: &mut [f64]) {
        let hidden = self.hidden;
        let units = 0..hidden;
        let next: Vec<f64> = match self.op.cell {
            Cell::Rnn => units.map(|u| self.function(0, self.gate(0, u, x, h))).collect(),
            Cell::Gru { linear_before_reset } => {
                let reset: Vec<f64> =
                    units.clone().map(|u| self.function(0, self.gate(1, u, x, h))).collect();
                let kept: Vec<f64> = h.iter().zip(&reset).map(|(h, reset)| h * reset).collect();
                let new = |u: usize| {
                    let row = 2 * hidden + u;
                    let state = if linear_before_reset {
                        reset[u] * self.of_state(row, h)
                    } else {
                        self.of_state(row, &kept)
                    };
                    self.function(1, self.of_input(row, x) + state)
                };
                let update = |u: usize| self.function(0, self.gate(0, u, x, h));
                units.map(|u| (1.0 - update(u)) * new(u) + update(u) * h[u]).collect()
            }
            Cell::Lstm { input_forget } => {
                let peephole = |which: usize, u: usize, c: f64| {
                    self.peepholes.map_or(0.0, |p| f64::from(p[which * hidden + u]) * c)
                };
                units
                    .map(|u| {
                        let input = self.function(0, self.gate(0, u, x, h) + peephole(0, u, c[u]));
                        let forget = if input_forget {
                            1.0 - input
                        } else {
                            self.function(0, self.gate(2, u, x, h) + peephole(2, u, c[u]))
                        };
                        c[u] = forget * c[u] + input * self.function(1, self.gate(3, u, x, h));
                        let output = self.function(0, self.gate(1, u, x, h) + peephole(1, u, c[u]));
                        output * self.function_of_cell(c[u])
                    })
                    .collect()
            }
        };
        *h = next;
    }

    /// The function of the cell, which is never clipped.
    fn function_of_cell(&self, c: f64) -> f64 {
        self.functions[2].of(c)
    }
}

impl Operator for Recurrent {
    fn name(&self) -> &'static str {
        match self.cell {
            Cell::Rnn => "RNN",
            Cell::Gru { .. } => "GRU",
            Cell::Lstm { .. } => "LSTM",
        }
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        const OPTIONAL: [&str; 5] = ["bias", "lengths", "initial_h", "initial_c", "peepholes"];
        let arguments = Arguments::<3, 5>::new(inputs, ["x", "w", "r"], OPTIONAL)?;
        let ([x, w, r], [bias, lengths, initial_h, initial_c, peepholes]) =
            (arguments.required, arguments.optional);
        let f32s = [Some(x), Some(w), Some(r), bias, initial_h, initial_c, peepholes];
        arguments.expect(f32s.into_iter().flatten().all(|ty| ty.dtype == DType::F32), || {
            "everything but lengths of f32".into()
        })?;
        let &[steps @ Dim::Fixed(_), sequences, width @ Dim::Fixed(_)] = x.shape.dims() else {
            return Err(arguments.problem("x [T, N, I], of which only N may be the batch"));
        };
        let &[directions, Dim::Fixed(rows), _] = w.shape.dims() else {
            return Err(arguments.problem("w [D, G * H, I], none of which is the batch"));
        };
        let (gates, count) = (self.cell.gates(), Dim::Fixed(self.direction.count()));
        arguments.expect(directions == count && rows.is_multiple_of(gates), || {
            format!("w [{count}, {gates} * H, I] to match {:?}", self.direction)
        })?;
        let hidden = rows / gates;
        let of_state = [count, sequences, Dim::Fixed(hidden)];
        arguments.shape("w", Some(w), &[count, Dim::Fixed(rows), width], "x")?;
        arguments.shape("r", Some(r), &[count, Dim::Fixed(rows), Dim::Fixed(hidden)], "w")?;
        arguments.shape("bias", bias, &[count, Dim::Fixed(2 * rows)], "w")?;
        arguments.shape("lengths", lengths, &[sequences], "x")?;
        arguments.shape("initial_h", initial_h, &of_state, "x and w")?;
        arguments.shape("initial_c", initial_c, &of_state, "x and w")?;
        arguments.shape("peepholes", peepholes, &[count, Dim::Fixed(3 * hidden)], "w")?;
        lengths.map_or(Ok(()), |ty| arguments.dtype("lengths", ty, DType::I32))?;
        let lstm = self.cell.is_lstm();
        arguments.expect(lstm || (initial_c.is_none() && peepholes.is_none()), || {
            "a cell and peepholes for LSTM only".into()
        })?;
        let functions = self.cell.functions() * self.direction.count();
        let usable = !self.activations.contains(&UnaryOp::Not);
        if self.activations.len() != functions
            || !usable
            || self.clip.is_some_and(|clip| clip.is_nan() || clip < 0.0)
        {
            let expected = format!("{functions} functions of numbers and a clip that is not negative");
            return Err(Problem::new(expected, format!("{:?}, {:?}", self.activations, self.clip)));
        }
        let all = ValueType::new(DType::F32, [steps, count, sequences, Dim::Fixed(hidden)]);
        let last = ValueType::new(DType::F32, of_state);
        Ok(if lstm { vec![all, last.clone(), last] } else { vec![all, last] })
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let [steps, directions, sequences, hidden] = outputs[0][..] else {
            unreachable!("the shape rule gives four axes")
        };
        let width = tensor(inputs, 0).shape()[2];
        let (x, w, r) = (f32s(inputs, 0), f32s(inputs, 1), f32s(inputs, 2));
        let lengths = optional(inputs, 4).and_then(|t| t.elements::<i32>());
        let rows = self.cell.gates() * hidden;
        let given = |index: usize, each: usize, direction: usize| {
            let all = optional(inputs, index).and_then(Tensor::as_f32)?;
            Some(&all[direction * each..(direction + 1) * each])
        };
        let mut all = vec![0.0; steps * directions * sequences * hidden];
        let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
        for direction in 0..directions {
            let functions = self.cell.functions();
            let walk = Walk {
                op: self,
                functions: &self.activations[direction * functions..(direction + 1) * functions],
                w: &w[direction * rows * width..(direction + 1) * rows * width],
                r: &r[direction * rows * hidden..(direction + 1) * rows * hidden],
                bias: given(3, 2 * rows, direction),
                peepholes: given(7, 3 * hidden, direction),
                inputs: width,
                hidden,
            };
            let from_end = self.direction == Direction::Reverse || direction == 1;
            for n in 0..sequences {
                let initial = |index: usize| -> Vec<f64> {
                    given(index, sequences * hidden, direction).map_or(vec![0.0; hidden], |all| {
                        all[n * hidden..(n + 1) * hidden].iter().map(|&v| f64::from(v)).collect()
                    })
                };
                let (mut h, mut c) = (initial(5), initial(6));
                let length = lengths.map_or(steps, |all| usize::try_from(all[n]).unwrap_or(0).min(steps));
                for step in 0..length {
                    let t = if from_end { length - 1 - step } else { step };
                    walk.step(&x[(t * sequences + n) * width..][..width], &mut h, &mut c);
                    all[((t * directions + direction) * sequences + n) * hidden..][..hidden]
                        .copy_from_slice(&h);
                }
                last_h.extend(h);
                last_c.extend(c);
            }
        }
        let mut results = vec![rounded(&outputs[0], all), rounded(&outputs[1], last_h)];
        if self.cell.is_lstm() {
            results.push(rounded(&outputs[2], last_c));
        }
        results
    }
}
