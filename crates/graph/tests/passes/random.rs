use std::collections::HashMap;

use paceline_graph::passes::{passes, simplify};
use paceline_graph::testing::random_graph;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::{Tolerance, assert_same, labels};

/// Twenty-five nodes of a random graph can amplify rounding more than a pattern does.
const ROUNDING: Tolerance = Tolerance::Relative(1e-4);

/// The passes that only leave out or move.
const EXACT: [&str; 4] = ["eliminate_dead", "eliminate_common", "drop_identities", "fold_constants"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(20), ..ProptestConfig::default() })]

    #[test]
    fn every_pass_leaves_the_results_unchanged(seed: u64, nodes in 1usize..25) {
        let graph = random_graph(seed, nodes);
        for (name, pass) in passes() {
            let after = pass(&graph).unwrap_or_else(|error| panic!("{name}: {error}"));
            let tolerance = if EXACT.contains(&name) { Tolerance::Bits } else { ROUNDING };
            assert_same(name, &graph, &after, tolerance, seed);
        }
        let simplified = simplify(&graph).expect("a valid graph");
        assert_same("simplify", &graph, &simplified, ROUNDING, seed);
        let again = simplify(&simplified).expect("a valid graph");
        prop_assert_eq!(labels(&simplified), labels(&again), "simplified twice");
    }
}

#[test]
fn random_graphs_have_every_operator_and_something_for_every_pass() {
    let mut operators: HashMap<&str, usize> = HashMap::new();
    let mut fired: HashMap<&str, usize> = HashMap::new();
    for seed in 0..300 {
        let graph = random_graph(seed, 12);
        graph.nodes().iter().for_each(|node| *operators.entry(node.op.name()).or_default() += 1);
        for (name, pass) in passes() {
            let after = pass(&graph).expect("a valid graph");
            let alive = passes()[0].1(&graph).expect("a valid graph");
            let changed = labels(&after) != labels(if name == "eliminate_dead" { &graph } else { &alive });
            *fired.entry(name).or_default() += usize::from(changed);
        }
    }
    let expected = [
        "MatMul",
        "Linear",
        "Conv",
        "ConvTranspose",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Relu",
        "Gelu",
        "GeluTanh",
        "Silu",
        "Sigmoid",
        "Tanh",
        "Exp",
        "Sqrt",
        "Erf",
        "Neg",
        "Softmax",
        "LayerNorm",
        "RmsNorm",
        "BatchNorm",
        "GroupNorm",
        "Attention",
        "Embedding",
        "Reshape",
        "Transpose",
        "Concat",
        "Slice",
        "Split",
        "Pad",
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
    ];
    for operator in expected {
        assert!(operators.get(operator).is_some_and(|&n| n >= 10), "{operator} is rare: {operators:?}");
    }
    for (name, _) in passes() {
        assert!(fired[name] >= 8, "{name} rarely has something to do: {fired:?}");
    }
}
