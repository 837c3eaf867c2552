//! Whether a model that was exported for one batch size computes the same with a batch axis.

use paceline_device::{Batch, CompileOptions, Device, Part, Program, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Data, Element, Graph, Tensor, by_type};
use paceline_nn::sample_inputs;

/// How far results may be apart, relative to the largest of an output: rounding, as kernels of other sizes add in another order.
const TOLERANCE: f64 = 1e-4;
/// Times that different random samples are compared.
const ROUNDS: u64 = 2;
/// Executions of the original that are compared with one of several times its size.
const REPEATS: usize = 2;

/// Passes if `freed`, for twice as many samples, computes what `fixed` computes for each half of them.
pub(super) fn free_batch(fixed: &Graph, freed: &Graph, batch: usize) -> Result<(), String> {
    let device = CpuDevice::new();
    let compile =
        |graph| device.compile(graph, &CompileOptions::default()).map_err(|error| error.to_string());
    let (fixed_program, freed_program) = (compile(fixed)?, compile(freed)?);
    for round in 0..ROUNDS {
        let mut halves = Vec::new();
        for repeat in 0..REPEATS {
            let seed = 1 + round * REPEATS as u64 + repeat as u64;
            halves.push(sample_inputs(fixed, 1, seed).map_err(|error| error.to_string())?);
        }
        let together = joined(&halves, batch);
        let expected: Vec<Vec<Tensor>> =
            halves.iter().map(|inputs| run(&fixed_program, inputs, 1)).collect::<Result<_, _>>()?;
        let got = run(&freed_program, &together, batch * REPEATS)?;
        for (index, (got, expected)) in got.iter().zip(joined(&expected, batch)).enumerate() {
            if !near(got, &expected) {
                let name = &freed.outputs()[index].name;
                return Err(format!(
                    "output '{name}' has other values when samples are computed each for itself"
                ));
            }
        }
    }
    Ok(())
}

/// The tensors of several executions joined along axis 0.
fn joined(executions: &[Vec<Tensor>], batch: usize) -> Vec<Tensor> {
    let join = |index: usize| {
        let parts: Vec<&Tensor> = executions.iter().map(|tensors| &tensors[index]).collect();
        let mut data = Data::zeros(parts[0].dtype(), 0);
        parts.iter().for_each(|part| View::of(part.data()).append_to(&mut data));
        let mut shape = parts[0].shape().to_vec();
        shape[0] = batch * parts.len();
        Tensor::new(shape, data).expect("parts are as long as one of them, times their number")
    };
    (0..executions[0].len()).map(join).collect()
}

fn run(
    program: &std::sync::Arc<dyn Program>,
    inputs: &[Tensor],
    samples: usize,
) -> Result<Vec<Tensor>, String> {
    let outputs = program.signature().outputs.iter().map(|port| {
        let shape: Vec<usize> = match program.signature().batched {
            true => std::iter::once(samples).chain(port.shape.iter().copied()).collect(),
            false => port.shape.clone(),
        };
        Tensor::zeros(port.dtype, shape)
    });
    let mut outputs: Vec<Tensor> = outputs.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut session = std::sync::Arc::clone(program).open().map_err(|error| error.to_string())?;
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    execute(&mut *session, &mut Batch::of(part)).map_err(|error| error.to_string())?;
    Ok(outputs)
}

fn near(got: &Tensor, expected: &Tensor) -> bool {
    let numbers = |tensor: &Tensor| -> Vec<f64> {
        by_type!(Data, tensor.data(), values => values.iter().map(|value| value.to_f64()).collect())
    };
    let (got, expected) = (numbers(got), numbers(expected));
    let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |max, x| max.max(x.abs()));
    got.len() == expected.len()
        && got.iter().zip(&expected).all(|(got, expected)| {
            got == expected
                || got.is_nan() && expected.is_nan()
                || (got - expected).abs() <= TOLERANCE * largest
        })
}
