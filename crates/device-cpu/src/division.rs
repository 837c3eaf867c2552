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
const WORTH_US: f64 = 10.0;
/// What a unit should take at least, in microseconds.
const UNIT_US: f64 = 3.0;
/// What a piece should take at most, in microseconds.
const PIECE_US: f64 = 30.0;
/// Multiply-adds a core makes in a microsecond for each lane of its registers: two units at 2.8 GHz.
const MULTIPLY_ADDS_PER_LANE_US: f64 = 5_600.0;
/// Bytes that a core reads in a microsecond from beyond its level-2 cache.
const BYTES_PER_US: f64 = 30_000.0;
/// Values of the left operand that stay in the cache while the columns of a piece stream past: as in `kernels::gemm`.
const BLOCK_FLOATS: usize = 64 * 1024;
/// A product of fewer units is divided by more rows than the cache asks for: so many that what is left in the end is little.
const ENOUGH_UNITS: usize = 16;
/// Rows that such a block has at least: with few, reading the weights costs more than multiplying.
const LEAST_ROWS: usize = 32;
/// Elements of a cache line.
const LINE: usize = 16;
/// Elements that a core handles in a microsecond one by one.
const SCALAR_ELEMENTS_PER_US: f64 = 1_000.0;
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

/// What something takes one core, in microseconds: so many operations on f32 in registers, and so many bytes read or written.
pub(crate) fn estimated_us(kernels: &KernelSet, operations: f64, bytes: f64) -> f64 {
    (operations / (MULTIPLY_ADDS_PER_LANE_US * kernels.lanes as f64)).max(bytes / BYTES_PER_US)
}

/// [`estimated_us`] of what handles one element after the other.
pub(crate) fn estimated_scalar_us(elements: f64) -> f64 {
    elements / SCALAR_ELEMENTS_PER_US
}

/// Consecutive rows, cut where a stretch of `length` ends: which stretch, and which of its rows.
pub(crate) fn within(rows: Range<usize>, length: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    (rows.start / length..rows.end.div_ceil(length)).map(move |stretch| {
        let first = stretch * length;
        (stretch, rows.start.saturating_sub(first)..(rows.end - first).min(length))
    })
}

/// Rows, or whatever a step computes one by one: a unit is some that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowsDivision {
    rows: usize,
    unit: usize,
    most: usize,
}

impl RowsDivision {
    /// The division of so many rows, each of which takes so many microseconds, unless it is not worth it.
    pub fn of(rows: usize, row_us: f64) -> Option<Self> {
        if rows < 2 || row_us * (rows as f64) < WORTH_US {
            return None;
        }
        let fit = |us: f64| (us / row_us) as usize;
        let unit = fit(UNIT_US).max(rows.div_ceil(Units::LIMIT)).max(1);
        // Whole cache lines, where rows are elements or lie side by side.
        let unit = if unit < LINE { unit } else { unit.next_multiple_of(LINE) };
        (unit < rows).then(|| RowsDivision { rows, unit, most: (fit(PIECE_US) / unit).max(1) })
    }

    pub fn units(&self) -> Units {
        Units { count: self.rows.div_ceil(self.unit), most: self.most }
    }

    /// The rows of a piece.
    pub fn rows(&self, piece: Range<usize>) -> Range<usize> {
        piece.start * self.unit..(piece.end * self.unit).min(self.rows)
    }
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
    /// The division of `[m, k]` times `[k, n]`, unless it is not worth it. A row of the left operand is `row_floats` values of memory.
    pub fn of(kernels: &KernelSet, [m, n, k]: [usize; 3], row_floats: usize) -> Option<Self> {
        let column_us = |m: usize| {
            let bytes = k * size_of::<f32>();
            estimated_us(kernels, m as f64 * k as f64, bytes as f64)
        };
        if m == 0 || column_us(m) * (n as f64) < WORTH_US {
            return None;
        }
        let wide = (kernels.lanes * WIDEST_TILE).next_multiple_of(kernels.panel_columns);
        let tile = if m <= 2 { wide } else { kernels.panel_columns };
        let unit = |row_blocks: usize| {
            let column_us = column_us(m.div_ceil(row_blocks));
            let unit = ((UNIT_US / column_us) as usize).min(n).next_multiple_of(tile).max(tile);
            (unit, (PIECE_US / (column_us * unit as f64)) as usize)
        };
        // More blocks than the cache asks for, where there are few columns.
        let (fewest, most) = (m.saturating_mul(row_floats).div_ceil(BLOCK_FLOATS), m / LEAST_ROWS);
        let wanted = ENOUGH_UNITS.div_ceil(n.div_ceil(unit(fewest.clamp(1, m)).0));
        let longest = column_us(m) * n as f64 / UNIT_US;
        let row_blocks = fewest.max(wanted.min(most).min(longest as usize)).clamp(1, m);
        let (unit, most) = unit(row_blocks);
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
                let Some(division) = ProductDivision::of(kernels, [m, n, k], k) else { continue };
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

    proptest! {
        #[test]
        fn every_row_is_in_one_piece(rows in 0usize..3000, us in 0.0f64..50.0, piece in 1usize..7) {
            let Some(division) = RowsDivision::of(rows, us) else { return Ok(()) };
            let Units { count, most } = division.units();
            prop_assert!((2..=Units::LIMIT).contains(&count) && most > 0);
            let pieces = (0..count).step_by(piece).map(|first| division.rows(first..(first + piece).min(count)));
            let covered: Vec<usize> = pieces.flatten().collect();
            prop_assert_eq!(covered, (0..rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_takes_little_is_not_divided_and_pieces_are_short() {
        let kernels = KernelSet::of(Isa::Portable).unwrap();
        assert_eq!(ProductDivision::of(kernels, [1, 64, 256], 256), None);
        assert_eq!(ProductDivision::of(kernels, [0, 1024, 1024], 1024), None);
        for sizes in [[1, 1024, 1024], [8, 1024, 512], [32, 2048, 512], [4096, 64, 64]] {
            let units = ProductDivision::of(kernels, sizes, sizes[2]).unwrap().units();
            assert!(units.count >= 4 && units.most <= 16, "{sizes:?}: {units:?}");
        }
    }
}
