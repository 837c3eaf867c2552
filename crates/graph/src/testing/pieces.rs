//! A graph in a few lines: names and random weights come by themselves.

use std::collections::HashSet;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Binary, BinaryOp, DType, Dim, Graph, GraphBuilder, Linear, MatMul, Op, Reduce, ReduceOp, Reshape, Shape,
    Softmax, Tensor, Transpose, Unary, UnaryOp, Value,
};

/// Builds a graph for a test. Nodes are named `Add3`, inputs `x0`, constants `c1`, by the order in which they come.
///
/// # Panics
/// Every method panics where the graph would be invalid.
pub struct Pieces {
    builder: GraphBuilder,
    /// What decides the elements of constants, and every choice of a random graph.
    pub rng: ChaCha8Rng,
    /// Axis 0 of the inputs.
    pub batch: Dim,
    made: Vec<Value>,
    used: HashSet<Value>,
    nodes: usize,
    constants: usize,
    inputs: usize,
}

impl Pieces {
    /// A graph with a batch and no node yet.
    pub fn new(seed: u64) -> Self {
        Pieces {
            builder: GraphBuilder::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            batch: Dim::BATCH,
            made: Vec::new(),
            used: HashSet::new(),
            nodes: 0,
            constants: 0,
            inputs: 0,
        }
    }

    /// An input of f32, of this shape for each sample.
    pub fn input(&mut self, per_sample: &[usize]) -> Value {
        self.input_of(DType::F32, per_sample)
    }

    /// An input of any element type.
    pub fn input_of(&mut self, dtype: DType, per_sample: &[usize]) -> Value {
        let shape = self.batched(per_sample);
        let name = format!("x{}", self.inputs);
        self.inputs += 1;
        let value = self.builder.input(&name, dtype, shape).expect("names are unique");
        if dtype == DType::F32 {
            self.made.push(value);
        }
        value
    }

    /// `[batch, per_sample...]`
    pub fn batched(&self, per_sample: &[usize]) -> Shape {
        std::iter::once(self.batch)
            .chain(per_sample.iter().map(|&d| Dim::Fixed(d)))
            .collect::<Vec<_>>()
            .into()
    }

    /// A constant.
    pub fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> Value {
        let name = format!("c{}", self.constants);
        self.constants += 1;
        self.builder.constant(&name, tensor).expect("names are unique")
    }

    /// A constant of one element and no axes.
    pub fn scalar(&mut self, value: f64) -> Value {
        self.constant(Tensor::scalar(value as f32))
    }

    /// A constant with these elements.
    pub fn elements(&mut self, shape: &[usize], elements: Vec<f32>) -> Value {
        self.constant(Tensor::new(shape, elements).expect("as many elements as the shape has"))
    }

    /// A constant of random elements, at most `largest` in magnitude.
    pub fn random(&mut self, shape: &[usize], largest: f32) -> Value {
        let count = shape.iter().product();
        let elements = (0..count).map(|_| self.rng.random_range(-largest..=largest)).collect();
        self.elements(shape, elements)
    }

    /// A random weight of a layer that sums over `fan_in` elements.
    pub fn weight(&mut self, shape: &[usize], fan_in: usize) -> Value {
        self.random(shape, (3.0 / fan_in as f32).sqrt())
    }

    /// A node with one output.
    pub fn node(&mut self, op: Op, inputs: &[Value]) -> Value {
        let inputs: Vec<_> = inputs.iter().map(|&v| Some(v)).collect();
        self.node_with(op, &inputs)[0]
    }

    /// A node with any number of outputs and optional inputs.
    pub fn node_with(&mut self, op: Op, inputs: &[Option<Value>]) -> Vec<Value> {
        let name = format!("{}{}", op.name(), self.nodes);
        self.nodes += 1;
        let outputs = self.builder.add_many(&name, op, inputs).unwrap_or_else(|error| panic!("{error}"));
        let f32s = outputs.iter().filter(|&&v| self.builder.value_type(v).dtype == DType::F32);
        self.made.extend(f32s);
        self.used.extend(inputs.iter().flatten());
        outputs
    }

    /// A function of each element.
    pub fn unary(&mut self, op: UnaryOp, x: Value) -> Value {
        self.node(Op::Unary(Unary(op)), &[x])
    }

    /// A function of two operands, broadcast.
    pub fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.node(Op::Binary(Binary(op)), &[a, b])
    }

    /// `a + b`
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Add, a, b)
    }

    /// `a - b`
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Sub, a, b)
    }

    /// `a * b`
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// `a / b`
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Div, a, b)
    }

    /// The matrix product.
    pub fn matmul(&mut self, a: Value, b: Value) -> Value {
        self.node(Op::MatMul(MatMul::default()), &[a, b])
    }

    /// A Linear with random weight and, if `bias`, random bias.
    pub fn linear(&mut self, x: Value, out: usize, bias: bool) -> Value {
        let features = *self.dims(x).last().expect("x has an axis");
        let weight = self.weight(&[out, features], features);
        let bias = bias.then(|| self.random(&[out], 1.0));
        self.node_with(Op::Linear(Linear::default()), &[Some(x), Some(weight), bias])[0]
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Value {
        self.node(Op::Reshape(Reshape { shape: shape.into() }), &[x])
    }

    /// The axes in another order.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Value {
        self.node(Op::Transpose(Transpose { permutation: permutation.to_vec() }), &[x])
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: Value) -> Value {
        self.node(Op::Softmax(Softmax { axis: -1 }), &[x])
    }

    /// The mean over the last `axes` axes, which stay with length 1.
    pub fn mean(&mut self, x: Value, axes: usize) -> Value {
        let axes = (1..=axes as isize).map(|axis| -axis).collect();
        self.node(Op::Reduce(Reduce { op: ReduceOp::Mean, axes, keep_dims: true }), &[x])
    }

    /// The lengths of the axes for one sample.
    pub fn dims(&self, value: Value) -> Vec<usize> {
        self.shape(value).resolve(1)
    }

    /// The shape.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.builder.value_type(value).shape
    }

    /// All f32 inputs, and f32 outputs of nodes, in order.
    pub fn made(&self) -> &[Value] {
        &self.made
    }

    /// Whether a node uses the value.
    pub fn is_used(&self, value: Value) -> bool {
        self.used.contains(&value)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes
    }

    /// The graph with these outputs, named `y0`, `y1` ...
    pub fn finish(mut self, outputs: &[Value]) -> Graph {
        for (index, &value) in outputs.iter().enumerate() {
            self.builder.output(&format!("y{index}"), value).unwrap_or_else(|error| panic!("{error}"));
        }
        self.builder.finish().expect("there is an output")
    }
}
