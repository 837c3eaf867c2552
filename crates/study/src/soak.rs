//! One load for minutes: callers that wait, tickets in flight of which some are dropped, and models that are replaced. What a process
//! holds is looked at again and again, and may not grow.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paceline_engine::{Engine, LoadOptions, Model};
use serde::{Deserialize, Serialize};

use crate::estimate::median;
use crate::measure::{Answer, Blocking, Caller, Tally, request};
use crate::row::Mode;
use crate::runner::{Identity, Measurement};
use crate::workload::Workload;
use crate::{StudyError, Suite};

/// Callers of each model that wait for their answers.
const WAITING: usize = 2;
/// Tickets that one more caller of each model keeps in flight, and every how-manieth it drops.
const TICKETS: usize = 16;
const DROPPED: usize = 8;
/// About so many looks at the process, with pauses between these.
const SAMPLES: u32 = 120;
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// What the process was like at one moment of a long load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SoakSample {
    /// Since the begin.
    pub seconds: f64,
    /// Samples answered a second since the sample before.
    pub samples_per_s: f64,
    /// Memory that is resident.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// Loads for `time`. `each` gets every sample.
pub(crate) fn soak(
    workloads: &[Workload],
    lanes: usize,
    time: Duration,
    each: &mut dyn FnMut(SoakSample),
) -> Result<Measurement, StudyError> {
    let engine = Engine::builder().lanes(lanes).build()?;
    let mut models = Vec::new();
    for workload in workloads {
        models.push(engine.load(workload.name(), workload.program().clone())?);
    }
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let all = thread::scope(|scope| -> Result<Tally, StudyError> {
        // Also where a thread cannot be started: those that run must end.
        let end = OnDrop(&over);
        let mut threads = Vec::new();
        for (workload, model) in workloads.iter().zip(&models) {
            let (over, answered) = (&over, &answered);
            for index in 0..WAITING {
                let mut caller = Blocking::new(workload, Arc::new(model.clone()), index);
                let body = move || call(&mut caller, over, answered);
                threads.push(spawn(scope, body)?);
            }
            threads.push(spawn(scope, move || in_flight(workload, model, over, answered))?);
        }
        watch(&engine, workloads, start, time, &answered, each)?;
        drop(end);
        let mut all = Tally::default();
        for thread in threads {
            all.merge(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        Ok(all)
    })?;
    let name = workloads.iter().map(Workload::name).collect::<Vec<_>>().join(" + ");
    let callers = workloads.len() * (WAITING + TICKETS);
    let identity =
        Identity { suite: Suite::Soak.name(), model: &name, mode: Mode::Engine, callers, lanes, batch: 1 };
    let per_s = all.measured as f64 / start.elapsed().as_secs_f64();
    let first_error = all.first_error.clone();
    Ok(Measurement { row: identity.row(&[per_s], &all), first_error, trace: Default::default() })
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn spawn<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    body: impl FnOnce() -> Tally + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, Tally>, StudyError> {
    thread::Builder::new().name("soak".into()).spawn_scoped(scope, body).map_err(StudyError::Thread)
}

fn call(caller: &mut dyn Caller, over: &AtomicBool, answered: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    while !over.load(Ordering::Relaxed) {
        tally.measure(caller.call());
        answered.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

/// Keeps tickets in flight, and drops some of them.
fn in_flight(workload: &Workload, model: &Model, over: &AtomicBool, answered: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut pending = std::collections::VecDeque::new();
    let mut sent = 0usize;
    while !over.load(Ordering::Relaxed) || !pending.is_empty() {
        while pending.len() < TICKETS && !over.load(Ordering::Relaxed) {
            let submitted = model.submit(request(workload, workload.sample(sent)));
            pending.push_back((sent, Instant::now(), submitted));
            sent += 1;
        }
        let Some((index, at, submitted)) = pending.pop_front() else { break };
        if index.is_multiple_of(DROPPED) && submitted.is_ok() {
            continue;
        }
        let answer = submitted.map_err(|error| error.to_string());
        let answer = answer.and_then(|ticket| ticket.wait().map_err(|error| error.to_string()));
        tally.measure(Answer::new(workload.sample(index), at.elapsed(), answer));
        answered.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

/// Looks at the process again and again, and replaces a model each time.
fn watch(
    engine: &Engine,
    workloads: &[Workload],
    start: Instant,
    time: Duration,
    answered: &AtomicU64,
    each: &mut dyn FnMut(SoakSample),
) -> Result<(), StudyError> {
    let pause = (time / SAMPLES).clamp(PAUSES[0], PAUSES[1]).min(time);
    let (mut last, mut before) = (start, 0);
    let mut turns = workloads.iter().cycle();
    while start.elapsed() < time {
        thread::sleep(pause);
        let (now, count) = (Instant::now(), answered.load(Ordering::Relaxed));
        let samples_per_s = (count - before) as f64 / (now - last).as_secs_f64();
        each(SoakSample { seconds: (now - start).as_secs_f64(), samples_per_s, ..look() });
        (last, before) = (now, count);
        if let Some(workload) = turns.next() {
            let options = LoadOptions::new().warm_up(Duration::from_millis(5));
            engine.replace(workload.name(), [workload.program().clone()], options)?;
        }
    }
    Ok(())
}

/// What the system says of this process; zeros where it says nothing.
fn look() -> SoakSample {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    SoakSample {
        memory_bytes: field("VmRSS") * 1024,
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        threads: field("Threads"),
        ..SoakSample::default()
    }
}

/// Memory may grow by so much from the first third to the last: allocators keep what they got.
const MEMORY_SLACK: f64 = 0.03;
const MEMORY_SLACK_BYTES: f64 = (4 << 20) as f64;
/// The rate may fall by so much: machines are noisy.
const RATE_SLACK: f64 = 0.25;

/// What grew, or fell, from the first third of the samples to the last, the first fifth, in which everything warms up, left out. A
/// sentence each.
pub fn growth(samples: &[SoakSample]) -> Vec<String> {
    let settled = &samples[samples.len() / 5..];
    let third = settled.len() / 3;
    if third == 0 {
        return vec![format!(
            "the load was too short to tell whether anything grows: {} looks",
            samples.len()
        )];
    }
    let (first, last) = (&settled[..third], &settled[settled.len() - third..]);
    let of = |samples: &[SoakSample], value: fn(&SoakSample) -> f64| {
        median(&samples.iter().map(value).collect::<Vec<_>>())
    };
    let mut found = Vec::new();
    if settled.iter().all(|sample| sample.memory_bytes == 0) {
        found.push("this system does not tell what a process holds: only the rate was watched".into());
    }
    let memory = [first, last].map(|part| of(part, |sample| sample.memory_bytes as f64));
    if memory[1] > memory[0] * (1.0 + MEMORY_SLACK) + MEMORY_SLACK_BYTES {
        let mib = memory.map(|bytes| bytes / f64::from(1 << 20));
        found.push(format!("memory grew from {:.0} to {:.0} MiB", mib[0], mib[1]));
    }
    for (what, value) in [
        ("file descriptors", (|sample| sample.descriptors as f64) as fn(&SoakSample) -> f64),
        ("threads", |sample| sample.threads as f64),
    ] {
        let counts = [first, last].map(|part| of(part, value));
        if counts[1] > counts[0] {
            found.push(format!("{what} grew from {} to {}", counts[0], counts[1]));
        }
    }
    let rates = [first, last].map(|part| of(part, |sample| sample.samples_per_s));
    if rates[1] < rates[0] * (1.0 - RATE_SLACK) {
        found.push(format!("the rate fell from {:.0} to {:.0} samples/s", rates[0], rates[1]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(change: impl Fn(f64) -> SoakSample) -> Vec<SoakSample> {
        (0..60).map(|i| change(f64::from(i) / 60.0)).collect()
    }

    fn steady() -> SoakSample {
        SoakSample { seconds: 0.0, samples_per_s: 1e4, memory_bytes: 100 << 20, descriptors: 9, threads: 12 }
    }

    #[test]
    fn what_grows_is_found_and_noise_is_not() {
        let mib = |n: f64| (n * f64::from(1 << 20)) as u64;
        let cases: [(&str, Vec<SoakSample>, &[&str]); 8] = [
            ("steady", samples(|_| steady()), &[]),
            (
                "warm-up",
                samples(|t| SoakSample { memory_bytes: mib(100.0 * (10.0 * t).min(1.0)), ..steady() }),
                &[],
            ),
            (
                "a leak",
                samples(|t| SoakSample { memory_bytes: mib(100.0 + 30.0 * t), ..steady() }),
                &["memory grew"],
            ),
            (
                "one at times",
                samples(|t| SoakSample {
                    threads: 12 + u64::from(((t * 60.0) as u64).is_multiple_of(5)),
                    ..steady()
                }),
                &[],
            ),
            (
                "descriptors and threads",
                samples(|t| SoakSample {
                    descriptors: 9 + (t * 5.0) as u64,
                    threads: 12 + (t * 9.0) as u64,
                    ..steady()
                }),
                &["descriptors grew", "threads grew"],
            ),
            (
                "slower",
                samples(|t| SoakSample { samples_per_s: 1e4 * (1.0 - t / 2.0), ..steady() }),
                &["rate fell"],
            ),
            ("short", vec![steady(); 2], &["too short"]),
            (
                "another system",
                samples(|_| SoakSample { memory_bytes: 0, descriptors: 0, threads: 0, ..steady() }),
                &["does not tell"],
            ),
        ];
        for (name, samples, expected) in cases {
            let found = growth(&samples);
            assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{name}: {found}");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let sample = look();
        assert!(
            sample.memory_bytes > 1 << 20 && sample.descriptors >= 3 && sample.threads >= 1,
            "{sample:?}"
        );
    }
}
