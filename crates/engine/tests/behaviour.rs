//! What the engine promises, one promise a test, over a fake device.
#![cfg(not(loom))]

mod common;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{WIDTH, block_on, check, engine, gated, input, silence_scripted_panics};
use paceline_device::fake::{FakeProgram, Gate, Outcome, port, rows};
use paceline_device::{BatchSizes, DeviceError, Signature};
use paceline_engine::{
    BuildError, Engine, ExecutionError, InferError, LoadError, Model, Release, SubmitError,
};
use paceline_graph::{DType, Tensor};

#[test]
fn a_lone_caller_runs_inline() {
    let (_engine, model) = engine(2, &Arc::new(FakeProgram::new(rows(WIDTH))));
    for i in 0..5 {
        check(&model.infer([("x", input(i as f32, 2))]).unwrap(), i as f32, 2);
    }
    let got = model.statistics();
    assert_eq!(
        (got.accepted, got.completed, got.released.of(Release::Inline), got.executions, got.samples),
        (5, 5, 5, 5, 10)
    );
    assert_eq!(got.batch_sizes, [(2, 5)]);
}

#[test]
fn a_ticket_can_be_waited_for_in_every_way() {
    let gate = Gate::new();
    let (_engine, model) = engine(1, &Arc::new(gated(&gate)));
    let ticket = model.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    let ticket = ticket.try_take().unwrap_err();
    let ticket = ticket.wait_timeout(Duration::from_millis(5)).unwrap_err();
    assert!(!ticket.is_answered());
    gate.open();
    check(&ticket.wait().unwrap(), -1.0, 1);
    check(&block_on(model.submit([("x", input(1.0, 2))]).unwrap()).unwrap(), 1.0, 2);
    let ticket = model.submit([("x", input(2.0, 1))]).unwrap();
    check(&ticket.wait_timeout(Duration::from_secs(60)).unwrap().unwrap(), 2.0, 1);
    let mut ticket = model.submit([("x", input(3.0, 1))]).unwrap();
    let answer = loop {
        match ticket.try_take() {
            Ok(answer) => break answer,
            Err(pending) => ticket = pending,
        }
    };
    check(&answer.unwrap(), 3.0, 1);
}

#[test]
fn what_waits_when_a_lane_frees_becomes_one_batch_in_order() {
    let gate = Gate::new();
    let program = Arc::new(gated(&gate));
    let (engine, model) = engine(1, &program);
    let first = model.submit([("x", input(-1.0, 5))]).unwrap();
    gate.wait_for(1);
    let tickets: Vec<_> = (0..5).map(|i| model.submit([("x", input(i as f32, 1))]).unwrap()).collect();
    assert_eq!(engine.statistics().queued, 5);
    gate.open();
    check(&first.wait().unwrap(), -1.0, 5);
    tickets.into_iter().enumerate().for_each(|(i, ticket)| check(&ticket.wait().unwrap(), i as f32, 1));
    let firsts: Vec<Vec<f64>> = program.records().into_iter().map(|r| r.execution.firsts).collect();
    assert_eq!(firsts, [vec![-1.0], vec![0.0, 1.0, 2.0, 3.0, 4.0]]);
    let got = model.statistics();
    assert_eq!((got.released.of(Release::Everything), got.mean_batch()), (2, 5.0));
    assert!(got.queue_time.max() <= got.total_time.max() && got.execute_time.max() <= got.total_time.max());
}

#[test]
fn a_large_request_is_split_and_joined() {
    let program =
        Arc::new(FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::Buckets(vec![1, 4])).recorded());
    let (_engine, model) = engine(2, &program);
    assert_eq!(model.max_batch(), 4);
    check(&model.infer([("x", input(7.0, 10))]).unwrap(), 7.0, 10);
    let mut parts: Vec<usize> = program.records().iter().flat_map(|r| r.execution.parts.clone()).collect();
    parts.sort_unstable();
    assert_eq!(parts, [2, 4, 4]);
    let got = model.statistics();
    assert_eq!((got.accepted, got.completed, got.samples, got.padding), (1, 1, 10, 2));
    assert_eq!((got.released.of(Release::Full), got.queue_time.count(), got.total_time.count()), (2, 3, 1));
}

