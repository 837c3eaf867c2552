//! Random numbers that are the same on every machine: ChaCha8 from a seed, and arithmetic that IEEE 754 defines.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A source of random numbers.
#[derive(Debug)]
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in `-bound..bound`, 24 bits of it random.
    pub(crate) fn uniform(&mut self, bound: f64) -> f32 {
        let unit = f64::from(self.0.next_u32() >> 8) / f64::from(1u32 << 23) - 1.0;
        (unit * bound) as f32
    }

    /// Close to standard normal and within 3.5: the sum of four uniform numbers, as logarithms and cosines differ in the
    /// last bit from one machine to another.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.0.next_u64();
        let sum: u32 = (0..4).map(|i| u32::from((bits >> (16 * i)) as u16)).sum();
        // Each of the four is uniform in 0..65536 with variance 65536^2 / 12.
        let deviation = 65536.0 / 3f64.sqrt();
        ((f64::from(sum) - 4.0 * 32767.5) / deviation) as f32
    }

    /// Uniform in `0..end`; 0 when that is empty.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }
}
