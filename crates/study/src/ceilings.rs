//! What the machine can do at most, and which of it a throughput comes up against.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::estimate::median;
use crate::results::ModelCost;

/// What a device's host can be asked for beside running graphs: the rates that no graph can exceed. Whoever brings the device
/// brings this, with the instructions that its kernels use.
pub trait Limits: Sync {
    /// Floating-point operations a second of dependent-free multiply-adds, in the calling thread, for about this long.
    fn flops(&self, time: Duration) -> f64;
    /// Bytes a second that the calling thread reads from these floats, from one end to the other again and again, for about this
    /// long.
    fn read(&self, floats: &[f32], time: Duration) -> f64;
}

/// What the machine can do at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Multiply-adds from registers.
    pub flops: Vec<FlopsCeiling>,
    /// Reading memory.
    pub read: Vec<ReadCeiling>,
}

/// A rate of multiply-adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlopsCeiling {
    /// Threads that compute at once.
    pub threads: usize,
    /// Of all of them: a multiply-add is two.
    pub flops_per_s: f64,
}

/// A rate of reading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadCeiling {
    /// Threads that read the same memory at once.
    pub threads: usize,
    /// The size of the memory: what fits a cache is read from there.
    pub bytes: u64,
    /// Of all of them.
    pub bytes_per_s: f64,
}

/// Rounds of each rate; the median counts.
const ROUNDS: usize = 5;
/// Of each round.
const TIME: Duration = Duration::from_millis(10);

impl Ceilings {
    /// Measures, with one thread and with so many, reading memory of these sizes.
    pub(crate) fn measure(limits: &dyn Limits, threads: usize, sizes: &[u64]) -> Result<Self, StudyError> {
        let counts = if threads > 1 { vec![1, threads] } else { vec![1] };
        let mut ceilings = Ceilings::default();
        for &threads in &counts {
            let flops_per_s = together(threads, &|| limits.flops(TIME))?;
            ceilings.flops.push(FlopsCeiling { threads, flops_per_s });
        }
        for &bytes in sizes {
            // Pages that were never written are all the same page.
            let floats = vec![1.0f32; (bytes as usize / size_of::<f32>()).max(1024)];
            for &threads in &counts {
                let bytes_per_s = together(threads, &|| limits.read(&floats, TIME))?;
                ceilings.read.push(ReadCeiling { threads, bytes, bytes_per_s });
            }
        }
        Ok(ceilings)
    }

    /// FLOP/s of the most threads up to this number.
    pub fn flops_with(&self, threads: usize) -> Option<f64> {
        let fitting = self.flops.iter().filter(|ceiling| ceiling.threads <= threads);
        fitting.max_by_key(|ceiling| ceiling.threads).map(|ceiling| ceiling.flops_per_s)
    }

    /// Bytes a second, from memory of about this size, of the most threads up to this number.
    pub fn read_with(&self, threads: usize, bytes: u64) -> Option<f64> {
        let fitting = self.read.iter().filter(|ceiling| ceiling.threads <= threads);
        let best =
            fitting.max_by_key(|ceiling| (ceiling.threads, std::cmp::Reverse(ceiling.bytes.abs_diff(bytes))));
        best.map(|ceiling| ceiling.bytes_per_s)
    }
}

/// The median over rounds of the sum of what so many threads reach at once.
fn together(threads: usize, rate: &(dyn Fn() -> f64 + Sync)) -> Result<f64, StudyError> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(threads);
        let sum = thread::scope(|scope| {
            let body = || {
                barrier.wait();
                rate()
            };
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(body)).collect();
            let own = body();
            own + others.into_iter().map(|thread| thread.join().expect("a probe does not panic")).sum::<f64>()
        });
        rounds.push(sum);
    }
    Ok(median(&rounds))
}

/// What bounds a model where its throughput flattens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The model.
    pub model: String,
    /// Tickets in flight from which on more add less than 5 %.
    pub callers: usize,
    /// Samples a second there.
    pub samples_per_s: f64,
    /// Samples of an average execution there.
    pub mean_batch: f64,
    /// What is exhausted most.
    pub bound: Limit,
    /// That rate as a share of each ceiling.
    pub shares: Shares,
}

/// What may be exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Multiply-adds.
    Compute,
    /// Reading weights, inputs and outputs.
    Memory,
    /// Passing requests through the engine.
    HandOff,
    /// Ceilings were not measured.
    Unknown,
}

/// A rate as shares of what the machine can do at most, from 0 to about 1; 0 where that is not known. Computing and handing off
/// need the same cores, so that these two add up; reading goes on meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Of the multiply-adds.
    pub compute: f64,
    /// Of the bytes read.
    pub memory: f64,
    /// Of the requests that the engine passes when there is nothing to compute.
    pub hand_off: f64,
}

