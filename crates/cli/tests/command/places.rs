//! Where results go: full disks, links, and what stands there already.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Scratch, paceline, stdout};

/// What `linear` takes.
fn numbers() -> String {
    format!("x={}", vec!["1"; 256].join(","))
}

#[test]
fn outputs_appear_whole_or_not_at_all() {
    let scratch = Scratch::new("places-full");
    for place in ["out", "out.npz", "new/out.npz"] {
        // Files may not have a single byte.
        let script = r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#;
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_paceline"), "run", "linear", "--input", &numbers()])
            .args(["--output", place])
            .current_dir(&scratch.0)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{place}: {message}");
        assert!(message.starts_with(&format!("error: cannot write '{place}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        let directory = scratch.0.join(if place == "out" { "out" } else { "new" });
        let left = fs::read_dir(directory).into_iter().flatten().count();
        assert!(left == 0 && !scratch.0.join("out.npz").exists(), "{place}: {left}");
    }
}

#[test]
fn of_a_link_the_file_it_leads_to_is_written() {
    let scratch = Scratch::new("places-link");
    fs::create_dir(scratch.0.join("far")).unwrap();
    let real = scratch.file("far/real.npz", b"old");
    symlink(&real, scratch.0.join("link.npz")).unwrap();
    let output = paceline(&scratch, &["run", "linear", "--input", &numbers(), "--output", "link.npz"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scratch.0.join("link.npz").is_symlink());
    assert!(fs::read(&real).unwrap().starts_with(b"PK"));
    assert_eq!(fs::read_dir(scratch.0.join("far")).unwrap().count(), 1);
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_measured() {
    let scratch = Scratch::new("places-taken");
    fs::create_dir_all(scratch.0.join("a/report.md")).unwrap();
    fs::create_dir_all(scratch.0.join("b")).unwrap();
    fs::create_dir_all(scratch.0.join("c/y.npy")).unwrap();
    scratch.file("b/plots", b"");
    scratch.file("file", b"");
    let numbers = numbers();
    let bench = ["bench", "--suite", "batches", "--model", "linear", "--out"];
    let run = ["run", "linear", "--input", &numbers, "--output"];
    for (arguments, place, fragments) in [
        (&bench[..], "a", ["'a/report.md' is a directory", "--out"]),
        (&bench, "b", ["'b/plots' is no directory", "--out"]),
        (&bench, "file", ["cannot write to 'file'; choose a writable directory with --out", "it is a file"]),
        (&run, "c", ["'c/y.npy' is a directory", "--output"]),
        (&run, "file", ["cannot write to 'file'", "it is a file"]),
        (&run, "c/y.npy/../../file/out.npz", ["cannot write to", "choose a writable file with --output"]),
    ] {
        let output = paceline(&scratch, &[arguments, &[place]].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {place}: {message}");
        assert_eq!(stdout(&output), "", "{arguments:?} {place}");
        for fragment in fragments {
            assert!(message.contains(fragment), "{place}: expected `{fragment}` in: {message}");
        }
    }
}
