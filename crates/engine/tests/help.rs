//! Which executions idle lanes are called to help.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Helped, WIDTH, check, eventually, input};
use paceline_device::fake::{FakeProgram, Latency, Outcome, rows};
use paceline_engine::{Engine, LoadOptions, MeasuredCost, Model};

const SHORT: Duration = Duration::from_micros(40);

fn busy(time: Duration) -> Latency {
    Latency::busy(time, Duration::ZERO)
}

/// Of one sample on an idle machine.
fn cost(mean: Duration) -> MeasuredCost {
    MeasuredCost { samples: 1, busy: 1, mean, p99: 2 * mean }
}

#[test]
fn no_more_lanes_help_an_execution_than_allowed() {
    for (allowed, expected) in [(Some(0), 0), (Some(1), 1), (Some(2), 2), (None, 3)] {
        let builder = Engine::builder().lanes(4);
        let builder = allowed.into_iter().fold(builder, |builder, most| builder.helpers(most));
        let engine = builder.build().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let program = FakeProgram::new(rows(WIDTH)).script(move |_| {
            thread::sleep(Duration::from_millis(5));
            end.store(true, Ordering::Relaxed);
            Outcome::Compute
        });
        let program = Helped::new(program, is_over);
        let options = LoadOptions::new().costs(0, [cost(Duration::from_millis(5))]);
        let model = engine.load_with("fake", [program.clone() as _], options).unwrap();
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
        eventually(|| program.offers.load(Ordering::Relaxed) >= expected);
        engine.drain();
        assert_eq!(program.offers.load(Ordering::Relaxed), expected, "{allowed:?} allowed");
        // Until then they stay, and `drain` shows that they leave then.
        assert_eq!(program.left_early.load(Ordering::Relaxed), 0, "{allowed:?} allowed");
    }
}

/// An engine whose idle lane may help this program, and what its executions of 40 us should cost.
fn short(program: &Arc<Helped>) -> Model {
    let engine = Engine::builder().lanes(2).build().unwrap();
    let options = LoadOptions::new().costs(0, [cost(SHORT)]);
    engine.load_with("fake", [program.clone() as _], options).unwrap()
}

#[test]
fn short_executions_are_helped_where_they_follow_each_other() {
    let program = Helped::new(FakeProgram::new(rows(WIDTH)).latency(busy(SHORT)), Arc::default());
    let model = short(&program);
    let start = Instant::now();
    while program.offers.load(Ordering::Relaxed) == 0 {
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
        assert!(start.elapsed() < Duration::from_secs(30), "nobody comes to help");
    }
}

#[test]
fn short_executions_now_and_then_are_not_worth_waking_a_lane() {
    let program = Helped::new(FakeProgram::new(rows(WIDTH)).latency(busy(SHORT)), Arc::default());
    for _ in 0..5 {
        // So few calls that, however long they take on a machine with other work, they are expected to be short.
        let model = short(&program);
        for _ in 0..8 {
            check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
            thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(program.offers.load(Ordering::Relaxed), 0);
}
