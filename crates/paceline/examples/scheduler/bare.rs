//! Sessions without an engine: what the device gives at best, and what one request takes alone.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use paceline::Tensor;
use paceline::seam::{Batch, Part, Program, Session, View, ViewMut, execute};

use crate::subject::Subject;

/// A session, with room for outputs that is used again and again.
pub struct Bare {
    session: Box<dyn Session>,
    elements: usize,
    outputs: Vec<Vec<f32>>,
}

impl Bare {
    pub fn open(program: &Arc<dyn Program>) -> Result<Self> {
        let elements = program.signature().outputs[0].elements;
        let session = Arc::clone(program).open().context("a session opens")?;
        Ok(Bare { session, elements, outputs: Vec::new() })
    }

    /// Executes requests, each with its samples, as one batch.
    pub fn execute<'a>(&mut self, requests: impl ExactSizeIterator<Item = (&'a Tensor, usize)>) {
        let elements = self.elements;
        self.outputs.resize_with(self.outputs.len().max(requests.len()), Vec::new);
        let mut batch = Batch::with_capacity(requests.len());
        for ((input, samples), output) in requests.zip(&mut self.outputs) {
            output.resize(samples * elements, 0.0);
            batch.push(Part {
                samples,
                inputs: [View::of(input.data())].into_iter().collect(),
                outputs: [ViewMut::F32(output)].into_iter().collect(),
            });
        }
        execute(&mut *self.session, &mut batch).expect("the device computes");
    }
}

/// What executions of one size give on all lanes at once.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    size: usize,
    /// All lanes together.
    pub samples_per_s: f64,
    /// Mean time of an execution.
    pub time: Duration,
}

/// Batches of the powers of two, on bare sessions of all lanes at once, for `time` each.
pub fn sweep(subject: &Subject, time: Duration) -> Result<Vec<Point>> {
    let sizes = (0..).map(|power| 1usize << power).take_while(|&size| size <= subject.max_batch);
    sizes.map(|size| point(subject, size, time)).collect()
}

fn point(subject: &Subject, size: usize, time: Duration) -> Result<Point> {
    let mut lanes: Vec<Bare> =
        (0..subject.lanes).map(|_| Bare::open(&subject.programs[0])).collect::<Result<_>>()?;
    let barrier = Barrier::new(lanes.len());
    let run = |bare: &mut Bare| {
        let mut batch = || bare.execute((0..size).map(|i| (subject.input(0, 1, i), 1)));
        batch();
        barrier.wait();
        let (start, mut done) = (Instant::now(), 0u32);
        while start.elapsed() < time || done < 3 {
            batch();
            done += 1;
        }
        (done, start.elapsed())
    };
    let counts: Vec<(u32, Duration)> = thread::scope(|scope| {
        let threads: Vec<_> = lanes.iter_mut().map(|bare| scope.spawn(|| run(bare))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the lane computes")).collect()
    });
    let samples_per_s =
        counts.iter().map(|&(done, took)| f64::from(done) * size as f64 / took.as_secs_f64()).sum();
    let (done, took) = counts.iter().fold((0, Duration::ZERO), |(n, t), &(done, took)| (n + done, t + took));
    Ok(Point { size, samples_per_s, time: took / done.max(1) })
}

/// The best point of a sweep measured again.
pub fn best_again(subject: &Subject, points: &[Point], time: Duration) -> Result<f64> {
    let best = points.iter().max_by(|a, b| a.samples_per_s.total_cmp(&b.samples_per_s));
    Ok(point(subject, best.map_or(1, |best| best.size), time)?.samples_per_s)
}

/// The best samples per second of a sweep, among executions of at most `limit`.
pub fn best(points: &[Point], limit: Duration) -> f64 {
    points.iter().filter(|point| point.time <= limit).map(|point| point.samples_per_s).fold(0.0, f64::max)
}
