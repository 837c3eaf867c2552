//! Pools that start from a profile, or say why they do not.

use std::time::Duration;

use paceline_device::Device;
use paceline_device_cpu::CpuDevice;
use paceline_engine::{ExecutionError, InferError, MeasuredCost, Request};
use paceline_graph::Tensor;
use paceline_profile::{
    Configuration, CostRow, Figures, Machine, Mismatch, ModelPrint, Profile, Recommendation, SCHEMA, Use,
};
use paceline_workers::{Model, ModelSpec, WorkerPool};

use crate::{Test, assert_serves, scripted};

pub const TRIALS: &[Test] = &[
    ("a pool starts from the profile of its model, and choices go before it", fitting),
    ("costs without a profile reach the workers' engines", costs),
    ("a profile of another machine or model is not used, and that is told", foreign),
    ("a program that compiles by itself cannot use a profile, and that is told", unchecked),
];

const HOUR: Duration = Duration::from_secs(3600);

/// Of `linear` on this machine, with costs that nobody would measure.
fn profile() -> Profile {
    let device = CpuDevice::new();
    let recommendation = Recommendation {
        purpose: Use::Streams,
        configuration: Configuration { workers: 2, lanes: 3, helpers: 1, max_batch: 300 },
        in_flight: 8,
        predicted: Figures::default(),
        uncertainty: 0.0,
        measured: None,
        unconfigured: None,
        keeps_bound: None,
        reason: "a test".into(),
        tried: Vec::new(),
    };
    let cost = |samples| CostRow {
        samples,
        lanes: 1,
        threads: 1,
        mean_us: HOUR.as_secs_f64() * 1e6,
        p99_us: HOUR.as_secs_f64() * 1e6,
        samples_per_s: 1.0,
        uncertainty: 0.0,
        rounds: 4,
    };
    Profile {
        schema: SCHEMA.into(),
        commit: "unknown".into(),
        command: "a test".into(),
        created: "2026-11-28T18:00:00Z".into(),
        machine: Machine::of(&device.info()),
        model: ModelPrint::of("linear", &ModelSpec::study("linear", 1).graph().unwrap()),
        chosen: Use::Streams,
        recommendations: vec![recommendation],
        costs: vec![cost(1), cost(300)],
        knee_lanes: 1,
        notes: Vec::new(),
    }
}

fn linear(profile: Profile) -> ModelSpec {
    ModelSpec { name: "mine".into(), ..ModelSpec::study("linear", 5) }.profile(profile)
}

fn layout(pool: &WorkerPool) -> (usize, usize) {
    let statistics = pool.statistics();
    (statistics.workers.len(), statistics.lanes)
}

/// Whether the worker believes that the model takes an hour: then it does not even begin.
fn takes_an_hour(model: &Model) -> bool {
    let x = Tensor::new([1, 256], vec![0.5; 256]).unwrap();
    match model.infer(Request::new([("x", x)]).timeout(HOUR / 2)) {
        Err(InferError::Execution(ExecutionError::Expired { .. })) => true,
        answer => {
            assert_eq!(answer.unwrap()["y"].shape(), [1, 128]);
            false
        }
    }
}

fn fitting() {
    let pool = WorkerPool::builder().model(linear(profile())).build().unwrap();
    let model = pool.model("mine").unwrap();
    assert_eq!(pool.profile_mismatches(), []);
    assert_eq!((layout(&pool), model.max_batch()), ((2, 3), 300));
    assert!(takes_an_hour(&model));

    let smaller = ModelSpec { max_batch: Some(7), ..linear(profile()) };
    let pool = WorkerPool::builder().model(smaller).workers(3).build().unwrap();
    assert_eq!((layout(&pool), pool.models()[0].max_batch()), ((3, 2), 7), "six lanes are divided");
    let pool = WorkerPool::builder().model(linear(profile())).workers(1).lanes(1).build().unwrap();
    assert_eq!(layout(&pool), (1, 1));

    let mut in_process = profile();
    in_process.recommendations[0].configuration.workers = 0;
    let pool = WorkerPool::builder().model(linear(in_process)).build().unwrap();
    assert_eq!((layout(&pool), pool.profile_mismatches()), ((1, 3), vec![]));
}

fn costs() {
    let hour = MeasuredCost { samples: 1, busy: 1, mean: HOUR, p99: HOUR };
    for (costs, expected) in [(vec![], false), (vec![hour], true)] {
        let spec = ModelSpec { costs, ..ModelSpec::study("linear", 1) };
        let pool = WorkerPool::builder().model(spec).lanes(1).helpers(0).build().unwrap();
        assert_eq!(takes_an_hour(&pool.models()[0]), expected);
    }
}

fn foreign() {
    let mut elsewhere = profile();
    elsewhere.machine.hardware = "another processor".into();
    let mut other = profile();
    other.model.fingerprint = "fnv1a-64:0".into();
    for (profile, part) in
        [(elsewhere, "in the profile another processor"), (other, "no profile is of the model 'mine'")]
    {
        let pool = WorkerPool::builder().model(linear(profile)).build().unwrap();
        let mismatches = pool.profile_mismatches();
        assert_eq!(mismatches.len(), 1);
        assert!(mismatches[0].to_string().contains(part), "{}", mismatches[0]);
        assert_eq!(layout(&pool).0, 1, "as without a profile");
        let model = pool.model("mine").unwrap();
        assert!(model.max_batch() != 300 && !takes_an_hour(&model));
    }
}

fn unchecked() {
    let pool = WorkerPool::builder().model(scripted().profile(profile())).build().unwrap();
    let mismatches = pool.profile_mismatches();
    assert!(
        matches!(&mismatches[..], [Mismatch::Unchecked { name }] if name == "scripted"),
        "{mismatches:?}"
    );
    assert_eq!(layout(&pool).0, 1);
    assert_serves(&pool.models()[0]);
}
