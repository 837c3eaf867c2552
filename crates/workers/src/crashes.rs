//! When a worker that died is started again, and when no more. A pure function of the times of its deaths.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::nanos;

/// What to do about deaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestartPolicy {
    /// The wait before the second start in a row; the first is at once, each further one waits twice as long.
    pub(crate) first_delay: Duration,
    /// No wait is longer.
    pub(crate) longest_delay: Duration,
    /// So many deaths ...
    pub(crate) crashes: usize,
    /// ... within this time are the last.
    pub(crate) within: Duration,
}

/// The deaths of one worker.
#[derive(Debug)]
pub(crate) struct Crashes {
    policy: RestartPolicy,
    /// Nanoseconds of those within the time that counts.
    times: VecDeque<u64>,
    /// Deaths in a row without an answer between them.
    in_a_row: u32,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is started again, after this time.
    Restart(Duration),
    /// It is not started again.
    GiveUp,
}

/// What is known of a death.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// Nanoseconds.
    pub(crate) at: u64,
    /// Whether the worker had answered a request since it was started.
    pub(crate) had_answered: bool,
    pub(crate) blame: Blame,
}

/// Who is to blame for a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Nobody knows; the worker counts it.
    Worker,
    /// The one request that was executed. It was in another death before, with others; that one is explained now, too.
    SuspectForTheFirstTime,
    /// The one request that was executed, again.
    Suspect,
}

impl Crashes {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Crashes { policy, times: VecDeque::new(), in_a_row: 0 }
    }

    pub(crate) fn died(&mut self, death: Death) -> Verdict {
        let since = death.at.saturating_sub(nanos(self.policy.within));
        while self.times.front().is_some_and(|&time| time < since) {
            self.times.pop_front();
        }
        let RestartPolicy { first_delay, longest_delay, .. } = self.policy;
        match death.blame {
            Blame::Worker => self.times.push_back(death.at),
            Blame::Suspect => return Verdict::Restart(first_delay),
            Blame::SuspectForTheFirstTime => {
                self.times.pop_back();
                self.in_a_row = self.in_a_row.saturating_sub(1);
                return Verdict::Restart(first_delay);
            }
        }
        if self.times.len() >= self.policy.crashes {
            return Verdict::GiveUp;
        }
        self.in_a_row = if death.had_answered { 1 } else { self.in_a_row.saturating_add(1) };
        Verdict::Restart(match self.in_a_row {
            0 | 1 => Duration::ZERO,
            n => first_delay.saturating_mul(1u32.checked_shl(n - 2).unwrap_or(u32::MAX)).min(longest_delay),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn crashes() -> Crashes {
        let ms = Duration::from_millis;
        Crashes::new(RestartPolicy {
            first_delay: ms(10),
            longest_delay: ms(50),
            crashes: 6,
            within: ms(1000),
        })
    }

    fn death(at_ms: u64) -> Death {
        Death { at: at_ms * MS, had_answered: false, blame: Blame::Worker }
    }

    #[test]
    fn the_wait_doubles_and_a_loop_is_given_up() {
        let mut crashes = crashes();
        let verdicts: Vec<_> = (0..6).map(|i| crashes.died(death(i))).collect();
        let restart = |ms| Verdict::Restart(Duration::from_millis(ms));
        assert_eq!(
            verdicts,
            [restart(0), restart(10), restart(20), restart(40), restart(50), Verdict::GiveUp]
        );
    }

    #[test]
    fn an_answer_ends_the_row() {
        let mut crashes = crashes();
        crashes.died(death(0));
        assert_eq!(crashes.died(death(1)), Verdict::Restart(Duration::from_millis(10)));
        let answered = Death { had_answered: true, ..death(2) };
        assert_eq!(crashes.died(answered), Verdict::Restart(Duration::ZERO));
    }

    #[test]
    fn old_deaths_do_not_count() {
        let mut crashes = crashes();
        for i in 0..1000 {
            assert_ne!(crashes.died(death(i * 201)), Verdict::GiveUp);
        }
    }

    #[test]
    fn poisonous_requests_are_not_the_workers_fault() {
        let mut crashes = crashes();
        for i in 0..100 {
            for blame in [Blame::Worker, Blame::SuspectForTheFirstTime, Blame::Suspect] {
                let verdict = crashes.died(Death { blame, ..death(i) });
                assert!(
                    matches!(verdict, Verdict::Restart(delay) if delay <= Duration::from_millis(10)),
                    "{i} {verdict:?}"
                );
            }
        }
    }
}
