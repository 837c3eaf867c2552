//! The checks of one case on one device that concern its results.

#![allow(clippy::single_range_in_vec_init, reason = "one span of samples is meant, not a list of them")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use paceline_graph::{Data, Element, Tensor, by_type};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::execution::{Execution, Span, hides_unwritten, rows};
use super::{Case, Example, Options, Tolerance};
use crate::{Program, Session, View, execute};

/// Batch sizes that are tried, as far as the case and the program allow.
const BATCHES: [usize; 9] = [0, 1, 2, 3, 7, 16, 17, 33, 64];

/// One case on one device.
pub(super) struct Trial<'a> {
    pub case: &'a Case,
    pub program: Arc<dyn Program>,
    pub options: &'a Options,
    example: Arc<Example>,
    /// Samples used: no more than the case, the options and the program allow.
    pub samples: usize,
    /// Each output of all samples, every sample executed alone; empty until [`Trial::reference`] has passed.
    alone: Vec<Data>,
}

impl<'a> Trial<'a> {
    /// A trial of a compiled case.
    pub(super) fn new(case: &'a Case, program: Arc<dyn Program>, options: &'a Options) -> Self {
        let samples = case.samples().min(options.max_samples).max(1);
        let example = case.example(samples, options.seed);
        Trial { case, program, options, example, samples, alone: Vec::new() }
    }

    /// What an execution may have at once.
    fn largest(&self) -> usize {
        self.samples.min(self.program.batch_sizes().max())
    }

    pub(super) fn open(&self) -> Result<Box<dyn Session>, String> {
        self.program.clone().open().map_err(|error| format!("no session could be opened: {error}"))
    }

    /// An execution of some samples of the example.
    pub(super) fn execution(&self, spans: &[Span]) -> Execution {
        Execution::new(self.case.signature(), &self.example.inputs, spans, false)
    }

    /// Each sample alone, compared with the reference. What comes out is what the other checks compare with.
    pub(super) fn reference(&mut self) -> Result<(), String> {
        let signature = self.case.signature();
        let mut session = self.open()?;
        let mut alone: Vec<Data> = signature.outputs.iter().map(|p| Data::zeros(p.dtype, 0)).collect();
        for sample in 0..self.samples {
            let span = sample..sample + 1;
            let results = self.execution(std::slice::from_ref(&span)).run(&mut *session, signature);
            let results = results.map_err(|message| self.context(std::slice::from_ref(&span), &message))?;
            self.compare_with_reference(std::slice::from_ref(&span), &results)?;
            alone.iter_mut().zip(&results[0]).for_each(|(all, one)| View::of(one).append_to(all));
        }
        self.alone = alone;
        Ok(())
    }

    /// Every batch size, each in a session of its own.
    pub(super) fn batches(&self) -> Result<(), String> {
        let fillings = if self.hides_unwritten_output() { &[false, true][..] } else { &[false] };
        for size in BATCHES.into_iter().filter(|&size| size <= self.largest()) {
            for &filling in fillings {
                let first = (self.samples - size) / 2;
                let spans = [first..first + size];
                let inputs = &self.example.inputs;
                let execution = Execution::new(self.case.signature(), inputs, &spans, filling);
                self.run(&mut *self.open()?, execution, &spans)?;
            }
        }
        Ok(())
    }

