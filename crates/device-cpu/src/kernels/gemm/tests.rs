//! Products against `f64`, and the independence of a row from its neighbours, on every instruction set.

use super::*;
use crate::kernels::pack::{PackedMatrix, pack_rows, panel_floats};
use crate::kernels::set::KernelSet;
use crate::kernels::test_values::values;
use proptest::prelude::*;

/// `out = activation(left right + bias + residual)`, row-major.
struct GemmArgs<'a> {
    /// Rows of `left` and `out`.
    m: usize,
    /// Columns of `right` and `out`.
    n: usize,
    /// Columns of `left` and rows of `right`.
    k: usize,
    /// `[m, k]`.
    left: Rows<'a>,
    /// `[k, n]`.
    right: Right<'a>,
    /// `[n]`, if any.
    bias: Option<&'a [f32]>,
    /// `[m, n]`, if any.
    residual: Option<Rows<'a>>,
    /// Applied last.
    activation: Option<Activation>,
    /// `[m, n]`.
    out: &'a mut [f32],
    /// From one row of `out` to the next.
    out_stride: usize,
}

/// A row-major matrix inside a slice.
#[derive(Clone, Copy)]
struct Rows<'a> {
    /// The first row, and all that follows.
    data: &'a [f32],
    /// From one row to the next.
    stride: usize,
}

/// The right operand of a product.
enum Right<'a> {
    /// Panels made for this instruction set.
    Panels(&'a [f32]),
    /// Plain rows. `scratch` takes [`tail_floats`] values, the part of the last panel that fills no register.
    Rows { rows: Rows<'a>, scratch: &'a mut [f32] },
}

impl<'a> From<&'a PackedMatrix> for Right<'a> {
    fn from(matrix: &'a PackedMatrix) -> Self {
        Right::Panels(matrix.panels())
    }
}

impl GemmArgs<'_> {
    /// Computes the product.
    ///
    /// # Panics
    /// If a slice is too short for the sizes.
    fn run(self, set: &KernelSet) {
        let Self { m, n, k, .. } = self;
        if m == 0 || n == 0 {
            return;
        }
        let reach = |rows: usize, stride: usize, columns: usize| (rows - 1) * stride + columns;
        assert!(reach(m, self.left.stride, k) <= self.left.data.len(), "left operand of {m} x {k}");
        assert!(
            reach(m, self.out_stride, n) <= self.out.len() && n <= self.out_stride.max(n),
            "output of {m} x {n}"
        );
        assert!(m == 1 || n <= self.out_stride, "rows of {n} every {} overlap", self.out_stride);
        assert!(self.bias.is_none_or(|bias| bias.len() >= n), "bias of {n}");
        if let Some(residual) = self.residual {
            assert!(reach(m, residual.stride, n) <= residual.data.len(), "residual of {m} x {n}");
        }
        let right = match self.right {
            Right::Panels(panels) => {
                assert!(panel_floats(set, n, k) <= panels.len(), "panels of {k} x {n}");
                RightPointer::Panels(panels.as_ptr())
            }
            Right::Rows { rows, scratch } => {
                assert!(k == 0 || reach(k, rows.stride, n) <= rows.data.len(), "right operand of {k} x {n}");
                assert!(tail_floats(set, n, k) <= scratch.len(), "scratch for {k} x {n}");
                RightPointer::Rows {
                    data: rows.data.as_ptr(),
                    stride: rows.stride,
                    tail: scratch.as_mut_ptr(),
                }
            }
        };
        let call = GemmCall {
            samples: 1,
            m,
            n,
            k,
            left: self.left.data.as_ptr(),
            left_strides: Strides { sample: 0, row: self.left.stride, column: 1 },
            left_offsets: std::ptr::null(),
            left_row_floats: k,
            right,
            bias: self.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
            residual: self.residual.map_or(std::ptr::null(), |r| r.data.as_ptr()),
            residual_strides: Strides { sample: 0, row: self.residual.map_or(0, |r| r.stride), column: 1 },
            activation: self.activation,
            out: self.out.as_mut_ptr(),
            out_strides: Strides { sample: 0, row: self.out_stride, column: 1 },
        };
        // SAFETY: every operand was checked to have its size; holding a set proves the instruction set.
        unsafe { (set.gemm)(&call) }
    }
}

/// One product, its operands laid out with gaps.
struct Case {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    a_stride: usize,
    /// `[n, k]`.
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// `[m, n + 5]`.
    residual: Option<Vec<f32>>,
    activation: Option<Activation>,
}

impl Case {
    fn new(m: usize, n: usize, k: usize, seed: u64) -> Self {
        let a_stride = k + (seed % 3) as usize;
        Case {
            m,
            n,
            k,
            a: values(m * a_stride, seed),
            a_stride,
            weight: values(n * k, seed + 1),
            bias: seed.is_multiple_of(2).then(|| values(n, seed + 2)),
            residual: (seed % 3 == 1).then(|| values(m * (n + 5), seed + 3)),
            activation: [None, Some(Activation::Relu), Some(Activation::Tanh), Some(Activation::Gelu)]
                [(seed / 2 % 4) as usize],
        }
    }

