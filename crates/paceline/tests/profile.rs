//! An engine that is built from a profile starts from it on the machine and for the model that it is of, and says where it does not.

use std::time::Duration;

use paceline::nn;
use paceline::profile::{Configuration, CostRow, Figures, Machine, ModelPrint, Recommendation, SCHEMA, Use};
use paceline::{Engine, LoadOptions, Mismatch, Profile, Tensor, device};

fn graph(name: &str) -> paceline::Graph {
    nn::Model::by_name(name).unwrap().graph(1).unwrap()
}

/// Of `linear` on this machine, with costs that nobody would measure.
fn profile() -> Profile {
    let recommendation = Recommendation {
        purpose: Use::Latency,
        configuration: Configuration { workers: 0, lanes: 3, helpers: 1, max_batch: 300 },
        in_flight: 1,
        predicted: Figures::default(),
        uncertainty: 0.0,
        measured: None,
        unconfigured: None,
        keeps_bound: None,
        reason: "a test".into(),
        tried: Vec::new(),
    };
    let cost = |samples, lanes, mean_us| CostRow {
        samples,
        lanes,
        threads: 1,
        mean_us,
        p99_us: 2.0 * mean_us,
        samples_per_s: 1.0,
        uncertainty: 0.0,
        rounds: 4,
    };
    let profile = Profile {
        schema: SCHEMA.into(),
        commit: "unknown".into(),
        command: "a test".into(),
        created: "2026-11-27T18:00:00Z".into(),
        machine: Machine::of(&device("cpu").unwrap().info()),
        model: ModelPrint::of("linear", &graph("linear")),
        chosen: Use::Latency,
        recommendations: vec![recommendation],
        costs: vec![cost(1, 1, 7e6), cost(300, 1, 9e6), cost(1, 2, 8e6)],
        knee_lanes: 1,
        notes: Vec::new(),
    };
    Profile::from_json(profile.to_json().as_bytes()).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_profile_of_the_model_is_used_and_choices_go_before_it() {
    let engine = Engine::builder().profile(profile()).build().unwrap();
    let model = engine.load("any name", graph("linear")).unwrap();
    assert_eq!(engine.profile_mismatches(), []);
    assert_eq!((engine.statistics().lanes, model.max_batch()), (3, 300));
    assert_eq!(model.predicted_cost(1, 1), Some((7 * SECOND, 14 * SECOND)));
    assert_eq!(model.predicted_cost(1, 2), Some((8 * SECOND, 16 * SECOND)));
    let x = Tensor::new([2, 256], vec![0.5; 512]).unwrap();
    assert_eq!(model.infer([("x", x)]).unwrap()["y"].shape(), [2, 128]);

    let engine = Engine::builder().lanes(2).max_batch(16).profile(profile()).build().unwrap();
    let model = engine.load("linear", graph("linear")).unwrap();
    assert_eq!((engine.statistics().lanes, model.max_batch()), (2, 16));
    let options = LoadOptions::new().max_batch(5);
    assert_eq!(engine.load_with("smaller", [graph("linear")], options).unwrap().max_batch(), 5);
}

#[test]
fn another_model_is_measured_and_that_is_told() {
    let engine = Engine::builder().profile(profile()).build().unwrap();
    let model = engine.load("mlp", graph("mlp")).unwrap();
    assert!(model.predicted_cost(1, 1).is_some_and(|(mean, _)| mean < SECOND));
    assert_eq!(model.max_batch(), 256);
    let mismatches = engine.profile_mismatches();
    assert!(matches!(&mismatches[..], [Mismatch::Model { name, .. }] if name == "mlp"), "{mismatches:?}");
    let text = mismatches[0].to_string();
    assert!(text.contains("'mlp' (fnv1a-64:") && text.contains("but of 'linear' (fnv1a-64:"), "{text}");
}

#[test]
fn a_profile_of_another_machine_is_not_used_and_that_is_told() {
    let mut other = profile();
    other.machine.hardware = "another processor".into();
    let engine = Engine::builder().profile(other).build().unwrap();
    let model = engine.load("linear", graph("linear")).unwrap();
    assert!(model.predicted_cost(1, 1).is_some_and(|(mean, _)| mean < SECOND));
    assert_eq!(engine.statistics().lanes, device("cpu").unwrap().info().default_lanes);
    let mismatches = engine.profile_mismatches();
    let [Mismatch::Machine { profile, differences }] = &mismatches[..] else { panic!("{mismatches:?}") };
    assert_eq!((profile.as_str(), differences.len()), ("linear", 1));
    let text = mismatches[0].to_string();
    assert!(text.contains("in the profile another processor"), "{text}");
}

#[test]
fn an_engine_has_the_lanes_of_all_recommended_workers_and_that_is_told() {
    let mut profile = profile();
    profile.recommendations[0].configuration.workers = 2;
    let engine = Engine::builder().profile(profile.clone()).build().unwrap();
    let model = engine.load("linear", graph("linear")).unwrap();
    assert_eq!((engine.statistics().lanes, model.max_batch()), (6, 300));
    let mismatches = engine.profile_mismatches();
    assert!(
        matches!(&mismatches[..], [Mismatch::Workers { profile, .. }] if profile == "linear"),
        "{mismatches:?}"
    );
    let text = mismatches[0].to_string();
    assert!(
        text.contains("recommends 2 workers, each 3 lanes") && text.contains("a WorkerPool starts them"),
        "{text}"
    );
    let engine = Engine::builder().lanes(1).profile(profile).build().unwrap();
    assert_eq!((engine.statistics().lanes, engine.profile_mismatches().len()), (1, 1));
}
