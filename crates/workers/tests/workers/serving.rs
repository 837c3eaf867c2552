//! Requests that workers answer, or the pool refuses.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use paceline_device::{CompileOptions, Device};
use paceline_device_cpu::CpuDevice;
use paceline_engine::{Callable, Engine, ExecutionError, InferError, InputError, Request, SubmitError};
use paceline_graph::{DType, Tensor};
use paceline_workers::{ModelSpec, WorkerPool};

use crate::scripted::{FAIL, PANIC, SLOW};
use crate::{PATIENCE, Test, assert_serves, builder, eventually, is_right, pool, row, rows};

pub const TRIALS: &[Test] = &[
    ("requests of every size are answered", sizes),
    ("answers are bitwise those of an engine in this process", as_in_process),
    ("many callers are served by several workers", many_callers),
    ("a ticket is waited for, polled, awaited", tickets),
    ("a failure or panic of the device fails its request only", failures),
    ("a request that does not fit gives its inputs back", refusals),
    ("a full pool refuses and gives the inputs back", full),
    ("a dropped ticket withdraws its request", cancel),
    ("deadlines and priorities reach the engine", deadlines),
    ("a drain answers all, then refuses", drain),
    ("the pool serves tickets that outlive its handles", outliving),
];

fn sizes() {
    let (_pool, model) = pool(builder().workers(2));
    for samples in [1, 2, 15, 16, 17, 100] {
        let x = rows(&vec![5.0; samples]);
        assert!(is_right(&model.infer([("x", x.clone())]).unwrap(), &x), "{samples} samples");
    }
}

fn as_in_process() {
    let names = ["linear", "mlp", "mha", "translation"];
    let specs = names.map(|name| ModelSpec::study(name, 7));
    let builder = specs.iter().cloned().fold(WorkerPool::builder(), |builder, spec| builder.model(spec));
    let pool = builder.warm_up(Duration::from_millis(1)).build().unwrap();
    let engine = Engine::builder().lanes(1).warm_up(Duration::ZERO).build().unwrap();
    for spec in &specs {
        let program = CpuDevice::new().compile(&spec.graph().unwrap(), &CompileOptions::default()).unwrap();
        let here = engine.load(&*spec.name, program).unwrap();
        let there = pool.model(&spec.name).unwrap();
        assert_eq!(here.signature(), there.signature());
        assert_eq!(here.max_batch(), there.max_batch());
        for samples in [1, 3] {
            let input = |port: &paceline_device::Port| {
                let shape: Vec<usize> = [samples].into_iter().chain(port.shape.iter().copied()).collect();
                let count = samples * port.elements;
                match port.dtype {
                    DType::F32 => {
                        Tensor::new(shape, (0..count).map(|i| (i as f32).sin()).collect::<Vec<f32>>())
                    }
                    _ => Tensor::new(shape, (0..count).map(|i| (i % 7) as i64).collect::<Vec<i64>>()),
                }
                .unwrap()
            };
            let inputs: Vec<_> =
                here.signature().inputs.iter().map(|port| (port.name.clone(), input(port))).collect();
            let request =
                || Request::new(inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())));
            // The same code calls both.
            let answers = [&here as &dyn Callable, &there].map(|model| model.infer(request()).unwrap());
            let [here, there] = answers.map(|outputs| outputs.into_iter().collect::<Vec<_>>());
            assert_eq!(here, there, "{}", spec.name);
        }
    }
}

