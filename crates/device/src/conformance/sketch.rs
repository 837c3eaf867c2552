//! Writes cases down in a few words: a graph under construction together with how its inputs are drawn.

use paceline_graph::{DType, Data, Dim, GraphBuilder, GraphError, Op, Shape, Tensor, Value};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Case, Kind, Values};

/// A graph under construction together with how its inputs are drawn. Cases are part of the program: one that is not a valid
/// graph is a mistake in it, and panics.
#[derive(Default)]
pub(super) struct Sketch {
    builder: GraphBuilder,
    values: Vec<Values>,
    constants: u64,
    nodes: usize,
    outputs: usize,
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// An f32 input `[N, shape...]` of numbers around zero.
    pub(super) fn x(&mut self, shape: &[usize]) -> Value {
        self.input(shape, Values::default_of(DType::F32))
    }

    /// An input `[N, shape...]`.
    pub(super) fn input(&mut self, shape: &[usize], values: Values) -> Value {
        self.input_of(Shape::batched(shape), values)
    }

    /// An input without batch.
    pub(super) fn fixed_input(&mut self, shape: &[usize], values: Values) -> Value {
        self.input_of(Shape::from(shape), values)
    }

    fn input_of(&mut self, shape: Shape, values: Values) -> Value {
        let name = format!("x{}", self.values.len());
        self.values.push(values);
        self.builder.input(&name, values.dtype(), shape).expect("the case's input is valid")
    }

    /// A constant of numbers between `-1 / sqrt(fan)` and that, `fan` being the length of the axes after the first: as a
    /// weight `[out, in...]` it keeps results near the size of the inputs.
    pub(super) fn weight(&mut self, shape: &[usize]) -> Value {
        let fan = shape.iter().skip(1).product::<usize>().max(1);
        let bound = 1.5 / (fan as f32).sqrt();
        self.constant(shape, Values::Uniform(-bound, bound))
    }

    /// A constant drawn like an input.
    pub(super) fn constant(&mut self, shape: &[usize], values: Values) -> Value {
        let mut rng = ChaCha8Rng::seed_from_u64(self.constants);
        let mut data = Data::zeros(values.dtype(), 0);
        values.draw(&mut rng, shape.iter().product(), &mut data);
        self.constants += 1;
        let tensor = Tensor::new(shape, data).expect("as many elements as the shape has were drawn");
        let name = format!("c{}", self.constants);
        self.builder.constant(&name, tensor).expect("constants are numbered")
    }

    /// A node with one output.
    pub(super) fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.op_with(op, &inputs.iter().map(|&v| Some(v)).collect::<Vec<_>>())
    }

    /// A node with one output, of which some inputs are left out.
    pub(super) fn op_with(&mut self, op: Op, inputs: &[Option<Value>]) -> Value {
        self.ops(op, inputs)[0]
    }

    /// A node with several outputs.
    pub(super) fn ops(&mut self, op: Op, inputs: &[Option<Value>]) -> Vec<Value> {
        self.nodes += 1;
        let name = format!("{}{}", op.name(), self.nodes);
        self.build(|builder| builder.add_many(&name, op, inputs))
    }

    /// Whatever is built with the builder itself.
    pub(super) fn build<T>(&mut self, build: impl FnOnce(&mut GraphBuilder) -> Result<T, GraphError>) -> T {
        build(&mut self.builder).unwrap_or_else(|error| panic!("a conformance case is not valid: {error}"))
    }

    /// The shape of a value.
    pub(super) fn shape(&self, value: Value) -> &[Dim] {
        self.builder.value_type(value).shape.dims()
    }

    /// Another output.
    pub(super) fn output(&mut self, value: Value) {
        let name = format!("y{}", self.outputs);
        self.outputs += 1;
        self.build(|builder| builder.output(&name, value));
    }

    /// The case of what was built.
    pub(super) fn case(mut self, name: impl Into<String>, kind: Kind) -> Case {
        let graph = std::mem::take(&mut self.builder).finish().expect("a case has an output");
        Case::new(name, kind, graph, self.values)
    }

    /// The case of an operator whose result is `value`.
    pub(super) fn returns(mut self, value: Value, name: impl Into<String>) -> Case {
        self.output(value);
        self.case(name, Kind::Operator)
    }
}