#[test]
fn without_a_batch_axis_one_request_is_one_execution() {
    let x = port("x", DType::F32, &[2, 2]);
    let signature = Signature { inputs: vec![x], outputs: vec![port("y", DType::F32, &[4])], batched: false };
    let program = Arc::new(FakeProgram::new(signature).recorded());
    let (_engine, model) = engine(1, &program);
    let x = || Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let tickets: Vec<_> = (0..4).map(|_| model.submit([("x", x())]).unwrap()).collect();
    for ticket in tickets {
        let y = ticket.wait().unwrap().single();
        assert_eq!((y.shape(), y.as_f32().unwrap()), (&[4][..], &[3.0, 5.0, 7.0, 9.0][..]));
    }
    assert!(program.records().iter().all(|record| record.execution.parts == [1]));
}

#[test]
fn outputs_are_taken_by_name() {
    let outputs = vec![port("a", DType::F32, &[2]), port("b", DType::I64, &[])];
    let signature = Signature { inputs: vec![port("x", DType::F32, &[2])], outputs, batched: true };
    let (_engine, model) = engine(1, &Arc::new(FakeProgram::new(signature)));
    let mut outputs = model.infer([("x", Tensor::new([1, 2], vec![1.0, 2.0]).unwrap())]).unwrap();
    assert_eq!(outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(outputs["b"].as_i64(), Some(&[3][..]));
    assert_eq!(outputs.take("a").unwrap().as_f32(), Some(&[3.0, 5.0][..]));
    assert_eq!((outputs.take("a"), outputs.get("z")), (None, None));
    assert_eq!(outputs.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn refused_requests_give_their_inputs_back() {
    let gate = Gate::new();
    let engine = Engine::builder().lanes(1).queue_samples(3).warm_up(Duration::ZERO).build().unwrap();
    let model = engine.load("fake", Arc::new(gated(&gate))).unwrap();
    let given = |first, samples| vec![("x".to_string(), input(first, samples))];
    let invalid = model.submit([("z", input(0.0, 1))]).unwrap_err();
    assert_eq!(invalid.to_string(), "model 'fake': unknown input 'z'; its inputs are 'x'");
    assert_eq!(invalid.into_inputs(), vec![("z".to_string(), input(0.0, 1))]);

    let held = model.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    let waiting = model.submit([("x", input(1.0, 2))]).unwrap();
    let full = model.submit([("x", input(2.0, 2))]).unwrap_err();
    assert!(matches!(full, SubmitError::QueueFull { samples: 2, queued: 2, limit: 3, .. }), "{full}");
    assert_eq!(full.into_inputs(), given(2.0, 2));
    let large = model.infer([("x", input(3.0, 4))]).unwrap_err();
    assert!(
        matches!(large, InferError::Refused(SubmitError::TooLarge { samples: 4, limit: 3, .. })),
        "{large}"
    );

    gate.open();
    engine.drain();
    assert!(held.is_answered() && waiting.is_answered());
    let draining = model.infer([("x", input(4.0, 1))]).unwrap_err();
    let InferError::Refused(draining @ SubmitError::Draining { .. }) = draining else { panic!("{draining}") };
    assert_eq!(draining.into_inputs(), given(4.0, 1));
    let refused = model.statistics().refused;
    assert_eq!((refused.invalid, refused.queue_samples, refused.too_large, refused.draining), (1, 1, 1, 1));
    assert!(matches!(engine.load("late", Arc::new(gated(&gate))), Err(LoadError::Draining { .. })));
}

#[test]
fn a_dropped_ticket_is_not_executed() {
    let gate = Gate::new();
    let program = Arc::new(gated(&gate));
    let (engine, model) = engine(1, &program);
    let held = model.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    let [first, second, third] = [1.0, 2.0, 3.0].map(|first| model.submit([("x", input(first, 1))]).unwrap());
    drop(second);
    assert_eq!(engine.statistics().queued_samples, 2);
    drop(held);
    gate.open();
    check(&first.wait().unwrap(), 1.0, 1);
    check(&third.wait().unwrap(), 3.0, 1);
    let executed: Vec<f64> = program.records().into_iter().flat_map(|r| r.execution.firsts).collect();
    assert_eq!(executed, [-1.0, 1.0, 3.0]);
    let got = model.statistics();
    assert_eq!((got.accepted, got.completed, got.cancelled), (4, 3, 1));
}

#[test]
fn a_fault_fails_its_own_execution_only() {
    silence_scripted_panics();
    let program = Arc::new(FakeProgram::new(rows(WIDTH)).script(|e| match e.firsts[0] as i64 {
        1 => Outcome::Fail("one".into()),
        2 => Outcome::Lose("two".into()),
        3 => Outcome::Panic("scripted three".into()),
        _ => Outcome::Compute,
    }));
    let (_engine, model) = engine(1, &program);
    let device = |error| ExecutionError::Device { model: "fake".into(), lane: 0, error };
    let panicked =
        ExecutionError::Panicked { model: "fake".into(), lane: 0, message: "scripted three".into() };
    let cases = [
        (1.0, device(DeviceError::Failed("one".into())), 0),
        (2.0, device(DeviceError::Lost("two".into())), 1),
        (3.0, panicked, 1),
    ];
    for (first, expected, reopened) in cases {
        for inline in [true, false] {
            let before = program.opened();
            let error = if inline {
                match model.infer([("x", input(first, 1))]).unwrap_err() {
                    InferError::Execution(error) => error,
                    refused => panic!("{refused}"),
                }
            } else {
                model.submit([("x", input(first, 1))]).unwrap().wait().unwrap_err()
            };
            assert_eq!(error, expected);
            check(&model.submit([("x", input(9.0, 1))]).unwrap().wait().unwrap(), 9.0, 1);
            assert_eq!(program.opened() - before, reopened);
        }
    }
    let got = model.statistics();
    assert_eq!((got.accepted, got.completed, got.failed, got.failed_executions), (12, 6, 6, 6));
}

#[test]
fn a_failed_part_fails_its_request_and_withdraws_the_rest() {
    let gate = Gate::new();
    let held = gate.clone();
    let program = FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::UpTo(2)).recorded();
    let program = Arc::new(program.script(move |e| match e.number {
        0 => Outcome::Hang(held.clone()),
        1 => Outcome::Fail("first part".into()),
        _ => Outcome::Compute,
    }));
    let (_engine, model) = engine(1, &program);
    let first = model.submit([("x", input(0.0, 1))]).unwrap();
    gate.wait_for(1);
    let split = model.submit([("x", input(1.0, 9))]).unwrap();
    let last = model.submit([("x", input(2.0, 1))]).unwrap();
    gate.open();
    assert!(first.wait().is_ok());
    assert!(matches!(split.wait(), Err(ExecutionError::Device { .. })));
    check(&last.wait().unwrap(), 2.0, 1);
    assert_eq!(program.records().len(), 3, "four parts of the failed request were withdrawn");
}

/// A program that loses its session at a request that begins with 1, and opens no session beyond the first `sessions`.
fn mortal(sessions: u64) -> Arc<FakeProgram> {
    let program = FakeProgram::new(rows(WIDTH)).on_open(move |number| {
        if number < sessions { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 1 }) }
    });
    Arc::new(
        program.script(|e| if e.firsts[0] == 1.0 { Outcome::Lose("gone".into()) } else { Outcome::Compute }),
    )
}

