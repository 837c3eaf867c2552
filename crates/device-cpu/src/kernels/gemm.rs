//! Matrix products: the loops around the tiles.
//!
//! Rows of the left operand are taken in blocks that stay in the second-level cache; panels of the right operand
//! stream past each block, and while the last rows of a block use one panel, the next is fetched. Rows are divided
//! evenly (16 rows are 8 + 8, not 14 + 2). None of this shows in the results: see [`super::tile`].
//!
//! Operands are given by address and strides, because callers lay many products over the same memory: heads of
//! attention, windows of a convolution, rows of samples.

use paceline_graph::Activation;

use super::activation::apply;
use super::set::KernelSet;
use super::tile::{self, Tile};
use super::vector::{Kernel, Vector};

/// The scratch that plain rows need as a right operand of `k` rows and `n` columns.
pub(crate) fn tail_floats(set: &KernelSet, n: usize, k: usize) -> usize {
    if n.is_multiple_of(set.lanes) { 0 } else { (n % set.panel_columns).next_multiple_of(set.lanes) * k }
}

/// Distances in values.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    /// From one sample to the next.
    pub sample: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

/// A right operand by address.
#[derive(Clone, Copy)]
pub(crate) enum RightPointer {
    /// Panels.
    Panels(*const f32),
    /// Plain rows, and the scratch for their last columns.
    Rows { data: *const f32, stride: usize, tail: *mut f32 },
}

/// A product of many samples with one right operand, by address. A sample has its own `m` rows.
pub(crate) struct GemmCall {
    /// How many samples.
    pub samples: usize,
    /// Rows of a sample.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// The length of every sum.
    pub k: usize,
    /// Row `i` of sample `s` at depth `d` lies at `s * sample + i * row + d`, or, with offsets, `.. + offsets[d]`.
    pub left: *const f32,
    /// `column` is not used.
    pub left_strides: Strides,
    /// `k + 1` offsets, the last of which only has to lie within the operand, or null.
    pub left_offsets: *const u32,
    /// About how many values of memory belong to one row, for the choice of blocks.
    pub left_row_floats: usize,
    /// The right operand.
    pub right: RightPointer,
    /// `n` values, or null.
    pub bias: *const f32,
    /// Added before the activation, or null.
    pub residual: *const f32,
    /// Its rows or its columns are adjacent, as those of the output.
    pub residual_strides: Strides,
    /// Applied last.
    pub activation: Option<Activation>,
    /// The output; it overlaps no operand but, in the very same places, the residual.
    pub out: *mut f32,
    /// A column stride other than 1 makes the output transposed; adjacent rows are then stored fastest.
    pub out_strides: Strides,
}

/// The left operand's share of the second-level cache, in values: 1 MB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// The most columns and values of any tile.
const MAX_COLUMNS: usize = 128;
const MAX_VALUES: usize = 28 * 16;
/// How many values of the next panel lie about between two fetches of two tiles that have little time for it: three lines of
/// 64 bytes. Each fetch holds one of the first-level cache's 16 or so fill buffers until memory answers, which is too few to
/// ask for every line; the hardware brings some of those between. Of 1 to 8 lines, 3 was the fastest here. With more tiles there
/// is time to ask for every line, and asking for fewer is slower.
const FETCH_FLOATS: usize = 48;

static ZEROS: [f32; MAX_COLUMNS] = [0.0; MAX_COLUMNS];

/// Computes a product.
///
/// # Safety
/// The operands have the sizes that [`GemmCall`] describes.
#[inline(always)]
pub(crate) unsafe fn gemm<V: Vector>(call: &GemmCall) {
    // SAFETY: the caller's promise.
    unsafe {
        if call.left_offsets.is_null() {
            blocks::<V, false>(call);
        } else {
            blocks::<V, true>(call);
        }
    }
}

/// Divides samples and rows into blocks of the left operand.
#[inline(always)]
unsafe fn blocks<V: Vector, const TABLE: bool>(call: &GemmCall) {
    let sample_floats = (call.m * call.left_row_floats).max(1);
    let samples_per_block = (BLOCK_FLOATS / sample_floats).max(1);
    let row_blocks = sample_floats.div_ceil(BLOCK_FLOATS).min(call.m.div_ceil(V::TILE_ROWS));
    for sample in (0..call.samples).step_by(samples_per_block) {
        let samples = sample..(sample + samples_per_block).min(call.samples);
        for block in 0..row_blocks {
            let rows = share(call.m, block, row_blocks)..share(call.m, block + 1, row_blocks);
            let block = Block { call, samples: samples.clone(), rows };
            // SAFETY: the caller's promise.
            unsafe { block.panels::<V, TABLE>() }
        }
    }
}

/// Where part `index` of `parts` equal parts of `total` begins.
#[inline(always)]
fn share(total: usize, index: usize, parts: usize) -> usize {
    total * index / parts
}

/// A panel, or several adjacent ones.
#[derive(Clone, Copy)]
struct Panels {
    data: *const f32,
    /// From one row to the next, and from one panel to the next.
    stride: usize,
    panel_stride: usize,
}

