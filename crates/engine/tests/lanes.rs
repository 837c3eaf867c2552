//! Lanes that come and go, and lanes whose work a caller does.
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Counted, WIDTH, balance, check, engine, eventually, gated, in_time, input, occupy,
    silence_scripted_panics,
};
use paceline_device::fake::{FakeProgram, Gate, Latency, Outcome, rows};
use paceline_device::{BatchSizes, DeviceError};
use paceline_engine::{BuildError, Engine, LoadOptions, MeasuredCost, Model, Release};

const NO_TIME: Duration = Duration::ZERO;

fn sleeping(micros: u64) -> FakeProgram {
    FakeProgram::new(rows(WIDTH)).latency(Latency::sleep(Duration::from_micros(micros), NO_TIME))
}

#[test]
fn a_caller_about_to_block_does_the_work_of_a_lane_whose_thread_is_not_there() {
    let by_caller = Arc::new(AtomicBool::new(false));
    let (seen, caller) = (Arc::clone(&by_caller), thread::current().id());
    let program = FakeProgram::new(rows(WIDTH)).script(move |_| {
        seen.fetch_or(thread::current().id() == caller, Ordering::Relaxed);
        Outcome::Compute
    });
    let (_engine, model) = engine(1, &Arc::new(program));
    for i in 0..10_000 {
        check(&model.submit([("x", input(i as f32, 1))]).unwrap().wait().unwrap(), i as f32, 1);
        if by_caller.load(Ordering::Relaxed) {
            return;
        }
    }
    panic!("the thread of the lane was always there first");
}

#[test]
fn a_caller_that_leaves_a_lane_leaves_its_alarm_to_the_thread_of_the_lane() {
    in_time(|| {
        let engine = Engine::builder().lanes(1).warm_up(NO_TIME).build().unwrap();
        let quick = engine.load("quick", Arc::new(sleeping(500))).unwrap();
        let delay = LoadOptions::new().max_queue_delay(Duration::from_millis(2));
        let patient = engine.load_with("patient", [Arc::new(sleeping(0)) as _], delay).unwrap();
        for i in 0..100 {
            let ticket = quick.submit([("x", input(1.0, 1))]).unwrap();
            check(&patient.infer([("x", input(i as f32, 1))]).unwrap(), i as f32, 1);
            assert!(ticket.wait().is_ok());
        }
    });
}

#[test]
fn dropping_the_last_handle_while_a_caller_does_the_work_serves_what_was_accepted() {
    in_time(|| {
        for _ in 0..50 {
            let gate = Gate::new();
            let (engine, model) = engine(1, &Arc::new(gated(&gate).batch_sizes(BatchSizes::UpTo(1))));
            let submit = |first| model.submit([("x", input(first, 1))]).unwrap();
            let (held, waiting) = (submit(-1.0), submit(1.0));
            let caller = thread::spawn(move || held.wait().is_ok());
            gate.wait_for(1);
            let dropper = thread::spawn(move || drop((engine, model)));
            thread::sleep(Duration::from_micros(200));
            assert!(!dropper.is_finished());
            gate.open();
            assert!(caller.join().unwrap());
            dropper.join().unwrap();
            assert!(waiting.is_answered());
        }
    });
}

#[test]
fn the_last_handle_may_be_dropped_in_a_waker_that_a_caller_runs() {
    struct Drops(Mutex<Option<(Engine, Model)>>);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            if let Some((engine, model)) = self.0.lock().unwrap().take() {
                engine.drain();
                drop((engine, model));
            }
        }
    }
    in_time(|| {
        for _ in 0..200 {
            let (engine, model) = engine(1, &Arc::new(FakeProgram::new(rows(WIDTH))));
            let mut first = model.submit([("x", input(1.0, 1))]).unwrap();
            let second = model.submit([("x", input(2.0, 1))]).unwrap();
            let waker = Waker::from(Arc::new(Drops(Mutex::new(Some((engine, model))))));
            let polled = Future::poll(std::pin::Pin::new(&mut first), &mut Context::from_waker(&waker));
            // The waker holds the engine until it is called.
            assert!(second.wait().is_ok());
            if polled.is_pending() {
                assert!(first.wait().is_ok());
            }
        }
    });
}

#[test]
fn lanes_are_added_and_retired_within_bounds() {
    let program = Counted::new(FakeProgram::new(rows(WIDTH)), NO_TIME);
    let engine = Engine::builder().lanes(2).warm_up(NO_TIME).build().unwrap();
    let model = engine.load("fake", program.clone()).unwrap();
    assert_eq!(engine.max_lanes(), 64);
    for lanes in [0, 65] {
        let Err(BuildError::Range { option: "lanes", got, .. }) = engine.set_lanes(lanes) else {
            panic!("{lanes}")
        };
        assert_eq!(got, lanes);
    }
    for lanes in [5, 1, 64, 3, 3, 2] {
        engine.set_lanes(lanes).unwrap();
        eventually(|| engine.statistics().lanes == lanes);
        assert_eq!(engine.statistics().retired, 0);
        for i in 0..20 {
            check(&model.infer([("x", input(i as f32, 1))]).unwrap(), i as f32, 1);
            check(&model.submit([("x", input(i as f32, 1))]).unwrap().wait().unwrap(), i as f32, 1);
        }
        assert_eq!(program.open_sessions(), lanes);
    }
    engine.drain();
    balance(&model);
}

