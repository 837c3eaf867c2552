//! Many threads, mixed sizes and every fault at once: each request is answered exactly once, and rightly.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{WIDTH, balance, block_on, check, engine, in_time, input, silence_scripted_panics};
use paceline_device::BatchSizes;
use paceline_device::fake::{Execution, FakeProgram, Latency, Outcome, rows};
use paceline_engine::{
    Answer, Engine, ExecutionError, InferError, LoadOptions, Model, ModelStatistics, Request, SubmitError,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One execution in ten fails, in one of three ways.
fn faulty(execution: &Execution) -> Outcome {
    match ChaCha8Rng::seed_from_u64(execution.number).random_range(0..60) {
        0..2 => Outcome::Fail("scripted".into()),
        2..4 => Outcome::Lose("scripted".into()),
        4..6 => Outcome::Panic("scripted".into()),
        _ => Outcome::Compute,
    }
}

#[derive(Default)]
struct Tally {
    accepted: AtomicU64,
    answered: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn answer(&self, answer: Answer, first: f32, samples: usize) {
        Self::count(&self.answered);
        if let Ok(outputs) = answer {
            check(&outputs, first, samples);
        }
    }

    /// One request of any kind.
    fn request(&self, model: &Model, rng: &mut ChaCha8Rng) {
        let samples = if rng.random_bool(0.2) { rng.random_range(1..50) } else { 1 };
        let first = rng.random_range(0..1000) as f32;
        let inputs = [("x", input(first, samples))];
        if rng.random_bool(0.4) {
            match model.infer(inputs) {
                Ok(outputs) => {
                    Self::count(&self.accepted);
                    self.answer(Ok(outputs), first, samples);
                }
                Err(InferError::Execution(error)) => {
                    Self::count(&self.accepted);
                    self.answer(Err(error), first, samples);
                }
                Err(InferError::Refused(_)) => Self::count(&self.refused),
            }
            return;
        }
        let mut ticket = match model.submit(inputs) {
            Ok(ticket) => ticket,
            Err(refused) => {
                Self::count(&self.refused);
                assert!(
                    !matches!(refused, SubmitError::Invalid { .. } | SubmitError::NoLanes { .. }),
                    "{refused}"
                );
                assert_eq!(refused.into_inputs(), [("x".to_string(), input(first, samples))]);
                return;
            }
        };
        Self::count(&self.accepted);
        let answer = match rng.random_range(0..4) {
            0 => ticket.wait(),
            1 => block_on(ticket),
            2 => loop {
                match ticket.wait_timeout(Duration::from_micros(50)) {
                    Ok(answer) => break answer,
                    Err(pending) => ticket = pending,
                }
            },
            _ => {
                Self::count(&self.dropped);
                return drop(ticket);
            }
        };
        self.answer(answer, first, samples);
    }
}

fn program(latency: Latency, max: usize) -> Arc<FakeProgram> {
    Arc::new(FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::UpTo(max)).latency(latency).script(faulty))
}

/// Runs `callers` threads of `requests` each over two models, and checks the balance. Drains in between where asked.
fn run(callers: u64, requests: usize, lanes: usize, queue_samples: usize, drain_after: Option<Duration>) {
    silence_scripted_panics();
    let engine =
        Engine::builder().lanes(lanes).queue_samples(queue_samples).warm_up(Duration::ZERO).build().unwrap();
    let quick = program(Latency::NONE, 16);
    let slow = program(Latency::sleep(Duration::from_micros(100), Duration::ZERO), 7);
    let models = [engine.load("quick", quick).unwrap(), engine.load("slow", slow).unwrap()];
    let tally = Tally::default();
    thread::scope(|scope| {
        for seed in 0..callers {
            let (tally, models) = (&tally, &models);
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                for _ in 0..requests {
                    tally.request(&models[rng.random_range(0..2)], &mut rng);
                }
            });
        }
        if let Some(time) = drain_after {
            thread::sleep(time);
            engine.drain();
            assert_eq!(engine.statistics().queued, 0);
        }
    });
    engine.drain();
    let got = engine.statistics();
    assert_eq!((got.retired, got.busy, got.queued, got.queued_samples), (0, 0, 0, 0));
    let sum = |of: fn(&paceline_engine::ModelStatistics) -> u64| got.models.iter().map(of).sum::<u64>();
    let [accepted, answered, dropped, refused] =
        [&tally.accepted, &tally.answered, &tally.dropped, &tally.refused].map(|n| n.load(Ordering::Relaxed));
    assert_eq!(accepted + refused, callers * requests as u64);
    assert_eq!(accepted, answered + dropped);
    assert_eq!(sum(|m| m.accepted), accepted);
    assert_eq!(sum(|m| m.completed + m.failed + m.cancelled + m.expired), accepted);
    assert!(sum(|m| m.cancelled) <= dropped);
    assert_eq!(sum(|m| m.refused.total()), refused);
    if drain_after.is_none() {
        let (completed, failed) = (sum(|m| m.completed), sum(|m| m.failed));
        assert!(completed > 0 && failed > 0 && answered > 0 && dropped > 0, "some kind of end was not met");
    }
}

#[test]
fn every_request_is_answered_once() {
    run(8, 500, 2, 10_000, None);
    run(64, 40, 3, 10_000, None);
}

#[test]
fn a_short_queue_refuses_and_loses_nothing() {
    run(16, 200, 1, 20, None);
}

#[test]
fn draining_under_load_answers_what_was_accepted() {
    for millis in [0, 3, 20] {
        run(12, 150, 2, 10_000, Some(Duration::from_millis(millis)));
    }
}