    /// Batches of several parts: ascending with an empty one between, all alone, backwards, and some drawn at random.
    pub(super) fn parts(&self) -> Result<(), String> {
        let n = self.largest();
        let mut session = self.open()?;
        let mut ascending = Vec::new();
        let mut start = 0;
        for size in [1, 3, 0, 2, 5, 7, 4, 16, n] {
            let end = (start + size).min(n);
            ascending.push(start..end);
            start = end;
        }
        let singles: Vec<Span> = (0..n).map(|i| i..i + 1).collect();
        let backwards: Vec<Span> = ascending.iter().rev().cloned().collect();
        for spans in [ascending, singles, backwards, Vec::new()] {
            self.run(&mut *session, self.execution(&spans), &spans)?;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        for _ in 0..3 {
            let spans = random_spans(&mut rng, self.samples, n);
            self.run(&mut *session, self.execution(&spans), &spans)?;
        }
        Ok(())
    }

    /// Samples 1, 4, 7 ... are spoiled; the others must not notice.
    pub(super) fn isolation(&self) -> Result<(), String> {
        let n = self.largest();
        let signature = self.case.signature();
        let spoiled = |sample: usize| sample % 3 == 1;
        let mut inputs = self.example.inputs.clone();
        for (tensor, port) in inputs.iter_mut().zip(&signature.inputs) {
            (0..n)
                .filter(|&s| spoiled(s))
                .for_each(|s| spoil(tensor, s * port.elements, port.elements, s / 3));
        }
        let singles: Vec<Span> = (0..n).map(|i| i..i + 1).collect();
        let clean = |span: &Span| !span.clone().any(spoiled);
        let mut session = self.open()?;
        let inside =
            |message: String| format!("with samples 1, 4, 7 ... spoiled by NaN and infinities: {message}");
        for spans in [vec![0..n], singles] {
            let results = Execution::new(signature, &inputs, &spans, false).run(&mut *session, signature);
            let results = results.map_err(|message| inside(self.context(&spans, &message)))?;
            let (mut kept_spans, mut kept) = (Vec::new(), Vec::new());
            for (span, outputs) in spans.iter().zip(&results) {
                for sample in span.clone().filter(|&s| clean(&(s..s + 1))) {
                    let row = sample - span.start..sample + 1 - span.start;
                    let ports = signature.outputs.iter().zip(outputs);
                    kept.push(ports.map(|(port, all)| rows(View::of(all), port, &row).to_data()).collect());
                    kept_spans.push(sample..sample + 1);
                }
            }
            self.compare(&kept_spans, &kept).map_err(inside)?;
        }
        let spans = [0..n];
        self.run(&mut *session, self.execution(&spans), &spans)
            .map_err(|message| format!("after an execution with NaN and infinities: {message}"))
    }

    /// One session for growing and shrinking batches.
    pub(super) fn reuse(&self) -> Result<(), String> {
        let n = self.largest();
        let mut session = self.open()?;
        for (step, size) in [1, n, 2, 0, n / 2, 1, 7, n, 3].into_iter().enumerate() {
            let size = size.min(n);
            let first = (step * 5) % (self.samples - size + 1);
            let spans = [first..first + size];
            self.run(&mut *session, self.execution(&spans), &spans)
                .map_err(|message| format!("execution {step} of one session: {message}"))?;
        }
        Ok(())
    }

    /// Two executions at once in one session.
    pub(super) fn in_flight(&self) -> Result<(), String> {
        let n = self.largest();
        let mut session = self.open()?;
        let signature = self.case.signature();
        let spans = [vec![0..n.min(2)], vec![n - 1..n, 0..n.min(3)]]
            .map(|spans| if spans.iter().map(|s| s.len()).sum::<usize>() > n { vec![0..n] } else { spans });
        let [mut first, mut second] = spans.each_ref().map(|spans| self.execution(spans));
        {
            let (mut first, mut second) = (first.batch(), second.batch());
            let failed = |what: &str, error| format!("{what} of two executions in flight failed: {error}");
            session.launch(&mut first).map_err(|error| failed("launching the first", error))?;
            session.launch(&mut second).map_err(|error| failed("launching the second", error))?;
            session.finish(&mut first).map_err(|error| failed("finishing the first", error))?;
            session.finish(&mut second).map_err(|error| failed("finishing the second", error))?;
        }
        for (execution, spans) in [(first, &spans[0]), (second, &spans[1])] {
            let results = execution.results(signature).map_err(|message| self.context(spans, &message))?;
            self.compare(spans, &results)
                .map_err(|message| format!("of two executions in flight, {message}"))?;
        }
        Ok(())
    }

    /// Threads with a session each, all beginning at once, each with samples of its own.
    pub(super) fn threads(&self) -> Result<(), String> {
        let n = self.largest();
        let barrier = Barrier::new(self.options.threads);
        let work = |index: usize| {
            barrier.wait();
            let mut session = self.open()?;
            for round in 0..self.options.executions {
                let size = (1 + (index + round) % 3).min(n);
                let first = (index * 3 + round * 5) % (self.samples - size + 1);
                let spans = [first..first + size];
                self.run(&mut *session, self.execution(&spans), &spans)?;
            }
            Ok(())
        };
        let work = &work;
        thread::scope(|scope| {
            let spawn = |index| {
                let builder = thread::Builder::new().name(format!("conformance-{index}"));
                builder.spawn_scoped(scope, move || work(index)).expect("a thread can be started")
            };
            let threads: Vec<_> = (0..self.options.threads).map(spawn).collect();
            threads.into_iter().enumerate().try_for_each(|(index, thread)| {
                let result = thread.join().unwrap_or_else(|panic| Err(super::panic_message(&*panic)));
                result.map_err(|message: String| {
                    format!("thread {index} of {}: {message}", self.options.threads)
                })
            })
        })
    }

    /// Executions open to help, first with nobody to help them, then with a thread that does all the time.
    pub(super) fn help(&self) -> Result<(), String> {
        if self.program.help(&|| true) || self.program.help(&|| false) {
            return Err("a thread helped, and nothing was under way".into());
        }
        let stop = AtomicBool::new(false);
        let leave = || stop.load(Ordering::Relaxed);
        let n = self.largest();
        let mut session = self.open()?;
        let mut run = |size: usize| {
            let mut execution = self.execution(&[0..size]);
            {
                let mut batch = execution.batch();
                batch.open_to_help(true);
                execute(&mut *session, &mut batch)
                    .map_err(|error| format!("an execution open to help failed: {error}"))?;
            }
            let results = execution.results(self.case.signature());
            let spans = [0..size];
            let results = results.map_err(|message| self.context(&spans, &message))?;
            self.compare(&spans, &results).map_err(|message| format!("open to help, {message}"))
        };
        run(n)?;
        if !self.program.can_be_helped() {
            return Ok(());
        }
        thread::scope(|scope| {
            let help = || {
                while !leave() {
                    self.program.help(&leave);
                }
            };
            let builder = thread::Builder::new().name("conformance-helper".into());
            builder.spawn_scoped(scope, help).expect("a thread can be started");
            let result = [1, n, 0, n].into_iter().try_for_each(&mut run);
            stop.store(true, Ordering::Relaxed);
            result
        })
    }

    /// Executes and compares.
    pub(super) fn run(
        &self,
        session: &mut dyn Session,
        execution: Execution,
        spans: &[Span],
    ) -> Result<(), String> {
        let results = execution.run(session, self.case.signature());
        let results = results.map_err(|message| self.context(spans, &message))?;
        self.compare(spans, &results)
    }

    /// Results against the samples alone: the same bits where the device promises them, else the reference within tolerance.
    fn compare(&self, spans: &[Span], results: &[Vec<Data>]) -> Result<(), String> {
        if !self.options.bitwise {
            return self.compare_with_reference(spans, results);
        }
        let expected: Vec<View<'_>> = self.alone.iter().map(View::of).collect();
        self.compare_with(
            &expected,
            Tolerance::EXACT,
            "the sample executed alone, bit for bit",
            spans,
            results,
        )
    }

    fn compare_with_reference(&self, spans: &[Span], results: &[Vec<Data>]) -> Result<(), String> {
        let expected: Vec<View<'_>> = self.example.outputs.iter().map(|t| View::of(t.data())).collect();
        let tolerance = self.case.tolerance().widened(self.options.tolerance_factor);
        let what = format!("the reference within {:e} + {:e} of it", tolerance.absolute, tolerance.relative);
        self.compare_with(&expected, tolerance, &what, spans, results)
    }

    fn compare_with(
        &self,
        expected: &[View<'_>],
        tolerance: Tolerance,
        what: &str,
        spans: &[Span],
        results: &[Vec<Data>],
    ) -> Result<(), String> {
        for (part, (span, outputs)) in spans.iter().zip(results).enumerate() {
            for ((port, &expected), got) in self.case.signature().outputs.iter().zip(expected).zip(outputs) {
                let Some(mut wrong) = tolerance.first_mismatch(rows(expected, port, span), View::of(got))
                else {
                    continue;
                };
                let sample = span.start + wrong.index / port.elements;
                wrong.index %= port.elements;
                let place = format!("output '{}', part {part}, sample {sample} of the inputs", port.name);
                return Err(self.context(spans, &format!("{place}, {wrong}; compared with {what}")));
            }
        }
        Ok(())
    }

    /// What is needed to make it happen again.
    fn context(&self, spans: &[Span], message: &str) -> String {
        let samples: usize = spans.iter().map(|span| span.len()).sum();
        let (seed, of) = (self.options.seed, self.samples);
        format!("seed {seed}, a batch of {samples} with samples {spans:?} of {of}: {message}")
    }

    fn hides_unwritten_output(&self) -> bool {
        self.case.signature().outputs.iter().any(|port| hides_unwritten(port.dtype))
    }
}

/// Parts of random sizes from random places, `most` samples together at most; a sample may travel twice.
fn random_spans(rng: &mut impl Rng, samples: usize, most: usize) -> Vec<Span> {
    let mut left = rng.random_range(1..=most);
    let mut spans = Vec::new();
    while left > 0 {
        let size = rng.random_range(1..=left);
        let start = rng.random_range(0..=samples - size);
        spans.push(start..start + size);
        left -= size;
    }
    spans
}

/// Overwrites elements with what must not spread.
fn spoil(tensor: &mut Tensor, start: usize, len: usize, variant: usize) {
    let end = start + len;
    match tensor.data_mut() {
        Data::F32(v) => {
            v[start..end].fill([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38][variant % 4]);
        }
        Data::I64(v) => v[start..end].fill([i64::MIN, -1, i64::MAX][variant % 3]),
        Data::Bool(v) => v[start..end].fill(variant.is_multiple_of(2)),
        other => {
            by_type!(Data, other, v => v[start..end].fill(Element::from_f64([f64::MAX, -1.0, f64::NAN][variant % 3])))
        }
    }
}
