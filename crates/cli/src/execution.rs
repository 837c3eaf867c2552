//! One execution of a program by itself.

use anyhow::Result;
use paceline::Tensor;
use paceline::seam::{self, Batch, Part, Session, Signature, View, ViewMut};

/// The outputs for inputs of the right types and shapes.
pub fn execute(
    session: &mut dyn Session,
    signature: &Signature,
    inputs: &[Tensor],
    samples: usize,
) -> Result<Vec<Tensor>> {
    let outputs = signature.outputs.iter().map(|port| {
        let batch = signature.batched.then_some(samples);
        Tensor::zeros(port.dtype, batch.into_iter().chain(port.shape.iter().copied()).collect::<Vec<_>>())
    });
    let mut outputs = outputs.collect::<Result<Vec<Tensor>, _>>()?;
    let part = Part {
        samples,
        inputs: inputs.iter().map(|tensor| View::of(tensor.data())).collect(),
        outputs: outputs.iter_mut().map(|tensor| ViewMut::of(tensor.data_mut())).collect(),
    };
    seam::execute(session, &mut Batch::of(part))?;
    Ok(outputs)
}
