//! The real engine under a model checker: every interleaving of small scenes, up to a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p paceline-engine --release --test loom_engine`
//!
//! A scene that deadlocks, loses a wake-up, or answers a request never or twice fails in some interleaving. Time is the real
//! clock's, so no scene depends on how long anything takes: delays are so long that they never end, and deadlines are left to
//! the other tests.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loom::thread;
use paceline_device::fake::{FakeProgram, Latency, Outcome, rows};
use paceline_device::{BatchSizes, DeviceError, Program, Session, Signature};
use paceline_engine::{Engine, ExecutionError, InferError, LoadOptions, Model, SubmitError};
use paceline_graph::Tensor;

fn explore(scene: impl Fn() + Send + Sync + 'static) {
    explore_up_to(3, scene);
}

/// A scene with more threads, up to fewer preemptions.
fn explore_up_to(preemptions: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(scene);
}

fn input(first: f32, samples: usize) -> [(&'static str, Tensor); 1] {
    [("x", Tensor::new([samples, 1], (0..samples).map(|i| first + i as f32).collect::<Vec<_>>()).unwrap())]
}

fn expected(first: f32, samples: usize) -> Vec<f32> {
    (0..samples).map(|i| 2.0 * (first + i as f32) + 1.0).collect()
}

fn engine(lanes: usize, program: FakeProgram) -> (Engine, Model) {
    let engine = Engine::builder().lanes(lanes).warm_up(Duration::ZERO).build().unwrap();
    let model = engine.load("fake", Arc::new(program)).unwrap();
    (engine, model)
}

fn plain() -> FakeProgram {
    FakeProgram::new(rows(1))
}

fn infer(model: &Model, first: f32, samples: usize) {
    let y = model.infer(input(first, samples)).unwrap().single();
    assert_eq!(y.as_f32().unwrap(), expected(first, samples));
}

fn balance(model: &Model) {
    let got = model.statistics();
    assert_eq!(got.accepted, got.completed + got.failed + got.cancelled + got.expired);
}

#[test]
fn submit_against_a_lane_going_idle_and_complete_against_wait() {
    explore(|| {
        let (_engine, model) = engine(1, plain());
        for first in [1.0, 2.0] {
            let y = model.submit(input(first, 1)).unwrap().wait().unwrap().single();
            assert_eq!(y.as_f32().unwrap(), expected(first, 1));
        }
        assert_eq!(model.statistics().completed, 2);
    });
}

#[test]
fn complete_against_drop() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let kept = model.submit(input(1.0, 1)).unwrap();
        drop(model.submit(input(2.0, 1)).unwrap());
        assert!(kept.wait().is_ok());
        engine.drain();
        balance(&model);
        assert_eq!(model.statistics().accepted, 2);
    });
}

#[test]
fn inline_hand_over_against_infer() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let other = model.clone();
        let caller = thread::spawn(move || infer(&other, 1.0, 1));
        infer(&model, 2.0, 1);
        caller.join().unwrap();
        engine.drain();
        assert_eq!(model.statistics().completed, 2);
    });
}

#[test]
fn inline_hand_over_against_submit() {
    explore(|| {
        let (_engine, model) = engine(1, plain());
        let other = model.clone();
        let caller = thread::spawn(move || infer(&other, 1.0, 1));
        let ticket = model.submit(input(2.0, 1)).unwrap();
        assert!(ticket.wait().is_ok());
        caller.join().unwrap();
    });
}

#[test]
fn chained_wake_ups_reach_every_caller() {
    explore(|| {
        let (_engine, model) = engine(1, plain());
        let ticket = model.submit(input(0.0, 1)).unwrap();
        let other = model.clone();
        let caller = thread::spawn(move || infer(&other, 1.0, 1));
        infer(&model, 2.0, 1);
        assert!(ticket.wait().is_ok());
        caller.join().unwrap();
    });
}

#[test]
fn drain_against_submit() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let other = model.clone();
        let caller = thread::spawn(move || match other.submit(input(1.0, 1)) {
            Ok(ticket) => ticket.wait().is_ok(),
            Err(refused) => matches!(refused, SubmitError::Draining { .. }),
        });
        engine.drain();
        assert!(caller.join().unwrap());
        balance(&model);
    });
}

