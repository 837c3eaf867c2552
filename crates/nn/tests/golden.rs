//! Every layer, operator and model gives what PyTorch gives.

use paceline_graph::reference::evaluate;
use paceline_nn::testing::{GOLDEN_DIR, Tolerance, golden_cases};

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
