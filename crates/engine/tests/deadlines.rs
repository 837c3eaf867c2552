//! Deadlines, priorities, delays, and the bounds of the queue.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{WIDTH, balance, check, engine, gated, in_time, input, occupy};
use paceline_device::fake::{FakeProgram, Gate, Latency, port, rows};
use paceline_device::{BatchSizes, Signature};
use paceline_engine::{
    Engine, ExecutionError, InferError, Late, LoadOptions, Model, Release, Request, SubmitError, Ticket,
};
use paceline_graph::DType;

const MS: Duration = Duration::from_millis(1);
/// A deadline that a request is to miss, but not before it is sent, however busy the machine.
const SOON: Duration = Duration::from_millis(100);

fn sleeping(fixed: Duration, max: usize) -> Arc<FakeProgram> {
    let latency = Latency::sleep(fixed, Duration::ZERO);
    Arc::new(FakeProgram::new(rows(WIDTH)).latency(latency).batch_sizes(BatchSizes::UpTo(max)).recorded())
}

fn request(first: f32) -> Request<'static> {
    Request::new([("x", input(first, 1))])
}

fn given(first: f32) -> Vec<(String, paceline_graph::Tensor)> {
    vec![("x".to_string(), input(first, 1))]
}

/// An engine of one lane, and a model whose execution of one sample at a time is known to take so long.
fn known(time: Duration) -> (Engine, Model, Arc<FakeProgram>) {
    let program = sleeping(time, 1);
    let (engine, model) = engine(1, &program);
    assert!(model.infer(request(0.0)).is_ok());
    (engine, model, program)
}

