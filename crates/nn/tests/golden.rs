//! Every layer, operator and model gives what PyTorch gives.

use paceline_graph::reference::evaluate;
use paceline_nn::testing::{GOLDEN_DIR, GoldenError, Tolerance, golden_cases};

/// PyTorch adds in f32, in an order of its own; the reference adds in f64.
const TOLERANCE: Tolerance = Tolerance { relative: 1e-5, absolute: 1e-6 };

#[test]
fn the_reference_gives_what_pytorch_gives() {
    let cases = golden_cases(GOLDEN_DIR).expect("every case is of a known kind");
    assert!(cases.len() > 200, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        let outputs = evaluate(&case.graph, &case.inputs).expect("the case's inputs are the graph's");
        if let Err(difference) = case.check(&outputs, TOLERANCE) {
            failures.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn a_folder_with_an_unknown_or_half_understood_case_is_refused() {
    let about =
        |kind: &str, args: &str| format!(r#"{{"kind":"{kind}","args":{args},"forward":{{}},"torch":"2"}}"#);
    // (description, part of the message)
    let cases = [
        (about("Fold", "{}"), "a kind of layer that is known here, got Fold"),
        (about("op.Xor", "{}"), "an operator that is known here, got Xor"),
        (about("model.t7", "{}"), "a model that is known here, got t7"),
        (about("ReLU", r#"{"inplace":true}"#), "arguments that are known here, got inplace"),
        (about("Softmax", "{}"), "an argument 'dim'"),
        (about("ReLU", "[]"), "an object of arguments, got []"),
        (about("ReLU", "{}").replace("{}", r#"{"mask":1}"#), "arguments that are known here, got mask"),
        (about("ReLU", "{}").replace("torch", "jax"), "arguments that are known here, got jax"),
        ("no JSON".into(), "the description in its header is wrong"),
    ];
    let folder = std::env::temp_dir().join(format!("paceline-nn-golden-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(matches!(golden_cases(&folder), Err(GoldenError::Empty { .. })));
    for (about, message) in cases {
        let about = about.replace('"', r#"\""#);
        let header = format!(
            r#"{{"__metadata__":{{"case":"{about}"}},"input.input":{{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}}}"#
        );
        let content = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        std::fs::write(folder.join("case.safetensors"), content).unwrap();
        let error = golden_cases(&folder).expect_err(message).to_string();
        assert!(
            error.contains(message) && error.contains("case.safetensors"),
            "expected '{message}', got '{error}'"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(golden_cases(&folder), Err(GoldenError::Folder { .. })));
}
