//! Nobody waits for ever, or for somebody else, or is refused for nothing: scenes of lanes, delays, deadlines and wrong costs.
//!
//! What must not take long is told apart from what does by a factor of ten or more, so that a busy machine does not matter.
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{Helped, WIDTH, eventually, in_time, input};
use paceline_device::fake::{FakeProgram, Gate, Latency, Outcome, rows};
use paceline_device::{BatchSizes, DeviceError, Program};
use paceline_engine::{Engine, LoadOptions, Model, Request};

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// One sample an execution, which takes this long.
fn taking(time: Duration) -> FakeProgram {
    FakeProgram::new(rows(WIDTH))
        .batch_sizes(BatchSizes::UpTo(1))
        .latency(Latency::sleep(time, Duration::ZERO))
}

fn unmeasured(lanes: usize) -> Engine {
    Engine::builder().lanes(lanes).warm_up(Duration::ZERO).build().unwrap()
}

/// A model whose requests wait this long for company.
fn delayed(engine: &Engine, delay: Duration) -> Model {
    let program: Arc<dyn Program> = Arc::new(FakeProgram::new(rows(WIDTH)));
    engine.load_with("delayed", [program], LoadOptions::new().max_queue_delay(delay)).unwrap()
}

fn one() -> [(&'static str, paceline_graph::Tensor); 1] {
    [("x", input(0.0, 1))]
}

#[test]
fn the_alarm_does_not_go_with_the_lane_that_has_other_work() {
    let engine = unmeasured(2);
    let delayed = delayed(&engine, ms(30));
    let slow = engine.load("slow", Arc::new(taking(ms(1500)))).unwrap();
    let waiting = delayed.submit(one()).unwrap();
    thread::sleep(ms(5));
    let start = Instant::now();
    let _running = slow.submit(one()).unwrap();
    assert!(waiting.wait_timeout(ms(3000)).is_ok());
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
}

#[test]
fn the_alarm_does_not_go_with_a_lane_that_is_not_wanted_any_more() {
    let engine = unmeasured(2);
    let delayed = delayed(&engine, ms(50));
    let waiting = delayed.submit(one()).unwrap();
    thread::sleep(ms(5));
    engine.set_lanes(1).unwrap();
    assert!(waiting.wait_timeout(ms(3000)).is_ok());
}

#[test]
fn the_alarm_does_not_go_with_a_lane_that_failed() {
    let engine = unmeasured(2);
    let delayed = delayed(&engine, ms(40));
    let mortal = taking(ms(5))
        .script(|_| Outcome::Lose("scripted".into()))
        .on_open(|number| if number < 2 { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 1 }) });
    let mortal = engine.load("mortal", Arc::new(mortal)).unwrap();
    let waiting = delayed.submit(one()).unwrap();
    thread::sleep(ms(5));
    assert!(mortal.submit(one()).unwrap().wait().is_err());
    assert!(waiting.wait_timeout(ms(3000)).is_ok());
}

#[test]
fn a_caller_does_not_execute_a_slow_models_request_before_its_own() {
    for _ in 0..10 {
        let engine = unmeasured(2);
        let slow = engine.load("slow", Arc::new(taking(ms(150)))).unwrap();
        let quick = engine.load("quick", Arc::new(taking(ms(1)))).unwrap();
        let running = slow.submit(one()).unwrap();
        let start = Instant::now();
        quick.infer(one()).unwrap();
        assert!(start.elapsed() < ms(100), "{:?}", start.elapsed());
        running.wait().unwrap();
    }
}

#[test]
fn a_deadline_is_met_by_the_lane_that_is_idle_whatever_the_other_does() {
    let engine = Engine::builder().lanes(2).warm_up(ms(50)).build().unwrap();
    let slow = engine.load("slow", Arc::new(taking(ms(400)))).unwrap();
    let quick = engine.load("quick", Arc::new(taking(ms(1)))).unwrap();
    let running = slow.submit(one()).unwrap();
    thread::sleep(ms(10));
    quick.submit(Request::new(one()).timeout(ms(100))).expect("a lane is idle").wait().unwrap();
    running.wait().unwrap();
}

