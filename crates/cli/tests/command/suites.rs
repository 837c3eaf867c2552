//! Suites in processes of their own, and what becomes of them and of the command when either ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::Scratch;

/// A study whose only suite is ended by a signal while it is measured, and what it said in the end.
fn struck(name: &str, signal: &str, more: &[&str]) -> (Output, Value, String) {
    let scratch = Scratch::new(name);
    let arguments =
        ["bench", "--suite", "batches,soak", "--minutes", "0.5", "--model", "linear", "--batches", "2"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    command.current_dir(&scratch.0).args(arguments).args(["--seconds", "0.001"]).args(more);
    let pipe = Stdio::piped;
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

#[test]
fn a_suite_does_not_outlive_the_command() {
    let scratch = Scratch::new("orphan");
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    command.current_dir(&scratch.0).args(["bench", "--suite", "soak", "--minutes", "5", "--model", "linear"]);
    let null = Stdio::null;
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
fn nothing_is_left_of_a_command_that_is_interrupted() {
    let scratch = Scratch::new("interrupted");
    for signal in ["-INT", "-TERM", "-KILL"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
        command.current_dir(&scratch.0).args(["bench", "--suite", "threads,soak", "--model", "linear"]);
        command.args(["--callers", "1", "--seconds", "0.01", "--trace", "trace.json"]);
        let mut parent = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(parent.stderr.take().unwrap());
        let mut lines = told.by_ref().lines().map_while(Result::ok);
        // The first suite, which is traced, has ended.
        assert!(lines.any(|line| line.starts_with("[2/2] soak")), "the second suite begins");
        assert!(Command::new("kill").args([signal, &parent.id().to_string()]).status().unwrap().success());
        assert_eq!(parent.wait().unwrap().code(), None, "{signal}");
        let left: Vec<_> = fs::read_dir(scratch.path("paceline-report")).unwrap().collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
        assert!(!fs::exists(scratch.path("trace.json")).unwrap());
    }
}
