//! A profile survives its file; a file that is no profile is an error that says why; fingerprints tell machines and models apart.

use std::io::repeat;

use paceline_device::DeviceInfo;
use paceline_nn::Model;
use paceline_profile::{
    Configuration, CostRow, Figures, Machine, Mismatch, ModelPrint, Profile, ProfileError, Recommendation,
    SCHEMA, Tried, Use,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn device() -> DeviceInfo {
    DeviceInfo { id: "cpu".into(), name: "A Processor".into(), isa: "avx512".into(), default_lanes: 2 }
}

fn profile() -> Profile {
    let figures = Figures { requests: 1000, samples_per_s: 1e4, mean_us: 100.0, p50_us: 90.0, p99_us: 250.5 };
    let cost = |samples, lanes, threads, uncertainty| CostRow {
        samples,
        lanes,
        threads,
        mean_us: 60.0,
        p99_us: 61.5,
        samples_per_s: 16_000.25,
        uncertainty,
        rounds: 3,
    };
    Profile {
        schema: SCHEMA.into(),
        commit: "unknown".into(),
        command: "paceline tune mlp".into(),
        created: "2026-11-27T18:00:00Z".into(),
        machine: Machine::of(&device()),
        model: ModelPrint { name: "mlp".into(), fingerprint: "fnv1a-64:0".into() },
        chosen: Use::Latency,
        recommendations: vec![Recommendation {
            purpose: Use::Latency,
            configuration: Configuration { workers: 0, lanes: 2, helpers: 1, max_batch: 8 },
            in_flight: 1,
            predicted: figures,
            uncertainty: 0.01,
            measured: Some(figures),
            unconfigured: None,
            keeps_bound: None,
            reason: "two threads are the quickest".into(),
            tried: vec![Tried {
                configuration: Configuration { workers: 2, lanes: 1, helpers: 0, max_batch: 8 },
                in_flight: 1,
                figures,
                uncertainty: 0.02,
            }],
        }],
        costs: vec![cost(1, 1, 1, 0.01), cost(8, 2, 1, f64::INFINITY), cost(1, 1, 2, 0.5)],
        knee_lanes: 2,
        notes: vec!["short of time".into()],
    }
}

#[test]
fn a_profile_survives_its_file() {
    let profile = profile();
    let read = Profile::from_json(profile.to_json().as_bytes()).unwrap();
    assert_eq!(read, profile);
    assert_eq!(read.chosen().unwrap().configuration.helpers, 1);
    let costs = read.engine_costs();
    assert_eq!(costs.iter().map(|c| (c.samples, c.busy)).collect::<Vec<_>>(), [(1, 1), (8, 2)]);
    assert_eq!(costs[0].p99.as_nanos(), 61_500);
}

#[test]
fn what_is_no_profile_is_an_error_that_says_why() {
    let changed = |path: &str, value: Value| {
        let mut json: Value = serde_json::from_str(&profile().to_json()).unwrap();
        *json.pointer_mut(path).unwrap_or_else(|| panic!("there is no {path}")) = value;
        json.to_string()
    };
    let long = "x".repeat(5000);
    let rows = |count: usize| json!(vec![serde_json::to_value(profile().costs[0]).unwrap(); count]);
    let cases = [
        (String::new(), "EOF"),
        ("{}".into(), "missing field `schema`"),
        ("[1, 2]".into(), "no profile"),
        ("\u{0}".into(), "no profile"),
        (r#"{"schema": "paceline.profile/2"}"#.into(), "'paceline.profile/2', expected 'paceline.profile/1'"),
        (format!(r#"{{"schema": "{long}"}}"#), "expected 'paceline.profile/1'"),
        (format!(r#"{{"schema": "{SCHEMA}"}}"#), "missing field"),
        (format!("{{\"x\": {}", "[".repeat(100_000)), "EOF"),
        (changed("/costs", json!([])), "number of cost rows is 0, expected from 1 to"),
        (changed("/costs", rows(4097)), "number of cost rows is 4097"),
        (changed("/costs/0/samples", json!(0)), "samples of cost row 0 is 0"),
        (changed("/costs/1/lanes", json!(1_000_000)), "lanes of cost row 1 is 1000000"),
        (changed("/costs/0/mean_us", json!(-1.0)), "mean_us of cost row 0 is -1"),
        (changed("/costs/0/mean_us", json!(1e300)), "mean_us"),
        (changed("/costs/0/samples", json!(-1)), "invalid value"),
        (changed("/costs/0/samples", json!(1e30)), "invalid type"),
        (changed("/recommendations", json!([])), "number of recommendations is 0"),
        (changed("/recommendations/0/configuration/lanes", json!(0)), "lanes for latency is 0"),
        (changed("/recommendations/0/configuration/max_batch", json!(u64::MAX)), "max_batch for latency"),
        (changed("/recommendations/0/predicted/p99_us", json!(-3)), "time for latency is -3"),
        (changed("/recommendations/0/configuration/workers", json!(257)), "workers for latency is 257"),
        (
            changed("/recommendations/0/tried/0/configuration/workers", json!(1e6 as u64)),
            "workers for latency is 1000000",
        ),
        (changed("/recommendations/0/tried/0/configuration/lanes", json!(0)), "lanes for latency is 0"),
        (changed("/recommendations/0/tried/0/figures/mean_us", json!(-1)), "time for latency is -1"),
        (
            changed("/recommendations/0/tried", json!(vec![&profile().recommendations[0].tried[0]; 257])),
            "number of configurations tried for latency is 257, expected from 0 to 256",
        ),
        (changed("/recommendations/0/use", json!("speed")), "unknown variant `speed`"),
        (changed("/chosen", json!("throughput")), "chosen use is throughput, expected one of its"),
        (changed("/machine/cores", json!(0)), "number of cores is 0"),
        (changed("/model/name", json!(long)), "length of the model's name is 5000"),
        (changed("/notes", json!(vec!["x"; 65])), "number of notes is 65"),
    ];
    for (text, expected) in cases {
        let start: String = text.chars().take(80).collect();
        let error = Profile::from_json(text.as_bytes()).expect_err(&start).to_string();
        assert!(error.contains(expected), "{start}: {error}");
        assert!(error.len() < 500, "{start}: {error}");
    }
    assert!(matches!(Profile::from_reader(repeat(b' ')), Err(ProfileError::TooLarge { limit: 1_048_576 })));
    assert!(matches!(Profile::from_file("/nowhere/profile.json"), Err(ProfileError::Read(_))));
}

#[test]
fn what_came_to_the_schema_later_may_be_missing() {
    let mut json: Value = serde_json::from_str(&profile().to_json()).unwrap();
    json.pointer_mut("/recommendations/0").unwrap().as_object_mut().unwrap().remove("tried").unwrap();
    json["unknown"] = json!(["of a later version"]);
    let read = Profile::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(read.recommendations[0].tried, []);
    assert_eq!(read.costs, profile().costs);
}

#[test]
fn a_profile_is_of_a_machine_and_a_model() {
    let (profile, here) = (profile(), Machine::of(&device()));
    let print = |fingerprint: &str| ModelPrint { name: "mine".into(), fingerprint: fingerprint.into() };
    assert_eq!(Mismatch::of(&profile, &here, &print("fnv1a-64:0")), None);
    let other = Mismatch::of(&profile, &here, &print("fnv1a-64:1")).unwrap();
    assert!(
        other.to_string().contains("the model 'mine' (fnv1a-64:1), but of 'mlp' (fnv1a-64:0)"),
        "{other}"
    );
    let elsewhere = Machine { cores: 3, ..here };
    let other = Mismatch::of(&profile, &elsewhere, &print("fnv1a-64:0")).unwrap();
    assert!(other.to_string().contains("cores is 3, in the profile 2"), "{other}");
}

#[test]
fn machines_differ_in_what_costs_depend_on() {
    let here = Machine::of(&device());
    assert_eq!(here.differences(&here), []);
    let other = DeviceInfo { name: "Another".into(), default_lanes: 8, ..device() };
    let differences = here.differences(&Machine::of(&other));
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["the hardware is Another, in the profile A Processor", "the number of cores is 8, in the profile 2"]
    );
}

#[test]
fn models_differ_in_structure_and_not_in_weights() {
    let graph = |name: &str, seed| Model::by_name(name).unwrap().graph(seed).unwrap();
    let print = |name: &str, seed| ModelPrint::of("x", &graph(name, seed));
    for name in ["linear", "mlp", "tlayer", "conv1d"] {
        assert_eq!(print(name, 1), print(name, 2), "{name} with other weights");
        assert!(print(name, 1).is_alike(&ModelPrint::of("another name", &graph(name, 1))));
    }
    let names = ["linear", "linear-512", "mlp", "tlayer", "mha", "conv1d", "speech"];
    let prints: std::collections::BTreeSet<String> =
        names.iter().map(|name| print(name, 1).fingerprint).collect();
    assert_eq!(prints.len(), names.len(), "{prints:?}");
}

proptest! {
    #[test]
    fn a_truncated_profile_is_an_error(share in 0.0..1.0f64) {
        let json = profile().to_json();
        let end = (share * (json.trim_end().len() - 1) as f64) as usize;
        prop_assert!(Profile::from_json(&json.as_bytes()[..end]).is_err());
    }

    #[test]
    fn a_profile_with_changed_bytes_never_panics(changes in prop::collection::vec((0usize..4000, any::<u8>()), 1..8)) {
        let mut json = profile().to_json().into_bytes();
        let length = json.len();
        for (at, byte) in changes {
            json[at % length] = byte;
        }
        if let Ok(read) = Profile::from_json(&json) {
            prop_assert!(read.chosen().is_some());
            prop_assert!(read.engine_costs().iter().all(|cost| cost.mean.as_secs() <= 3600));
        }
    }
}
