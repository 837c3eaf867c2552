//! Short forms for tests: types as they are printed (`f32[N, 3]`), tensors from a seed, operators applied to tensors.

use paceline_graph::{DType, Dim, Op, Shape, Tensor, ValueType};

/// The type that prints as `text`.
pub fn ty(text: &str) -> ValueType {
    let (dtype, dims) = text.strip_suffix(']').and_then(|t| t.split_once('[')).expect("dtype[dims]");
    let dtype = *DType::ALL.iter().find(|t| t.to_string() == dtype).expect("an element type");
    let dim = |text: &str| match text.strip_suffix('N') {
        Some("") => Dim::BATCH,
        Some(each) => Dim::Batch(each.parse().expect("a multiple of the batch")),
        None => Dim::Fixed(text.parse().expect("a length")),
    };
    let dims: Vec<Dim> = dims.split(", ").filter(|t| !t.is_empty()).map(dim).collect();
    ValueType::new(dtype, dims)
}

/// The types of a list separated by semicolons; `-` is an input left out.
pub fn types(list: &str) -> Vec<Option<ValueType>> {
    list.split("; ").filter(|t| !t.is_empty()).map(|t| (t != "-").then(|| ty(t))).collect()
}

/// The shape of `f32[text]`.
pub fn shape(text: &str) -> Shape {
    ty(&format!("f32[{text}]")).shape
}

/// A row of a table of shape rules: an operator, its inputs, and its outputs or a part of its message.
pub type Row<'a> = (Op, &'a str, Result<&'a str, &'a str>);

/// Checks a table of shape rules.
pub fn check_shapes(table: &[Row<'_>]) {
    for (op, inputs, expected) in table {
        let given = types(inputs);
        let given: Vec<Option<&ValueType>> = given.iter().map(Option::as_ref).collect();
        let got = op
            .infer(&given)
            .map(|types| types.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            .map_err(|problem| format!("expected {}, got {}", problem.expected, problem.got));
        match (&got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{op:?} of {inputs}"),
            (Err(got), Err(part)) => {
                assert!(got.contains(part), "{op:?} of {inputs}: '{got}' lacks '{part}'")
            }
            _ => panic!("{op:?} of {inputs}: {got:?} instead of {expected:?}"),
        }
    }
}

/// A generator of numbers: splitmix64.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end - 1`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A number in `-2..2`.
    pub fn f32(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    }
}

/// An f32 tensor of numbers in `-2..2` that depend on the seed.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut numbers = Numbers(seed);
    let len = shape.iter().product();
    tensor(shape, (0..len).map(|_| numbers.f32()).collect())
}

/// An f32 tensor.
pub fn tensor(shape: &[usize], data: Vec<f32>) -> Tensor {
    Tensor::new(shape, data).expect("a test gives as many elements as the shape has")
}

/// The outputs of `op` for inputs that need no batch axis.
pub fn apply_all(op: &Op, inputs: &[Option<&Tensor>]) -> Vec<Tensor> {
    let types: Vec<Option<ValueType>> =
        inputs.iter().map(|t| t.map(|t| ValueType::new(t.dtype(), t.shape()))).collect();
    let types: Vec<Option<&ValueType>> = types.iter().map(Option::as_ref).collect();
    let outputs = op.infer(&types).unwrap_or_else(|problem| panic!("{op:?}: {problem:?}"));
    let shapes: Vec<Vec<usize>> = outputs.iter().map(|ty| ty.shape.resolve(1)).collect();
    op.evaluate(inputs, &shapes)
}

/// The only output of `op`.
pub fn apply(op: impl Into<Op>, inputs: &[&Tensor]) -> Tensor {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().copied().map(Some).collect();
    apply_all(&op.into(), &inputs).swap_remove(0)
}

/// The elements of an f32 tensor.
pub fn values(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("an f32 tensor")
}

/// Passes if two f32 tensors have the same shape and, up to `tolerance`, the same elements. NaN equals NaN.
#[track_caller]
pub fn assert_close(got: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(got.shape(), expected.shape());
    for (i, (&g, &e)) in values(got).iter().zip(values(expected)).enumerate() {
        let close = g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(close, "element {i}: {g} instead of {e}");
    }
}

/// Passes if an f32 tensor has exactly these elements. NaN equals NaN.
#[track_caller]
pub fn assert_values(got: &Tensor, expected: &[f32]) {
    assert_close(got, &tensor(got.shape(), expected.to_vec()), 0.0);
}
