//! What a core can do at most with the instructions of a kernel set: its rate of fused multiply-adds, and of reading memory. No
//! graph runs faster; how near it comes is what benchmarks report.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::kernels::isa::Isa;
use crate::kernels::vector::{self, Kernel, Vector};

/// FLOP/s of fused multiply-adds from registers, which are two each, in the calling thread: the best of rounds that take about
/// this long together.
///
/// # Panics
/// Where this machine does not have the instruction set.
pub fn flops_per_s(isa: Isa, time: Duration) -> f64 {
    const STEPS: usize = 10_000;
    let lanes = enter(isa, Lanes);
    (2 * STEPS * CHAINS * lanes) as f64 / shortest(time, || multiply_adds(isa, STEPS))
}

/// Bytes a second that the calling thread reads from these floats: the best of passes that take about this long together. Floats that
/// fill no registers, a few in each quarter, are left alone.
///
/// # Panics
/// Where this machine does not have the instruction set.
pub fn read_bytes_per_s(isa: Isa, floats: &[f32], time: Duration) -> f64 {
    (floats_read(isa, floats.len()) * size_of::<f32>()) as f64 / shortest(time, || read(isa, floats))
}

/// How many of so many floats [`read`] reads: pairs of whole registers in each quarter.
fn floats_read(isa: Isa, count: usize) -> usize {
    let pair = 2 * enter(isa, Lanes);
    4 * (count / 4 / pair * pair)
}

/// The shortest run, in seconds, of those that take about this long together. Quick ones are timed several at a time.
fn shortest(time: Duration, run: impl Fn() -> f32) -> f64 {
    const TIMED: Duration = Duration::from_micros(100);
    let begin = Instant::now();
    black_box(run());
    let runs = (TIMED.as_nanos() / begin.elapsed().as_nanos().max(1)).max(1) as u32;
    let mut best = f64::INFINITY;
    while best.is_infinite() || begin.elapsed() < time {
        let some = Instant::now();
        for _ in 0..runs {
            black_box(run());
        }
        best = best.min(some.elapsed().as_secs_f64() / f64::from(runs));
    }
    best.max(1e-9)
}

/// Makes so many steps of multiply-adds in each of [`CHAINS`] chains, in all lanes.
pub(crate) fn multiply_adds(isa: Isa, steps: usize) -> f32 {
    enter(isa, MultiplyAdds { steps })
}

/// Reads the floats once, up to the last pair of whole registers of each quarter.
pub(crate) fn read(isa: Isa, floats: &[f32]) -> f32 {
    enter(isa, Read(floats))
}

/// Twelve independent chains of fused multiply-adds.
struct MultiplyAdds {
    steps: usize,
}

/// How many.
pub(crate) const CHAINS: usize = 12;

impl Kernel for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> f32 {
        // SAFETY: registers only; the caller promises the instruction set.
        unsafe {
            let (factor, term) = (V::splat(black_box(0.999)), V::splat(black_box(1e-3)));
            let mut sums = [V::splat(1.0); CHAINS];
            for _ in 0..self.steps {
                for sum in &mut sums {
                    *sum = sum.mul_add(factor, term);
                }
            }
            sums.into_iter().fold(V::zero(), |total, sum| total.add(sum)).reduce_add()
        }
    }
}

/// Reads a buffer once, from four places at a time.
struct Read<'a>(&'a [f32]);

impl Kernel for Read<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> f32 {
        let quarter = self.0.len() / 4;
        // SAFETY: whole registers within each quarter; the caller promises the instruction set.
        unsafe {
            let mut sums = [V::zero(); 8];
            for i in (0..(quarter + 1).saturating_sub(2 * V::LANES)).step_by(2 * V::LANES) {
                for (s, sum) in sums.iter_mut().enumerate() {
                    let at = self.0.as_ptr().add(s / 2 * quarter + i + s % 2 * V::LANES);
                    *sum = sum.add(V::load(at));
                }
            }
            sums.into_iter().fold(V::zero(), |total, sum| total.add(sum)).reduce_add()
        }
    }
}

/// How many floats a register has.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> usize {
        V::LANES
    }
}

fn enter<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.is_available(), "this machine has no {isa}");
    // SAFETY: the machine has the instruction set.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => vector::Avx512::enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => vector::Avx2::enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => vector::Neon::enter(kernel),
            _ => vector::Portable::enter(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_has_rates_that_are_possible() {
        let floats = vec![1.0f32; 1 << 16];
        for isa in Isa::available() {
            let time = Duration::from_millis(2);
            // From an emulator to more than any core there is.
            let (flops, bytes) = (flops_per_s(isa, time), read_bytes_per_s(isa, &floats, time));
            assert!((1e6..1e13).contains(&flops) && (1e6..1e13).contains(&bytes), "{isa}: {flops}, {bytes}");
            assert_eq!(read(isa, &floats), floats.len() as f32, "{isa} reads everything");
        }
    }

    #[test]
    fn only_whole_registers_of_each_quarter_are_read_however_few_there_are() {
        let floats = vec![1.0f32; 4 * 70];
        for (isa, quarter) in
            Isa::available().into_iter().flat_map(|isa| [0, 1, 31, 32, 70].map(|n| (isa, n)))
        {
            let pair = 2 * enter(isa, Lanes);
            let whole = 4 * (quarter / pair * pair);
            assert_eq!(read(isa, &floats[..4 * quarter]), whole as f32, "{isa}, {quarter}");
            assert_eq!(floats_read(isa, 4 * quarter), whole, "{isa}, {quarter}");
        }
    }
}