#[test]
fn short_lived_callers_come_and_go() {
    let (_engine, model) = engine(2, &Arc::new(FakeProgram::new(rows(WIDTH))));
    for wave in 0..15 {
        let callers: Vec<_> = (0..20)
            .map(|i| {
                let (model, first) = (model.clone(), (wave * 100 + i) as f32);
                thread::spawn(move || check(&model.infer([("x", input(first, 2))]).unwrap(), first, 2))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
    assert_eq!(model.statistics().completed, 300);
}

#[test]
fn engines_come_and_go_under_load() {
    for seed in 0..30 {
        let (engine, model) = engine(1 + seed % 3, &program(Latency::NONE, 4));
        let tickets: Vec<_> =
            (0..20).map(|i| model.submit([("x", input(i as f32, 1 + i % 6))]).unwrap()).collect();
        drop((engine, model));
        for (i, ticket) in tickets.into_iter().enumerate() {
            assert!(ticket.is_answered());
            if let Ok(outputs) = ticket.wait() {
                check(&outputs, i as f32, 1 + i % 6);
            }
        }
    }
}

/// What one caller of the churn does with a model by name: a few requests with random deadlines and priorities.
fn visit(engine: &Engine, seed: u64, tally: &Tally) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..4 {
        let Some(model) = engine.model(["stays", "replaced", "reloaded"][rng.random_range(0..3)]) else {
            continue;
        };
        let (first, samples) = (rng.random_range(0..1000) as f32, rng.random_range(1..6));
        let mut request = Request::new([("x", input(first, samples))]).priority(rng.random_range(-9..9));
        if rng.random_bool(0.4) {
            request = request.timeout(Duration::from_micros(rng.random_range(1..3000)));
        }
        let answer = match rng.random_range(0..4) {
            0 => match model.infer(request) {
                Ok(outputs) => Ok(Ok(outputs)),
                Err(InferError::Execution(error)) => Ok(Err(error)),
                Err(InferError::Refused(refused)) => Err(refused),
            },
            1 => model.submit(request).map(|ticket| ticket.wait()),
            2 => model.submit(request).map(block_on),
            _ => match model.submit(request) {
                Ok(ticket) => {
                    Tally::count(&tally.accepted);
                    Tally::count(&tally.dropped);
                    drop(ticket);
                    continue;
                }
                Err(refused) => Err(refused),
            },
        };
        match answer {
            Ok(answer) => {
                Tally::count(&tally.accepted);
                assert!(!matches!(answer, Err(ExecutionError::NoLanes { .. })), "a lane is always there");
                tally.answer(answer, first, samples);
            }
            Err(refused) => {
                Tally::count(&tally.refused);
                let expected = matches!(refused, SubmitError::Deadline { .. } | SubmitError::Unloaded { .. });
                assert!(expected, "{refused}");
                assert_eq!(refused.into_inputs(), [("x".to_string(), input(first, samples))]);
            }
        }
    }
}

#[test]
fn callers_lanes_and_models_come_and_go() {
    silence_scripted_panics();
    in_time(|| {
        const CALLERS: u64 = 1000;
        const AT_ONCE: u64 = 64;
        let engine = Engine::builder().lanes(2).warm_up(Duration::ZERO).build().unwrap();
        let quick = || program(Latency::sleep(Duration::from_micros(20), Duration::ZERO), 8) as _;
        let mut models: Vec<Model> = ["stays", "replaced", "reloaded"]
            .map(|name| engine.load_with(name, [quick()], LoadOptions::new()).unwrap())
            .into();
        let (tally, next, done) = (Tally::default(), AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let (engine, tally, next, done) = (&engine, &tally, &next, &done);
            let changes = scope.spawn(move || {
                let mut loaded = Vec::new();
                for round in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    engine.set_lanes([3, 1, 6, 2][round % 4]).unwrap();
                    engine.replace("replaced", [quick()], LoadOptions::new()).unwrap();
                    assert!(engine.unload("reloaded"));
                    loaded.push(engine.load("reloaded", quick()).unwrap());
                    thread::sleep(Duration::from_micros(500));
                }
                loaded
            });
            // Each of these starts one short-lived caller after the other.
            let starters: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    scope.spawn(move || {
                        loop {
                            let caller = next.fetch_add(1, Ordering::Relaxed);
                            if caller >= CALLERS {
                                return;
                            }
                            thread::scope(|scope| _ = scope.spawn(move || visit(engine, caller, tally)));
                        }
                    })
                })
                .collect();
            starters.into_iter().for_each(|starter| starter.join().unwrap());
            done.store(true, Ordering::Relaxed);
            models.extend(changes.join().unwrap());
        });
        engine.drain();
        models.iter().for_each(balance);
        let got: Vec<ModelStatistics> = models.iter().map(Model::statistics).collect();
        let sum = |of: fn(&ModelStatistics) -> u64| got.iter().map(of).sum::<u64>();
        let [accepted, answered, dropped, refused] =
            [&tally.accepted, &tally.answered, &tally.dropped, &tally.refused]
                .map(|n| n.load(Ordering::Relaxed));
        assert_eq!((accepted, sum(|m| m.accepted)), (answered + dropped, accepted));
        assert_eq!(sum(|m| m.refused.total()), refused);
        assert!(sum(|m| m.completed) > CALLERS && sum(|m| m.failed) > 0 && models.len() > 5);
        let now = engine.statistics();
        assert_eq!((now.retired, now.busy, now.queued, now.queued_bytes), (0, 0, 0, 0));
    });
}
