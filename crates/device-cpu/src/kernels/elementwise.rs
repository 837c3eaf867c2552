//! Functions of one element, and of two with rows broadcast.

use super::math;
use super::row::{load_up_to, map, store_up_to};
use super::vector::Vector;
use paceline_graph::{BinaryOp, UnaryOp};

/// `dst[i] = op(src[i])`; `dst` may be `src`.
///
/// # Safety
/// `len` values are readable at `src` and writable at `dst`; the two are the same or do not overlap. The machine has
/// `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn unary<V: Vector>(op: UnaryOp, src: *const f32, dst: *mut f32, len: usize) {
    // SAFETY: the caller's promise; here and in every loop.
    unsafe {
        match op {
            UnaryOp::Relu => map!(src, dst, len, |x: V| x.at_least(V::zero())),
            UnaryOp::Gelu => map!(src, dst, len, |x: V| math::gelu_erf(x)),
            UnaryOp::GeluTanh => map!(src, dst, len, |x: V| math::gelu_tanh(x)),
            UnaryOp::Silu => map!(src, dst, len, |x: V| math::silu(x)),
            UnaryOp::Sigmoid => map!(src, dst, len, |x: V| math::sigmoid(x)),
            UnaryOp::Tanh => map!(src, dst, len, |x: V| math::tanh(x)),
            UnaryOp::Exp => map!(src, dst, len, |x: V| math::exp(x)),
            UnaryOp::Sqrt => map!(src, dst, len, |x: V| x.sqrt()),
            UnaryOp::Erf => map!(src, dst, len, |x: V| math::erf(x)),
            UnaryOp::Neg => map!(src, dst, len, |x: V| x.neg()),
            UnaryOp::Abs => map!(src, dst, len, |x: V| x.abs()),
            UnaryOp::Round => map!(src, dst, len, |x: V| x.round()),
            UnaryOp::Reciprocal => map!(src, dst, len, |x: V| V::splat(1.0).div(x)),
            UnaryOp::Softsign => map!(src, dst, len, |x: V| x.div(x.abs().add(V::splat(1.0)))),
            UnaryOp::HardSwish => map!(src, dst, len, |x: V| math::hard_swish(x)),
            UnaryOp::LeakyRelu { alpha } => map!(src, dst, len, |x: V| math::leaky_relu(x, alpha)),
            UnaryOp::HardSigmoid { alpha, beta } => {
                map!(src, dst, len, |x: V| math::hard_sigmoid(x, alpha, beta))
            }
            UnaryOp::Clip { min, max } => map!(src, dst, len, |x: V| math::clip(x, min, max)),
            UnaryOp::Swish { alpha } => {
                map!(src, dst, len, |x: V| x.mul(math::sigmoid(x.mul(V::splat(alpha)))))
            }
            // Seldom met in models: one element after the other.
            _ => {
                for i in 0..len {
                    *dst.add(i) = op.of(f64::from(*src.add(i))) as f32;
                }
            }
        }
    }
}

/// Where a function of two elements finds one of them: element `j` of row `i` at `start + i * row_stride + j`, or at
/// `start + i * row_stride` for every `j` if it is the same along the row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowOperand<T> {
    /// The first element.
    pub start: *const T,
    /// Elements from one row to the next; 0 if every row is the same.
    pub row_stride: usize,
    /// Whether one element serves a whole row.
    pub scalar: bool,
}

/// `dst[i][j] = op(a[i][j], b[i][j])` for `rows` x `len` dense results; `dst` may be one of the operands if that is
/// dense too.
///
/// # Safety
/// The elements that the operands name are readable, `rows * len` values are writable at `dst`, and `dst` overlaps no
/// operand but one with the same place for every element. The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn binary<V: Vector>(
    op: BinaryOp,
    a: RowOperand<f32>,
    b: RowOperand<f32>,
    dst: *mut f32,
    rows: usize,
    len: usize,
) {
    // SAFETY: the caller's promise; the closures run on the machine that it speaks of.
    unsafe {
        match op {
            BinaryOp::Add => zip(a, b, dst, rows, len, |x: V, y| x.add(y)),
            BinaryOp::Sub => zip(a, b, dst, rows, len, |x: V, y| x.sub(y)),
            BinaryOp::Mul => zip(a, b, dst, rows, len, |x: V, y| x.mul(y)),
            BinaryOp::Div => zip(a, b, dst, rows, len, |x: V, y| x.div(y)),
            BinaryOp::Max => zip(a, b, dst, rows, len, |x: V, y| x.max(y)),
            BinaryOp::Min => zip(a, b, dst, rows, len, |x: V, y| x.neg().max(y.neg()).neg()),
            BinaryOp::PRelu => zip(a, b, dst, rows, len, |x: V, y| V::select_gt(V::zero(), x, x.mul(y), x)),
            // Seldom met in models: one element after the other.
            _ => {
                for (i, j) in (0..rows).flat_map(|i| (0..len).map(move |j| (i, j))) {
                    *dst.add(i * len + j) = op.of(f64::from(a.at(i, j)), f64::from(b.at(i, j))) as f32;
                }
            }
        }
    }
}

