//! The suite on a device that is right; what it makes of what a device does not support; the ignore list.

use std::collections::HashSet;

use paceline_graph::Graph;

use super::*;
use crate::{DeviceInfo, UnsupportedNode, View};

#[test]
fn the_reference_passes_its_own_suite() {
    run(&ReferenceDevice, &Options::default()).assert_clean();
}

#[test]
fn names_are_unique_and_have_a_subject() {
    let mut names = HashSet::new();
    for case in &cases() {
        assert!(names.insert(case.name().to_string()), "two cases are called '{}'", case.name());
        assert!(case.name().contains('/'), "'{}' does not say what it tests", case.name());
    }
}

#[test]
fn every_kind_and_operator_has_cases() {
    let cases = cases();
    for kind in [Kind::Operator, Kind::Structure, Kind::Layer, Kind::Model, Kind::Random] {
        assert!(cases.iter().any(|case| case.kind() == kind), "no case is a {kind}");
    }
    // Random graphs use every operator: none may be without a case of its own.
    let used = |kind| -> HashSet<&str> {
        let graphs = cases.iter().filter(|case| case.kind() == kind).map(Case::graph);
        graphs.flat_map(Graph::nodes).map(|node| node.op.name()).collect()
    };
    let alone = used(Kind::Operator);
    let missing: Vec<_> = used(Kind::Random).into_iter().filter(|name| !alone.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "these operators have no case");
}

#[test]
fn a_larger_batch_of_inputs_begins_with_a_smaller_one() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name() == "Attention/everything").unwrap();
    let (small, large) = (case.inputs(2, 5), case.inputs(4, 5));
    for ((small, large), port) in small.iter().zip(&large).zip(&case.signature().inputs) {
        let first = View::of(large.data()).slice(0, 2 * port.elements);
        assert_eq!(Tolerance::EXACT.first_mismatch(first, View::of(small.data())), None);
    }
    let other = case.inputs(2, 6);
    let same = Tolerance::EXACT.first_mismatch(View::of(small[0].data()), View::of(other[0].data()));
    assert!(same.is_some(), "another seed gives other inputs");
}

/// The reference device without some operators.
struct Lacking(&'static [&'static str]);

impl Device for Lacking {
    fn info(&self) -> DeviceInfo {
        ReferenceDevice.info()
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        let lacking = graph.nodes().iter().filter(|node| self.0.contains(&node.op.name()));
        let nodes: Vec<UnsupportedNode> = lacking
            .map(|node| UnsupportedNode {
                node: node.name.clone(),
                operator: node.op.name(),
                reason: "this device has no such kernel".into(),
            })
            .collect();
        match nodes.is_empty() {
            true => ReferenceDevice.compile(graph, options),
            false => Err(CompileError::Unsupported { device: "lacking".into(), nodes }),
        }
    }
}

#[test]
fn what_a_device_lacks_is_reported_and_can_be_ignored() {
    let device = Lacking(&["Softmax"]);
    let ignore = |pattern: &str, check| Ignore { pattern: pattern.into(), check, reason: "no kernel".into() };
    let only = vec!["Softmax/last-*".to_string(), "Linear/7-2".into()];
    let run = |ignore: &[Ignore], unsupported_is_a_fault| {
        let options = Options {
            only: only.clone(),
            ignore: ignore.to_vec(),
            unsupported_is_a_fault,
            ..Options::default()
        };
        super::run(&device, &options)
    };

    let strict = run(&[], true);
    assert_eq!(strict.faults().count(), 7);
    assert!(strict.faults().all(|fault| matches!(fault.status, Status::Unsupported(_))));
    assert!(run(&[], false).is_clean());

    let all = ignore("Softmax/*", None);
    run(std::slice::from_ref(&all), true).assert_clean();
    run(&[ignore("Softmax/*", Some(Check::Compile))], true).assert_clean();
    assert_eq!(run(&[ignore("Softmax/*", Some(Check::Threads))], true).faults().count(), 7);

    let stale = run(&[all, ignore("Linear/*", None)], true);
    assert_eq!(stale.faults().count(), 0);
    assert!(!stale.is_clean() && stale.to_string().contains("'Linear/*'"), "{stale}");
}

#[test]
fn a_device_of_lower_precision_is_compared_with_the_reference() {
    // Bits that differ from batch to batch are found when promised not to, and else are within tolerance.
    let only = vec!["Linear/16-16".to_string()];
    let device = mutants::depends_on_batch();
    let promised = run(&device, &Options { only: only.clone(), ..Options::default() });
    assert!(!promised.is_clean());
    run(&device, &Options { only, bitwise: false, ..Options::default() }).assert_clean();
}
