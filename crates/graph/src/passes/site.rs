//! Questions that a pattern asks about a node and what leads to it.

use std::sync::Arc;

use crate::{BinaryOp, Graph, Node, Op, Source, Tensor, UnaryOp, Value, ValueType};

/// Who uses each value.
pub(super) struct Uses {
    /// The nodes that use each value, once for each time.
    nodes: Vec<Vec<usize>>,
    /// Whether the value is an output of the graph.
    returned: Vec<bool>,
}

impl Uses {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut nodes = vec![Vec::new(); graph.values().len()];
        for (index, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().flatten().for_each(|v| nodes[v.index()].push(index));
        }
        let mut returned = vec![false; graph.values().len()];
        graph.outputs().iter().for_each(|o| returned[o.value.index()] = true);
        Uses { nodes, returned }
    }
}

/// A node, looked at as the last one of a pattern.
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph,
    uses: &'a Uses,
    index: usize,
}

/// `coefficient * factors[0] * factors[1] * ...`
pub(super) struct Product {
    pub(super) coefficient: f64,
    pub(super) factors: Vec<Value>,
}

/// How deep a product is looked into: more than any pattern needs, and a bound on repeated squaring.
const PRODUCT_DEPTH: usize = 4;

impl<'a> Site<'a> {
    pub(super) fn new(graph: &'a Graph, uses: &'a Uses, index: usize) -> Self {
        Site { graph, uses, index }
    }

    /// The node itself.
    pub(super) fn node(&self) -> &'a Node {
        &self.graph.nodes()[self.index]
    }

    /// What the node computes.
    pub(super) fn op(&self) -> &'a Op {
        &self.node().op
    }

    /// Input `i` of the node, if it is given.
    pub(super) fn input(&self, i: usize) -> Option<Value> {
        self.node().input(i)
    }

    /// The first output of the node.
    pub(super) fn output(&self) -> Value {
        self.node().outputs[0]
    }

    /// Element type and shape of a value.
    pub(super) fn ty(&self, value: Value) -> &'a ValueType {
        &self.graph.value(value).ty
    }

    /// The node that computes a value.
    pub(super) fn producer(&self, value: Value) -> Option<&'a Node> {
        self.position(value).map(|node| &self.graph.nodes()[node])
    }

    /// The position of the node that computes a value.
    pub(super) fn position(&self, value: Value) -> Option<usize> {
        match self.graph.value(value).source {
            Source::Node { node, .. } => Some(node),
            _ => None,
        }
    }

    /// Whether a value is used once, and not returned.
    pub(super) fn used_once(&self, value: Value) -> bool {
        self.uses.nodes[value.index()].len() == 1 && !self.uses.returned[value.index()]
    }

    /// Whether nothing but the pattern needs the values between `leaves` and this node, which replacing the node
    /// therefore saves.
    pub(super) fn encloses(&self, leaves: &[Value]) -> bool {
        let mut inside = vec![self.index];
        let mut visited = 0;
        while visited < inside.len() {
            for &value in self.graph.nodes()[inside[visited]].inputs.iter().flatten() {
                if leaves.contains(&value) {
                    continue;
                }
                match self.graph.value(value).source {
                    Source::Node { node, .. } if !inside.contains(&node) => inside.push(node),
                    Source::Input => return false,
                    _ => {}
                }
            }
            visited += 1;
        }
        inside[1..].iter().flat_map(|&node| &self.graph.nodes()[node].outputs).all(|v| {
            !self.uses.returned[v.index()]
                && self.uses.nodes[v.index()].iter().all(|user| inside.contains(user))
        })
    }

    /// The value of a constant of one f32 element.
    pub(super) fn scalar(&self, value: Value) -> Option<f64> {
        match self.graph.constant(value)?.as_f32()? {
            &[scalar] => Some(f64::from(scalar)),
            _ => None,
        }
    }

    /// The operand of the unary operator that computes `value`.
    pub(super) fn unary(&self, value: Value, op: UnaryOp) -> Option<Value> {
        let node = self.producer(value)?;
        matches!(&node.op, Op::Unary(unary) if unary.0 == op).then(|| node.input(0))?
    }

    /// The operands of the binary operator that computes `value`.
    pub(super) fn binary(&self, value: Value, op: BinaryOp) -> Option<[Value; 2]> {
        let node = self.producer(value)?;
        matches!(&node.op, Op::Binary(binary) if binary.0 == op).then(|| node.operands())?
    }

    /// The operands of the sum or product that computes `value`, in both orders.
    pub(super) fn commuted(&self, value: Value, op: BinaryOp) -> impl Iterator<Item = [Value; 2]> + use<'a> {
        self.binary(value, op).into_iter().flat_map(|[a, b]| [[a, b], [b, a]])
    }

    /// `term`, where `value` is `term` plus a constant scalar equal to `addend`.
    pub(super) fn plus(&self, value: Value, addend: f64) -> Option<Value> {
        self.commuted(value, BinaryOp::Add)
            .find(|&[_, b]| self.scalar(b).is_some_and(|b| close(b, addend)))
            .map(|[term, _]| term)
    }

    /// `value` as constant scalars times other values: looks through multiplication, and division by a constant scalar, but
    /// not into `leaves`.
    pub(super) fn product(&self, value: Value, leaves: &[Value]) -> Product {
        let mut product = Product { coefficient: 1.0, factors: Vec::new() };
        self.multiply(&mut product, value, leaves, PRODUCT_DEPTH);
        product
    }

    fn multiply(&self, product: &mut Product, value: Value, leaves: &[Value], depth: usize) {
        if let Some(scalar) = self.scalar(value) {
            product.coefficient *= scalar;
            return;
        }
        if depth > 0 && !leaves.contains(&value) {
            if let Some(factors) = self.binary(value, BinaryOp::Mul) {
                factors.iter().for_each(|&f| self.multiply(product, f, leaves, depth - 1));
                return;
            }
            if let Some([numerator, divisor]) = self.binary(value, BinaryOp::Div)
                && let Some(divisor) = self.scalar(divisor)
            {
                product.coefficient /= divisor;
                self.multiply(product, numerator, leaves, depth - 1);
                return;
            }
        }
        product.factors.push(value);
    }

    /// Whether `value` is `coefficient` times exactly these factors.
    pub(super) fn is_product(&self, value: Value, coefficient: f64, factors: &[Value]) -> bool {
        let mut product = self.product(value, factors);
        let mut factors = factors.to_vec();
        factors.sort();
        product.factors.sort();
        product.factors == factors && close(product.coefficient, coefficient)
    }
}

impl Node {
    /// The operands of a node with two.
    fn operands(&self) -> Option<[Value; 2]> {
        Some([self.input(0)?, self.input(1)?])
    }
}

/// Whether two constants are equal up to the rounding of a few f32 operations.
pub(super) fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 4.0 * f64::from(f32::EPSILON) * b.abs()
}

/// `tensor` under another shape of as many elements; itself, where the shape is the same.
pub(super) fn reshaped(tensor: &Arc<Tensor>, shape: &[usize]) -> Arc<Tensor> {
    if tensor.shape() == shape {
        return Arc::clone(tensor);
    }
    let copy = Tensor::new(shape, tensor.data().clone());
    Arc::new(copy.expect("the caller asks for as many elements"))
}
