//! What the builder and the reference interpreter refuse, and how they say it.

use paceline_graph::reference::{EvaluateError, evaluate};
use paceline_graph::{DType, Dim, Graph, GraphBuilder, GraphError, Op, Shape, Tensor, Unary, UnaryOp, Value};

const N: Dim = Dim::BATCH;
const RELU: Op = Op::Unary(Unary(UnaryOp::Relu));
const MAX: usize = usize::MAX;

fn fixed(length: usize) -> Dim {
    Dim::Fixed(length)
}

/// A graph with the input `x` and, added to it, what a case adds.
fn built(
    shape: &[Dim],
    add: impl FnOnce(&mut GraphBuilder, Value) -> Result<(), GraphError>,
) -> Result<Graph, GraphError> {
    let mut g = GraphBuilder::new();
    let x = g.input("x", DType::F32, shape.to_vec())?;
    add(&mut g, x)?;
    g.finish()
}

type Add = fn(&mut GraphBuilder, Value) -> Result<(), GraphError>;

#[test]
fn what_is_refused_is_named() {
    const NOTHING: Add = |_, _| Ok(());
    let batched: &[Dim] = &[N, fixed(3)];
    let cases: [(&[Dim], Add, &str); 16] = [
        (batched, NOTHING, "needs at least one output"),
        (&[fixed(3), N], NOTHING, "input 'x': expected axis 0 to be the batch (N), and no other axis"),
        (&[Dim::Batch(2), fixed(3)], NOTHING, "input 'x': expected axis 0 to be the batch (N)"),
        (&[N, N], NOTHING, "input 'x': expected axis 0 to be the batch (N), and no other axis"),
        (&[N, fixed(MAX), fixed(2)], NOTHING, "a number of elements that fits in memory, got [N, 18446"),
        (&[N, fixed(MAX), fixed(2), fixed(0)], NOTHING, "a number of elements that fits in memory"),
        (&[N, fixed(0), fixed(MAX), fixed(2)], NOTHING, "a number of elements that fits in memory"),
        (batched, |g, _| g.input("x", DType::I64, [N]).map(drop), "'x' is already taken by another input"),
        (batched, |g, _| g.input("y", DType::I64, [2usize]).map(drop), "input 'y': expected axis 0 to be"),
        (&[fixed(3)], |g, _| g.input("y", DType::I64, [N]).map(drop), "input 'y': expected no batch axis"),
        (batched, |g, x| g.output("y", x).and_then(|()| g.output("y", x)), "taken by another output"),
        (
            batched,
            |g, x| g.add("n", RELU, &[Some(x)]).and(g.add("n", RELU, &[Some(x)])).map(drop),
            "another node",
        ),
        (
            batched,
            |g, _| g.add("n", RELU, &[None]).map(drop),
            "node 'n' (Relu): expected inputs x, got 1 input",
        ),
        (
            batched,
            |g, _| {
                let tensor = || Tensor::scalar(1.0);
                g.constant("c", tensor()).and(g.constant("c", tensor())).map(drop)
            },
            "'c' is already taken by another constant",
        ),
        (
            batched,
            |g, _| g.constant("c", Tensor::scalar(1.0)).and_then(|c| g.output("y", c)),
            "output 'y': expected axis 0 to be the batch (N)",
        ),
        (
            batched,
            |g, _| g.add("n", RELU, &[Some(foreign())]).map(drop),
            "value 2 does not belong to this graph",
        ),
    ];
    for (shape, add, part) in cases {
        let message = built(shape, add).map(drop).unwrap_err().to_string();
        assert!(message.contains(part), "{}: '{message}' lacks '{part}'", Shape::from(shape.to_vec()));
    }
}

/// A value of a larger graph.
fn foreign() -> Value {
    let mut g = GraphBuilder::new();
    let values = ["a", "b", "c"].map(|name| g.input(name, DType::F32, [N]).unwrap());
    values[2]
}

#[test]
fn a_refused_node_leaves_its_name_free() {
    let graph = built(&[N, fixed(3)], |g, x| {
        assert!(g.add("n", RELU, &[]).is_err());
        let y = g.add("n", RELU, &[Some(x)])?;
        g.output("y", y)
    });
    assert_eq!(graph.unwrap().nodes().len(), 1);
}

#[test]
fn the_reference_refuses_what_does_not_fit() {
    let graph = {
        let mut g = GraphBuilder::new();
        let x = g.input("x", DType::F32, [N, fixed(2)]).unwrap();
        g.input("mask", DType::Bool, [N]).unwrap();
        g.output("y", x).unwrap();
        g.finish().unwrap()
    };
    let x = |samples: usize| Tensor::zeros(DType::F32, [samples, 2]).unwrap();
    let mask = |samples: usize| Tensor::zeros(DType::Bool, [samples]).unwrap();
    assert!(evaluate(&graph, &[x(3), mask(3)]).is_ok());
    assert!(evaluate(&graph, &[x(0), mask(0)]).is_ok());
    assert_eq!(evaluate(&graph, &[x(3)]), Err(EvaluateError::Count { expected: 2, got: 1 }));
    let wrong: [[Tensor; 2]; 4] = [
        [x(3), mask(2)],
        [mask(3), mask(3)],
        [Tensor::scalar(1.0), mask(1)],
        [Tensor::zeros(DType::F32, [3, 3]).unwrap(), mask(3)],
    ];
    for inputs in wrong {
        let error = evaluate(&graph, &inputs).unwrap_err();
        assert!(matches!(error, EvaluateError::Input { .. }), "{inputs:?}: {error}");
    }
}