impl<T: Copy> RowOperand<T> {
    /// Element `j` of row `i`.
    ///
    /// # Safety
    /// It is one that the operand names.
    unsafe fn at(&self, i: usize, j: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { *self.start.add(i * self.row_stride + if self.scalar { 0 } else { j }) }
    }
}

/// [`binary`] with the function given.
#[inline(always)]
unsafe fn zip<V: Vector>(
    a: RowOperand<f32>,
    b: RowOperand<f32>,
    dst: *mut f32,
    rows: usize,
    len: usize,
    f: impl Fn(V, V) -> V,
) {
    for i in 0..if len == 0 { 0 } else { rows } {
        // SAFETY: the caller's promise; every row has an element.
        unsafe {
            let (x, y, dst) =
                (a.start.add(i * a.row_stride), b.start.add(i * b.row_stride), dst.add(i * len));
            match (a.scalar, b.scalar) {
                (false, false) => {
                    for j in (0..len).step_by(V::LANES) {
                        let n = len - j;
                        store_up_to(f(load_up_to(x.add(j), n), load_up_to(y.add(j), n)), dst.add(j), n);
                    }
                }
                (false, true) => {
                    let y = V::splat(*y);
                    map!(x, dst, len, |x: V| f(x, y));
                }
                (true, false) => {
                    let x = V::splat(*x);
                    map!(y, dst, len, |y: V| f(x, y));
                }
                (true, true) => {
                    let value = f(V::splat(*x), V::splat(*y));
                    for j in (0..len).step_by(V::LANES) {
                        store_up_to(value, dst.add(j), len - j);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::set::KernelSet;

    const UNARY: [UnaryOp; 21] = [
        UnaryOp::Relu,
        UnaryOp::Gelu,
        UnaryOp::GeluTanh,
        UnaryOp::Silu,
        UnaryOp::Sigmoid,
        UnaryOp::Tanh,
        UnaryOp::Exp,
        UnaryOp::Sqrt,
        UnaryOp::Erf,
        UnaryOp::Neg,
        UnaryOp::Abs,
        UnaryOp::Round,
        UnaryOp::Reciprocal,
        UnaryOp::Softsign,
        UnaryOp::HardSwish,
        UnaryOp::LeakyRelu { alpha: 0.1 },
        UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 },
        UnaryOp::Clip { min: -1.0, max: 6.0 },
        UnaryOp::Swish { alpha: 0.5 },
        UnaryOp::Softplus,
        UnaryOp::Floor,
    ];
    const BINARY: [BinaryOp; 8] = [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Min,
        BinaryOp::Max,
        BinaryOp::PRelu,
        BinaryOp::Pow,
    ];
    const LENGTHS: [usize; 9] = [0, 1, 3, 15, 16, 17, 33, 100, 257];

    fn values(len: usize) -> Vec<f32> {
        let extremes = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 3e38, -3e38, 1e-40];
        (0..len).map(|i| if i % 7 == 3 { extremes[i % 8] } else { (i as f32 * 0.7).sin() * 9.0 }).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        // One NaN: its payload is not part of a result.
        values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }

    /// What the functions of `math`, tested there, are put on.
    fn expected(op: UnaryOp, x: f32) -> f64 {
        let x = f64::from(x);
        match op {
            UnaryOp::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            UnaryOp::Silu => x / (1.0 + (-x).exp()),
            UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryOp::Tanh => x.tanh(),
            UnaryOp::Exp => x.exp(),
            UnaryOp::Sqrt => x.sqrt(),
            UnaryOp::Neg => -x,
            UnaryOp::Erf => 2.0 * gelu_gate(x * std::f64::consts::SQRT_2) - 1.0,
            UnaryOp::Gelu => x * gelu_gate(x),
            UnaryOp::GeluTanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                x * (0.5 + 0.5 * u.tanh())
            }
            other => other.of(x),
        }
    }

    /// The normal distribution function, by the midpoint rule over its density.
    fn gelu_gate(x: f64) -> f64 {
        let (steps, limit) = (2000, x.clamp(-9.0, 9.0)); // a NaN stays
        let width = limit / f64::from(steps);
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        0.5 + (0..steps).map(|i| density((f64::from(i) + 0.5) * width) * width).sum::<f64>()
    }

    #[test]
    fn unary_functions_are_right_at_every_length_and_place() {
        for set in KernelSet::all() {
            for op in UNARY {
                let alone: Vec<f32> = values(257)
                    .into_iter()
                    .map(|x| {
                        let mut y = [x];
                        // SAFETY: one value, in place.
                        unsafe { (set.unary)(op, y.as_ptr(), y.as_mut_ptr(), 1) };
                        let want = expected(op, x);
                        // A gate cancels at negative arguments: right for the size of the argument.
                        let gated = matches!(
                            op,
                            UnaryOp::Gelu
                                | UnaryOp::GeluTanh
                                | UnaryOp::HardSwish
                                | UnaryOp::HardSigmoid { .. }
                        );
                        let size = want.abs().max(if gated { f64::from(x.abs()) } else { 0.0 });
                        let close = (f64::from(y[0]) - want).abs() <= 4e-7 * size + 1e-38
                            || y[0] == want as f32
                            || (y[0].is_nan() && want.is_nan());
                        assert!(close, "{op:?}({x:e}) on {}: {:e}, not {want:e}", set.isa, y[0]);
                        y[0]
                    })
                    .collect();
                for len in LENGTHS {
                    let x = values(len);
                    let mut y = vec![7.0; len + 1];
                    // SAFETY: `len` values lie at both.
                    unsafe { (set.unary)(op, x.as_ptr(), y.as_mut_ptr(), len) };
                    assert_eq!(bits(&y[..len]), bits(&alone[..len]), "{op:?} on {} of {len}", set.isa);
                    assert_eq!(y[len], 7.0);
                }
            }
        }
    }

    #[test]
    fn binary_functions_broadcast_rows_and_elements() {
        for set in KernelSet::all() {
            for (op, rows, len) in BINARY
                .into_iter()
                .flat_map(|op| [0, 1, 3].map(|rows| (op, rows)))
                .flat_map(|(op, rows)| LENGTHS.map(|len| (op, rows, len)))
            {
                let (a, b) = (values(rows * len + 5), values(rows * len + 9).split_off(4));
                for (a_stride, a_scalar) in [(len, false), (0, false), (1, true), (0, true)] {
                    for (b_stride, b_scalar) in [(len, false), (0, false), (1, true), (0, true)] {
                        let mut y = vec![7.0; rows * len + 1];
                        let x = RowOperand { start: a.as_ptr(), row_stride: a_stride, scalar: a_scalar };
                        let z = RowOperand { start: b.as_ptr(), row_stride: b_stride, scalar: b_scalar };
                        // SAFETY: rows * len values lie at each.
                        unsafe { (set.binary)(op, x, z, y.as_mut_ptr(), rows, len) };
                        let mut want = vec![];
                        for i in 0..rows {
                            for j in 0..len {
                                let x = a[i * a_stride + if a_scalar { 0 } else { j }];
                                let y = b[i * b_stride + if b_scalar { 0 } else { j }];
                                want.push(match op {
                                    BinaryOp::Add => x + y,
                                    BinaryOp::Sub => x - y,
                                    BinaryOp::Mul => x * y,
                                    BinaryOp::Div => x / y,
                                    other => other.of(f64::from(x), f64::from(y)) as f32,
                                });
                            }
                        }
                        want.push(7.0);
                        if matches!(op, BinaryOp::Min | BinaryOp::Max) {
                            // Of two zeros of different sign either may be chosen.
                            y.iter_mut().chain(&mut want).for_each(|x| *x += 0.0);
                        }
                        assert_eq!(bits(&y), bits(&want), "{op:?} on {}, {rows} x {len}", set.isa);
                    }
                }
            }
        }
    }
}
