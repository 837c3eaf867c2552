//! The binary, as somebody types it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Scratch, json, paceline, stdout};

/// A safetensors file of f32 tensors, each filled with one number.
fn safetensors(tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for &(name, shape, value) in tensors {
        let start = data.len();
        let elements: usize = shape.iter().product();
        data.extend(std::iter::repeat_n(value.to_le_bytes(), elements).flatten());
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.into(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

const WEIGHT: (&str, &[usize], f32) = ("weight", &[128, 256], 0.5);
const BIAS: (&str, &[usize], f32) = ("bias", &[128], 0.25);

#[test]
fn bad_input_is_exit_code_2_and_a_message() {
    let scratch = Scratch::new("bad");
    let good = safetensors(&[WEIGHT, BIAS]);
    let truncated = scratch.file("truncated.safetensors", &good[..good.len() - 7]);
    let hostile = scratch.file("hostile.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let empty = scratch.file("empty.safetensors", b"");
    let missing = scratch.file("missing.safetensors", &safetensors(&[WEIGHT, ("extra", &[3], 0.0)]));
    let misshapen =
        scratch.file("misshapen.safetensors", &safetensors(&[("weight", &[256, 128], 0.0), BIAS]));
    let nan = scratch.file("nan.safetensors", &safetensors(&[("weight", &[128, 256], f32::NAN), BIAS]));
    let good = scratch.file("good.safetensors", &good);
    let in_a_file = format!("{good}/out");
    let foreign_isa = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };

    let foreign = [foreign_isa];

    fn with(file: &str) -> Vec<&str> {
        vec!["bench", "--model", "linear", "--weights", file]
    }
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (vec![], &["Usage"]),
        (vec!["race"], &["unrecognized subcommand 'race'"]),
        (vec!["bench", "--model", "mlq"], &["there is no model 'mlq'", "linear", "mlp"]),
        (vec!["verify", "--model", "mlq"], &["there is no model 'mlq'"]),
        (vec!["bench", "--suite", "speed"], &["there is no suite 'speed'", "threads"]),
        (vec!["bench", "--isa", "sse9"], &["expected an instruction set", "sse9"]),
        (vec!["bench", "--isa", foreign_isa], &foreign),
        (vec!["verify", "--isa", foreign_isa], &foreign),
        (vec!["bench", "--callers", "0"], &["--callers", "from 1 to 1024, got '0'"]),
        (vec!["bench", "--callers", "1,,2"], &["from 1 to 1024, got ''"]),
        (vec!["bench", "--callers", "two"], &["got 'two'"]),
        (vec!["bench", "--callers", "-3,-1"], &["--callers", "got '-3'"]),
        (vec!["bench", "--lanes", "-1"], &["--lanes", "a whole number from 1 to 1024, got '-1'"]),
        (vec!["bench", "--seconds", "-1"], &["expected seconds", "got '-1'"]),
        (vec!["bench", "--seconds", "--quick"], &["expected seconds", "got '--quick'"]),
        (vec!["bench", "--seed", "-1"], &["--seed", "from 0 to 18446744073709551615, got '-1'"]),
        (vec!["bench", "--callers", "1", "--suite", "compare"], &["compare needs --callers above 1"]),
        (vec!["bench", "--batches", "8,99999999999999999999"], &["--batches", "from 1 to 4096"]),
        (vec!["bench", "--lanes", "0"], &["--lanes", "got '0'"]),
        (vec!["bench", "--seconds", "0"], &["expected seconds", "got '0'"]),
        (vec!["bench", "--seconds", "nan"], &["expected seconds", "got 'nan'"]),
        (vec!["bench", "--seconds", "inf"], &["expected seconds", "got 'inf'"]),
        (vec!["bench", "--workers", "0"], &["--workers", "from 1 to 64, got '0'"]),
        (vec!["bench", "--rounds", "0"], &["--rounds", "from 1 to 1000, got '0'"]),
        (vec!["bench", "--timeout", "0"], &["--timeout", "expected seconds from 0.1"]),
        (vec!["bench", "--minutes", "-1"], &["--minutes", "expected minutes from 0.01"]),
        (vec!["bench", "--minutes", "2"], &["--minutes is for the suite soak"]),
        (vec!["bench", "--arrivals", "late"], &["there are no arrivals 'late'", "poisson"]),
        (vec!["verify", "--callers", "0"], &["--callers", "got '0'"]),
        (vec!["tune"], &["MODEL"]),
        (vec!["tune", "mlq"], &["there is no model 'mlq'"]),
        (
            vec!["tune", "linear", "--objective", "speed"],
            &["expected throughput, streams or latency, got 'speed'"],
        ),
        (vec!["tune", "linear", "--p99-ms", "0"], &["expected milliseconds", "got '0'"]),
        (vec!["tune", "linear", "--p99-ms", "-1"], &["expected milliseconds", "got '-1'"]),
        (vec!["tune", "linear", "--lanes", "1,0"], &["--lanes", "from 1 to 1024, got '0'"]),
        (vec!["tune", "linear", "--threads", "many"], &["--threads", "got 'many'"]),
        (vec!["tune", "linear", "--batches", "0"], &["--batches", "from 1 to 4096"]),
        (vec!["tune", "linear", "--seconds", "0"], &["expected seconds", "got '0'"]),
        (vec!["tune", "linear", "--budget", "inf"], &["expected seconds", "got 'inf'"]),
        (vec!["tune", "linear", "--workers", "-1"], &["--workers", "from 0 to 256, got '-1'"]),
        (vec!["tune", "linear", "--weights", &truncated], &["not a valid safetensors file"]),
        (vec!["tune", "linear", "--out", &in_a_file], &["cannot write to", "--out"]),
        (vec!["tune", "linear", "--isa", foreign_isa], &foreign),
        (vec!["verify", "--iterations", "0"], &["--iterations", "got '0'"]),
        (
            vec!["bench", "--suite", "ops", "--model", "mlp"],
            &["--model is for the suites stress, threads, batches, compare, workers, saturation or soak"],
        ),
        (vec!["bench", "--weights", &good], &["--weights needs exactly one --model", "got 0"]),
        (vec!["bench", "--weights", &good, "--model", "linear,mlp"], &["exactly one --model", "got 2"]),
        (with("nowhere.safetensors"), &["nowhere.safetensors", "cannot read"]),
        (with(&empty), &["not a valid safetensors file"]),
        (with(&truncated), &["not a valid safetensors file", "bytes"]),
        (with(&hostile), &["not a valid safetensors file", "header"]),
        (with(&missing), &["missing: 'bias' [128]", "surplus: 'extra' [3]"]),
        (with(&misshapen), &["'weight' (expected [128, 256], got [256, 128])"]),
        (with(&nan), &["NaN", "'weight'"]),
        (vec!["verify", "--model", "linear", "--weights", &nan], &["NaN", "'weight'"]),
        (
            vec!["bench", "--suite", "batches", "--model", "linear", "--out", &in_a_file],
            &["cannot write to", "--out"],
        ),
        (
            vec!["bench", "--model", "linear", "--trace", &in_a_file],
            &["cannot write to", "good.safetensors/out", "--trace"],
        ),
        (
            vec!["bench", "--model", "linear", "--trace", "."],
            &["cannot write to '.'", "directory", "--trace"],
        ),
        (vec!["bench", "--model", "linear", "--trace", ""], &["--trace"]),
        (
            vec!["bench", "--suite", "batches", "--model", "linear", "--trace", "t.json"],
            &["--trace is for measurements through the engine"],
        ),
    ];
    for (arguments, fragments) in cases {
        let output = paceline(&scratch, &arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
        for fragment in fragments {
            assert!(message.contains(fragment), "{arguments:?}: expected `{fragment}` in: {message}");
        }
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    }
    assert!(
        !scratch.0.join("paceline-report").exists(),
        "nothing is made before the arguments are known to be good"
    );
}

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

/// A study whose only suite is ended by a signal while it is measured, and what it said in the end.
#[cfg(target_os = "linux")]
fn struck(name: &str, signal: &str, more: &[&str]) -> (Output, Value, String) {
    let scratch = Scratch::new(name);
    let arguments =
        ["bench", "--suite", "batches,soak", "--minutes", "0.5", "--model", "linear", "--batches", "2"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    command.current_dir(&scratch.0).args(arguments).args(["--seconds", "0.001"]).args(more);
    let pipe = std::process::Stdio::piped;
    let parent = command.stdout(pipe()).stderr(pipe()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let results = scratch.0.join("paceline-report/results.json");
    // The first suite ends by itself; the second one has looked at itself when it runs for long.
    let child = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let pid = fs::read_to_string(&children).unwrap_or_default();
        let pid = pid.split_whitespace().next()?.to_string();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.count();
        // Its callers call.
        (threads >= 5).then_some(pid)
    });
    let pid = child.take(300).flatten().next().expect("the suite begins");
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let output = parent.wait_with_output().unwrap();
    let results = serde_json::from_str(&fs::read_to_string(results).unwrap()).unwrap();
    let report = fs::read_to_string(scratch.0.join("paceline-report/report.md")).unwrap();
    let _ = Command::new("kill").args(["-KILL", &pid]).output();
    (output, results, report)
}

#[cfg(target_os = "linux")]
#[test]
fn a_suite_that_crashes_or_hangs_is_told_and_the_rest_is_reported() {
    for (name, signal, more, ended, words) in [
        ("crash", "-KILL", &[][..], "crashed", "the suite 'soak' crashed (signal: 9"),
        ("hang", "-STOP", &["--timeout", "2"][..], "timed-out", "the suite 'soak' said nothing for 2s"),
    ] {
        let (output, results, report) = struck(name, signal, more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains(words) && report.contains(words), "{name}: {message}");
        let suites = results["suites"].as_array().unwrap();
        assert_eq!((&suites[0]["ended"], &suites[1]["ended"]), (&"done".into(), &ended.into()));
        assert!(results["rows"].as_array().unwrap().iter().any(|row| row["suite"] == "batches"));
        assert!(results["problems"][0].as_str().unwrap().contains(words));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_suite_does_not_outlive_the_command() {
    let scratch = Scratch::new("orphan");
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    command.current_dir(&scratch.0).args(["bench", "--suite", "soak", "--minutes", "5", "--model", "linear"]);
    let null = std::process::Stdio::null;
    let mut parent = command.stdout(null()).stderr(null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let wait = |until: &dyn Fn() -> Option<String>| {
        let looks = std::iter::repeat_with(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            until()
        });
        looks.take(400).flatten().next()
    };
    let pid = wait(&|| Some(fs::read_to_string(&children).ok()?.split_whitespace().next()?.to_string()));
    let pid = pid.expect("the suite begins");
    parent.kill().unwrap();
    parent.wait().unwrap();
    // An ended process may stay until somebody asks for its status.
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let gone = wait(&|| (state().is_empty() || state().contains(") Z ")).then(String::new));
    assert!(gone.is_some(), "the suite goes on: {}", state());
}

#[test]
fn two_runs_are_compared_and_other_files_refused() {
    let scratch = Scratch::new("compare");
    for out in ["a", "b"] {
        let arguments =
            ["bench", "--suite", "batches", "--model", "linear", "--batches", "1,8", "--seconds", "0.01"];
        assert!(paceline(&scratch, &[&arguments[..], &["--out", out]].concat()).status.success());
    }
    let output = paceline(&scratch, &["compare", "a", "b/results.json", "--all"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for fragment in ["Of 3 measurements that both have", "| batches | linear | sequential |"] {
        assert!(stdout(&output).contains(fragment), "expected `{fragment}` in:\n{}", stdout(&output));
    }
    let comparison = json(&paceline(&scratch, &["compare", "a/results.json", "a", "--json"]));
    assert_eq!(comparison["schema"], "paceline.comparison/1");
    let rows = comparison["rows"].as_array().unwrap();
    // On a busy machine there are fewer rounds.
    let is_no_difference = |row: &Value| ["same", "unknown"].iter().any(|verdict| row["verdict"] == *verdict);
    assert!(rows.iter().all(|row| is_no_difference(row) && row["ratio"] == 1.0), "{rows:?}");

    let whole = fs::read_to_string(scratch.0.join("a/results.json")).unwrap();
    let truncated = scratch.file("truncated.json", &whole.as_bytes()[..whole.len() / 2]);
    let other = scratch.file("other.json", whole.replace("paceline.study/1", "paceline.study/9").as_bytes());
    let binary = scratch.file("binary.json", &[0, 159, 146, 150]);
    let empty = scratch.file("empty.json", b"");
    for (file, fragments) in [
        ("nowhere.json", &["cannot read 'nowhere.json'"][..]),
        (
            &truncated,
            &["cannot use", "truncated.json", "expected the JSON that paceline bench writes", "EOF"],
        ),
        (&other, &["expected the schema paceline.study/1, got paceline.study/9"]),
        (&binary, &["cannot read", "binary.json"]),
        (&empty, &["cannot use", "EOF"]),
        (".", &["results.json'"]),
    ] {
        for arguments in [["compare", file, "a"], ["compare", "a", file]] {
            let output = paceline(&scratch, &arguments);
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
            assert!(output.stdout.is_empty() && !message.contains("panicked"), "{message}");
            for fragment in fragments {
                assert!(message.contains(fragment), "{arguments:?}: expected `{fragment}` in: {message}");
            }
        }
    }
}

#[test]
fn verify_prints_the_table() {
    let scratch = Scratch::new("verify");
    let arguments = ["verify", "--model", "linear", "--model", "mlp", "--callers", "4", "--iterations", "10"];
    let output = paceline(&scratch, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for fragment in ["| linear |", "|   40/40 |", "80 of 80 answers right"] {
        assert!(stdout(&output).contains(fragment), "expected `{fragment}` in:\n{}", stdout(&output));
    }
    let findings = json(&paceline(&scratch, &[&arguments[..], &["--json"]].concat()));
    assert_eq!(findings["schema"], "paceline.verify/1");
    assert_eq!(findings["checks"][1]["name"], "mlp");
    assert_eq!(findings["checks"][1]["right"], 40);
}

#[test]
fn models_and_help() {
    let scratch = Scratch::new("models");
    let output = paceline(&scratch, &["models"]);
    assert!(output.status.success());
    for fragment in ["| linear ", "65,536", "x f32[N, 256]", "1,220,542,464", "| translation "] {
        assert!(stdout(&output).contains(fragment), "expected `{fragment}` in:\n{}", stdout(&output));
    }
    let models = json(&paceline(&scratch, &["models", "--json"]));
    assert!(
        models
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["name"] == "t6" && model["parameters"] == 18_914_304)
    );
    for (arguments, fragment) in
        [(&["--help"][..], "Exit codes"), (&["bench", "--help"], "--suite"), (&["--version"], "paceline 0.")]
    {
        let output = paceline(&scratch, arguments);
        assert!(output.status.success() && stdout(&output).contains(fragment), "{arguments:?}");
    }
}

#[test]
fn a_worker_that_nobody_started_says_so() {
    let scratch = Scratch::new("worker");
    let output = paceline(&scratch, &["worker", "--socket-is-stdin"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("a worker is started by a `WorkerPool`"), "{message}");
    assert!(!stdout(&paceline(&scratch, &["--help"])).contains("worker"));
}

#[test]
fn this_binary_is_a_worker() {
    let pool = paceline::workers::WorkerPool::builder()
        .executable(env!("CARGO_BIN_EXE_paceline"))
        .model(paceline::workers::ModelSpec::study("linear", 1))
        .device("cpu")
        .build()
        .unwrap();
    let model = pool.model("linear").unwrap();
    let x = paceline::Tensor::zeros(paceline::DType::F32, [2, 256]).unwrap();
    assert_eq!(model.infer([("x", x)]).unwrap()["y"].shape(), [2, 128]);
    let unknown = paceline::workers::WorkerPool::builder()
        .executable(env!("CARGO_BIN_EXE_paceline"))
        .model(paceline::workers::ModelSpec::study("linear", 1))
        .device("abacus");
    let error = unknown.build().unwrap_err().to_string();
    assert!(error.contains("there is no device 'abacus'"), "{error}");
}

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