    /// The rows `rows` of the output; everything else must stay untouched.
    fn run(&self, set: &KernelSet, rows: std::ops::Range<usize>, right: Right<'_>) -> Vec<f32> {
        let out_stride = self.n + 2;
        let mut out = vec![99.0; rows.len() * out_stride];
        GemmArgs {
            m: rows.len(),
            n: self.n,
            k: self.k,
            left: Rows { data: &self.a[rows.start * self.a_stride..], stride: self.a_stride },
            right,
            bias: self.bias.as_deref(),
            residual: self
                .residual
                .as_ref()
                .map(|r| Rows { data: &r[rows.start * (self.n + 5)..], stride: self.n + 5 }),
            activation: self.activation,
            out: &mut out,
            out_stride,
        }
        .run(set);
        for row in out.chunks(out_stride) {
            assert_eq!(row[self.n..], [99.0; 2], "written past the columns");
        }
        out.chunks(out_stride).flat_map(|row| row[..self.n].to_vec()).collect()
    }

    fn expected(&self, row: usize, column: usize) -> f64 {
        let products = (0..self.k).map(|d| {
            f64::from(self.a[row * self.a_stride + d]) * f64::from(self.weight[column * self.k + d])
        });
        let bias = self.bias.as_ref().map_or(0.0, |b| f64::from(b[column]));
        let residual = self.residual.as_ref().map_or(0.0, |r| f64::from(r[row * (self.n + 5) + column]));
        let x = products.sum::<f64>() + bias + residual;
        match self.activation {
            None => x,
            Some(Activation::Relu) => x.max(0.0),
            Some(Activation::Tanh) => x.tanh(),
            // By its approximation, which differs by less than 1e-3.
            _ => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        }
    }

    /// Checks packed and plain right operands against the definition, and every row against the row alone.
    fn check(&self, set: &KernelSet) {
        let what = format!("{} {}x{}x{} {:?}", set.isa, self.m, self.n, self.k, self.activation);
        let packed = PackedMatrix::new(set, &self.weight, self.n, self.k);
        let out = self.run(set, 0..self.m, Right::from(&packed));
        let tolerance =
            if self.activation == Some(Activation::Gelu) { 2e-3 } else { 1e-6 * (2.0 + self.k as f64) };
        for (index, &y) in out.iter().enumerate() {
            let expected = self.expected(index / self.n, index % self.n);
            assert!((f64::from(y) - expected).abs() <= tolerance, "{what} at {index}: {y}, not {expected}");
        }
        let stride = self.n + 1;
        let mut plain = vec![0.0; self.k * stride];
        for (column, row) in self.weight.chunks(self.k.max(1)).enumerate() {
            row.iter().enumerate().for_each(|(d, &w)| plain[d * stride + column] = w);
        }
        let rows = Rows { data: &plain, stride };
        let mut scratch = vec![0.0; tail_floats(set, self.n, self.k)];
        let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        let unpacked = self.run(set, 0..self.m, Right::Rows { rows, scratch: &mut scratch });
        assert_eq!(bits(&out), bits(&unpacked), "{what}: plain rows");
        for row in 0..self.m {
            let alone = self.run(set, row..row + 1, Right::from(&packed));
            assert_eq!(bits(&out[row * self.n..][..self.n]), bits(&alone), "{what}: row {row}");
        }
    }
}

#[test]
fn products_are_right_and_rows_independent_at_every_tile_size() {
    for set in KernelSet::all() {
        let width = set.panel_columns;
        for m in (1..=15).chain([28, 31]) {
            for (n, k) in [(width, 5), (4 * width + set.lanes + 1, 7), (width - 1, 3), (3 * width, 1)] {
                Case::new(m, n, k, (m * n + k) as u64).check(set);
            }
        }
        Case::new(3, 5, 0, 2).check(set);
        // More than one block of the left operand.
        Case::new(40, 3, 20_000, 2).check(set);
    }
}

#[test]
fn nan_and_infinity_reach_the_outputs_that_they_belong_to() {
    for set in KernelSet::all() {
        let (m, n, k) = (5, 40, 9);
        let mut case = Case { bias: None, activation: Some(Activation::Relu), ..Case::new(m, n, k, 4) };
        case.a[2 * case.a_stride + 3] = f32::NAN;
        let packed = PackedMatrix::new(set, &case.weight, n, k);
        let out = case.run(set, 0..m, Right::from(&packed));
        for (index, y) in out.iter().enumerate() {
            assert_eq!(y.is_nan(), index / n == 2, "{} at {index}", set.isa);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_row_is_the_same_bits_in_any_company(
        m in 1usize..70, n in 1usize..150, k in 1usize..90, seed in 0u64..1000,
    ) {
        for set in KernelSet::all() {
            Case::new(m, n, k, seed).check(set);
        }
    }

    #[test]
    fn packing_puts_every_value_in_its_place(n in 1usize..100, k in 1usize..40, gap in 0usize..3) {
        let source = values(n * (k + gap), 7);
        for set in KernelSet::all() {
            let mut panels = vec![f32::NAN; panel_floats(set, n, k)];
            pack_rows(set, &source, k + gap, n, k, &mut panels);
            let c = set.panel_columns;
            let padded = n.next_multiple_of(set.lanes);
            for j in 0..padded {
                let width = c.min(padded - j / c * c);
                for i in 0..k {
                    let expected = if j < n { source[j * (k + gap) + i] } else { 0.0 };
                    prop_assert_eq!(panels[j / c * c * k + i * width + j % c], expected);
                }
            }
        }
    }
}
