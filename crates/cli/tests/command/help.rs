//! `paceline models`, and what the command says of itself.

use crate::support::{Scratch, json, paceline, stdout};

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
