//! The trace of lanes, as a viewer reads it.
#![cfg(not(loom))]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{WIDTH, check, input, silence_scripted_panics};
use paceline_device::BatchSizes;
use paceline_device::fake::{FakeProgram, Latency, Outcome, rows};
use paceline_engine::{Engine, Trace, write_chrome};
use serde_json::Value;

const CALLERS: usize = 8;
const CALLS: usize = 40;

/// Callers of two models on two lanes: one whose name needs quoting, and one that splits and fails.
fn traced(events: usize) -> Engine {
    silence_scripted_panics();
    let engine = Engine::builder().lanes(2).trace(events).build().unwrap();
    let latency = Latency::sleep(Duration::from_micros(50), Duration::ZERO);
    let quoted = FakeProgram::new(rows(WIDTH)).latency(latency);
    let quoted = engine.load("a \"b\" \\ \u{7}\n é", Arc::new(quoted)).unwrap();
    let split = FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::Buckets(vec![1, 4]));
    let split =
        split.script(|e| if e.firsts.contains(&1.0) { Outcome::Fail("1".into()) } else { Outcome::Compute });
    let split = engine.load("split", Arc::new(split)).unwrap();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (quoted, split) = (&quoted, &split);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let first = (caller + call + 2) as f32;
                    check(&quoted.infer([("x", input(first, 1))]).unwrap(), first, 1);
                    let ticket = split.submit([("x", input(50.0, 1 + call % 9))]).unwrap();
                    assert!(ticket.wait().is_ok());
                }
            });
        }
    });
    assert!(split.infer([("x", input(1.0, 1))]).is_err());
    engine.drain();
    engine
}

fn parsed(trace: &Trace) -> Value {
    let mut json = Vec::new();
    trace.write_chrome(&mut json).unwrap();
    serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&json)))
}

fn events<'v>(document: &'v Value, phase: &str) -> Vec<&'v Value> {
    document["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == phase).collect()
}

fn nanos(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1000.0).round() as u64
}

#[test]
fn every_batch_and_request_is_in_the_trace() {
    let engine = traced(1_000_000);
    let statistics = engine.statistics();
    let trace = engine.take_trace();
    assert_eq!(trace.dropped(), 0);
    let document = parsed(&trace);
    let batches = events(&document, "X");
    for model in &statistics.models {
        let own: Vec<_> = batches.iter().filter(|batch| batch["name"] == model.name.as_str()).collect();
        let sum = |of: fn(&Value) -> u64| own.iter().map(|batch| of(batch)).sum::<u64>();
        assert_eq!(own.len() as u64, model.executions + model.failed_executions);
        assert_eq!(
            sum(|batch| if batch["args"]["ok"] == true {
                batch["args"]["samples"].as_u64().unwrap()
            } else {
                0
            }),
            model.samples
        );
        for (release, count) in model.released.iter() {
            let of_release = own.iter().filter(|batch| batch["args"]["release"] == release.name());
            assert_eq!(of_release.count() as u64, count, "{release} of {}", model.name);
        }
        let begun =
            events(&document, "b").into_iter().filter(|request| request["name"] == model.name.as_str());
        assert_eq!(sum(|batch| batch["args"]["requests"].as_u64().unwrap()), begun.count() as u64);
        assert_eq!(model.queue_time.count(), sum(|batch| batch["args"]["requests"].as_u64().unwrap()));
    }
    assert_eq!((trace.batches(), trace.requests()), (batches.len(), events(&document, "b").len()));
    let busy: Duration = statistics.by_lane.iter().map(|lane| lane.busy).sum();
    assert_eq!(batches.iter().map(|batch| nanos(&batch["dur"])).sum::<u64>(), busy.as_nanos() as u64);
    assert!(engine.take_trace().is_empty());
}

#[test]
fn slices_of_a_lane_follow_each_other_and_requests_end_with_their_batch() {
    let document = parsed(&traced(1_000_000).take_trace());
    let mut lanes: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for batch in events(&document, "X") {
        let start = nanos(&batch["ts"]);
        lanes.entry(batch["tid"].as_u64().unwrap()).or_default().push((start, start + nanos(&batch["dur"])));
    }
    let names: Vec<_> = events(&document, "M")
        .iter()
        .map(|name| name["args"]["name"].as_str().unwrap().to_string())
        .collect();
    assert!(!lanes.is_empty() && names[0] == "paceline" && names.len() == 1 + lanes.len(), "{names:?}");
    for (tid, slices) in &lanes {
        assert!(names.contains(&format!("lane {}", tid - 1)));
        assert!(slices.windows(2).all(|pair| pair[0].1 <= pair[1].0), "slices of track {tid} overlap");
    }
    let ends: BTreeMap<_, _> =
        events(&document, "e").into_iter().map(|end| (end["id"].as_str().unwrap(), end)).collect();
    let begun = events(&document, "b");
    assert_eq!(ends.len(), begun.len());
    for begin in begun {
        let end = ends[begin["id"].as_str().unwrap()];
        assert_eq!((&begin["name"], &begin["cat"], &begin["tid"]), (&end["name"], &end["cat"], &end["tid"]));
        let started = nanos(&begin["ts"]) + nanos(&begin["args"]["waited_us"]);
        let slice = (started, nanos(&end["ts"]));
        assert!(lanes[&begin["tid"].as_u64().unwrap()].contains(&slice), "{begin} is in no batch");
    }
    let waiting = events(&document, "C");
    assert_eq!(waiting.last().unwrap()["args"]["samples"], 0);
    assert!(waiting.iter().all(|at| at["args"]["samples"].as_i64().unwrap() >= 0));
    assert!(waiting.windows(2).all(|pair| nanos(&pair[0]["ts"]) < nanos(&pair[1]["ts"])));
}

#[test]
fn a_short_trace_says_what_it_left_out() {
    let trace = traced(30).take_trace();
    assert!(trace.batches() + trace.requests() <= 2 * 30 && trace.dropped() > 100);
    let document = parsed(&trace);
    assert_eq!(document["otherData"]["dropped"], trace.dropped());
    assert_eq!(events(&document, "X").len(), trace.batches());
}

#[test]
fn without_a_trace_nothing_is_recorded() {
    let engine = traced(0);
    let trace = engine.take_trace();
    assert!(trace.is_empty() && trace.batches() == 0 && trace.dropped() == 0);
    assert_eq!(parsed(&trace)["traceEvents"].as_array().unwrap().len(), 1);
}

#[test]
fn engines_are_processes_on_one_clock() {
    let traces = [traced(100), traced(100)].map(|engine| engine.take_trace());
    let mut json = Vec::new();
    write_chrome([("first", &traces[0]), ("second \"2\"", &traces[1])], &mut json).unwrap();
    let document: Value = serde_json::from_slice(&json).unwrap();
    let of = |pid: u64| events(&document, "X").into_iter().filter(move |batch| batch["pid"] == pid);
    let end = of(1).map(|batch| nanos(&batch["ts"]) + nanos(&batch["dur"])).max().unwrap();
    assert!(
        of(2).all(|batch| nanos(&batch["ts"]) >= end),
        "the second engine was made after the first was drained"
    );
    let ids: Vec<_> = events(&document, "b").iter().map(|begin| begin["id"].to_string()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
}