#[test]
fn a_lane_that_cannot_be_reopened_is_retired_and_the_others_serve() {
    let (engine, model) = engine(2, &mortal(2));
    assert!(model.infer([("x", input(1.0, 1))]).is_err());
    assert_eq!(engine.statistics().retired, 1);
    for _ in 0..10 {
        assert!(model.infer([("x", input(5.0, 1))]).is_ok());
        assert!(model.submit([("x", input(5.0, 1))]).unwrap().wait().is_ok());
    }
    engine.drain();
}

#[test]
fn without_lanes_everything_is_answered_with_an_error() {
    for inline in [true, false] {
        let (engine, model) = engine(1, &mortal(1));
        let lose = [("x", input(1.0, 1))];
        let failed =
            if inline { model.infer(lose).is_err() } else { model.submit(lose).unwrap().wait().is_err() };
        assert!(failed);
        while engine.statistics().retired == 0 {
            thread::yield_now();
        }
        let refused = model.submit([("x", input(2.0, 1))]).unwrap_err();
        assert!(matches!(refused, SubmitError::NoLanes { .. }), "{refused}");
        assert!(matches!(
            model.infer([("x", input(2.0, 1))]),
            Err(InferError::Refused(SubmitError::NoLanes { .. }))
        ));
        engine.drain();
        assert_eq!(model.statistics().refused.no_lanes, 2);
    }
}

