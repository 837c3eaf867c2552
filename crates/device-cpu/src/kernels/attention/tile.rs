//! The two products of attention, in tiles whose sums stay in registers.

use super::{Visible, for_each_run};
use crate::kernels::row::{lane_numbers, load_up_to, store_up_to};
use crate::kernels::vector::{Kernel, Vector};

/// A product that is computed a few rows at a time.
pub(super) trait Product {
    /// Computes rows `at..at + ROWS`.
    ///
    /// # Safety
    /// The rows exist, what the product describes is readable and writable, and the machine has `V`'s instruction set.
    unsafe fn tile<V: Vector, const ROWS: usize>(&self, at: usize);

    /// Computes rows `from..to`, in tiles of up to eight, as many as there are registers for with two sums a row.
    ///
    /// # Safety
    /// As for [`Product::tile`].
    #[inline(always)]
    unsafe fn rows<V: Vector>(&self, from: usize, to: usize)
    where
        Self: Sized,
    {
        let mut at = from;
        while at < to {
            let left = to - at;
            let fits = |rows: usize| left >= rows && 2 * rows <= V::TILE_SUMS;
            // SAFETY: the caller's promise; at most `left` rows are computed.
            at += unsafe {
                match () {
                    () if fits(8) => V::enter(Tile::<_, 8>(self, at)),
                    () if fits(6) => V::enter(Tile::<_, 6>(self, at)),
                    () if fits(4) => V::enter(Tile::<_, 4>(self, at)),
                    () if fits(2) => V::enter(Tile::<_, 2>(self, at)),
                    () => V::enter(Tile::<_, 1>(self, at)),
                }
            };
        }
    }
}

/// Rows of a product, compiled as one function.
struct Tile<'a, P, const ROWS: usize>(&'a P, usize);

impl<P: Product, const ROWS: usize> Kernel for Tile<'_, P, ROWS> {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.0.tile::<V, ROWS>(self.1) };
        ROWS
    }
}

/// Scores of a head's keys against a block of queries in `N` registers: a row a key.
pub(super) struct Score<const N: usize> {
    /// The keys, `k_stride` apart.
    pub k: *const f32,
    pub k_stride: usize,
    /// `[head_size][queries]`.
    pub queries: *const f32,
    pub head_size: usize,
    pub scale: f32,
    /// `[key][queries]`: what comes out and, if `masked`, what is added.
    pub scores: *mut f32,
    pub masked: bool,
    /// The number of the first query, where query `i` sees keys `0..=i` only.
    pub causal_from: usize,
    /// The largest score of each query so far.
    pub largest: *mut f32,
}

impl<const N: usize> Product for Score<N> {
    #[inline(always)]
    unsafe fn tile<V: Vector, const ROWS: usize>(&self, key: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::zero(); N]; ROWS];
            let (mut k, mut queries) = (self.k.add(key * self.k_stride), self.queries);
            for _ in 0..self.head_size {
                let mut q = [V::zero(); N];
                for (v, q) in q.iter_mut().enumerate() {
                    *q = V::load(queries.add(v * V::LANES));
                }
                for (r, row) in sums.iter_mut().enumerate() {
                    let k = V::splat(*k.add(r * self.k_stride));
                    for (sum, &q) in row.iter_mut().zip(&q) {
                        *sum = k.mul_add(q, *sum);
                    }
                }
                k = k.add(1);
                queries = queries.add(N * V::LANES);
            }
            let scale = V::splat(self.scale);
            for v in 0..N {
                let mut largest = V::load(self.largest.add(v * V::LANES));
                for (r, row) in sums.iter().enumerate() {
                    let at = self.scores.add(((key + r) * N + v) * V::LANES);
                    let mut score = row[v].mul(scale);
                    if self.masked {
                        score = score.add(V::load(at));
                    }
                    if key + r > self.causal_from {
                        let lane = V::splat((key + r - self.causal_from) as f32 - (v * V::LANES) as f32);
                        score = V::select_gt(lane, lane_numbers(), V::splat(f32::NEG_INFINITY), score);
                    }
                    // A NaN may get lost here: it comes back with its own score.
                    largest = score.at_least(largest);
                    score.store(at);
                }
                largest.store(self.largest.add(v * V::LANES));
            }
        }
    }
}

