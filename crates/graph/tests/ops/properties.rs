//! What holds for every operator: no input makes a shape rule panic, an evaluation gives what the shape rule says, and a
//! sample's result does not depend on the batch it is in.

use paceline_graph::{DType, Data, Dim, Element, Op, Tensor, ValueType, by_dtype, by_type};
use proptest::prelude::*;

use crate::cases::{Case, KINDS, fitting, hostile, nearly_fitting};
use crate::notation::Numbers;

const LARGEST_BATCH: usize = 3;

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fitting_inputs_are_accepted_and_samples_independent(kind in 0..KINDS, seed: u64) {
        let case = fitting(kind, &mut Numbers(seed));
        let outputs = infer(&case);
        prop_assert!(outputs.is_ok(), "{case:?}: {outputs:?}");
        check_evaluation(&case, &outputs.unwrap(), seed);
    }

    #[test]
    fn whatever_else_is_accepted_keeps_samples_independent(kind in 0..KINDS, seed: u64) {
        let numbers = &mut Numbers(seed);
        let case = nearly_fitting(fitting(kind, numbers), numbers);
        let batch_axes = |ty: &ValueType| ty.shape.dims().iter().filter(|d| d.is_batch()).count();
        // No value of a graph has more.
        prop_assume!(case.inputs.iter().flatten().all(|ty| batch_axes(ty) <= 1));
        if let Ok(outputs) = infer(&case)
            && case.inputs.iter().flatten().chain(&outputs).all(is_small)
        {
            check_evaluation(&case, &outputs, seed);
        }
    }

    #[test]
    fn hostile_inputs_are_errors(kind in 0..KINDS, seed: u64) {
        let case = hostile(kind, &mut Numbers(seed));
        if let Err(problem) = infer(&case) {
            prop_assert!(!problem.expected.is_empty() && !problem.got.is_empty(), "{case:?}");
        }
    }
}

#[test]
fn every_kind_of_operator_is_tried() {
    // Gather is tried in two ways, and Det comes with Einsum.
    let mut names: Vec<String> = (0..KINDS)
        .map(|kind| {
            let op = format!("{:?}", fitting(kind, &mut Numbers(1)).op);
            op.split('(').next().unwrap_or_default().to_string()
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), KINDS - 1, "{names:?}");
}

fn infer(case: &Case) -> Result<Vec<ValueType>, paceline_graph::Problem> {
    case.op.infer(&case.inputs.iter().map(Option::as_ref).collect::<Vec<_>>())
}

fn is_small(ty: &ValueType) -> bool {
    let lengths = ty.shape.resolve(LARGEST_BATCH);
    lengths.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1))).is_some_and(|n| n < 100_000)
}

/// Evaluates the case with every batch up to the largest, and with each sample alone.
fn check_evaluation(case: &Case, outputs: &[ValueType], seed: u64) {
    let batched = case.inputs.iter().flatten().any(|ty| ty.shape.batch_axis().is_some());
    for ty in outputs {
        let batch_axes = ty.shape.dims().iter().filter(|d| d.is_batch()).count();
        // Only Expand makes a batch of nothing: the same for every sample.
        let made = matches!(case.op, Op::Expand(_)) && !batched && batch_axes == 1;
        assert!(batch_axes == usize::from(batched) || made, "{case:?}: {ty}");
    }
    let numbers = &mut Numbers(seed ^ 0xda7a);
    let whole: Vec<Option<Tensor>> = case.inputs.iter().map(|ty| Some(data(ty.as_ref()?, numbers))).collect();
    let run = |first: usize, count: usize| {
        let inputs: Vec<Option<Tensor>> = whole
            .iter()
            .zip(&case.inputs)
            .map(|(tensor, ty)| Some(samples(tensor.as_ref()?, ty.as_ref()?, first, count)))
            .collect();
        evaluate(&case.op, &inputs, outputs, count)
    };
    let alone: Vec<Vec<Tensor>> = (0..LARGEST_BATCH).map(|sample| run(sample, 1)).collect();
    for count in 0..=LARGEST_BATCH {
        let together = run(0, count);
        for (output, ty) in outputs.iter().enumerate() {
            for (sample, alone) in alone[..count].iter().enumerate() {
                let part = samples(&together[output], ty, sample, 1);
                assert_eq!(bits(&part), bits(&alone[output]), "{case:?}: sample {sample} of {count}");
            }
        }
    }
}

fn evaluate(op: &Op, inputs: &[Option<Tensor>], outputs: &[ValueType], batch: usize) -> Vec<Tensor> {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
    let shapes: Vec<Vec<usize>> = outputs.iter().map(|ty| ty.shape.resolve(batch)).collect();
    let results = op.evaluate(&inputs, &shapes);
    assert_eq!(results.len(), outputs.len(), "{op:?}");
    for ((result, shape), ty) in results.iter().zip(&shapes).zip(outputs) {
        assert_eq!((result.shape(), result.dtype()), (&shape[..], ty.dtype), "{op:?}");
    }
    results
}

/// A tensor for the largest batch; among its numbers are a few that arithmetic treats specially.
fn data(ty: &ValueType, numbers: &mut Numbers) -> Tensor {
    let shape = ty.shape.resolve(LARGEST_BATCH);
    let len = shape.iter().product();
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-40, 3e38];
    let f32s = |numbers: &mut Numbers| match numbers.below(24) {
        chosen if chosen < special.len() => special[chosen],
        _ => numbers.f32(),
    };
    let data: Data = match ty.dtype {
        DType::F32 => (0..len).map(|_| f32s(numbers)).collect::<Vec<f32>>().into(),
        DType::I64 => (0..len).map(|_| numbers.below(6) as i64 - 1).collect::<Vec<i64>>().into(),
        DType::Bool => (0..len).map(|_| numbers.below(2) == 0).collect::<Vec<bool>>().into(),
        other => by_dtype!(other, T => {
            Data::of((0..len).map(|_| T::from_f64(numbers.below(6) as f64 - 1.0)).collect())
        }),
    };
    Tensor::new(shape, data).expect("as many elements as the shape has")
}

/// Some consecutive samples of a tensor of this type; all of it, where the type has no batch.
fn samples(tensor: &Tensor, ty: &ValueType, first: usize, count: usize) -> Tensor {
    let Some(axis) = ty.shape.batch_axis() else { return tensor.clone() };
    let Dim::Batch(each) = ty.shape.dims()[axis] else { unreachable!("it is the batch axis") };
    let mut shape = tensor.shape().to_vec();
    let inner: usize = shape[axis + 1..].iter().product();
    let row = shape[axis] * inner;
    let outer: usize = shape[..axis].iter().product();
    let taken = || {
        (0..outer).flat_map(move |o| {
            let start = o * row + first * each * inner;
            start..start + count * each * inner
        })
    };
    shape[axis] = count * each;
    let data = by_type!(Data, tensor.data(), v => Data::of(taken().map(|i| v[i]).collect()));
    Tensor::new(shape, data).expect("as many elements as the shape has")
}

/// What must be equal when two tensors are the same bit for bit.
fn bits(tensor: &Tensor) -> (Vec<usize>, Vec<u64>) {
    let elements = by_type!(Data, tensor.data(), v => v.iter().map(|x| x.bits()).collect());
    (tensor.shape().to_vec(), elements)
}
