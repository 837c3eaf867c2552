//! The innermost block of a matrix product: a few rows times a few registers of columns, all sums in registers.
//!
//! **One order of summation.** Every element starts at its bias and adds its products one by one, from k = 0 up, with
//! [`Vector::mul_add`]. No tile splits k, so the shape of the tile never shows in the result: a row computed alone
//! equals, bit for bit, the same row among others.
//!
//! A tile of few rows spans several panels, because an addition must not wait for the one before it: with a latency
//! of four cycles and two units, eight sums in flight are the least that keep both units busy.

use super::vector::{Kernel, Vector};

/// How many rows of a panel ahead of the sums to fetch it into the first-level cache.
const AHEAD: usize = 16;

/// The operands of one tile.
pub(super) struct Tile {
    /// The length of every sum.
    pub k: usize,
    /// Left operand: row `i` at depth `d` lies at `i * a_stride + d`, or `i * a_stride + a_offsets[d]` for a tile with
    /// a table, which has one offset more than it needs, so that the next is always there to be read.
    pub a: *const f32,
    pub a_stride: usize,
    pub a_offsets: *const u32,
    /// Right operand: a row of a panel at depth `d` lies at `d * b_stride`, the next panel `b_panel` further.
    pub b: *const f32,
    pub b_stride: usize,
    pub b_panel: usize,
    /// What to fetch into the second-level cache: the line at `next`, which moves on by `next_step` values after every
    /// `next_every` steps, of which there is at least one. Tiles of few rows have no time to fetch at every step, and do not.
    pub next: *const f32,
    pub next_every: usize,
    pub next_step: usize,
    /// The start of each column's sum: whole registers.
    pub bias: *const f32,
    /// Output: row `i` at `i * c_stride`, whole registers.
    pub c: *mut f32,
    pub c_stride: usize,
    /// Added to the sums, laid out as the output; null for nothing.
    pub residual: *const f32,
    pub residual_stride: usize,
    /// Whether negative results become 0.
    pub relu: bool,
}

/// A tile of one size, compiled for one instruction set.
pub(super) type TileFn = unsafe fn(&Tile);

/// Whether tiles of this size exist for `V`: those whose sums, weights and one value of the left operand fit the
/// registers. (One row uses each weight once, from memory.)
pub(super) const fn exists<V: Vector>(rows: usize, vectors: usize) -> bool {
    let fits = (rows + 1) * vectors <= V::TILE_SUMS + V::PANEL_VECTORS;
    rows <= V::TILE_ROWS && (rows == 1 || fits)
}

/// The tile of `rows` rows and `vectors` registers of columns, if it exists for `V`.
#[inline(always)]
pub(super) fn tile_fn<V: Vector, const TABLE: bool>(rows: usize, vectors: usize) -> Option<TileFn> {
    macro_rules! sizes {
        ($($vectors:literal: $($rows:literal)*;)*) => {
            match (rows, vectors) {
                $($(($rows, $vectors) if const { exists::<V>($rows, $vectors) } => {
                    Some(enter_tile::<V, $rows, $vectors, TABLE> as TileFn)
                })*)*
                _ => None,
            }
        };
    }
    sizes! {
        1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
        2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
        3: 1 2 3 4 5 6;
        4: 1 2 3 4 5 6;
        8: 1 2;
    }
}

unsafe fn enter_tile<V: Vector, const ROWS: usize, const VECTORS: usize, const TABLE: bool>(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { V::enter(SizedTile::<ROWS, VECTORS, TABLE>(tile)) }
}

struct SizedTile<'a, const ROWS: usize, const VECTORS: usize, const TABLE: bool>(&'a Tile);

impl<const ROWS: usize, const VECTORS: usize, const TABLE: bool> Kernel
    for SizedTile<'_, ROWS, VECTORS, TABLE>
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let t = self.0;
        // SAFETY: the caller's promise that the operands have the sizes that `Tile` describes.
        unsafe {
            let mut sums = [[V::zero(); VECTORS]; ROWS];
            for v in 0..VECTORS {
                let bias = V::load(t.bias.add(v * V::LANES));
                for row in &mut sums {
                    row[v] = bias;
                }
            }
            let mut next = t.next;
            let mut operands = Operands { a: t.a, b: t.b };
            if TABLE {
                operands.a = t.a.add(*t.a_offsets as usize);
            }
            if t.next_every == 1 {
                for depth in 0..t.k {
                    self.add_products(&mut sums, &mut operands, depth, Some(next));
                    next = next.wrapping_add(t.next_step);
                }
            } else {
                let mut depth = 0;
                while depth < t.k {
                    V::prefetch_far(next);
                    next = next.wrapping_add(t.next_step);
                    // A loop of its own, because a branch among the sums would cost registers.
                    let stop = (depth + t.next_every).min(t.k);
                    while depth < stop {
                        self.add_products(&mut sums, &mut operands, depth, None);
                        depth += 1;
                    }
                }
            }
            for (i, row) in sums.iter().enumerate() {
                for (v, &sum) in row.iter().enumerate() {
                    let mut y = sum;
                    if !t.residual.is_null() {
                        y = y.add(V::load(t.residual.add(i * t.residual_stride + v * V::LANES)));
                    }
                    if t.relu {
                        y = y.at_least(V::zero());
                    }
                    y.store(t.c.add(i * t.c_stride + v * V::LANES));
                }
            }
        }
    }
}

/// Where the operands of one step lie.
struct Operands {
    a: *const f32,
    b: *const f32,
}

impl<const ROWS: usize, const VECTORS: usize, const TABLE: bool> SizedTile<'_, ROWS, VECTORS, TABLE> {
    /// Adds the products at one depth to the sums, moves on to the next, and meanwhile fetches what lies at `far`.
    ///
    /// # Safety
    /// The operands lie at `depth`.
    #[inline(always)]
    unsafe fn add_products<V: Vector>(
        &self,
        sums: &mut [[V; VECTORS]; ROWS],
        at: &mut Operands,
        depth: usize,
        far: Option<*const f32>,
    ) {
        let t = self.0;
        let column = |v: usize| v / V::PANEL_VECTORS * t.b_panel + v % V::PANEL_VECTORS * V::LANES;
        // SAFETY: the caller's promise, and that the operands have the sizes that `Tile` describes.
        unsafe {
            let mut weights = [V::zero(); VECTORS];
            for (v, weight) in weights.iter_mut().enumerate() {
                *weight = V::load(at.b.add(column(v)));
            }
            let mut row_start = at.a;
            for (i, row) in sums.iter_mut().enumerate() {
                // Between the rows, where they also keep the compiler from loading the whole column first, for which there
                // are no registers.
                if i == 0 {
                    for v in (0..VECTORS).step_by(16usize.div_ceil(V::LANES)) {
                        V::prefetch(at.b.wrapping_add(column(v) + AHEAD * t.b_stride));
                    }
                }
                if let Some(far) = far
                    && i == ROWS / 2
                    && 2 * ROWS >= V::TILE_ROWS
                {
                    V::prefetch_far(far);
                }
                let x = V::splat(*row_start);
                row_start = row_start.wrapping_add(t.a_stride);
                for (sum, &weight) in row.iter_mut().zip(&weights) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
            // Behind the last row there may be no operand.
            at.b = at.b.wrapping_add(t.b_stride);
            at.a = if TABLE { t.a.add(*t.a_offsets.add(depth + 1) as usize) } else { at.a.add(1) };
        }
    }
}