#[test]
fn a_deadline_ends_the_wait_for_company_also_behind_a_request_that_is_more_urgent() {
    let engine = unmeasured(1);
    let delayed = delayed(&engine, Duration::from_secs(20));
    let first = delayed.submit(Request::new(one()).priority(100)).unwrap();
    let second = delayed.submit(Request::new(one()).timeout(ms(200))).unwrap();
    assert!(second.wait().is_ok());
    assert!(first.wait().is_ok());
}

#[test]
fn a_model_that_only_fails_has_its_share_of_the_lanes_and_no_more() {
    let engine = unmeasured(1);
    let bad =
        engine.load("bad", Arc::new(taking(ms(5)).script(|_| Outcome::Fail("scripted".into())))).unwrap();
    let good = engine.load("good", Arc::new(taking(ms(5)))).unwrap();
    let submit = |model: &Model| (0..60).map(|_| model.submit(one()).unwrap()).collect::<Vec<_>>();
    let tickets = (submit(&bad), submit(&good));
    thread::sleep(ms(250));
    let (failed, completed) = (bad.statistics().failed, good.statistics().completed);
    drop(tickets);
    assert!(completed * 2 > failed, "{failed} failed, {completed} completed");
}

#[test]
fn costs_measured_on_a_machine_that_had_other_work_are_put_right() {
    for busy in [false, true] {
        let engine = Engine::builder().lanes(2).warm_up(ms(100)).build().unwrap();
        let held = Arc::new(AtomicBool::new(true));
        let is_held = Arc::clone(&held);
        let program = taking(Duration::ZERO).script(move |_| {
            if is_held.load(Ordering::Relaxed) {
                thread::sleep(ms(30));
            }
            Outcome::Compute
        });
        let model = engine.load("model", Helped::new(program, Arc::default())).unwrap();
        held.store(false, Ordering::Relaxed);
        // With one lane at work, the other one never has the engine to itself.
        let slow = engine.load("slow", Arc::new(taking(ms(if busy { 3000 } else { 0 })))).unwrap();
        let running = slow.submit(one()).unwrap();
        let call = |_: &i32| {
            let is_answered = model.infer(Request::new(one()).timeout(ms(10))).is_ok();
            if !is_answered {
                // Who is refused comes back after a moment, in which a lane that was off its core becomes free.
                thread::sleep(Duration::from_micros(100));
            }
            is_answered
        };
        let accepted = (0..1500).filter(call).count();
        assert!(accepted > 500, "{accepted} of 1500, busy: {busy}");
        drop(running);
    }
}

/// Drains and drops an engine when it is woken, and says when that is done.
struct Leaves {
    engine: Mutex<Option<Engine>>,
    is_done: AtomicBool,
}

impl Wake for Leaves {
    fn wake(self: Arc<Self>) {
        let engine = self.engine.lock().unwrap().take();
        engine.iter().for_each(Engine::drain);
        drop(engine);
        self.is_done.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_waker_that_the_last_lane_calls_when_it_is_retired_may_drain_and_drop_the_engine() {
    in_time(|| {
        let (engine, gate) = (unmeasured(1), Gate::new());
        let held = gate.clone();
        let program = FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::UpTo(1));
        let program = program
            .script(move |_| {
                held.wait_for(usize::MAX);
                Outcome::Lose("scripted".into())
            })
            .on_open(|number| if number == 0 { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 1 }) });
        let program = Arc::new(program);
        let model = engine.load("mortal", Arc::clone(&program) as _).unwrap();
        let running = model.submit(one()).unwrap();
        eventually(|| program.executed() == 1);
        let mut waiting = model.submit(one()).unwrap();
        let leaves = Arc::new(Leaves { engine: Mutex::new(Some(engine)), is_done: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&leaves));
        let polled = Future::poll(std::pin::Pin::new(&mut waiting), &mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(model);
        gate.open();
        eventually(|| leaves.is_done.load(Ordering::Relaxed));
        assert!(running.wait().is_err() && waiting.wait().is_err());
    });
}
