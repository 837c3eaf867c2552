//! Histograms that are recorded while others read them: an array of counts that one thread at a time adds to.
//!
//! Buckets are **log-linear**, as in HDR histograms: each octave has 32 of equal width, so a value is known to 1/32, and values below
//! 64 exactly. Recording is a shift and three stores: no lock, no locked instruction, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of an octave, as a power of two.
const OCTAVE_BITS: u32 = 5;
const OCTAVE: usize = 1 << OCTAVE_BITS;

/// How many buckets tell values below `2^bits` apart. The last also counts everything above.
pub(super) const fn buckets_below(bits: u32) -> usize {
    (bits - OCTAVE_BITS + 1) as usize * OCTAVE
}

/// The bucket of a value, of as many as there may be.
fn index(value: u64) -> usize {
    let exponent = (value | OCTAVE as u64).ilog2();
    let shift = exponent - OCTAVE_BITS;
    shift as usize * OCTAVE + (value >> shift) as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let shift = (index / OCTAVE).saturating_sub(1);
    (((index - shift * OCTAVE) as u64 + 1) << shift) - 1
}

/// A count that one thread at a time adds to, and any thread reads.
#[derive(Debug)]
pub(super) struct Owned(AtomicU64);

impl Owned {
    pub(super) const fn new() -> Self {
        Owned(AtomicU64::new(0))
    }

    pub(super) fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    fn raise(&self, n: u64) {
        if n > self.get() {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram that one thread at a time adds to, and any thread reads.
#[derive(Debug)]
pub(super) struct Recorder<const BUCKETS: usize> {
    counts: [Owned; BUCKETS],
    sum: Owned,
    max: Owned,
}

impl<const BUCKETS: usize> Recorder<BUCKETS> {
    pub(super) const fn new() -> Self {
        Recorder { counts: [const { Owned::new() }; BUCKETS], sum: Owned::new(), max: Owned::new() }
    }

    pub(super) fn record(&self, value: u64) {
        // First, so that a snapshot does not count a value that is above the largest.
        self.max.raise(value);
        self.counts[index(value).min(BUCKETS - 1)].add(1);
        self.sum.add(value);
    }
}

/// What several recorders of one kind have counted together.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    counts: Vec<u64>,
    pub(super) sum: u64,
    pub(super) max: u64,
}

impl Totals {
    pub(super) const ZERO: Totals = Totals { counts: Vec::new(), sum: 0, max: 0 };

    pub(super) fn add<const BUCKETS: usize>(&mut self, recorder: &Recorder<BUCKETS>) {
        self.counts.resize(BUCKETS, 0);
        self.counts.iter_mut().zip(&recorder.counts).for_each(|(sum, count)| *sum += count.get());
        self.sum = self.sum.wrapping_add(recorder.sum.get());
        self.max = self.max.max(recorder.max.get());
    }

    /// The buckets that are not empty, ascending: their largest value, and the count. No bound is above the largest value
    /// recorded.
    pub(super) fn buckets(&self) -> Vec<(u64, u64)> {
        let last = self.counts.len().saturating_sub(1);
        let bound = |index: usize| if index == last { self.max } else { upper(index).min(self.max) };
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, &count)| (bound(index), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let (buckets, mut next) = (buckets_below(40), 0);
        for bucket in 0..buckets {
            assert_eq!((index(next), index(upper(bucket))), (bucket, bucket), "from {next}");
            next = upper(bucket) + 1;
        }
        assert_eq!(next, 1 << 40);
    }

    #[test]
    fn what_is_beyond_the_last_bucket_is_counted_in_it() {
        let recorder = Recorder::<{ buckets_below(8) }>::new();
        let mut totals = Totals::ZERO;
        [3, 255, 256, u64::MAX >> 1].into_iter().for_each(|value| recorder.record(value));
        totals.add(&recorder);
        assert_eq!(totals.buckets(), [(3, 1), (u64::MAX >> 1, 3)]);
    }

    proptest! {
        #[test]
        fn a_bucket_is_as_wide_as_its_values_allow(value in (0..64u32, any::<u64>()).prop_map(|(s, v)| v >> s)) {
            let upper = if index(value) == index(u64::MAX) { u64::MAX } else { upper(index(value)) };
            prop_assert!(value <= upper && upper - value <= value / OCTAVE as u64, "{value} in {upper}");
        }
    }
}
