//! `paceline tune`

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Scratch, json, paceline, stdout};

#[test]
fn tune_writes_a_profile_that_an_engine_starts_from() {
    let scratch = Scratch::new("tune");
    let path = scratch.path("made/profile.json");
    let common = ["tune", "linear", "--seconds", "1", "--batches", "4,16", "--lanes", "1,2", "--out", &path];
    let tune = |more: &[&str]| paceline(&scratch, &[&common[..], more].concat());
    let output = tune(&["--objective", "latency", "--json", "--quiet"]);
    let profile = json(&output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(profile["schema"], "paceline.profile/1");
    assert_eq!((&profile["model"]["name"], &profile["chosen"]), (&"linear".into(), &"latency".into()));
    assert_eq!(fs::read_to_string(&path).unwrap(), stdout(&output));
    let uses: Vec<&str> =
        profile["recommendations"].as_array().unwrap().iter().filter_map(|r| r["use"].as_str()).collect();
    assert_eq!(uses, ["throughput", "streams", "latency"]);
    for row in profile["costs"].as_array().unwrap() {
        assert!(
            [1, 4, 16].contains(&row["samples"].as_u64().unwrap()) && row["lanes"].as_u64() <= Some(2),
            "{row}"
        );
    }

    let read = paceline::Profile::from_file(&path).unwrap();
    let lanes = read.chosen().unwrap().configuration.lanes;
    let engine = paceline::Engine::builder().profile(read).build().unwrap();
    let graph = paceline::nn::Model::by_name("linear").unwrap().graph(7).unwrap();
    let model = engine.load("linear", graph).unwrap();
    assert_eq!((engine.profile_mismatches(), engine.statistics().lanes), (vec![], lanes));
    assert!(model.predicted_cost(1, 1).is_some());

    let output = tune(&["--p99-ms", "1000"]);
    assert!(output.status.success());
    let (text, told) = (stdout(&output), String::from_utf8_lossy(&output.stderr).into_owned());
    for part in [
        "# linear tuned for throughput",
        "## Recommendations",
        "## Predicted and measured",
        "## Costs",
        "| latency ",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(told.contains("measuring executions") && told.contains("wrote "), "{told}");
}

#[test]
fn tune_tries_worker_processes_also_of_a_file() {
    let scratch = Scratch::new("tune-workers");
    let graph = paceline::nn::Model::by_name("linear").unwrap().graph(3).unwrap();
    paceline_onnx::write(&graph, scratch.path("mine.onnx")).unwrap();
    let common = ["--seconds", "0.6", "--batches", "4", "--lanes", "1", "--quiet"];
    for model in ["linear", "mine.onnx"] {
        let path = scratch.path("profile.json");
        let arguments = [&["tune", model, "--workers", "0,2", "--out", &path], &common[..]].concat();
        let output = paceline(&scratch, &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(stdout(&output).contains("## Tried"), "{}", stdout(&output));
        let profile = paceline::Profile::from_file(&path).unwrap();
        for recommendation in &profile.recommendations {
            let workers: BTreeSet<usize> =
                recommendation.tried.iter().map(|tried| tried.configuration.workers).collect();
            assert!(workers.contains(&0), "{recommendation:?}");
            assert!(recommendation.measured.is_some_and(|measured| measured.requests > 0));
        }
        let throughput = profile.recommendation(paceline::profile::Use::Throughput).unwrap();
        let of_workers = throughput.tried.iter().find(|tried| tried.configuration.workers == 2).unwrap();
        assert!(of_workers.figures.requests > 0 && of_workers.figures.samples_per_s > 0.0);
    }

    // Only workers may be chosen: that is what is recommended, checked, and told.
    let path = scratch.path("workers.json");
    let arguments = [&["tune", "linear", "--workers", "1", "--out", &path], &common[..]].concat();
    let output = paceline(&scratch, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout(&output).contains("a WorkerPool starts them from this profile"), "{}", stdout(&output));
    let profile = paceline::Profile::from_file(&path).unwrap();
    let chosen = profile.chosen().unwrap();
    assert_eq!((chosen.configuration.workers, chosen.configuration.lanes), (1, 1));
    assert!(chosen.measured.is_some_and(|measured| measured.requests > 0));
    let engine = paceline::Engine::builder().profile(profile).build().unwrap();
    assert!(matches!(engine.profile_mismatches()[..], [paceline::Mismatch::Workers { .. }]));
}
