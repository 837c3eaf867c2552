//! One step of a recurrent layer: from what the input and the state contribute to the gates to the next state.

use super::math::{sigmoid, tanh};
use super::row::{load_up_to, store_up_to};
use super::vector::Vector;

/// How a step changes the state. Gates lie one behind the other in ONNX's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellKind {
    /// `h = tanh(x + s)`
    RnnTanh,
    /// `h = relu(x + s)`
    RnnRelu,
    /// Update, reset, new; the reset gate is applied to what the state contributes.
    Gru,
    /// Input, output, forget, cell.
    Lstm,
}

impl CellKind {
    /// How many gates there are.
    pub fn gates(self) -> usize {
        match self {
            CellKind::RnnTanh | CellKind::RnnRelu => 1,
            CellKind::Gru => 3,
            CellKind::Lstm => 4,
        }
    }
}

/// Rows of values by address; a stride leads from one row to the next.
#[derive(Clone, Copy)]
pub(crate) struct CellCall {
    pub kind: CellKind,
    /// Rows, and units of the state in each.
    pub rows: usize,
    pub hidden: usize,
    /// What the input contributes, with every bias that is simply added: `gates * hidden` values a row.
    pub inputs: *const f32,
    pub input_stride: usize,
    /// What the state contributes, likewise.
    pub products: *const f32,
    pub product_stride: usize,
    /// The state before, for GRU.
    pub state: *const f32,
    pub state_stride: usize,
    /// The cell, before and after, for LSTM.
    pub cell: *mut f32,
    pub cell_stride: usize,
    /// The state after.
    pub out: *mut f32,
    pub out_stride: usize,
}

/// Takes one step for every row.
///
/// # Safety
/// The rows that [`CellCall`] describes are readable, `cell` and `out` are writable, and `out` and `cell` overlap nothing else. The
/// machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn cell<V: Vector>(call: &CellCall) {
    for row in 0..call.rows {
        // SAFETY: the caller's promise, here and below.
        unsafe {
            let inputs = call.inputs.add(row * call.input_stride);
            let products = call.products.add(row * call.product_stride);
            let out = call.out.add(row * call.out_stride);
            for j in (0..call.hidden).step_by(V::LANES) {
                let n = call.hidden - j;
                let next: V = match call.kind {
                    CellKind::RnnTanh => tanh(gate::<V>(inputs, products, j, n)),
                    CellKind::RnnRelu => gate::<V>(inputs, products, j, n).at_least(V::zero()),
                    CellKind::Gru => {
                        let update = sigmoid(gate::<V>(inputs, products, j, n));
                        let reset = sigmoid(gate::<V>(inputs, products, call.hidden + j, n));
                        let x = load_up_to::<V>(inputs.add(2 * call.hidden + j), n);
                        let s = load_up_to::<V>(products.add(2 * call.hidden + j), n);
                        let new = tanh(reset.mul_add(s, x));
                        let state = load_up_to::<V>(call.state.add(row * call.state_stride + j), n);
                        update.mul_add(state, V::splat(1.0).sub(update).mul(new))
                    }
                    CellKind::Lstm => {
                        let input = sigmoid(gate::<V>(inputs, products, j, n));
                        let forget = sigmoid(gate::<V>(inputs, products, 2 * call.hidden + j, n));
                        let new = tanh(gate::<V>(inputs, products, 3 * call.hidden + j, n));
                        let at = call.cell.add(row * call.cell_stride + j);
                        let cell = forget.mul_add(load_up_to::<V>(at, n), input.mul(new));
                        store_up_to(cell, at, n);
                        sigmoid(gate::<V>(inputs, products, call.hidden + j, n)).mul(tanh(cell))
                    }
                };
                store_up_to(next, out.add(j), n);
            }
        }
    }
}

/// What a gate's function is given.
#[inline(always)]
unsafe fn gate<V: Vector>(inputs: *const f32, products: *const f32, at: usize, n: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { load_up_to::<V>(inputs.add(at), n).add(load_up_to::<V>(products.add(at), n)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::set::KernelSet;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// The state and the cell after a step, of one unit. `x` and `s` are its gates.
    fn expected(kind: CellKind, x: &[f64], s: &[f64], state: f64, cell: f64) -> (f64, f64) {
        let gate = |index: usize| x[index] + s[index];
        match kind {
            CellKind::RnnTanh => (gate(0).tanh(), cell),
            CellKind::RnnRelu => (gate(0).max(0.0), cell),
            CellKind::Gru => {
                let (update, reset) = (sigmoid(gate(0)), sigmoid(gate(1)));
                ((1.0 - update) * (x[2] + reset * s[2]).tanh() + update * state, cell)
            }
            CellKind::Lstm => {
                let next = sigmoid(gate(2)) * cell + sigmoid(gate(0)) * gate(3).tanh();
                (sigmoid(gate(1)) * next.tanh(), next)
            }
        }
    }

    #[test]
    fn steps_are_right_at_every_width_with_rows_apart() {
        let kinds = [CellKind::RnnTanh, CellKind::RnnRelu, CellKind::Gru, CellKind::Lstm];
        for set in KernelSet::all() {
            for (kind, hidden) in kinds.into_iter().flat_map(|kind| [1, 5, 16, 17, 33].map(|h| (kind, h))) {
                let (rows, gates) = (3, kind.gates());
                let width = gates * hidden;
                let values = |n: usize, phase: f32| -> Vec<f32> {
                    (0..n).map(|i| (i as f32 * 0.9 + phase).sin() * 3.0).collect()
                };
                let inputs = values(rows * (width + 2), 0.0);
                let products = values(rows * (width + 1), 1.0);
                let state = values(rows * (hidden + 3), 2.0);
                let before = values(rows * hidden, 3.0);
                let (mut cell, mut out) = (before.clone(), vec![7.0; rows * (hidden + 4)]);
                let call = CellCall {
                    kind,
                    rows,
                    hidden,
                    inputs: inputs.as_ptr(),
                    input_stride: width + 2,
                    products: products.as_ptr(),
                    product_stride: width + 1,
                    state: state.as_ptr(),
                    state_stride: hidden + 3,
                    cell: cell.as_mut_ptr(),
                    cell_stride: hidden,
                    out: out.as_mut_ptr(),
                    out_stride: hidden + 4,
                };
                // SAFETY: the vectors have rows of these strides.
                unsafe { (set.cell)(&call) };
                for (row, unit) in (0..rows).flat_map(|row| (0..hidden).map(move |unit| (row, unit))) {
                    let of = |all: &[f32], stride: usize| -> Vec<f64> {
                        (0..gates).map(|g| f64::from(all[row * stride + g * hidden + unit])).collect()
                    };
                    let (h, c) = expected(
                        kind,
                        &of(&inputs, width + 2),
                        &of(&products, width + 1),
                        f64::from(state[row * (hidden + 3) + unit]),
                        f64::from(before[row * hidden + unit]),
                    );
                    let got =
                        (f64::from(out[row * (hidden + 4) + unit]), f64::from(cell[row * hidden + unit]));
                    let close = |got: f64, want: f64| (got - want).abs() <= 2e-6 * want.abs().max(1.0);
                    let what = format!("{kind:?} of {hidden} on {}, row {row}, unit {unit}", set.isa);
                    assert!(close(got.0, h) && close(got.1, c), "{what}: {got:?}, not {:?}", (h, c));
                }
                assert!((0..rows).all(|row| out[row * (hidden + 4) + hidden..][..4] == [7.0; 4]));
            }
        }
    }
}
