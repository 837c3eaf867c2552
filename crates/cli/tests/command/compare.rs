//! `paceline compare`

use std::fs::{self, File};

use serde_json::Value;

use crate::support::{Scratch, json, paceline, stdout};

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
    let endless = scratch.path("endless.json");
    File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    for (file, fragments) in [
        (&*endless, &["cannot use", "endless.json", "at most 64 MiB"][..]),
        ("nowhere.json", &["cannot read 'nowhere.json'"]),
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