fn firsts(program: &FakeProgram) -> Vec<f64> {
    program.records().into_iter().flat_map(|record| record.execution.firsts).collect()
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_with_the_inputs_and_when_to_try_again() {
    let (_engine, model, program) = known(20 * MS);
    let refused = model.submit(request(1.0).timeout(5 * MS)).unwrap_err();
    let SubmitError::Deadline { predicted, left, retry_after, .. } = refused else { panic!("{refused}") };
    assert!(left <= 5 * MS && predicted >= 20 * MS && retry_after == predicted - left, "{refused}");
    assert_eq!((refused.retry_after(), refused.into_inputs()), (Some(retry_after), given(1.0)));
    let refused = model.infer(request(2.0).timeout(5 * MS)).unwrap_err();
    assert!(matches!(refused, InferError::Refused(SubmitError::Deadline { .. })), "on an idle engine too");
    check(&model.submit(request(3.0).timeout(500 * MS)).unwrap().wait().unwrap(), 3.0, 1);
    check(&model.infer(request(4.0).timeout(500 * MS)).unwrap(), 4.0, 1);
    assert_eq!(firsts(&program), [0.0, 3.0, 4.0]);
    assert_eq!(model.statistics().refused.deadline, 2);
}

#[test]
fn what_waits_counts_against_a_deadline() {
    let (_engine, model, _) = known(10 * MS);
    let waiting: Vec<_> = (0..60).map(|i| model.submit(request(i as f32)).unwrap()).collect();
    let refused = model.submit(request(1.0).deadline(Instant::now() + 250 * MS).priority(-20)).unwrap_err();
    let SubmitError::Deadline { predicted, .. } = refused else { panic!("{refused}") };
    assert!(predicted > 400 * MS, "{predicted:?}");
    let urgent = model.submit(request(2.0).timeout(250 * MS)).unwrap();
    assert!(urgent.wait().is_ok(), "what is due first does not wait for the others");
    assert!(waiting.into_iter().all(|ticket| ticket.wait().is_ok()));
}

#[test]
fn a_deadline_in_the_past_is_refused_though_no_cost_is_known() {
    let (_engine, model) = engine(1, &sleeping(Duration::ZERO, 8));
    for inline in [true, false] {
        let late = request(1.0).deadline(Instant::now());
        let refused = match inline {
            true => model.infer(late).unwrap_err(),
            false => model.submit(late).unwrap_err().into(),
        };
        let InferError::Refused(SubmitError::Deadline { left, .. }) = refused else { panic!("{refused}") };
        assert_eq!(left, Duration::ZERO);
    }
}

#[test]
fn what_expires_while_it_waits_is_not_executed() {
    let gate = Gate::new();
    let program = Arc::new(gated(&gate));
    let (_engine, model) = engine(1, &program);
    let held = occupy(&model, &gate);
    let expiring = [1.0, 2.0].map(|first| model.submit(request(first).timeout(SOON)).unwrap());
    let patient = model.submit(request(3.0).timeout(60_000 * MS)).unwrap();
    thread::sleep(SOON + MS);
    gate.open();
    for ticket in expiring {
        let Err(ExecutionError::Expired { model, waited }) = ticket.wait() else { panic!("executed") };
        assert!(model == "fake" && waited >= SOON);
    }
    check(&patient.wait().unwrap(), 3.0, 1);
    assert!(held.wait().is_ok());
    assert_eq!(firsts(&program), [-1.0, 3.0]);
    let got = model.statistics();
    assert_eq!((got.accepted, got.completed, got.expired, got.failed), (4, 2, 2, 0));
}

#[test]
fn a_large_request_that_expires_is_answered_once() {
    let gate = Gate::new();
    let program = Arc::new(gated(&gate).batch_sizes(BatchSizes::UpTo(2)));
    let (engine, model) = engine(1, &program);
    let held = occupy(&model, &gate);
    let large = Request::new([("x", input(1.0, 7))]).timeout(SOON);
    let large = model.submit(large).unwrap();
    thread::sleep(SOON + MS);
    gate.open();
    assert!(matches!(large.wait(), Err(ExecutionError::Expired { .. })));
    assert!(held.wait().is_ok());
    engine.drain();
    assert_eq!((program.records().len(), engine.statistics().queued_samples), (1, 0));
    balance(&model);
}

#[test]
fn a_model_may_serve_what_is_late() {
    let gate = Gate::new();
    let engine = Engine::builder().lanes(1).warm_up(Duration::ZERO).build().unwrap();
    let late = LoadOptions::new().late(Late::Serve);
    let model = engine.load_with("late", [Arc::new(gated(&gate)) as _], late).unwrap();
    let held = occupy(&model, &gate);
    let waiting =
        [Instant::now(), Instant::now() + MS].map(|at| model.submit(request(1.0).deadline(at)).unwrap());
    thread::sleep(3 * MS);
    gate.open();
    waiting.into_iter().for_each(|ticket| check(&ticket.wait().unwrap(), 1.0, 1));
    assert!(held.wait().is_ok());
    check(&model.infer(request(2.0).deadline(Instant::now())).unwrap(), 2.0, 1);
    assert_eq!((model.statistics().expired, model.statistics().refused.deadline), (0, 0));
}

#[test]
fn the_urgent_go_first_and_equals_in_the_order_of_arrival() {
    let gate = Gate::new();
    let program = Arc::new(gated(&gate).batch_sizes(BatchSizes::UpTo(1)));
    let (_engine, model) = engine(1, &program);
    let held = occupy(&model, &gate);
    let requests = [
        request(1.0),
        request(2.0).priority(-3),
        request(3.0).priority(3),
        request(4.0).timeout(600 * MS),
        request(5.0).priority(3),
        request(6.0),
        request(7.0).timeout(600 * MS).priority(1),
        // A deadline after the time that any request waits at most makes nothing less urgent.
        request(8.0).timeout(60_000 * MS),
    ];
    let tickets: Vec<Ticket> = requests.into_iter().map(|request| model.submit(request).unwrap()).collect();
    gate.open();
    assert!(held.wait().is_ok() && tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert_eq!(firsts(&program), [-1.0, 7.0, 4.0, 3.0, 5.0, 1.0, 6.0, 8.0, 2.0]);
}

/// An engine and a model of batches up to 4 whose requests wait so long for company.
fn patient(delay: Duration) -> (Engine, Model, Arc<FakeProgram>) {
    let program = sleeping(MS, 4);
    let engine = Engine::builder().lanes(2).build().unwrap();
    let options = LoadOptions::new().max_queue_delay(delay).warm_up(20 * MS);
    let model = engine.load_with("patient", [program.clone() as _], options).unwrap();
    (engine, model, program)
}

#[test]
fn requests_wait_for_company_as_long_as_their_model_says() {
    in_time(|| {
        let (_engine, model, _) = patient(25 * MS);
        for inline in [true, false] {
            let start = Instant::now();
            let outputs = match inline {
                true => model.infer(request(1.0)).unwrap(),
                false => model.submit(request(1.0)).unwrap().wait().unwrap(),
            };
            check(&outputs, 1.0, 1);
            assert!(start.elapsed() >= 25 * MS, "{:?}", start.elapsed());
        }
        assert_eq!(model.statistics().released.of(Release::Delay), 2);
    });
}

#[test]
fn nobody_waits_for_company_that_is_there() {
    in_time(|| {
        let (_engine, model, program) = patient(60_000 * MS);
        let before = program.records().len();
        let tickets: Vec<_> = (0..4).map(|i| model.submit(request(i as f32)).unwrap()).collect();
        tickets.into_iter().enumerate().for_each(|(i, ticket)| check(&ticket.wait().unwrap(), i as f32, 1));
        assert_eq!(program.records().len() - before, 1);
        assert_eq!(model.statistics().released.of(Release::Full), 1);
    });
}

#[test]
fn a_deadline_ends_the_wait_for_company() {
    in_time(|| {
        let (_engine, model, _) = patient(60_000 * MS);
        let start = Instant::now();
        let ticket = model.submit(request(1.0).timeout(400 * MS)).unwrap();
        check(&ticket.wait().unwrap(), 1.0, 1);
        assert!(start.elapsed() >= 100 * MS, "{:?}", start.elapsed());
    });
}

#[test]
fn a_drain_and_the_last_drop_wait_for_no_company() {
    for dropped in [false, true] {
        in_time(move || {
            let (engine, model, _) = patient(60_000 * MS);
            let ticket = model.submit(request(1.0)).unwrap();
            thread::sleep(2 * MS);
            assert!(!ticket.is_answered());
            if dropped {
                drop((engine, model));
            } else {
                engine.drain();
            }
            assert!(ticket.is_answered());
            check(&ticket.wait().unwrap(), 1.0, 1);
        });
    }
}

#[test]
fn other_models_do_not_wait_for_somebody_elses_company() {
    in_time(|| {
        let (engine, model, _) = patient(200 * MS);
        let quick = engine.load("quick", sleeping(Duration::ZERO, 8)).unwrap();
        let start = Instant::now();
        let waiting = model.submit(request(1.0)).unwrap();
        for i in 0..10 {
            check(&quick.infer(request(i as f32)).unwrap(), i as f32, 1);
            check(&quick.submit(request(i as f32)).unwrap().wait().unwrap(), i as f32, 1);
        }
        assert!(start.elapsed() < 150 * MS && !waiting.is_answered(), "{:?}", start.elapsed());
        check(&waiting.wait().unwrap(), 1.0, 1);
        assert!(start.elapsed() >= 200 * MS);
    });
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let gate = Gate::new();
    let bytes = 2 * WIDTH * size_of::<f32>();
    let engine = Engine::builder().lanes(1).queue_bytes(2 * bytes).warm_up(Duration::ZERO).build().unwrap();
    let model = engine.load("fake", Arc::new(gated(&gate))).unwrap();
    let held = occupy(&model, &gate);
    let waiting = [1.0, 2.0].map(|first| model.submit(request(first)).unwrap());
    assert_eq!(engine.statistics().queued_bytes, 2 * bytes);
    let full = model.submit(request(3.0)).unwrap_err();
    let SubmitError::QueueBytes { bytes: asked, queued, limit, retry_after, .. } = full else {
        panic!("{full}")
    };
    assert_eq!((asked, queued, limit), (bytes, 2 * bytes, 2 * bytes));
    assert!(retry_after > Duration::ZERO);
    assert_eq!(full.into_inputs(), given(3.0));
    gate.open();
    assert!(held.wait().is_ok() && waiting.into_iter().all(|ticket| ticket.wait().is_ok()));
    check(&model.submit(request(4.0)).unwrap().wait().unwrap(), 4.0, 1);
    assert_eq!((engine.statistics().queued_bytes, model.statistics().refused.queue_bytes), (0, 1));
}

#[test]
fn a_request_larger_than_the_queue_is_not_told_to_try_again() {
    let bytes = 2 * WIDTH * size_of::<f32>();
    let (samples, both) = (Engine::builder().queue_samples(3), Engine::builder().queue_bytes(3 * bytes + 5));
    for builder in [samples, both] {
        let engine = builder.lanes(1).warm_up(Duration::ZERO).build().unwrap();
        let model = engine.load("fake", sleeping(Duration::ZERO, 2)).unwrap();
        let large = model.submit([("x", input(1.0, 4))]).unwrap_err();
        assert!(matches!(large, SubmitError::TooLarge { samples: 4, limit: 3, .. }), "{large}");
        assert_eq!(large.retry_after(), None);
        check(&model.submit([("x", input(1.0, 3))]).unwrap().wait().unwrap(), 1.0, 3);
    }
}

#[test]
fn no_memory_is_taken_for_the_outputs_of_a_request_that_is_too_large() {
    let outputs = vec![port("y", DType::F32, &[usize::MAX / 64])];
    let signature = Signature { inputs: rows(WIDTH).inputs, outputs, batched: true };
    let (_engine, model) = engine(1, &Arc::new(FakeProgram::new(signature)));
    let large = model.submit(request(1.0)).unwrap_err();
    assert!(matches!(large, SubmitError::TooLarge { samples: 1, limit: 0, .. }), "{large}");
    assert_eq!(large.into_inputs(), given(1.0));
    assert_eq!(model.statistics().refused.too_large, 1);
}

#[test]
fn the_queue_is_bounded_in_time() {
    let program = sleeping(100 * MS, 1);
    let engine = Engine::builder().lanes(1).queue_time(250 * MS).warm_up(Duration::ZERO).build().unwrap();
    let model = engine.load("fake", program).unwrap();
    assert!(model.infer(request(0.0)).is_ok());
    let mut waiting = Vec::new();
    let full = loop {
        match model.submit(request(waiting.len() as f32)) {
            Ok(ticket) => waiting.push(ticket),
            Err(full) => break full,
        }
        assert!(waiting.len() < 10);
    };
    let SubmitError::QueueTime { predicted, limit, retry_after, .. } = full else { panic!("{full}") };
    assert!(predicted > limit && limit == 250 * MS && retry_after >= MS, "{predicted:?} {retry_after:?}");
    assert!((3..=5).contains(&waiting.len()), "{} of 100 ms each were accepted", waiting.len());
    assert_eq!(full.into_inputs(), given(waiting.len() as f32));
    assert!(waiting.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert_eq!(model.statistics().refused.queue_time, 1);
}