/// The rows that stay in the cache while the panels stream past.
struct Block<'a> {
    call: &'a GemmCall,
    samples: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
}

impl Block<'_> {
    /// Multiplies the block by every panel.
    #[inline(always)]
    unsafe fn panels<V: Vector, const TABLE: bool>(&self) {
        let (n, columns) = (self.call.n, V::LANES * V::PANEL_VECTORS);
        let tiles = self.rows.len().div_ceil(V::TILE_ROWS);
        let tile_rows = self.rows.len().div_ceil(tiles);
        let mut panel = 0;
        while panel * columns < n {
            let left = n - panel * columns;
            let mut vectors = 8;
            while vectors > V::PANEL_VECTORS
                && !(vectors * V::LANES <= left && tile::exists::<V>(tile_rows, vectors))
            {
                vectors /= 2;
            }
            vectors = vectors.min(left.div_ceil(V::LANES));
            // SAFETY: the caller's promise; the columns are within n rounded up to whole registers.
            unsafe { self.column_group::<V, TABLE>(panel, vectors, tiles) }
            panel += vectors.div_ceil(V::PANEL_VECTORS);
        }
    }

    /// Where panel `index` lies; the plain rows of a panel that fills no whole registers are copied first.
    #[inline(always)]
    unsafe fn locate<V: Vector>(&self, index: usize) -> Panels {
        let (n, k, columns) = (self.call.n, self.call.k, V::LANES * V::PANEL_VECTORS);
        let left = n - index * columns;
        let width = left.min(columns);
        let padded = width.next_multiple_of(V::LANES);
        match self.call.right {
            RightPointer::Panels(data) => Panels {
                data: data.wrapping_add(index * columns * k),
                stride: padded,
                panel_stride: columns * k,
            },
            RightPointer::Rows { data, stride, .. } if width == padded => {
                Panels { data: data.wrapping_add(index * columns), stride, panel_stride: columns }
            }
            RightPointer::Rows { data, stride, tail } => {
                for depth in 0..k {
                    for j in (0..width).step_by(V::LANES) {
                        // SAFETY: `width` columns of every row lie at `data`, `padded` at `tail`.
                        unsafe {
                            let from = data.add(depth * stride + index * columns + j);
                            V::load_first(from, (width - j).min(V::LANES))
                                .store(tail.add(depth * padded + j));
                        }
                    }
                }
                Panels { data: tail, stride: padded, panel_stride: 0 }
            }
        }
    }

    /// Multiplies the block by `vectors` registers of columns, from panel `panel` on.
    #[inline(always)]
    unsafe fn column_group<V: Vector, const TABLE: bool>(&self, panel: usize, vectors: usize, tiles: usize) {
        let call = self.call;
        let first = panel * V::LANES * V::PANEL_VECTORS;
        let columns = (call.n - first).min(vectors * V::LANES);
        // SAFETY: the caller's promise that every operand has its size. A tile touches whole registers: the panels
        // have them, and bias and output are replaced by buffers that have them where the caller's may not.
        unsafe {
            let panels = self.locate::<V>(panel);
            let mut bias_buffer = [0.0; MAX_COLUMNS];
            let bias = if call.bias.is_null() {
                ZEROS.as_ptr()
            } else if columns == vectors * V::LANES {
                call.bias.add(first)
            } else {
                std::ptr::copy_nonoverlapping(call.bias.add(first), bias_buffer.as_mut_ptr(), columns);
                bias_buffer.as_ptr()
            };
            let relu = call.activation == Some(Activation::Relu);
            let direct = call.out_strides.column == 1
                && columns == vectors * V::LANES
                && (relu || call.activation.is_none());
            let has_residual = !call.residual.is_null();
            let group = vectors.div_ceil(V::PANEL_VECTORS);
            let visits = self.samples.len() * tiles;
            let next = panels.data.wrapping_add(group * panels.panel_stride);
            let (next_every, next_step) = match visits {
                // A lone tile is busy fetching its own panel.
                1 => (call.k.max(1), 0),
                2 => {
                    // One row that is repeated has no stride.
                    let every = (visits * FETCH_FLOATS).div_ceil(panels.stride.max(1));
                    (every, every * panels.stride / visits)
                }
                _ => (1, panels.stride.div_ceil(visits)),
            };
            let mut buffer = [0.0; MAX_VALUES];
            for sample in self.samples.clone() {
                for index in 0..tiles {
                    let begin = self.rows.start + share(self.rows.len(), index, tiles);
                    let end = self.rows.start + share(self.rows.len(), index + 1, tiles);
                    let done = (sample - self.samples.start) * tiles + index;
                    let at = |strides: Strides| {
                        sample * strides.sample + begin * strides.row + first * strides.column
                    };
                    let out = call.out.add(at(call.out_strides));
                    let residual = if has_residual {
                        call.residual.add(at(call.residual_strides))
                    } else {
                        std::ptr::null()
                    };
                    let tile = Tile {
                        k: call.k,
                        a: call.left.add(sample * call.left_strides.sample + begin * call.left_strides.row),
                        a_stride: call.left_strides.row,
                        a_offsets: call.left_offsets,
                        b: panels.data,
                        b_stride: panels.stride,
                        b_panel: panels.panel_stride,
                        next: next.wrapping_add(done * call.k * next_step / next_every),
                        next_every,
                        next_step,
                        bias,
                        c: if direct { out } else { buffer.as_mut_ptr() },
                        c_stride: if direct { call.out_strides.row } else { vectors * V::LANES },
                        residual: if direct { residual } else { std::ptr::null() },
                        residual_stride: call.residual_strides.row,
                        relu: relu && (direct || !has_residual),
                    };
                    let Some(run) = tile::tile_fn::<V, TABLE>(end - begin, vectors) else {
                        unreachable!("no tile of {} rows and {vectors} registers", end - begin)
                    };
                    run(&tile);
                    if !direct {
                        V::enter(Finish {
                            sums: buffer.as_ptr(),
                            rows: end - begin,
                            columns,
                            stride: vectors * V::LANES,
                            residual,
                            residual_strides: call.residual_strides,
                            activation: if tile.relu { None } else { call.activation },
                            out,
                            out_strides: call.out_strides,
                        });
                    }
                }
            }
        }
    }
}

