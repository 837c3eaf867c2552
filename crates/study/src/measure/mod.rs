//! How calls are made and timed: callers that call again and again, each in a thread of its own.
//!
//! A measurement by time has no edges. Each caller warms up, measures from the end of one of its calls to the end of another,
//! and goes on calling, unmeasured, until the last caller has measured: nobody is measured while others have not begun or
//! have already left. The rate is the callers' mean rate times their number. A measurement by calls is over when its calls are
//! made; its rate is over the time from the first call to the last answer.
//!
//! **Traps.** The mean rate is all calls over all time, not a mean of rates: with more callers than cores, a caller that is
//! never interrupted inside a call would count as if it had a core of its own. And where all of a caller's measured time is within
//! one of its turns on a core, it knows nothing of the others': so no rate is higher than what all callers together did.
//!
//! Every call is checked and counted, the unmeasured ones too.

mod arrivals;
mod bare;
mod blocking;
mod in_flight;
mod open;

use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use arrivals::{Arrivals, UnknownArrivals};
pub(crate) use bare::{Bare, Strip};
pub(crate) use blocking::{Blocking, request};
pub(crate) use in_flight::keep_in_flight;
pub(crate) use open::open_loop;

use blocking::verdict;
use paceline_engine::Outputs;

use crate::estimate::median;
use crate::workload::Sample;
use crate::{Latencies, StudyError};

/// How long a round of a measurement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// At least so long, and three calls, unless these would take twice as long: then fewer, but at least one.
    Time(Duration),
    /// So many calls of each caller.
    Calls(u64),
}

/// One round of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) length: Length,
    /// How long each caller calls, at least once, before it measures.
    pub(crate) warm_up: Option<Duration>,
}

/// Which time a rate is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The time spent in calls. What a bare session gives is not charged with the check of its answers.
    InCalls,
    /// All of the time.
    Wall,
}

/// Somebody who can call.
pub(crate) trait Caller: Send {
    /// Calls once.
    fn call(&mut self) -> Answer;
}

/// What came of one call.
pub(crate) struct Answer {
    /// From just before the call until its return.
    pub(crate) time: Duration,
    /// Whether it was answered, and rightly.
    pub(crate) verdict: Verdict,
}

/// Whether a call was answered, and rightly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The expected bits.
    Right,
    /// Other bits.
    Wrong,
    /// An error instead of an answer.
    Failed(String),
}

/// What many calls came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Measured calls a second.
    pub(crate) calls_per_s: f64,
    /// Measured calls.
    pub(crate) measured: u64,
    /// What all callers together needed for them.
    pub(crate) time: Duration,
    /// The share of its measured time that a caller spent in calls; of several callers, the median.
    pub(crate) in_calls: f64,
    /// Calls made from the first measured one on, until nobody measured any more.
    pub(crate) made: u64,
    /// Times of the measured calls.
    pub(crate) latencies: Latencies,
    /// Calls made, unmeasured ones included.
    pub(crate) expected: u64,
    /// Of these, answered.
    pub(crate) completed: u64,
    /// Of these, answered with an error.
    pub(crate) errors: u64,
    /// Of these, answered wrongly.
    pub(crate) wrong: u64,
    /// The first error.
    pub(crate) first_error: Option<String>,
}

impl Answer {
    /// A call for this sample that took so long, and what came of it.
    pub(crate) fn new(sample: &Sample, time: Duration, answer: Result<Outputs, String>) -> Self {
        let verdict = match answer {
            Ok(outputs) => verdict(sample, &outputs),
            Err(error) => Verdict::Failed(error),
        };
        Answer { time, verdict }
    }
}

impl Round {
    /// The first round of callers that never called.
    pub(crate) fn first(length: Length) -> Self {
        let warm_up = match length {
            Length::Time(time) => Some(time / 5),
            Length::Calls(_) => None,
        };
        Round { length, warm_up }
    }

    /// A round of callers whose calls have taken `call` on average. Others were measured since the last one: they warm up again,
    /// unless a single call takes longer than that.
    pub(crate) fn again(length: Length, call: Duration) -> Self {
        let Round { warm_up, .. } = Self::first(length);
        Round { length, warm_up: warm_up.filter(|&warm_up| call < warm_up) }
    }
}