#[test]
fn drain_against_infer() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let other = model.clone();
        let caller = thread::spawn(move || match other.infer(input(1.0, 1)) {
            Ok(_) => true,
            Err(error) => matches!(error, InferError::Refused(SubmitError::Draining { .. })),
        });
        engine.drain();
        balance(&model);
        assert!(caller.join().unwrap());
    });
}

#[test]
fn parts_on_two_lanes_are_joined() {
    explore(|| {
        let (_engine, model) = engine(2, plain().batch_sizes(BatchSizes::UpTo(1)));
        infer(&model, 1.0, 2);
        assert_eq!(model.statistics().completed, 1);
    });
}

#[test]
fn dropping_the_engine_against_a_waiting_ticket() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let ticket = model.submit(input(1.0, 1)).unwrap();
        let caller = thread::spawn(move || ticket.wait().is_ok());
        drop((engine, model));
        assert!(caller.join().unwrap());
    });
}

#[test]
fn retiring_the_last_lane_answers_what_waits() {
    explore(|| {
        let program = plain()
            .script(|_| Outcome::Lose("scripted".into()))
            .on_open(|number| if number == 0 { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 1 }) });
        let (engine, model) = engine(1, program);
        let first = model.submit(input(1.0, 1)).unwrap();
        let second = model.submit(input(2.0, 1));
        assert!(matches!(first.wait(), Err(ExecutionError::Device { .. })));
        match second {
            Ok(ticket) => assert!(ticket.wait().is_err()),
            Err(refused) => assert!(matches!(refused, SubmitError::NoLanes { .. })),
        }
        engine.drain();
        balance(&model);
    });
}

#[test]
fn dropping_a_large_request_against_its_parts() {
    explore(|| {
        let (engine, model) = engine(1, plain().batch_sizes(BatchSizes::UpTo(1)));
        let ticket = model.submit(input(1.0, 2)).unwrap();
        let dropper = thread::spawn(move || drop(ticket));
        engine.drain();
        dropper.join().unwrap();
        balance(&model);
    });
}

#[test]
fn replacing_against_submit() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let (other, new) = (model.clone(), Arc::new(plain()));
        let caller = thread::spawn(move || other.submit(input(1.0, 1)).unwrap().wait().is_ok());
        engine.replace("fake", [new.clone() as _], unmeasured()).unwrap();
        infer(&model, 2.0, 1);
        assert!(caller.join().unwrap());
        engine.drain();
        balance(&model);
        assert_eq!((model.version(), model.statistics().completed), (Some(2), 2));
        drop((engine, model));
        assert_eq!(Arc::strong_count(&new), 1);
    });
}

#[test]
fn unloading_against_submit() {
    explore(|| {
        let (engine, model) = engine(1, plain());
        let other = model.clone();
        let caller = thread::spawn(move || match other.submit(input(1.0, 1)) {
            Ok(ticket) => ticket.wait().is_ok(),
            Err(refused) => matches!(refused, SubmitError::Unloaded { .. }),
        });
        assert!(engine.unload("fake"));
        assert!(caller.join().unwrap());
        engine.drain();
        balance(&model);
    });
}

#[test]
fn adding_a_lane_against_submit() {
    explore_up_to(2, || {
        let (engine, model) = engine(1, plain().batch_sizes(BatchSizes::UpTo(1)));
        let other = model.clone();
        let caller = thread::spawn(move || other.submit(input(1.0, 2)).unwrap().wait().is_ok());
        engine.set_lanes(2).unwrap();
        assert!(caller.join().unwrap());
        engine.drain();
        balance(&model);
    });
}

#[test]
fn retiring_a_lane_against_submit() {
    explore_up_to(2, || {
        let (engine, model) = engine(2, plain().batch_sizes(BatchSizes::UpTo(1)));
        let other = model.clone();
        let caller = thread::spawn(move || other.submit(input(1.0, 2)).unwrap().wait().is_ok());
        engine.set_lanes(1).unwrap();
        assert!(caller.join().unwrap());
        infer(&model, 2.0, 1);
        engine.drain();
        assert_eq!(engine.statistics().retired, 0);
        balance(&model);
    });
}

