//! Pools of real processes. The workers' executable is this one.

mod crashes;
mod profile;
mod scripted;
mod serving;
mod supervision;
mod system;

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use paceline_engine::{ExecutionError, Outputs};
use paceline_graph::Tensor;
use paceline_workers::{Builder, Model, ModelSpec, Source, WorkerPool, become_worker_if_started_as_one};

use scripted::{WIDTH, expected};

fn main() {
    become_worker_if_started_as_one(scripted::load);
    system::become_parent_if_started_as_one();
    let mut arguments = Arguments::from_args();
    // Two cores are shared by the workers of one test already.
    arguments.test_threads.get_or_insert(1);
    let trials =
        [serving::TRIALS, profile::TRIALS, supervision::TRIALS, crashes::TRIALS, system::TRIALS].concat();
    let trials = trials.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

type Test = (&'static str, fn());

/// Longer than anything takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn scripted() -> ModelSpec {
    ModelSpec::new("scripted", Source::Custom { description: "scripted".into() })
}

fn builder() -> Builder {
    WorkerPool::builder().model(scripted()).lanes(1).warm_up(Duration::from_millis(5)).retries(2)
}

fn pool(builder: Builder) -> (WorkerPool, Model) {
    let pool = builder.build().unwrap();
    let model = pool.model("scripted").unwrap();
    (pool, model)
}

/// A row that begins with an order, or a number.
fn row(first: f32) -> Tensor {
    rows(&[first])
}

fn rows(firsts: &[f32]) -> Tensor {
    let elements =
        firsts.iter().flat_map(|&first| (0..WIDTH).map(move |i| if i == 0 { first } else { i as f32 }));
    Tensor::new([firsts.len(), WIDTH], elements.collect::<Vec<f32>>()).unwrap()
}

fn is_right(outputs: &Outputs, x: &Tensor) -> bool {
    let expected: Vec<f32> = x.as_f32().unwrap().iter().map(|&x| expected(x)).collect();
    outputs["y"].shape() == x.shape() && outputs["y"].as_f32().unwrap() == expected
}

#[track_caller]
fn assert_serves(model: &Model) {
    for first in [1.0, 2.0, 3.0] {
        let x = row(first);
        let outputs = model.infer([("x", x.clone())]).unwrap();
        assert!(is_right(&outputs, &x), "{outputs:?}");
    }
}

/// Waits until it is so.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not even after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[track_caller]
fn crashed(answer: Result<Outputs, ExecutionError>) -> u32 {
    match answer {
        Err(ExecutionError::Crashed { executions, .. }) => executions,
        other => panic!("expected a request that is given up, got {other:?}"),
    }
}

/// Kills a process, if it is still there.
fn kill(process: u32) {
    let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
    match rustix::process::kill_process(process, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Is set when it goes, also when a test fails: threads that look at it end.
#[derive(Default)]
struct Over(std::sync::atomic::AtomicBool);

impl Over {
    fn is_set(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct SetOnDrop<'a>(&'a Over);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