#[test]
fn added_lanes_execute_beside_the_others() {
    let gate = Gate::new();
    let (engine, model) = engine(1, &Arc::new(gated(&gate)));
    let held = occupy(&model, &gate);
    engine.set_lanes(3).unwrap();
    let others: Vec<_> = (0..2).map(|_| model.submit([("x", input(-1.0, 1))]).unwrap()).collect();
    gate.wait_for(3);
    gate.open();
    assert!(held.wait().is_ok() && others.into_iter().all(|ticket| ticket.wait().is_ok()));
}

#[test]
fn lanes_that_become_free_together_do_not_retire_one_too_many() {
    for lanes in [1, 2] {
        let gate = Gate::new();
        let program = Counted::new(gated(&gate), Duration::from_millis(5));
        let engine = Engine::builder().lanes(4).warm_up(NO_TIME).build().unwrap();
        let model = engine.load("fake", program.clone()).unwrap();
        let held: Vec<_> = (0..4)
            .map(|number| {
                let ticket = model.submit([("x", input(-1.0, 1))]).unwrap();
                gate.wait_for(number + 1);
                ticket
            })
            .collect();
        let waiting = model.submit([("x", input(3.0, 1))]).unwrap();
        engine.set_lanes(lanes).unwrap();
        gate.open();
        assert!(held.into_iter().all(|ticket| ticket.wait().is_ok()));
        check(&waiting.wait().unwrap(), 3.0, 1);
        eventually(|| program.open_sessions() == lanes);
        assert_eq!((engine.statistics().lanes, engine.statistics().retired), (lanes, 0));
    }
}

#[test]
fn lanes_wanted_again_while_they_retire_are_there() {
    let program = Counted::new(FakeProgram::new(rows(WIDTH)), Duration::from_millis(3));
    let engine = Engine::builder().lanes(64).warm_up(NO_TIME).build().unwrap();
    let model = engine.load("fake", program.clone()).unwrap();
    for fewer in [63, 1, 32] {
        engine.set_lanes(fewer).unwrap();
        thread::sleep(Duration::from_millis(1));
        engine.set_lanes(64).unwrap();
        eventually(|| engine.statistics().lanes == 64);
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
    }
}

#[test]
fn a_lane_that_cannot_open_its_sessions_is_not_added_and_leaves_none_open() {
    let engine = Engine::builder().lanes(2).warm_up(NO_TIME).build().unwrap();
    let whole = Counted::new(FakeProgram::new(rows(WIDTH)), NO_TIME);
    let full = FakeProgram::new(rows(WIDTH))
        .on_open(|n| if n < 3 { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 1 }) });
    let full = Counted::new(full, NO_TIME);
    let models = [engine.load("whole", whole.clone()).unwrap(), engine.load("full", full.clone()).unwrap()];
    let error = engine.set_lanes(5).unwrap_err();
    assert!(
        matches!(error, BuildError::Session { lane: 3, error: DeviceError::OutOfMemory { .. } }),
        "{error}"
    );
    let got = engine.statistics();
    assert_eq!((got.lanes, got.retired), (3, 0), "the lane before the one that failed is there");
    assert_eq!((whole.open_sessions(), full.open_sessions()), (3, 3));
    for model in &models {
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
    }
}

#[test]
fn lanes_are_added_and_retired_under_load() {
    silence_scripted_panics();
    let (engine, model) = engine(2, &Arc::new(sleeping(20)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for caller in 0..8u64 {
            let (model, done) = (&model, &done);
            scope.spawn(move || {
                for i in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let first = (caller * 1000 + i % 1000) as f32;
                    match i % 3 {
                        0 => check(&model.infer([("x", input(first, 1))]).unwrap(), first, 1),
                        1 => {
                            check(&model.submit([("x", input(first, 2))]).unwrap().wait().unwrap(), first, 2)
                        }
                        _ => drop(model.submit([("x", input(first, 1))]).unwrap()),
                    }
                }
            });
        }
        let start = Instant::now();
        for lanes in [1, 4, 2, 8, 1, 3].into_iter().cycle() {
            engine.set_lanes(lanes).unwrap();
            thread::sleep(Duration::from_millis(2));
            if start.elapsed() > Duration::from_millis(300) {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    engine.drain();
    balance(&model);
    assert_eq!(model.statistics().failed, 0);
}

#[test]
fn a_caller_leaves_its_request_to_the_lanes_where_somebody_just_waited_for_one() {
    const COST: Duration = Duration::from_millis(200);
    let gate = Gate::new();
    let engine = Engine::builder().lanes(1).build().unwrap();
    let cost = MeasuredCost { samples: 1, busy: 1, mean: COST, p99: COST };
    let options = LoadOptions::new().costs(0, [cost]);
    let model = engine.load_with("fake", [Arc::new(gated(&gate)) as _], options).unwrap();
    let inline = || {
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
        model.statistics().released.of(Release::Inline)
    };
    assert_eq!(inline(), 1);
    let occupying = occupy(&model, &gate);
    let waiting = model.submit([("x", input(2.0, 1))]).unwrap();
    gate.open();
    occupying.wait().unwrap();
    waiting.wait().unwrap();
    assert_eq!(inline(), 1);
    thread::sleep(4 * COST);
    assert_eq!(inline(), 2);
}