#[test]
fn a_caller_that_stole_a_lane_against_the_last_drop() {
    explore(|| {
        let (engine, model) = engine(1, plain().batch_sizes(BatchSizes::UpTo(1)));
        let [first, second] = [1.0, 2.0].map(|first| model.submit(input(first, 1)).unwrap());
        let caller = thread::spawn(move || first.wait().is_ok());
        drop((engine, model));
        assert!(second.is_answered() && second.wait().is_ok());
        assert!(caller.join().unwrap());
    });
}

#[test]
fn callers_that_steal_against_each_other() {
    explore(|| {
        let (_engine, model) = engine(1, plain().batch_sizes(BatchSizes::UpTo(1)));
        let [first, second] = [1.0, 2.0].map(|first| model.submit(input(first, 1)).unwrap());
        let caller = thread::spawn(move || first.wait().is_ok());
        assert!(second.wait().is_ok());
        assert!(caller.join().unwrap());
    });
}

#[test]
fn an_alarm_against_a_drain() {
    explore(|| {
        let (engine, model) = patient();
        let caller = thread::spawn(move || match model.infer(input(1.0, 1)) {
            Ok(_) => true,
            Err(error) => matches!(error, InferError::Refused(SubmitError::Draining { .. })),
        });
        engine.drain();
        assert!(caller.join().unwrap());
    });
}

#[test]
fn an_alarm_against_company() {
    explore(|| {
        let (_engine, model) = patient();
        let other = model.clone();
        let caller = thread::spawn(move || infer(&other, 1.0, 1));
        let ticket = model.submit(input(2.0, 1)).unwrap();
        assert!(ticket.wait().is_ok());
        caller.join().unwrap();
    });
}

/// A program whose executions are long enough that idle lanes are called to help.
struct Helpable {
    program: Arc<FakeProgram>,
    helped: Arc<AtomicBool>,
}

impl Program for Helpable {
    fn signature(&self) -> &Signature {
        self.program.signature()
    }

    fn batch_sizes(&self) -> &BatchSizes {
        Program::batch_sizes(&*self.program)
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        Arc::clone(&self.program).open()
    }

    fn can_be_helped(&self) -> bool {
        true
    }

    fn help(&self, leave: &dyn Fn() -> bool) -> bool {
        self.helped.store(true, Ordering::Relaxed);
        leave()
    }
}

#[test]
fn a_lane_that_helps_against_submit() {
    let helped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&helped);
    explore_up_to(2, move || {
        let engine = Engine::builder().lanes(2).build().unwrap();
        let program = plain().latency(Latency::sleep(Duration::from_micros(200), Duration::ZERO));
        let program = Helpable { program: Arc::new(program), helped: Arc::clone(&helped) };
        let model = engine.load_with("helped", [Arc::new(program) as _], unmeasured()).unwrap();
        infer(&model, 1.0, 1);
        let other = model.clone();
        let caller = thread::spawn(move || other.submit(input(2.0, 1)).unwrap().wait().is_ok());
        infer(&model, 3.0, 1);
        assert!(caller.join().unwrap());
        engine.drain();
        balance(&model);
    });
    assert!(seen.load(Ordering::Relaxed), "no lane was called to help");
}

#[test]
fn a_lane_that_was_called_to_help_against_a_caller() {
    explore_up_to(2, move || {
        let engine = Engine::builder().lanes(2).build().unwrap();
        let program = plain().latency(Latency::sleep(Duration::from_micros(200), Duration::ZERO));
        let program = Helpable { program: Arc::new(program), helped: Arc::default() };
        let model = engine.load_with("helped", [Arc::new(program) as _], unmeasured()).unwrap();
        infer(&model, 1.0, 1);
        let other = model.clone();
        let caller = thread::spawn(move || infer(&other, 2.0, 1));
        infer(&model, 3.0, 1);
        caller.join().unwrap();
        engine.drain();
        balance(&model);
    });
}

/// A model of batches up to 2 whose requests wait for ever for company.
fn patient() -> (Engine, Model) {
    let engine = Engine::builder().lanes(1).build().unwrap();
    let options = unmeasured().max_queue_delay(Duration::from_secs(1 << 40));
    let program = Arc::new(plain().batch_sizes(BatchSizes::Buckets(vec![2])));
    let model = engine.load_with("patient", [program as _], options).unwrap();
    (engine, model)
}

fn unmeasured() -> LoadOptions {
    LoadOptions::new().warm_up(Duration::ZERO)
}
