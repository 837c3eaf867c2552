//! What the tables have in common: a case, how nodes are written, and how results are compared.

use std::sync::Arc;

use paceline_graph::passes::Pass;
use paceline_graph::testing::{Pieces, random_inputs};
use paceline_graph::{Activation, Graph, Op, Source, Tensor, Value, reference};

/// Builds a graph, of which it returns the outputs.
pub type Build = fn(&mut Pieces) -> Vec<Value>;

/// A name, a graph, and the nodes that a pass should leave of it, as [`labels`] writes them.
pub type Case = (&'static str, Build, &'static str);

/// How far results may be apart.
#[derive(Clone, Copy)]
pub enum Tolerance {
    /// Not at all: the same bits.
    Bits,
    /// By this much of the largest magnitude of the output, and at least of one.
    Relative(f64),
}

/// Runs `pass` on every case: the nodes are as listed and the results as before.
pub fn check(pass: Pass, tolerance: Tolerance, cases: &[Case]) {
    for (name, build, expected) in cases {
        let before = graph(*build);
        let after = pass(&before).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(labels(&after), *expected, "{name}");
        assert_same(name, &before, &after, tolerance, 11);
    }
}

/// The graph of a case.
pub fn graph(build: Build) -> Graph {
    let mut p = Pieces::new(7);
    let outputs = build(&mut p);
    p.finish(&outputs)
}

/// The nodes in order, by operator, with what is fused into them.
pub fn labels(graph: &Graph) -> String {
    let label = |node: &paceline_graph::Node| {
        let mut label = node.op.name().to_string();
        let fused = match &node.op {
            Op::Linear(op) => Some(op.activation),
            Op::Conv(op) => Some(op.activation),
            Op::ConvTranspose(op) => Some(op.activation),
            _ => None,
        };
        if let Some(activation) = fused {
            label += if node.input(2).is_some() { "+bias" } else { "" };
            label += if node.input(3).is_some() { "+residual" } else { "" };
            label += &activation.map_or(String::new(), |a: Activation| format!("+{a:?}"));
        }
        if matches!(node.op, Op::LayerNorm(_) | Op::RmsNorm(_)) {
            label += if node.input(1).is_some() { "+weight" } else { "" };
            label += if node.input(2).is_some() { "+bias" } else { "" };
        }
        if let Op::Attention(op) = &node.op {
            label += &format!("({})", op.heads);
            label += if node.input(3).is_some() { "+mask" } else { "" };
            label += if op.causal { "+causal" } else { "" };
            label += if op.scale.is_some() { "+scale" } else { "" };
        }
        label
    };
    graph.nodes().iter().map(label).collect::<Vec<_>>().join(" ")
}

/// Asserts that two graphs have the same inputs and outputs, share the constants of the same name, and compute the same from
/// the inputs that the seed decides.
pub fn assert_same(name: &str, before: &Graph, after: &Graph, tolerance: Tolerance, seed: u64) {
    assert_eq!(signature(before), signature(after), "{name}: inputs and outputs");
    assert_shared(name, before, after);
    for batch in [1, 3] {
        let batch = if before.is_batched() { batch } else { 1 };
        let inputs = random_inputs(before, batch, seed);
        let expected = reference::evaluate(before, &inputs).expect("the inputs fit");
        let got = reference::evaluate(after, &inputs).expect("the inputs fit");
        for (index, (expected, got)) in expected.iter().zip(&got).enumerate() {
            assert_close(&format!("{name}: output {index}, batch {batch}"), expected, got, tolerance);
        }
    }
}

/// Names and types of the inputs and outputs.
fn signature(graph: &Graph) -> Vec<String> {
    let inputs = graph.inputs().iter().map(|&v| format!("{} {}", graph.value(v).name, graph.value(v).ty));
    let outputs = graph.outputs().iter().map(|o| format!("{} {}", o.name, graph.value(o.value).ty));
    inputs.chain(outputs).collect()
}

/// Asserts that a constant that kept its name kept its tensor.
fn assert_shared(name: &str, before: &Graph, after: &Graph) {
    let constant = |graph: &Graph, name: &str| {
        graph.values().iter().find_map(|info| match &info.source {
            Source::Constant(tensor) if info.name == name => Some(Arc::clone(tensor)),
            _ => None,
        })
    };
    for info in after.values() {
        if let Source::Constant(tensor) = &info.source
            && let Some(original) = constant(before, &info.name)
        {
            assert!(Arc::ptr_eq(tensor, &original), "{name}: constant '{}' was copied", info.name);
        }
    }
}

/// Asserts that two tensors are equal within a tolerance; NaN only equals NaN, and infinity itself.
pub fn assert_close(name: &str, expected: &Tensor, got: &Tensor, tolerance: Tolerance) {
    assert_eq!(expected.shape(), got.shape(), "{name}: shapes");
    let (Some(expected), Some(got)) = (expected.as_f32(), got.as_f32()) else {
        assert_eq!(expected.data(), got.data(), "{name}");
        return;
    };
    let finite = expected.iter().filter(|v| v.is_finite());
    let largest = finite.fold(1.0f64, |largest, &v| largest.max(f64::from(v).abs()));
    for (index, (&e, &g)) in expected.iter().zip(got).enumerate() {
        let same = match tolerance {
            Tolerance::Bits => e.to_bits() == g.to_bits(),
            Tolerance::Relative(bound) => {
                let near = (f64::from(e) - f64::from(g)).abs() <= bound * largest;
                near || e == g || (e.is_nan() && g.is_nan())
            }
        };
        assert!(same, "{name}: element {index} is {g:e}, expected {e:e}");
    }
}