fn many_callers() {
    let (pool, model) = pool(builder().workers(2));
    thread::scope(|scope| {
        for caller in 0..16 {
            let model = &model;
            scope.spawn(move || {
                for call in 0..100 {
                    let x = rows(&vec![caller as f32 + call as f32 / 128.0; 1 + (caller + call) % 3]);
                    assert!(is_right(&model.infer([("x", x.clone())]).unwrap(), &x));
                }
            });
        }
    });
    let got = pool.statistics();
    assert_eq!((got.accepted, got.completed, got.waiting), (1600, 1600, 0));
    assert!(got.workers.iter().all(|worker| (worker.requests, worker.samples, worker.starts) == (0, 0, 1)));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn tickets() {
    let (_pool, model) = pool(builder());
    let submit = |first| model.submit([("x", row(first))]).unwrap();
    assert!(is_right(&submit(1.0).wait().unwrap(), &row(1.0)));

    let ticket = submit(SLOW).wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert!(!ticket.is_answered());
    let ticket = ticket.try_take().unwrap_err();
    assert!(is_right(&ticket.wait_timeout(PATIENCE).unwrap().unwrap(), &row(SLOW)));

    let mut ticket = submit(SLOW);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let answer = loop {
        match std::pin::Pin::new(&mut ticket).poll(&mut context) {
            Poll::Ready(answer) => break answer,
            Poll::Pending => thread::park_timeout(PATIENCE),
        }
    };
    assert!(is_right(&answer.unwrap(), &row(SLOW)));
    assert!(ticket.is_answered());

    let ticket = submit(2.0);
    eventually("answered", || ticket.is_answered());
    assert!(is_right(&ticket.try_take().unwrap().unwrap(), &row(2.0)));
}

fn failures() {
    let (_pool, model) = pool(builder());
    let failed = |first| match model.infer([("x", row(first))]) {
        Err(InferError::Execution(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(FAIL), "model 'scripted', lane 0: the device failed: as it was told");
    assert_eq!(failed(PANIC), "model 'scripted', lane 0: the device panicked: as it was told");
    assert_serves(&model);
}

fn refusals() {
    let (pool, model) = pool(builder().in_flight_samples(8).in_flight_bytes(4096));
    let three = || Tensor::new([1, 3], vec![1.0, 2.0, 3.0]).unwrap();
    match model.submit([("x", three())]) {
        Err(SubmitError::Invalid { problem, inputs, .. }) => {
            assert!(matches!(*problem, InputError::Shape { .. }), "{problem:?}");
            assert_eq!(inputs, [("x".to_string(), three())]);
        }
        other => panic!("{other:?}"),
    }
    let nine = rows(&[1.0; 9]);
    match model.infer([("x", nine.clone())]) {
        Err(InferError::Refused(SubmitError::TooLarge { samples: 9, limit: 8, inputs })) => {
            assert_eq!(inputs, [("x".to_string(), nine)]);
        }
        other => panic!("{other:?}"),
    }
    assert!(pool.model("another").is_none());
    assert_eq!(pool.statistics().refused, 2);
    assert_serves(&model);
}

fn full() {
    for by_bytes in [false, true] {
        let builder =
            if by_bytes { builder().in_flight_bytes(4 * 128) } else { builder().in_flight_samples(4) };
        let (_pool, model) = pool(builder);
        let slow: Vec<_> = (0..4).map(|_| model.submit([("x", row(SLOW))]).unwrap()).collect();
        let refusal = model.submit([("x", row(3.0))]).unwrap_err();
        match &refusal {
            SubmitError::QueueFull { samples: 1, queued: 4, limit: 4, .. } if !by_bytes => {}
            SubmitError::QueueBytes { bytes: 128, queued: 512, limit: 512, .. } if by_bytes => {}
            other => panic!("{other:?}"),
        }
        assert!(refusal.retry_after().unwrap() > Duration::ZERO);
        assert_eq!(refusal.into_inputs(), [("x".to_string(), row(3.0))]);
        slow.into_iter().for_each(|ticket| assert!(ticket.wait().is_ok()));
        assert_serves(&model);
    }
}

fn cancel() {
    let (pool, model) = pool(builder().in_flight_samples(8));
    // More than the pool may hold, but that dropped ones make room: with or without having begun.
    for round in 0..5 {
        let tickets: Vec<_> = (0..8).map(|_| model.submit([("x", row(SLOW))]).unwrap()).collect();
        drop(tickets);
        eventually("room again", || pool.statistics().workers[0].samples == 0);
        assert_eq!(pool.statistics().cancelled, 8 * (round + 1));
    }
    assert_serves(&model);
}

fn deadlines() {
    let (pool, model) = pool(builder());
    let passed = Request::new([("x", row(1.0))]).deadline(Instant::now());
    match model.submit(passed) {
        Err(SubmitError::Deadline { left: Duration::ZERO, inputs, .. }) => {
            assert_eq!(inputs, [("x".to_string(), row(1.0))]);
        }
        other => panic!("{other:?}"),
    }
    // One that runs out while another executes.
    let slow = model.submit([("x", row(SLOW))]).unwrap();
    eventually("it executes", || pool.statistics().workers[0].requests == 1);
    thread::sleep(Duration::from_millis(20));
    let hopeless = model.submit(Request::new([("x", row(1.0))]).timeout(Duration::from_millis(10))).unwrap();
    assert!(matches!(hopeless.wait(), Err(ExecutionError::Expired { .. })));
    slow.wait().unwrap();
    let patient = model.infer(Request::new([("x", row(1.0))]).timeout(PATIENCE).priority(5)).unwrap();
    assert!(is_right(&patient, &row(1.0)));
    assert_eq!(pool.statistics().expired, 1);
}

fn drain() {
    let (pool, model) = pool(builder().workers(2));
    let tickets: Vec<_> = (0..8).map(|_| model.submit([("x", row(SLOW))]).unwrap()).collect();
    pool.drain();
    assert!(tickets.iter().all(|ticket| ticket.is_answered()));
    tickets.into_iter().for_each(|ticket| assert!(is_right(&ticket.wait().unwrap(), &row(SLOW))));
    match model.submit([("x", row(1.0))]) {
        Err(SubmitError::Draining { inputs }) => assert_eq!(inputs, [("x".to_string(), row(1.0))]),
        other => panic!("{other:?}"),
    }
}

fn outliving() {
    let (pool, model) = pool(builder());
    let tickets: Vec<_> = (0..4).map(|_| model.submit([("x", row(SLOW))]).unwrap()).collect();
    drop((pool, model));
    for ticket in tickets {
        assert!(is_right(&ticket.wait().unwrap(), &row(SLOW)));
    }
}
