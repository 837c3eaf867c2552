//! Matrices packed into panels, the order in which a tile of a matrix product reads its right operand.
//!
//! A matrix of `k` rows and `n` columns becomes panels of `panel_columns` columns. A panel holds its columns of row 0,
//! then of row 1, and so on, so that a tile streams through it. The last panel has only the columns that are left,
//! rounded up to whole registers and padded with zeros. So column `j` of row `i` lies at
//! `(j / c) * c * k + i * width + j % c`, where `c` is `panel_columns` and `width` the columns of that panel.

use super::set::KernelSet;
use super::vector::Vector;
use crate::memory::Block;
use std::sync::Arc;

/// A weight in PyTorch's layout `[n, k]`, packed once for one instruction set; clones share the panels.
#[derive(Clone)]
pub(crate) struct PackedMatrix {
    /// Output features: the columns of the packed matrix.
    pub n: usize,
    /// Input features: the rows of the packed matrix.
    pub k: usize,
    pub(crate) panels: Arc<Block>,
}

/// Rows that are packed into every panel before those after them: few enough to stay in the caches.
const ROW_BLOCK: usize = 64;

impl PackedMatrix {
    /// Packs `weight`, `[n, k]` with rows one after another.
    ///
    /// # Panics
    /// If `weight` has not `n * k` values.
    pub fn new(set: &KernelSet, weight: &[f32], n: usize, k: usize) -> Self {
        assert_eq!(weight.len(), n * k, "a weight of {n} x {k}");
        let bytes = panel_floats(set, n, k) * size_of::<f32>();
        let mut panels = Block::zeroed(bytes).expect("memory for a second copy of the weight");
        pack_rows(set, weight, k, n, k, panels.floats_mut());
        Self { n, k, panels: Arc::new(panels) }
    }

    /// Packs `weight`, `[k, n]` with rows one after another.
    ///
    /// # Panics
    /// If `weight` has not `n * k` values.
    pub fn transposed(set: &KernelSet, weight: &[f32], n: usize, k: usize) -> Self {
        assert_eq!(weight.len(), n * k, "a weight of {k} x {n}");
        let bytes = panel_floats(set, n, k) * size_of::<f32>();
        let mut block = Block::zeroed(bytes).expect("memory for a second copy of the weight");
        let panels = block.floats_mut();
        for first in (0..k).step_by(ROW_BLOCK) {
            for panel in (0..n).step_by(set.panel_columns) {
                let count = (n - panel).min(set.panel_columns);
                let width = count.next_multiple_of(set.lanes);
                for i in first..k.min(first + ROW_BLOCK) {
                    let row = &weight[i * n + panel..][..count];
                    panels[panel * k + i * width..][..count].copy_from_slice(row);
                }
            }
        }
        Self { n, k, panels: Arc::new(block) }
    }

    /// A matrix that was packed before.
    pub fn of_panels(n: usize, k: usize, panels: Arc<Block>) -> Self {
        Self { n, k, panels }
    }

    /// The panels.
    pub fn panels(&self) -> &[f32] {
        self.panels.floats()
    }
}

/// The values that the panels of a matrix with `n` columns and `k` rows take.
pub(crate) fn panel_floats(set: &KernelSet, n: usize, k: usize) -> usize {
    n.next_multiple_of(set.lanes) * k
}

/// Packs a matrix given by its columns: `source[j * stride + i]` becomes row `i < k` of column `j < n`. So the rows of
/// a weight `[n, k]`, or the keys of attention, become the right operand that multiplies by its transpose.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_rows(
    set: &KernelSet,
    source: &[f32],
    stride: usize,
    n: usize,
    k: usize,
    panels: &mut [f32],
) {
    if n == 0 || k == 0 {
        return;
    }
    assert!((n - 1) * stride + k <= source.len(), "{n} rows of {k}, stride {stride}, in {}", source.len());
    assert!(panel_floats(set, n, k) <= panels.len(), "panels of {n} x {k} in {}", panels.len());
    // SAFETY: both lengths were checked; holding a set proves the instruction set.
    unsafe { (set.pack)(source.as_ptr(), stride, n, k, panels.as_mut_ptr()) }
}

/// The kernel of [`pack_rows`]: blocks of `LANES` x `LANES` values, transposed in registers.
///
/// # Safety
/// `n` rows of `k` values lie at `rows`, and `k` times `n` rounded up to whole registers at `panels`.
#[inline(always)]
pub(crate) unsafe fn pack<V: Vector>(
    rows: *const f32,
    row_stride: usize,
    n: usize,
    k: usize,
    panels: *mut f32,
) {
    let columns = V::LANES * V::PANEL_VECTORS;
    for j in (0..n).step_by(V::LANES) {
        let panel = j / columns * columns;
        let width = (n - panel).next_multiple_of(V::LANES).min(columns);
        let count = (n - j).min(V::LANES);
        for i in (0..k).step_by(V::LANES) {
            let depth = (k - i).min(V::LANES);
            // SAFETY: `count` rows and `depth` values of each are left, and the panel has whole registers.
            unsafe {
                let mut block = [V::zero(); 16];
                for (r, row) in block.iter_mut().enumerate().take(count) {
                    let from = rows.add((j + r) * row_stride + i);
                    *row = if depth == V::LANES { V::load(from) } else { V::load_first(from, depth) };
                }
                let to = panels.add(panel * k + i * width + (j - panel));
                V::store_transposed(&block[..V::LANES], V::LANES, to, width, depth);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[test]
    fn a_transposed_weight_becomes_the_same_panels() {
        for isa in Isa::available() {
            let set = KernelSet::of(isa).unwrap();
            for (n, k) in [(0, 3), (1, 1), (5, 130), (64, 64), (65, 7), (200, 129)] {
                let weight: Vec<f32> = (0..n * k).map(|at| at as f32).collect();
                let turned: Vec<f32> = (0..n * k).map(|at| weight[at % n * k + at / n]).collect();
                let (packed, from_turned) =
                    (PackedMatrix::new(set, &weight, n, k), PackedMatrix::transposed(set, &turned, n, k));
                assert_eq!(packed.panels(), from_turned.panels(), "{isa}: {n} x {k}");
                assert_eq!((packed.n, packed.k), (from_turned.n, from_turned.k));
            }
        }
    }
}