impl Shares {
    /// Of this rate, in executions of so many samples, on so many lanes; `hand_off_per_s` is the rate when there is nothing to
    /// compute.
    pub fn new(
        cost: &ModelCost,
        ceilings: &Ceilings,
        lanes: usize,
        samples_per_s: f64,
        mean_batch: f64,
        hand_off_per_s: Option<f64>,
    ) -> Self {
        let share = |ceiling: Option<f64>, used: f64| ceiling.map_or(0.0, |ceiling| used / ceiling);
        let bytes_a_sample = cost.weight_bytes as f64 / mean_batch.max(1.0) + cost.sample_bytes as f64;
        Shares {
            compute: share(ceilings.flops_with(lanes), samples_per_s * cost.flops_per_sample as f64),
            memory: share(ceilings.read_with(lanes, cost.weight_bytes), samples_per_s * bytes_a_sample),
            hand_off: share(hand_off_per_s, samples_per_s),
        }
    }

    /// The largest.
    pub fn bound(&self) -> Limit {
        let shares =
            [(Limit::Compute, self.compute), (Limit::Memory, self.memory), (Limit::HandOff, self.hand_off)];
        let largest = shares.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        largest.filter(|(_, share)| *share > 0.0).map_or(Limit::Unknown, |(limit, _)| limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> Ceilings {
        let read = |threads, bytes, bytes_per_s| ReadCeiling { threads, bytes, bytes_per_s };
        Ceilings {
            flops: vec![
                FlopsCeiling { threads: 1, flops_per_s: 100e9 },
                FlopsCeiling { threads: 2, flops_per_s: 190e9 },
            ],
            read: vec![
                read(1, 1_000_000, 100e9),
                read(2, 1_000_000, 200e9),
                read(1, 64_000_000, 20e9),
                read(2, 64_000_000, 25e9),
            ],
        }
    }

    #[test]
    fn ceilings_are_those_of_the_lanes_and_of_the_nearest_size() {
        let ceilings = ceilings();
        for (threads, flops) in [(0, None), (1, Some(100e9)), (2, Some(190e9)), (16, Some(190e9))] {
            assert_eq!(ceilings.flops_with(threads), flops, "{threads} threads");
        }
        for (threads, bytes, rate) in [
            (1, 0, 100e9),
            (2, 8_000_000, 200e9),
            (2, 60_000_000, 25e9),
            (8, u64::MAX, 25e9),
            (1, 64_000_000, 20e9),
        ] {
            assert_eq!(ceilings.read_with(threads, bytes), Some(rate), "{threads} threads, {bytes} bytes");
        }
        assert_eq!(Ceilings::default().read_with(2, 5), None);
    }

    #[test]
    fn the_bound_is_what_is_exhausted_most() {
        let cost = |flops_per_sample, weight_bytes| ModelCost {
            model: "m".into(),
            flops_per_sample,
            weight_bytes,
            sample_bytes: 1000,
        };
        for (flops, weights, rate, batch, hand_off, bound, share) in [
            (4_000_000, 8_000_000, 40_000.0, 64.0, Some(1e6), Limit::Compute, 160.0 / 190.0),
            (4_000_000, 60_000_000, 400.0, 1.0, Some(1e6), Limit::Memory, 400.0 * 60.001e6 / 25e9),
            (1_000, 4_000, 900_000.0, 64.0, Some(1e6), Limit::HandOff, 0.9),
            (1_000, 4_000, 900_000.0, 64.0, None, Limit::Compute, 9e8 / 190e9),
        ] {
            let shares = Shares::new(&cost(flops, weights), &ceilings(), 2, rate, batch, hand_off);
            let largest = shares.compute.max(shares.memory).max(shares.hand_off);
            if hand_off.is_some() {
                assert_eq!(shares.bound(), bound, "{shares:?}");
                assert!((largest - share).abs() < 1e-6, "{shares:?}");
            } else {
                assert_eq!(shares.hand_off, 0.0);
                assert!((shares.compute - share).abs() < 1e-9, "{shares:?}");
            }
        }
        let unknown = Shares::new(&cost(1, 1), &Ceilings::default(), 2, 1.0, 1.0, None);
        assert_eq!(unknown.bound(), Limit::Unknown);
    }

    #[test]
    fn rates_of_threads_at_once_add_up() {
        struct Fixed;
        impl Limits for Fixed {
            fn flops(&self, _: Duration) -> f64 {
                3.0
            }
            fn read(&self, floats: &[f32], _: Duration) -> f64 {
                floats.len() as f64
            }
        }
        let ceilings = Ceilings::measure(&Fixed, 4, &[8192]).unwrap();
        let flops: Vec<_> = ceilings.flops.iter().map(|c| (c.threads, c.flops_per_s)).collect();
        assert_eq!(flops, [(1, 3.0), (4, 12.0)]);
        let read: Vec<_> = ceilings.read.iter().map(|c| (c.threads, c.bytes, c.bytes_per_s)).collect();
        assert_eq!(read, [(1, 8192, 2048.0), (4, 8192, 8192.0)]);
        assert_eq!(Ceilings::measure(&Fixed, 1, &[]).unwrap().flops.len(), 1);
    }
}
