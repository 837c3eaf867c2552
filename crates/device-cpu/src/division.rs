//! How the work of one step is divided into pieces that several threads take.
//!
//! A piece should take some ten microseconds: long beside the 0.2 us that it costs to take one, short beside the step, because at its
//! end every thread but the last waits for about half a piece. What a step takes is estimated from its sizes; the rates
//! are those of one core of a server of 2023, and an error of a factor of two does no harm.

use std::ops::Range;

use crate::kernels::set::KernelSet;

/// A step that takes less is not divided, in microseconds.
const WORTH_US: f64 = 20.0;
/// About what a piece takes, in microseconds.
const PIECE_US: f64 = 8.0;
/// Multiply-adds a core makes in a microsecond for each lane of its registers: two units at 2.8 GHz.
const MULTIPLY_ADDS_PER_LANE_US: f64 = 5_600.0;
/// Bytes that a core reads in a microsecond from beyond its level-2 cache.
const BYTES_PER_US: f64 = 30_000.0;
/// Values of the left operand that stay in the cache while the columns of a piece stream past: as in `kernels::gemm`.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Registers of columns that a tile of one or two rows spans.
const WIDEST_TILE: usize = 8;

/// A matrix product divided by rows and columns, never along the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProductDivision {
    n: usize,
    row_blocks: usize,
    column_groups: usize,
    /// Columns that are not divided: whole panels.
    unit: usize,
}

impl ProductDivision {
    /// The division of `[m, k]` times `[k, n]`: one piece where more are not worth it.
    pub fn of(kernels: &KernelSet, [m, n, k]: [usize; 3]) -> Self {
        let multiply_adds = m as f64 * n as f64 * k as f64;
        let computing = multiply_adds / (MULTIPLY_ADDS_PER_LANE_US * kernels.lanes as f64);
        let reading = n as f64 * k as f64 * size_of::<f32>() as f64 / BYTES_PER_US;
        let pieces = match computing.max(reading) {
            us if us < WORTH_US => 1,
            us => (us / PIECE_US) as usize,
        };
        Self::into(kernels, [m, n, k], pieces)
    }

    /// A division into about so many pieces.
    fn into(kernels: &KernelSet, [m, n, k]: [usize; 3], pieces: usize) -> Self {
        let row_blocks = m.saturating_mul(k).div_ceil(BLOCK_FLOATS).clamp(1, m.clamp(1, pieces));
        let wide = (kernels.lanes * WIDEST_TILE).next_multiple_of(kernels.panel_columns);
        let unit = if m <= 2 && n > 2 * wide { wide } else { kernels.panel_columns };
        let column_groups = (pieces / row_blocks).clamp(1, n.div_ceil(unit).max(1));
        ProductDivision { n, row_blocks, column_groups, unit }
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        self.row_blocks * self.column_groups
    }

    /// The columns of a piece, from the beginning of a panel to that of another, or the end.
    pub fn columns(&self, piece: usize) -> Range<usize> {
        let units = self.n.div_ceil(self.unit);
        let group = piece % self.column_groups;
        let start = |group: usize| (units * group / self.column_groups * self.unit).min(self.n);
        start(group)..start(group + 1)
    }

    /// The rows of a piece, out of a run of `rows`. All columns of a block of rows come one after the other, so that threads at
    /// work together share the block.
    pub fn rows(&self, piece: usize, rows: usize) -> Range<usize> {
        let block = piece / self.column_groups;
        rows * block / self.row_blocks..rows * (block + 1) / self.row_blocks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Isa;

    proptest! {
        #[test]
        fn every_element_is_in_one_piece(
            m in 0usize..70, n in 0usize..400, k in 0usize..5000, pieces in 1usize..40, run in 0usize..70,
        ) {
            for isa in Isa::available() {
                let kernels = KernelSet::of(isa).unwrap();
                let division = ProductDivision::into(kernels, [m, n, k], pieces);
                prop_assert!((1..=pieces).contains(&division.pieces()));
                let mut covered = vec![0; run * n];
                for piece in 0..division.pieces() {
                    let columns = division.columns(piece);
                    prop_assert!(columns.is_empty() || columns.start.is_multiple_of(kernels.panel_columns));
                    prop_assert!(columns.end == n || columns.end.is_multiple_of(kernels.panel_columns));
                    for row in division.rows(piece, run) {
                        columns.clone().for_each(|column| covered[row * n + column] += 1);
                    }
                }
                prop_assert!(covered.iter().all(|&times| times == 1));
            }
        }
    }

    #[test]
    fn what_takes_little_is_not_divided_and_pieces_are_short() {
        let kernels = KernelSet::of(Isa::Portable).unwrap();
        assert_eq!(ProductDivision::of(kernels, [1, 128, 256]).pieces(), 1);
        for sizes in [[1, 1024, 1024], [8, 1024, 512], [32, 2048, 512], [4096, 64, 64]] {
            let pieces = ProductDivision::of(kernels, sizes).pieces();
            assert!(pieces >= 4, "{sizes:?}: {pieces} pieces");
        }
    }
}
