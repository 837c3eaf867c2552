//! How much arithmetic a graph is.

use crate::{Graph, Node, Op, Value};

/// Floating-point operations of one sample, a multiply-add counted as two: those of the matrix products (linear layers,
/// convolutions, attention), as the field counts them. Activations, norms and additions are left out. Saturates.
pub fn flops(graph: &Graph) -> u64 {
    graph.nodes().iter().map(|node| node_flops(graph, node)).fold(0, u64::saturating_add)
}

/// About how many steps the reference takes for one sample: its multiply-adds, the elements under its windows, or the elements
/// that it reads or writes. Saturates.
pub fn work(graph: &Graph) -> u64 {
    graph.nodes().iter().map(|node| node_work(graph, node)).fold(0, u64::saturating_add)
}

/// About how many steps the reference takes for one sample of a node: its multiply-adds, the elements under its windows, or
/// the elements that it reads or writes, whichever are the most. Saturates.
pub(crate) fn node_work(graph: &Graph, node: &Node) -> u64 {
    let (inputs, outputs) = shapes(graph, node);
    op_work(&node.op, &inputs, &outputs)
}

/// About how many steps the reference takes for an operator on inputs of these shapes, as [`work`] counts them.
pub fn op_work(op: &Op, inputs: &[Option<Vec<usize>>], outputs: &[Vec<usize>]) -> u64 {
    let elements = |shape: &Vec<usize>| product(&[shape]);
    let read = inputs.iter().flatten().map(elements).fold(0, u64::saturating_add);
    let written = outputs.iter().map(elements).fold(0, u64::saturating_add);
    let window = match op {
        Op::MaxPool(pool) => product(&[&pool.kernel]),
        Op::AveragePool(pool) => product(&[&pool.kernel]),
        Op::LpPool(pool) => product(&[&pool.kernel]),
        Op::Resize(_) | Op::GridSample(_) => 64,
        _ => 1,
    };
    (op_flops(op, inputs, outputs) / 2).max(read).max(written.saturating_mul(window))
}

fn node_flops(graph: &Graph, node: &Node) -> u64 {
    let (inputs, outputs) = shapes(graph, node);
    op_flops(&node.op, &inputs, &outputs)
}

fn op_flops(op: &Op, inputs: &[Option<Vec<usize>>], outputs: &[Vec<usize>]) -> u64 {
    let input = |index: usize| inputs.get(index).and_then(Option::as_deref).unwrap_or_default();
    let output = outputs.first().map(Vec::as_slice).unwrap_or_default();
    match op {
        Op::MatMul(_) => product(&[&[2], output, last(input(0))]),
        Op::Linear(_) => product(&[&[2], output, last(input(0))]),
        // weight [M, C / groups, kernel...]
        Op::Conv(_) => product(&[&[2], output, input(1).get(1..).unwrap_or_default()]),
        // weight [C, M / groups, kernel...]
        Op::ConvTranspose(_) => product(&[&[2], input(0), input(1).get(1..).unwrap_or_default()]),
        // q [N, Tq, heads * d], k [N, Tk, heads * d], v [N, Tk, heads * dv]: the scores, and their weighted sums
        Op::Attention(_) => {
            let keys = input(1).get(1).copied().unwrap_or(0);
            product(&[&[2, keys], input(0)]).saturating_add(product(&[&[2, keys], output]))
        }
        // w [D, G * H, I], r [D, G * H, H], of which every step of every sequence takes all
        Op::Recurrent(_) => {
            let steps = input(0).iter().take(2).fold(2, |n: u64, &d| n.saturating_mul(d as u64));
            steps.saturating_mul(product(&[input(1)]).saturating_add(product(&[input(2)])))
        }
        Op::Einsum(op) => {
            let shapes: Vec<Vec<usize>> = inputs.iter().flatten().cloned().collect();
            product(&[&[2], &op.lengths(&shapes)])
        }
        // x [..., n, n]
        Op::Det(_) => product(&[input(0), last(input(0))]),
        _ => 0,
    }
}

/// Of one sample: the inputs', and the outputs'.
fn shapes(graph: &Graph, node: &Node) -> (Vec<Option<Vec<usize>>>, Vec<Vec<usize>>) {
    let shape = |value: Value| graph.value(value).ty.shape.resolve(1);
    let inputs = node.inputs.iter().map(|value| value.map(shape)).collect();
    (inputs, node.outputs.iter().map(|&value| shape(value)).collect())
}

fn last(shape: &[usize]) -> &[usize] {
    &shape[shape.len().saturating_sub(1)..]
}

fn product(factors: &[&[usize]]) -> u64 {
    factors.iter().flat_map(|f| f.iter()).fold(1, |n, &d| n.saturating_mul(d as u64))
}