/// What a tile's own store does not cover: partial registers, activations that need more than a comparison, and
/// transposed outputs.
struct Finish {
    sums: *const f32,
    rows: usize,
    columns: usize,
    stride: usize,
    residual: *const f32,
    residual_strides: Strides,
    activation: Option<Activation>,
    out: *mut f32,
    out_strides: Strides,
}

impl Kernel for Finish {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller's promise that the operands have their sizes; the transposed buffer has room for any tile
        // (`rows` columns, the registers' padding included).
        unsafe {
            if self.out_strides.column == 1 {
                let (residual, out) = (self.residual_strides.row, self.out_strides.row);
                self.rows::<V>(self.sums, self.rows, self.columns, self.stride, residual, out);
                return;
            }
            let adjacent = self.out_strides.row == 1;
            if adjacent && self.residual.is_null() && self.activation.is_none() {
                self.transpose::<V>(self.out, self.out_strides.column);
                return;
            }
            let mut buffer = [0.0; MAX_VALUES];
            self.transpose::<V>(buffer.as_mut_ptr(), self.rows);
            if adjacent {
                let (residual, out) = (self.residual_strides.column, self.out_strides.column);
                self.rows::<V>(buffer.as_ptr(), self.columns, self.rows, self.rows, residual, out);
                return;
            }
            // Rows apart from one another: only the activation is worth a register.
            let values = self.columns * self.rows;
            if !self.residual.is_null() {
                for (index, value) in buffer.iter_mut().enumerate().take(values) {
                    let (column, row) = (index / self.rows, index % self.rows);
                    let at = column * self.residual_strides.column + row * self.residual_strides.row;
                    *value += *self.residual.add(at);
                }
            }
            for index in (0..values).step_by(V::LANES) {
                let at = buffer.as_mut_ptr().add(index);
                let count = (values - index).min(V::LANES);
                apply(self.activation, V::load_first(at, count)).store_first(at, count);
            }
            for column in 0..self.columns {
                let out = self.out.add(column * self.out_strides.column);
                for row in 0..self.rows {
                    *out.add(row * self.out_strides.row) = buffer[column * self.rows + row];
                }
            }
        }
    }
}

impl Finish {
    /// Residual, activation and store of `count` rows of `length` values.
    #[inline(always)]
    unsafe fn rows<V: Vector>(
        &self,
        from: *const f32,
        count: usize,
        length: usize,
        stride: usize,
        residual_stride: usize,
        out_stride: usize,
    ) {
        for row in 0..count {
            for j in (0..length).step_by(V::LANES) {
                let n = (length - j).min(V::LANES);
                // SAFETY: the caller's promise that `length` values lie at every row.
                unsafe {
                    let mut y = V::load_first(from.add(row * stride + j), n);
                    if !self.residual.is_null() {
                        y = y.add(V::load_first(self.residual.add(row * residual_stride + j), n));
                    }
                    apply(self.activation, y).store_first(self.out.add(row * out_stride + j), n);
                }
            }
        }
    }

    /// Writes column `j` of the sums to `to + j * stride`.
    #[inline(always)]
    unsafe fn transpose<V: Vector>(&self, to: *mut f32, stride: usize) {
        for j in (0..self.columns).step_by(V::LANES) {
            for i in (0..self.rows).step_by(V::LANES) {
                let count = (self.rows - i).min(V::LANES);
                // SAFETY: the sums have `rows` rows of whole registers; the caller's promise for `to`.
                unsafe {
                    let mut block = [V::zero(); 16];
                    for (r, row) in block.iter_mut().enumerate().take(V::LANES) {
                        // Rows beyond the last are not stored; any will do.
                        let r = (i + r).min(self.rows - 1);
                        *row = V::load(self.sums.add(r * self.stride + j));
                    }
                    let columns = (self.columns - j).min(V::LANES);
                    V::store_transposed(&block[..V::LANES], count, to.add(j * stride + i), stride, columns);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