#[test]
fn what_waits_for_the_last_lane_is_answered_when_it_is_retired() {
    let gate = Gate::new();
    let held = gate.clone();
    let program =
        FakeProgram::new(rows(WIDTH)).on_open(|n| if n == 0 { Ok(()) } else { panic!("scripted open") });
    let program = Arc::new(program.script(move |e| {
        held.wait_for(usize::MAX);
        Outcome::Lose(format!("execution {}", e.number))
    }));
    silence_scripted_panics();
    let (_engine, model) = engine(1, &program);
    let running = model.submit([("x", input(0.0, 1))]).unwrap();
    while program.executed() == 0 {
        thread::yield_now();
    }
    let waiting: Vec<_> = (0..3).map(|_| model.submit([("x", input(0.0, 1))]).unwrap()).collect();
    gate.open();
    assert!(matches!(running.wait(), Err(ExecutionError::Device { .. })));
    for ticket in waiting {
        assert_eq!(ticket.wait().unwrap_err(), ExecutionError::NoLanes { model: "fake".into() });
    }
    let got = model.statistics();
    assert_eq!((got.accepted, got.failed), (4, 4));
}

#[test]
fn a_hanging_execution_holds_one_lane_only() {
    let gate = Gate::new();
    let (engine, model) = engine(2, &Arc::new(gated(&gate)));
    let held = model.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    for _ in 0..5 {
        check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
        check(&model.submit([("x", input(1.0, 1))]).unwrap().wait().unwrap(), 1.0, 1);
    }
    assert!(engine.statistics().busy >= 1);
    gate.open();
    assert!(held.wait().is_ok());
}

