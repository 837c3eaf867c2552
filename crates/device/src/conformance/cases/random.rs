//! Graphs drawn at random.

use paceline_graph::testing::random_graph;

use super::super::{Case, Kind, Tolerance, Values};

/// Random graphs over all operators, one a seed, of 1 to 24 nodes.
pub fn random_cases(seeds: impl IntoIterator<Item = u64>) -> Vec<Case> {
    seeds.into_iter().map(case).collect()
}

fn case(seed: u64) -> Case {
    let graph = random_graph(seed, 1 + (seed % 24) as usize);
    let values =
        graph.inputs().iter().map(|&input| Values::default_of(graph.value(input).ty.dtype)).collect();
    Case::new(format!("random/{seed}"), Kind::Random, graph, values).within(Tolerance::of(1e-3)).at_most(7)
}
