//! How the work of one step is divided among threads.
//!
//! It is made of units that a kernel can compute by themselves, and a thread takes a piece of several units at a time. A unit should
//! be short beside the step, because in the end every thread but the last waits for about half a unit, and long beside the
//! 0.2 us that it costs to take it. A piece should be long, because a kernel fetches ahead within it, but no longer
//! than a helper may be late for work of its own. What a step takes is estimated from its sizes; the rates are those
//! of one core of a server of 2023, and an error of a factor of two does no harm.

use std::ops::Range;

use crate::kernels::set::KernelSet;

/// A step that takes less is not divided, in microseconds.
const WORTH_US: f64 = 20.0;
/// What a unit should take at least, in microseconds.
const UNIT_US: f64 = 4.0;
/// What a piece should take at most, in microseconds.
const PIECE_US: f64 = 30.0;
/// Multiply-adds a core makes in a microsecond for each lane of its registers: two units at 2.8 GHz.
const MULTIPLY_ADDS_PER_LANE_US: f64 = 5_600.0;
/// Bytes that a core reads in a microsecond from beyond its level-2 cache.
const BYTES_PER_US: f64 = 30_000.0;
/// Values of the left operand that stay in the cache while the columns of a piece stream past: as in `kernels::gemm`.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Registers of columns that a tile of one or two rows spans.
const WIDEST_TILE: usize = 8;

/// Work that several threads can share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    /// How many there are.
    pub count: usize,
    /// How many a thread should take at once at most.
    pub most: usize,
}

impl Units {
    /// The most units.
    pub const LIMIT: usize = (1 << 20) - 1;
}

/// A matrix product divided by rows and columns, never along the sums: a unit is some panels of columns of a block of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProductDivision {
    n: usize,
    row_blocks: usize,
    /// Columns of a unit: whole panels.
    unit: usize,
    /// Units of a block of rows.
    units: usize,
    most: usize,
}

impl ProductDivision {
    /// The division of `[m, k]` times `[k, n]`, unless it is not worth it.
    pub fn of(kernels: &KernelSet, [m, n, k]: [usize; 3]) -> Option<Self> {
        let column_us = |m: usize| {
            let computing = m as f64 * k as f64 / (MULTIPLY_ADDS_PER_LANE_US * kernels.lanes as f64);
            let reading = k as f64 * size_of::<f32>() as f64 / BYTES_PER_US;
            computing.max(reading)
        };
        if m == 0 || column_us(m) * (n as f64) < WORTH_US {
            return None;
        }
        let row_blocks = m.saturating_mul(k).div_ceil(BLOCK_FLOATS).clamp(1, m.max(1));
        let wide = (kernels.lanes * WIDEST_TILE).next_multiple_of(kernels.panel_columns);
        let tile = if m <= 2 { wide } else { kernels.panel_columns };
        let column_us = column_us(m.div_ceil(row_blocks));
        let unit = ((UNIT_US / column_us) as usize).min(n).next_multiple_of(tile).max(tile);
        let most = (PIECE_US / (column_us * unit as f64)) as usize;
        let division = ProductDivision { n, row_blocks, unit, units: n.div_ceil(unit), most };
        (2..=Units::LIMIT).contains(&division.units().count).then_some(division)
    }

    pub fn units(&self) -> Units {
        Units { count: self.row_blocks.saturating_mul(self.units), most: self.most.max(1) }
    }

    /// The blocks of a piece: which rows out of a run of `rows`, and which columns, from the beginning of a panel to that of
    /// another, or the end. All columns of a block of rows come one after the other, so that threads at work together
    /// share the block.
    pub fn blocks(
        &self,
        piece: Range<usize>,
        rows: usize,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let Self { n, row_blocks, unit, units, .. } = *self;
        let blocks = piece.start / units..piece.end.div_ceil(units);
        blocks.map(move |block| {
            let column = |index: usize| (index.saturating_sub(block * units) * unit).min(n);
            let row = |block: usize| rows * block / row_blocks;
            (row(block)..row(block + 1), column(piece.start)..column(piece.end))
        })
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
            m in 0usize..300, n in 0usize..400, k in 0usize..5000, piece in 1usize..7, rows in 0usize..70,
        ) {
            for isa in Isa::available() {
                let kernels = KernelSet::of(isa).unwrap();
                let Some(division) = ProductDivision::of(kernels, [m, n, k]) else { continue };
                let count = division.units().count;
                let mut covered = vec![0; rows * n];
                for first in (0..count).step_by(piece) {
                    for (rows, columns) in division.blocks(first..(first + piece).min(count), rows) {
                        prop_assert!(!columns.is_empty() && columns.start.is_multiple_of(kernels.panel_columns));
                        prop_assert!(columns.end == n || columns.end.is_multiple_of(kernels.panel_columns));
                        for row in rows {
                            columns.clone().for_each(|column| covered[row * n + column] += 1);
                        }
                    }
                }
                prop_assert!(covered.iter().all(|&times| times == 1));
            }
        }
    }

    #[test]
    fn what_takes_little_is_not_divided_and_pieces_are_short() {
        let kernels = KernelSet::of(Isa::Portable).unwrap();
        assert_eq!(ProductDivision::of(kernels, [1, 128, 256]), None);
        assert_eq!(ProductDivision::of(kernels, [0, 1024, 1024]), None);
        for sizes in [[1, 1024, 1024], [8, 1024, 512], [32, 2048, 512], [4096, 64, 64]] {
            let units = ProductDivision::of(kernels, sizes).unwrap().units();
            assert!(units.count >= 4 && units.most <= 16, "{sizes:?}: {units:?}");
        }
    }
}
