//! How long a fake execution takes.
//!
//! **Traps.** [`Latency::busy`] counts work, not wall time: a thread that is preempted in the middle still has the rest to do,
//! as in a real kernel. It is calibrated when it is made, so compare only times that one `Latency` produced.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// How long an execution takes: a fixed part and a part for each sample, or what a table of sizes says.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    kind: Kind,
    time: Time,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sleep,
    Busy { steps_per_us: f64 },
}

#[derive(Clone, Copy, Debug)]
enum Time {
    Line { fixed: Duration, per_sample: Duration },
    Table(&'static [(usize, Duration)]),
}

impl Latency {
    /// No time beyond writing the outputs.
    pub const NONE: Latency =
        Latency { kind: Kind::Sleep, time: Time::Line { fixed: Duration::ZERO, per_sample: Duration::ZERO } };

    /// Sleeps: the device works elsewhere and the host's core is free.
    pub fn sleep(fixed: Duration, per_sample: Duration) -> Self {
        Latency { kind: Kind::Sleep, time: Time::Line { fixed, per_sample } }
    }

    /// Sleeps for what `table` says of the samples: times by samples, ascending. Between two sizes it is on the line from one to
    /// the other, below the first that of the first, and above the last it grows with the samples.
    pub fn sleep_table(table: &'static [(usize, Duration)]) -> Self {
        Latency { kind: Kind::Sleep, time: Time::Table(table) }
    }

    /// Computes for what `table` says of the samples, as [`sleep_table`](Self::sleep_table) reads it. Calibrated as
    /// [`busy`](Self::busy) is.
    pub fn busy_table(table: &'static [(usize, Duration)]) -> Self {
        Latency { time: Time::Table(table), ..Self::busy(Duration::ZERO, Duration::ZERO) }
    }

    /// Computes: the device is the host's core. Takes about a millisecond to calibrate.
    pub fn busy(fixed: Duration, per_sample: Duration) -> Self {
        const STEPS: u64 = 100_000;
        let fastest = (0..5)
            .map(|_| {
                let start = Instant::now();
                work(STEPS);
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        let steps_per_us = STEPS as f64 / (fastest.as_secs_f64() * 1e6).max(1e-3);
        Latency { kind: Kind::Busy { steps_per_us }, time: Time::Line { fixed, per_sample } }
    }

    pub(super) fn pass(&self, samples: usize) {
        match self.kind {
            Kind::Sleep if self.time(samples).is_zero() => {}
            Kind::Sleep => thread::sleep(self.time(samples)),
            Kind::Busy { steps_per_us } => work(self.steps(samples, steps_per_us)),
        }
    }

    fn time(&self, samples: usize) -> Duration {
        match self.time {
            Time::Line { fixed, per_sample } => {
                fixed + per_sample * u32::try_from(samples).unwrap_or(u32::MAX)
            }
            Time::Table(table) => look_up(table, samples),
        }
    }

    fn steps(&self, samples: usize, steps_per_us: f64) -> u64 {
        (self.time(samples).as_secs_f64() * 1e6 * steps_per_us) as u64
    }
}

fn look_up(table: &[(usize, Duration)], samples: usize) -> Duration {
    let above = table.partition_point(|&(size, _)| size < samples);
    match (above.checked_sub(1).map(|below| table[below]), table.get(above)) {
        (Some((s0, t0)), Some(&(s1, t1))) => {
            let part = (samples - s0) as f64 / (s1 - s0) as f64;
            Duration::from_secs_f64(t0.as_secs_f64() + part * (t1.as_secs_f64() - t0.as_secs_f64()))
        }
        (None, Some(&(_, time))) => time,
        (Some((size, time)), None) => time.mul_f64(samples as f64 / size.max(1) as f64),
        (None, None) => Duration::ZERO,
    }
}

/// `steps` multiplications, each waiting for the one before. Never inlined, so that the code that is calibrated is the code that
/// is executed: two inlined copies need not be equally fast.
#[inline(never)]
fn work(steps: u64) {
    let mut x = black_box(1u64);
    for _ in 0..steps {
        x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_between_below_and_above_its_sizes() {
        const US: fn(u64) -> Duration = Duration::from_micros;
        static TABLE: [(usize, Duration); 3] = [
            (2, Duration::from_micros(100)),
            (4, Duration::from_micros(80)),
            (8, Duration::from_micros(160)),
        ];
        let latency = Latency::sleep_table(&TABLE);
        for (samples, us) in [(0, 100), (1, 100), (2, 100), (3, 90), (4, 80), (6, 120), (8, 160), (16, 320)] {
            assert_eq!(latency.time(samples), US(us), "{samples} samples");
        }
        assert_eq!(Latency::sleep_table(&[]).time(3), Duration::ZERO);
        let busy = Latency::busy_table(&TABLE);
        assert!(matches!(busy.kind, Kind::Busy { steps_per_us } if steps_per_us > 0.0));
        assert_eq!(busy.steps(6, 2.0), 240);
    }

    #[test]
    fn latency_grows_with_samples() {
        let (fixed, per_sample) = (Duration::from_millis(1), Duration::from_millis(2));
        let busy = Latency::busy(fixed, per_sample);
        assert!(matches!(busy.kind, Kind::Busy { steps_per_us } if steps_per_us > 0.0));
        assert_eq!((busy.steps(0, 3.0), busy.steps(10, 3.0)), (3_000, 63_000));
        assert_eq!(Latency::NONE.time(1000), Duration::ZERO);
        let sleep = Latency::sleep(fixed, per_sample);
        let start = Instant::now();
        sleep.pass(10);
        assert!(start.elapsed() >= sleep.time(10), "a sleep is never shorter than asked for");
    }
}
