//! Workers that cannot start, hang, break the rules, or die again and again.

use std::time::{Duration, Instant};

use paceline_engine::{ExecutionError, InferError, SubmitError};
use paceline_workers::{BuildError, ModelSpec, Source, WorkerPool, WorkerState};

use crate::scripted::{HANG, SCRIBBLE, STOP};
use crate::{Test, assert_serves, builder, crashed, eventually, kill, pool, row, scripted};

pub const TRIALS: &[Test] = &[
    ("what cannot be started is named", unstartable),
    ("bad options are named", options),
    ("a worker whose execution hangs is killed and replaced", hanging_execution),
    ("a worker that stands still is killed and replaced", stopped_process),
    #[cfg(target_os = "linux")]
    ("a worker that scribbles over the shared memory is replaced", scribbling),
    ("a worker that dies again and again is given up, and says so", crash_loop),
    ("while one worker is given up the others serve", one_given_up),
];

fn unstartable() {
    let custom = |description: &str| ModelSpec::new("m", Source::Custom { description: description.into() });
    let cases = [
        (builder().executable("/nowhere/paceline"), "/nowhere/paceline could not be started: No such file"),
        (builder().executable("/usr/bin/true"), "is /usr/bin/true a worker?"),
        (builder().executable("/bin/cat"), "is /bin/cat a worker?"),
        (WorkerPool::builder().model(custom("unknown")), "model 'm': no program 'unknown'"),
        (WorkerPool::builder().model(ModelSpec::study("lineal", 1)), "there is no model 'lineal'"),
        (builder().start_timeout(Duration::ZERO).model(ModelSpec::study("t6", 1)), "start_timeout"),
    ];
    for (builder, part) in cases {
        let error = builder.workers(2).build().unwrap_err().to_string();
        assert!(error.contains(part), "'{part}' is missing: {error}");
    }
}

fn options() {
    let cases = [
        (WorkerPool::builder(), "a pool serves at least one model"),
        (builder().model(scripted()), "got 'scripted' 2 times"),
        (builder().model(ModelSpec::study("", 1)), "got '' 1 times"),
        (builder().workers(0), "workers: expected 1 to 256, got 0"),
        (builder().workers(257), "workers: expected 1 to 256, got 257"),
        (builder().lanes(0), "lanes: expected 1 to 4096, got 0"),
        (builder().in_flight_samples(0), "in_flight_samples: expected 1 to 1048576, got 0"),
        (builder().in_flight_bytes(usize::MAX), "in_flight_bytes: expected 1 to"),
    ];
    for (builder, part) in cases {
        let error = builder.build().unwrap_err();
        assert!(!matches!(error, BuildError::Worker { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "'{part}' is missing: {error}");
    }
}

fn hanging_execution() {
    let (pool, model) = pool(
        builder()
            .request_timeout(Duration::from_millis(200))
            .retries(1)
            .health_timeout(Duration::from_secs(60)),
    );
    let hanging = model.submit([("x", row(HANG))]).unwrap();
    assert_eq!(crashed(hanging.wait()), 2);
    assert_serves(&model);
    let failure = pool.statistics().workers[0].last_failure.clone().unwrap();
    assert!(failure.contains("did not answer a request within 200ms of the predicted time"), "{failure}");
}

fn stopped_process() {
    let (pool, model) = pool(builder().health_timeout(Duration::from_millis(300)).retries(0));
    let stopping = model.submit([("x", row(STOP))]).unwrap();
    assert_eq!(crashed(stopping.wait()), 1);
    assert_serves(&model);
    let failure = pool.statistics().workers[0].last_failure.clone().unwrap();
    assert!(failure.contains("no sign of life for 300ms"), "{failure}");
}

/// Every word that the worker may write is all ones, while requests are on their way.
#[cfg(target_os = "linux")]
fn scribbling() {
    let (pool, model) = pool(builder().retries(1).in_flight_samples(64));
    for _ in 0..3 {
        let before = pool.statistics().workers[0].starts;
        let tickets: Vec<_> =
            [1.0, SCRIBBLE, 2.0].map(|first| model.submit([("x", row(first))]).unwrap()).into();
        let answers: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait()).collect();
        assert_eq!(crashed(answers[1].clone()), 2);
        eventually("replaced", || pool.statistics().workers[0].starts >= before + 2);
        assert_serves(&model);
    }
    let failure = pool.statistics().workers[0].last_failure.clone().unwrap();
    assert!(failure.contains("broke the protocol") || failure.contains("ended with"), "{failure}");
}

/// A model that a worker can load only once.
fn once(name: &str) -> (ModelSpec, std::path::PathBuf) {
    let path = std::env::temp_dir().join(format!("paceline-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let description = format!("once {}", path.display());
    (ModelSpec::new("scripted", Source::Custom { description }), path)
}

fn crash_loop() {
    let (spec, path) = once("crash-loop");
    let builder =
        WorkerPool::builder().model(spec).back_off(Duration::from_millis(1), Duration::from_millis(4));
    let (pool, model) = pool(builder.crash_loop(4, Duration::from_secs(60)));
    assert_serves(&model);
    kill(pool.statistics().workers[0].process.unwrap());
    let start = Instant::now();
    // Accepted while there is hope, refused after: it always says why.
    let reason = loop {
        match model.infer([("x", row(1.0))]) {
            Ok(_) => {}
            Err(InferError::Execution(ExecutionError::Unavailable { reason, .. })) => break reason,
            Err(InferError::Refused(SubmitError::Unavailable { reason, .. })) => break reason,
            Err(other) => panic!("{other:?}"),
        }
        assert!(start.elapsed() < crate::PATIENCE);
    };
    assert!(reason.contains("worker 0 was given up: it died 4 times within 60s"), "{reason}");
    assert!(
        matches!(&pool.statistics().workers[0].state, WorkerState::GivenUp(why) if why.contains("4 times"))
    );
    assert!(matches!(model.submit([("x", row(1.0))]), Err(SubmitError::Unavailable { .. })));
    pool.drain();
    std::fs::remove_file(path).unwrap();
}

fn one_given_up() {
    let (pool, model) = pool(builder().workers(2).crash_loop(2, Duration::from_secs(600)));
    let first = || pool.statistics().workers[0].clone();
    for _ in 0..2 {
        eventually("worker 0 serves", || first().process.is_some());
        let process = first().process.unwrap();
        kill(process);
        eventually("noticed", || first().process != Some(process));
    }
    eventually("given up", || matches!(first().state, WorkerState::GivenUp(_)));
    assert_serves(&model);
    assert_eq!(pool.statistics().workers[1].starts, 1);
}