/// Values of a head mixed by weights: a row a query.
pub(super) struct Mix {
    /// `[key][width]`, one weight a query.
    pub weights: *const f32,
    pub width: usize,
    /// The values, `v_stride` apart.
    pub v: *const f32,
    pub v_stride: usize,
    pub value_size: usize,
    pub visible: Visible,
    /// The number of the first query, where query `i` sees keys `0..=i` only.
    pub causal_from: usize,
    /// What each query's sum is multiplied by.
    pub factors: *const f32,
    pub out: *mut f32,
    pub out_stride: usize,
}

impl Mix {
    /// `N` registers of columns from `column` on, of `ROWS` queries. The registers may be partial if `PARTIAL`; products
    /// with a weight of 0 are left out if `SKIP_ZEROS`.
    #[inline(always)]
    unsafe fn columns<
        V: Vector,
        const ROWS: usize,
        const N: usize,
        const PARTIAL: bool,
        const SKIP_ZEROS: bool,
    >(
        &self,
        query: usize,
        column: usize,
    ) {
        let left = self.value_size - column;
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::zero(); N]; ROWS];
            for_each_run!(self.visible, self.causal_from.saturating_add(query + ROWS), |from, to| {
                let mut weights = self.weights.add(from * self.width + query);
                let mut values = self.v.add(from * self.v_stride + column);
                for _ in from..to {
                    let mut x = [V::zero(); N];
                    for (v, x) in x.iter_mut().enumerate() {
                        let at = values.add(v * V::LANES);
                        *x = if PARTIAL { load_up_to(at, left) } else { V::load(at) };
                    }
                    for (r, row) in sums.iter_mut().enumerate() {
                        let weight = V::splat(*weights.add(r));
                        for (sum, &x) in row.iter_mut().zip(&x) {
                            let mixed = weight.mul_add(x, *sum);
                            *sum =
                                if SKIP_ZEROS { V::select_eq(weight, V::zero(), *sum, mixed) } else { mixed };
                        }
                    }
                    // Behind the last key there may be neither.
                    weights = weights.wrapping_add(self.width);
                    values = values.wrapping_add(self.v_stride);
                }
            });
            for (r, row) in sums.iter().enumerate() {
                let factor = V::splat(*self.factors.add(query + r));
                let out = self.out.add((query + r) * self.out_stride + column);
                for (v, &sum) in row.iter().enumerate() {
                    let out = out.add(v * V::LANES);
                    if PARTIAL { store_up_to(sum.mul(factor), out, left) } else { sum.mul(factor).store(out) }
                }
            }
        }
    }
}

impl Product for Mix {
    #[inline(always)]
    unsafe fn tile<V: Vector, const ROWS: usize>(&self, query: usize) {
        let mut column = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while column + 2 * V::LANES <= self.value_size {
                self.columns::<V, ROWS, 2, false, false>(query, column);
                column += 2 * V::LANES;
            }
            while column < self.value_size {
                self.columns::<V, ROWS, 1, true, false>(query, column);
                column += V::LANES;
            }
        }
    }
}

/// [`Mix`], where a weight of 0 may meet a value that is infinite or NaN.
pub(super) struct MixSkippingZeros(pub Mix);

impl Product for MixSkippingZeros {
    #[inline(always)]
    unsafe fn tile<V: Vector, const ROWS: usize>(&self, query: usize) {
        for column in (0..self.0.value_size).step_by(V::LANES) {
            // SAFETY: the caller's promise.
            unsafe { self.0.columns::<V, ROWS, 1, true, true>(query, column) };
        }
    }
}
