//! `paceline verify`

use crate::support::{Scratch, json, paceline, stdout};

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
