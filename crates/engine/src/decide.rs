//! Which requests form the next batch: a pure function, with no clock, no lock and no thread inside.
//!
//! Today the rule is first come, first served across models: the model whose oldest request waits longest, and of its requests,
//! from the oldest on, as many as one execution may have and as are a fair **share** of what the engine holds.
//!
//! The share keeps lanes from starving each other. Callers that wait for answers send their next requests only then; if one lane
//! took everything, the others would stand idle until it is done. With as many equal shares as there are lanes and one more,
//! each lane executes one and finds one waiting when it is done.
//!
//! What a better rule needs comes in through [`Line`] and [`Load`] (deadlines, weights, measured costs) and as a `now`; it goes
//! out through [`Decision`]. Nothing else has to change.

/// What is known of one model's waiting requests.
#[derive(Clone, Debug)]
pub(crate) struct Line<S> {
    /// When the oldest arrived, as its number among all arrivals.
    pub(crate) oldest: u64,
    /// Samples that one execution may have.
    pub(crate) max_samples: usize,
    /// The samples of each request, oldest first; none is above `max_samples`.
    pub(crate) samples: S,
}

/// What the engine holds, all models together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Lanes that are not retired.
    pub(crate) lanes: usize,
    /// Samples waiting.
    pub(crate) waiting: usize,
    /// Samples in the latest batch of each lane, added up, whether it still runs or was just answered.
    pub(crate) running: usize,
}

impl Load {
    /// Samples that a lane should take at most.
    fn share(&self) -> usize {
        (self.waiting + self.running).div_ceil(self.lanes + 1)
    }
}

/// The next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The index of the model.
    pub(crate) line: usize,
    /// How many requests, from the oldest on; at least one.
    pub(crate) requests: usize,
}

/// The next batch from the lines of all models; a model without requests has no line. `None` when nothing waits.
pub(crate) fn decide<S>(lines: impl Iterator<Item = (usize, Line<S>)>, load: Load) -> Option<Decision>
where
    S: Iterator<Item = usize>,
{
    let (line, chosen) = lines.min_by_key(|(_, line)| line.oldest)?;
    let (share, max) = (load.share(), chosen.max_samples);
    let mut taken = 0;
    let fits = |&samples: &usize| {
        let fits = taken == 0 || taken + samples <= max && taken < share;
        taken += samples;
        fits
    };
    Some(Decision { line, requests: chosen.samples.take_while(fits).count() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines of up to 5 models with distinct arrivals, each with its limit and at least one request that respects it.
    fn lines() -> impl Strategy<Value = Vec<(usize, Line<std::vec::IntoIter<usize>>)>> {
        let line = (1usize..20).prop_flat_map(|max| (Just(max), prop::collection::vec(1..=max, 1..30)));
        (prop::collection::vec(line, 0..5), any::<u64>()).prop_map(|(lines, seed)| {
            let count = lines.len() as u64;
            let line = |(i, (max_samples, samples)): (usize, (usize, Vec<usize>))| {
                let oldest = (seed % 97 + i as u64 * 3) % (3 * count).max(1);
                (i, Line { oldest, max_samples, samples: samples.into_iter() })
            };
            lines.into_iter().enumerate().map(line).collect()
        })
    }

    proptest! {
        #[test]
        fn takes_a_prefix_of_the_line_with_the_oldest_request(
            lines in lines(), lanes in 1..9usize, running in 0..200usize,
        ) {
            let waiting = lines.iter().flat_map(|(_, line)| line.samples.as_slice()).sum();
            let load = Load { lanes, waiting, running };
            let Some(decision) = decide(lines.iter().cloned(), load) else {
                prop_assert!(lines.is_empty());
                return Ok(());
            };
            let (_, chosen) = &lines[decision.line];
            prop_assert!(lines.iter().all(|(_, line)| chosen.oldest <= line.oldest));
            let samples = chosen.samples.as_slice();
            let taken = &samples[..decision.requests];
            let sum: usize = taken.iter().sum();
            prop_assert!(decision.requests >= 1);
            prop_assert!(sum <= chosen.max_samples);
            // The last request taken begins within the share, and the first one left would not, or would not fit.
            prop_assert!(decision.requests == 1 || sum - taken[taken.len() - 1] < load.share());
            if let Some(next) = samples.get(decision.requests) {
                prop_assert!(sum + next > chosen.max_samples || sum >= load.share());
            }
        }
    }

    #[test]
    fn a_table_of_decisions() {
        fn line(oldest: u64, max_samples: usize, samples: &[usize]) -> Line<impl Iterator<Item = usize>> {
            Line { oldest, max_samples, samples: samples.iter().copied() }
        }
        let load = |lanes, waiting, running| Load { lanes, waiting, running };
        let plenty = load(1, 0, 1000);
        let cases = [
            ("nothing waits", vec![], plenty, None),
            ("all fit", vec![(0, line(5, 8, &[1, 2, 3]))], plenty, Some((0, 3))),
            ("exactly full", vec![(0, line(5, 6, &[1, 2, 3, 1]))], plenty, Some((0, 3))),
            ("a small one does not overtake", vec![(0, line(5, 4, &[3, 3, 1]))], plenty, Some((0, 1))),
            ("one at a time", vec![(0, line(5, 1, &[1, 1]))], plenty, Some((0, 1))),
            ("the oldest model", vec![(0, line(5, 8, &[1])), (3, line(4, 8, &[1, 1]))], plenty, Some((3, 2))),
            ("a third for one of two lanes", vec![(0, line(5, 8, &[1; 6]))], load(2, 6, 0), Some((0, 2))),
            ("all, when as much runs on each", vec![(0, line(5, 8, &[1; 6]))], load(2, 6, 12), Some((0, 6))),
            (
                "a request across the share is taken",
                vec![(0, line(5, 8, &[1, 3, 1]))],
                load(2, 5, 0),
                Some((0, 2)),
            ),
        ];
        for (name, lines, load, expected) in cases {
            let got = decide(lines.into_iter(), load).map(|d| (d.line, d.requests));
            assert_eq!(got, expected, "{name}");
        }
    }
}