impl Length {
    /// Whether a caller that has made so many calls in so long has measured enough.
    fn is_reached(self, calls: u64, elapsed: Duration) -> bool {
        match self {
            Length::Time(time) => elapsed >= time && (calls >= 3 || elapsed >= 2 * time),
            Length::Calls(wanted) => calls >= wanted,
        }
    }
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        self.expected += 1;
        match verdict {
            Verdict::Right => self.completed += 1,
            Verdict::Wrong => {
                self.completed += 1;
                self.wrong += 1;
            }
            Verdict::Failed(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(crate) fn measure(&mut self, answer: Answer) {
        self.measured += 1;
        self.latencies.record(answer.time);
        self.count(answer.verdict);
    }

    pub(crate) fn merge(&mut self, other: Tally) {
        self.measured += other.measured;
        self.time += other.time;
        self.made += other.made;
        self.latencies.merge(&other.latencies);
        self.expected += other.expected;
        self.completed += other.completed;
        self.errors += other.errors;
        self.wrong += other.wrong;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// Lets every caller call from a thread of its own until all have measured.
pub(crate) fn drive<C: Caller>(callers: &mut [C], round: Round, clock: Clock) -> Result<Tally, StudyError> {
    let (tallies, (start, end)) = drive_each(callers, round, clock)?;
    let mut all = Tally::default();
    let in_calls = median(&tallies.iter().map(|tally| tally.in_calls).collect::<Vec<_>>());
    tallies.into_iter().for_each(|tally| all.merge(tally));
    all.in_calls = in_calls;
    let of_callers = rate(all.measured, all.time) * callers.len() as f64;
    all.calls_per_s = match (round.length, clock) {
        (Length::Calls(_), Clock::Wall) => rate(all.measured, end - start),
        (Length::Calls(_), Clock::InCalls) => of_callers,
        (Length::Time(_), _) => {
            // One more each: calls that were under way when the first caller began to measure.
            let made = all.made + callers.len() as u64;
            of_callers.min(rate(made, end - start) / in_calls.max(1e-9))
        }
    };
    Ok(all)
}

/// The same, with what each caller's calls came to, and the time from the first call to the last answer.
pub(crate) fn drive_each<C: Caller>(
    callers: &mut [C],
    round: Round,
    clock: Clock,
) -> Result<(Vec<Tally>, (Instant, Instant)), StudyError> {
    let count = callers.len();
    let (warming_up, measuring) = (AtomicUsize::new(count), AtomicUsize::new(count));
    let gate = RwLock::new(());
    thread::scope(|scope| {
        // Opened, by being dropped, when every thread is there, and also when one could not be started.
        let closed = gate.write();
        let mut threads = Vec::with_capacity(count);
        for (index, caller) in callers.iter_mut().enumerate() {
            let builder = thread::Builder::new().name(format!("caller-{index}"));
            let (phases, gate) = ([&warming_up, &measuring].map(Phase), &gate);
            let body = move || {
                drop(gate.read());
                call_again_and_again(caller, round, clock, phases)
            };
            threads.push(builder.spawn_scoped(scope, body).map_err(StudyError::Thread)?);
        }
        drop(closed);
        let begun = Instant::now();
        let mut span = (begun, begun);
        let mut tallies = Vec::with_capacity(count);
        for (index, thread) in threads.into_iter().enumerate() {
            let (tally, (start, end)) =
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            span = if index == 0 { (start, end) } else { (span.0.min(start), span.1.max(end)) };
            tallies.push(tally);
        }
        Ok((tallies, span))
    })
}

/// How many callers are still in a phase. One that is dropped, at its end, by a panic, or because its thread was never started, no
/// longer is.
struct Phase<'a>(&'a AtomicUsize);

impl<'a> Phase<'a> {
    /// Ends the phase for this caller; whether others are still in it can be asked from now on.
    fn end(self) -> impl Fn() -> bool + use<'a> {
        let callers = self.0;
        move || callers.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn call_again_and_again(
    caller: &mut impl Caller,
    Round { length, warm_up }: Round,
    clock: Clock,
    [warming_up, measuring]: [Phase<'_>; 2],
) -> (Tally, (Instant, Instant)) {
    let mut tally = Tally::default();
    if let Some(warm_up) = warm_up {
        let start = Instant::now();
        while tally.expected == 0 || start.elapsed() < warm_up {
            tally.count(caller.call().verdict);
        }
        let others_warm_up = warming_up.end();
        while others_warm_up() {
            tally.count(caller.call().verdict);
        }
    }
    let start = Instant::now();
    let mut in_calls = Duration::ZERO;
    while !length.is_reached(tally.measured, start.elapsed()) {
        let answer = caller.call();
        in_calls += answer.time;
        tally.measure(answer);
    }
    let end = Instant::now();
    tally.time = match clock {
        Clock::InCalls => in_calls,
        Clock::Wall => end - start,
    };
    tally.in_calls = tally.time.as_secs_f64() / (end - start).as_secs_f64().max(1e-9);
    tally.made = tally.measured;
    let others_measure = measuring.end();
    while matches!(length, Length::Time(_)) && others_measure() {
        tally.count(caller.call().verdict);
        tally.made += 1;
    }
    (tally, (start, end))
}

/// A second.
fn rate(calls: u64, time: Duration) -> f64 {
    calls as f64 / time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a time for each call; every `wrong`th is wrong, every `failing`th fails.
    struct Scripted {
        time: Duration,
        wrong: u64,
        failing: u64,
        calls: u64,
    }

    impl Caller for Scripted {
        fn call(&mut self) -> Answer {
            thread::sleep(self.time);
            self.calls += 1;
            let verdict = match self.calls {
                n if n % self.failing == 0 => Verdict::Failed(format!("call {n}")),
                n if n % self.wrong == 0 => Verdict::Wrong,
                _ => Verdict::Right,
            };
            Answer { time: self.time, verdict }
        }
    }

    fn scripted(time: Duration) -> Scripted {
        Scripted { time, wrong: 3, failing: 5, calls: 0 }
    }

    #[test]
    fn calls_are_counted_by_verdict() {
        let mut callers: Vec<_> = (0..4).map(|_| scripted(Duration::ZERO)).collect();
        let tally = drive(&mut callers, Round::first(Length::Calls(50)), Clock::InCalls).unwrap();
        assert_eq!((tally.expected, tally.measured), (200, 200));
        assert_eq!((tally.completed, tally.errors, tally.wrong), (160, 40, 4 * 13));
        assert_eq!(tally.first_error.as_deref(), Some("call 5"));
    }

    #[test]
    fn a_rate_is_that_of_all_callers() {
        let mut callers: Vec<_> = (0..3).map(|_| scripted(Duration::from_millis(10))).collect();
        let round = Round::first(Length::Time(Duration::from_millis(60)));
        let tally = drive(&mut callers, round, Clock::InCalls).unwrap();
        assert!((tally.calls_per_s - 300.0).abs() < 1e-3, "{}", tally.calls_per_s);
        assert!(tally.expected > tally.measured, "the warm-up is counted and not measured");
        assert_eq!(tally.expected, tally.completed + tally.errors);
    }

    #[test]
    fn a_caller_that_is_never_interrupted_does_not_count_as_many() {
        let mut callers: Vec<_> = (0..4).map(|_| scripted(Duration::from_millis(20))).collect();
        callers[0].time = Duration::from_micros(1);
        let tally = drive(&mut callers, Round::first(Length::Calls(5)), Clock::InCalls).unwrap();
        let expected = 4.0 * 20.0 / (3.0 * 0.1 + 5e-6);
        assert!((tally.calls_per_s / expected - 1.0).abs() < 1e-6, "{} a second", tally.calls_per_s);
    }

    /// One of several that share a core and take long turns on it.
    struct InTurns {
        index: u128,
        callers: u128,
        start: Instant,
    }

    impl Caller for InTurns {
        fn call(&mut self) -> Answer {
            const TURN_MS: u128 = 40;
            while self.start.elapsed().as_millis() / TURN_MS % self.callers != self.index {
                thread::sleep(Duration::from_micros(200));
            }
            let time = Duration::from_millis(1);
            thread::sleep(time);
            Answer { time, verdict: Verdict::Right }
        }
    }

    #[test]
    fn a_turn_on_a_core_is_not_a_core() {
        let start = Instant::now();
        let mut callers: Vec<_> = (0..4).map(|index| InTurns { index, callers: 4, start }).collect();
        let round = Round::first(Length::Time(Duration::from_millis(8)));
        let tally = drive(&mut callers, round, Clock::InCalls).unwrap();
        // Each alone would make a thousand a second, and all together make no more.
        assert!(tally.calls_per_s < 1_500.0, "{} a second", tally.calls_per_s);
    }

    #[test]
    fn a_rate_of_so_many_calls_is_over_the_time_of_all_callers() {
        let mut callers: Vec<_> = (0..4).map(|_| scripted(Duration::from_millis(1))).collect();
        callers[0].time = Duration::from_millis(20);
        let start = Instant::now();
        let tally = drive(&mut callers, Round::first(Length::Calls(5)), Clock::Wall).unwrap();
        let least = 20.0 / start.elapsed().as_secs_f64();
        assert!(
            (least..=200.0).contains(&tally.calls_per_s),
            "{} a second, not {least} to 200",
            tally.calls_per_s
        );
    }

    #[test]
    fn callers_warm_up_again_unless_a_call_takes_longer() {
        let (ms, length) = (Duration::from_millis, Length::Time(Duration::from_millis(50)));
        assert_eq!(Round::first(length).warm_up, Some(ms(10)));
        assert_eq!(Round::again(length, ms(2)).warm_up, Some(ms(10)));
        assert_eq!(Round::again(length, ms(10)).warm_up, None);
        assert_eq!(Round::first(Length::Calls(3)).warm_up, None);
    }

    #[test]
    fn lengths() {
        let time = Length::Time(Duration::from_millis(100));
        for (calls, elapsed_ms, reached) in
            [(0, 0, false), (99, 99, false), (3, 100, true), (2, 100, false), (2, 199, false), (1, 200, true)]
        {
            let elapsed = Duration::from_millis(elapsed_ms);
            assert_eq!(time.is_reached(calls, elapsed), reached, "{calls} calls in {elapsed_ms} ms");
        }
        assert!(!Length::Calls(3).is_reached(2, Duration::MAX));
        assert!(Length::Calls(3).is_reached(3, Duration::ZERO));
    }
}