#[test]
fn models_are_served_in_the_order_of_arrival() {
    let gate = Gate::new();
    let (engine, a) = engine(1, &Arc::new(gated(&gate)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let b = engine
        .load("b", {
            Arc::new(FakeProgram::new(rows(WIDTH)).script(move |e| {
                seen.lock().unwrap().push(e.firsts.clone());
                Outcome::Compute
            }))
        })
        .unwrap();
    let held = a.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    let tickets = [(&b, 1.0), (&a, 2.0), (&b, 3.0)]
        .map(|(m, first)| (m.submit([("x", input(first, 1))]).unwrap(), first));
    gate.open();
    tickets.into_iter().for_each(|(ticket, first)| check(&ticket.wait().unwrap(), first, 1));
    assert!(held.wait().is_ok());
    assert_eq!(order.lock().unwrap().concat(), [1.0, 3.0]);
}

#[test]
fn dropping_the_last_handle_serves_what_was_accepted() {
    let gate = Gate::new();
    let (engine, model) = engine(1, &Arc::new(gated(&gate)));
    let tickets: Vec<_> =
        [-1.0, 1.0, 2.0].map(|first| (model.submit([("x", input(first, 1))]).unwrap(), first)).into();
    drop(engine);
    let dropper = thread::spawn(move || drop(model));
    gate.wait_for(1);
    assert!(!dropper.is_finished());
    gate.open();
    dropper.join().unwrap();
    for (ticket, first) in tickets {
        assert!(ticket.is_answered());
        check(&ticket.wait().unwrap(), first, 1);
    }
}

#[test]
fn the_last_handle_may_be_dropped_and_drained_on_the_thread_of_a_lane() {
    struct DropsModel(Mutex<Option<(Engine, Model, mpsc::Sender<String>)>>);
    impl Wake for DropsModel {
        fn wake(self: Arc<Self>) {
            if let Some((engine, model, done)) = self.0.lock().unwrap().take() {
                engine.drain();
                drop((engine, model));
                done.send(thread::current().name().unwrap_or_default().to_string()).unwrap();
            }
        }
    }
    let gate = Gate::new();
    let (engine, model) = engine(1, &Arc::new(gated(&gate)));
    let mut ticket = model.submit([("x", input(-1.0, 1))]).unwrap();
    let (sender, receiver) = mpsc::channel();
    let waker = Waker::from(Arc::new(DropsModel(Mutex::new(Some((engine, model, sender))))));
    assert!(Future::poll(std::pin::Pin::new(&mut ticket), &mut Context::from_waker(&waker)).is_pending());
    gate.open();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), "paceline-lane-0");
    check(&ticket.wait().unwrap(), -1.0, 1);
}

#[test]
fn what_cannot_be_made_or_loaded_says_why() {
    for (builder, option, value) in [
        (Engine::builder().lanes(0), "lanes", 0),
        (Engine::builder().lanes(usize::MAX), "lanes", usize::MAX),
        (Engine::builder().queue_samples(0), "queue_samples", 0),
    ] {
        let Err(BuildError::Range { option: named, got, .. }) = builder.build() else {
            panic!("{option} of {value} was accepted")
        };
        assert_eq!((named, got), (option, value));
    }
    let (engine, _model) = engine(2, &Arc::new(FakeProgram::new(rows(WIDTH))));
    let program = || FakeProgram::new(rows(WIDTH));
    assert_eq!(
        engine.load("fake", Arc::new(program())).unwrap_err(),
        LoadError::NameTaken { name: "fake".into() }
    );
    assert_eq!(engine.load("", Arc::new(program())).unwrap_err(), LoadError::NoName);
    let empty = program().batch_sizes(BatchSizes::Buckets(Vec::new()));
    assert_eq!(engine.load("m", Arc::new(empty)).unwrap_err(), LoadError::NoBatchSize { name: "m".into() });
    let full =
        program().on_open(|n| if n == 0 { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: 7 }) });
    let error = DeviceError::OutOfMemory { bytes: 7 };
    let expected = LoadError::Session { name: "m".into(), lane: 1, error };
    assert_eq!(engine.load("m", Arc::new(full)).unwrap_err(), expected);
    assert!(engine.load("m", Arc::new(program())).is_ok(), "a failed load leaves the name free");
}

#[test]
fn a_drained_engine_has_answered_what_it_accepted() {
    for _ in 0..200 {
        let (engine, model) = engine(2, &Arc::new(FakeProgram::new(rows(WIDTH))));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while model.submit([("x", input(1.0, 1))]).is_ok_and(|ticket| ticket.wait().is_ok()) {}
                });
            }
            thread::sleep(Duration::from_micros(200));
            engine.drain();
        });
        let got = model.statistics();
        assert_eq!(got.accepted, got.completed + got.failed + got.cancelled + got.expired);
    }
}
