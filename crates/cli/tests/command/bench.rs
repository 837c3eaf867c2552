//! `paceline bench`: its report, its results, its trace.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Scratch, json, paceline, stdout};
use crate::weights::{BIAS, WEIGHT, safetensors};

#[test]
fn a_quick_bench_writes_a_report_and_results() {
    let scratch = Scratch::new("bench");
    let arguments =
        ["bench", "--quick", "--model", "linear", "--seconds", "0.01", "--lanes", "2", "--out", "a/b"];
    let output = paceline(&scratch, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read_to_string(scratch.0.join("a/b/report.md")).unwrap();
    assert_eq!(stdout(&output), report);
    for fragment in ["## Recommendation", "### linear", "samples/s", "engine-async", "bit for bit"] {
        assert!(report.contains(fragment), "expected `{fragment}` in:\n{report}");
    }
    let results: Value =
        serde_json::from_str(&fs::read_to_string(scratch.0.join("a/b/results.json")).unwrap()).unwrap();
    assert_eq!(results["schema"], "paceline.study/1");
    assert_eq!(results["command"], format!("paceline {}", arguments.join(" ")));
    let rows = results["rows"].as_array().unwrap();
    // Two loads of many callers; one, three and three modes of three callers; one and three batches; one and four modes of two
    // parallelisms; one session, and four sizes of pools with large and small requests; one, three numbers of tickets, as many without work, and two open loads.
    assert_eq!(rows.len(), 2 + 10 + 4 + 9 + 9 + 9);
    for row in rows {
        assert_eq!((&row["errors"], &row["wrong"]), (&0.into(), &0.into()), "{row}");
        assert_eq!(row["completed"], row["expected"], "{row}");
        assert!(row["samples_per_s"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["latency_us"]["p99"].as_f64() >= row["latency_us"]["p50"].as_f64(), "{row}");
    }
    let suites: Vec<_> = results["suites"].as_array().unwrap().iter().map(|run| &run["suite"]).collect();
    assert_eq!(suites, ["stress", "threads", "batches", "compare", "workers", "saturation"]);
    assert!(results["suites"].as_array().unwrap().iter().all(|run| run["ended"] == "done"));
    let mut files: Vec<_> =
        fs::read_dir(scratch.0.join("a/b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["index.html", "plots", "report.md", "results.json"]);
    let page = fs::read_to_string(scratch.0.join("a/b/index.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && !page.contains("src="));
    for plot in ["threads-linear", "batches-linear", "compare-linear", "saturation-linear"] {
        let file = format!("plots/{plot}.svg");
        assert!(report.contains(&file), "{file} is in the report");
        assert!(fs::read_to_string(scratch.0.join("a/b").join(file)).unwrap().starts_with("<svg xmlns="));
    }
}

#[test]
fn threads_honours_batches_and_json_is_all_there_is() {
    let scratch = Scratch::new("json");
    let weights = scratch.file("w.safetensors", &safetensors(&[WEIGHT, BIAS]));
    let output = paceline(
        &scratch,
        &[
            "bench",
            "--suite",
            "threads",
            "--model",
            "linear",
            "--batches",
            "8",
            "--callers",
            "2",
            "--lanes",
            "2",
            "--seconds",
            "0.01",
            "--weights",
            &weights,
            "--isa",
            "portable",
            "--json",
            "--quiet",
        ],
    );
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = json(&output);
    assert_eq!(results["device"]["isa"], "portable");
    let rows = results["rows"].as_array().unwrap();
    let of = |row: &Value| {
        (row["mode"].as_str().unwrap().to_string(), row["callers"].clone(), row["batch"].clone())
    };
    let got: Vec<_> = rows.iter().map(of).collect();
    let expected =
        [("sequential", 1, 1), ("batch", 1, 8), ("threads", 2, 8), ("engine", 2, 1), ("engine-async", 2, 1)];
    assert_eq!(got, expected.map(|(mode, callers, batch)| (mode.to_string(), callers.into(), batch.into())));
    assert!(scratch.0.join("paceline-report/results.json").exists());
}

#[test]
fn a_trace_has_a_process_for_each_measurement_through_the_engine() {
    let scratch = Scratch::new("trace");
    let arguments =
        ["bench", "--suite", "threads,batches", "--model", "linear", "--callers", "2", "--batches", "1"];
    let output = |file: &str| {
        let more = ["--lanes", "2", "--seconds", "0.01", "--trace", file];
        let output = paceline(&scratch, &[&arguments[..], &more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let message = output("new/trace.json");
    assert!(message.contains("wrote new/trace.json: ") && message.contains("of 2 measurements"), "{message}");
    let trace: Value =
        serde_json::from_str(&fs::read_to_string(scratch.0.join("new/trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let processes: Vec<_> = events.iter().filter(|event| event["name"] == "process_name").collect();
    let titles: Vec<_> = processes.iter().map(|process| process["args"]["name"].as_str().unwrap()).collect();
    assert_eq!(titles, ["threads: linear, 2 callers", "threads: linear, 2 tickets"]);
    for process in processes {
        let batches = events.iter().filter(|event| event["ph"] == "X" && event["pid"] == process["pid"]);
        assert!(batches.count() > 0, "{process}");
    }
    assert!(events.len() > 100 && events.len() < 1_000_000, "{}", events.len());
    assert_eq!(
        trace["otherData"]["dropped"].as_u64().unwrap() > 0,
        message.contains("left out"),
        "{message}"
    );
    assert_eq!(fs::read_dir(scratch.0.join("new")).unwrap().count(), 1);
    if cfg!(unix) {
        output("/dev/null");
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_measured_is_lost_when_something_cannot_be_written() {
    let scratch = Scratch::new("full");
    // Standard error that nobody can write to; then files that may not have a single byte.
    for (out, script, code) in [
        ("unheard", r#"exec "$0" "$@" 2>/dev/full"#, 0),
        ("unwritten", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#, 2),
    ] {
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_paceline"), "bench", "--suite", "batches"])
            .args(["--model", "linear", "--batches", "2", "--seconds", "0.001", "--out", out])
            .current_dir(&scratch.0)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{out}: {message}");
        assert!(stdout(&output).contains("### linear"), "{out}: {}", stdout(&output));
        let files = fs::read_dir(scratch.0.join(out)).unwrap().count();
        match code {
            0 => assert_eq!(files, 4),
            _ => assert!(files == 0 && message.contains("cannot write 'unwritten/report.md'"), "{message}"),
        }
    }
}
