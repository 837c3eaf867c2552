//! What a scheduler made of a scenario, in figures.

use super::scenarios::Scenario;
use super::world::{End, History};
use crate::clock::Nanos;

/// What one scheduler made of one scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The scheduler's name.
    pub scheduler: String,
    /// The most samples per second that the machine can make: of the first model's first shape, in batches that keep the deadline.
    pub capacity: f64,
    /// All requests together.
    pub all: ClassReport,
    /// By stream.
    pub classes: Vec<ClassReport>,
    /// Samples in a batch, on average.
    pub mean_batch: f64,
    /// The part of the time that lanes executed.
    pub occupancy: f64,
    /// The part of the lanes' busy time that each model had, while requests came.
    pub shares: Vec<(&'static str, f64)>,
}

/// What became of requests of one kind. Rates are in samples per second while requests came, times in microseconds from arrival to
/// answer.
#[derive(Clone, Debug, Default)]
pub struct ClassReport {
    /// What they are called.
    pub class: &'static str,
    /// Requests that came.
    pub offered: usize,
    /// Answered, late ones included.
    pub answered: usize,
    /// Answered by their deadlines.
    pub in_time: usize,
    /// Not accepted.
    pub refused: usize,
    /// Accepted, and dropped before they were executed.
    pub shed: usize,
    /// All answers.
    pub throughput: f64,
    /// Answers in time.
    pub goodput: f64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Longest.
    pub max_us: f64,
}

impl Report {
    pub(super) fn new(scenario: &Scenario, scheduler: String, history: &History) -> Self {
        let classes = scenario
            .streams
            .iter()
            .enumerate()
            .map(|(index, stream)| ClassReport::new(stream.class, history, scenario.horizon, |s| s == index))
            .collect();
        let during =
            |start: Nanos, end: Nanos| (end.min(scenario.horizon) - start.min(scenario.horizon)) as f64;
        let mut model_ns = vec![0.0; scenario.models.len()];
        for batch in &history.batches {
            model_ns[scenario.model_of(batch.line)] += during(batch.start, batch.end);
        }
        let busy_ns: f64 = model_ns.iter().sum();
        let samples: usize = history.batches.iter().map(|batch| batch.samples).sum();
        let names = scenario.models.iter().map(|model| model.name);
        Report {
            scenario: scenario.name,
            scheduler,
            capacity: scenario.capacity(),
            all: ClassReport::new("all", history, scenario.horizon, |_| true),
            classes,
            mean_batch: samples as f64 / history.batches.len().max(1) as f64,
            occupancy: busy_ns / (scenario.horizon as f64 * scenario.machine.lanes as f64),
            shares: names.zip(model_ns.iter().map(|ns| ns / busy_ns.max(1.0))).collect(),
        }
    }
}

impl ClassReport {
    fn new(class: &'static str, history: &History, horizon: Nanos, is_of: impl Fn(usize) -> bool) -> Self {
        let mut report = ClassReport { class, ..ClassReport::default() };
        let (mut latencies, mut samples, mut good) = (Vec::new(), 0, 0);
        let ended = history.requests.iter().zip(&history.ends).filter(|(request, _)| is_of(request.stream));
        for (request, end) in ended {
            report.offered += 1;
            match *end {
                Some(End::Answered { at }) => {
                    let in_time = at <= request.deadline;
                    report.answered += 1;
                    report.in_time += usize::from(in_time);
                    latencies.push(at - request.arrived);
                    if at <= horizon {
                        samples += request.samples;
                        good += if in_time { request.samples } else { 0 };
                    }
                }
                Some(End::Refused) => report.refused += 1,
                Some(End::Shed { .. }) => report.shed += 1,
                None => {}
            }
        }
        latencies.sort_unstable();
        let quantile = |part: f64| {
            let rank = (part * latencies.len() as f64).ceil() as usize;
            latencies.get(rank.clamp(1, latencies.len().max(1)) - 1).map_or(0.0, |&ns| ns as f64 / 1e3)
        };
        let per_second = |samples: usize| samples as f64 * 1e9 / horizon as f64;
        ClassReport {
            throughput: per_second(samples),
            goodput: per_second(good),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: quantile(1.0),
            ..report
        }
    }
}
