//! The reference interpreter behind the device seam: slow, right, and bitwise repeatable. For tests that need a device and
//! care nothing for speed.

use std::sync::Arc;

use paceline_graph::{Data, Graph, Tensor, reference};

use crate::{
    Batch, BatchSizes, CompileError, CompileOptions, Device, DeviceError, DeviceInfo, Program, Session,
    Signature, View,
};

/// The reference interpreter as a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferenceDevice;

struct ReferenceProgram {
    graph: Graph,
    signature: Signature,
    sizes: BatchSizes,
}

struct ReferenceSession {
    program: Arc<ReferenceProgram>,
}

impl Device for ReferenceDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            id: "reference".into(),
            name: "reference interpreter".into(),
            isa: "f64".into(),
            default_lanes: 1,
        }
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        if options.max_batch == 0 {
            return Err(CompileError::Option {
                option: "max_batch",
                expected: "at least 1".into(),
                got: options.max_batch.to_string(),
            });
        }
        let signature = Signature::of(graph);
        let sizes = BatchSizes::UpTo(if signature.batched { options.max_batch } else { 1 });
        Ok(Arc::new(ReferenceProgram { graph: graph.clone(), signature, sizes }))
    }
}

impl Program for ReferenceProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_sizes(&self) -> &BatchSizes {
        &self.sizes
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        Ok(Box::new(ReferenceSession { program: self }))
    }
}

impl Session for ReferenceSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        let ReferenceProgram { graph, signature, sizes } = &*self.program;
        batch.check(signature, sizes.max())?;
        if batch.samples() == 0 {
            return Ok(());
        }
        let inputs = gather(signature, batch);
        let outputs =
            reference::evaluate(graph, &inputs).map_err(|error| DeviceError::Failed(error.to_string()))?;
        scatter(&outputs, batch);
        Ok(())
    }

    fn finish(&mut self, _batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// The parts' inputs joined along the batch axis.
fn gather(signature: &Signature, batch: &Batch<'_>) -> Vec<Tensor> {
    let join = |(index, port): (usize, &crate::Port)| {
        let mut data = Data::zeros(port.dtype, 0);
        for part in batch.parts() {
            part.inputs[index].append_to(&mut data);
        }
        let samples = signature.batched.then_some(batch.samples());
        let shape: Vec<usize> = samples.into_iter().chain(port.shape.iter().copied()).collect();
        Tensor::new(shape, data).expect("the batch has been checked")
    };
    signature.inputs.iter().enumerate().map(join).collect()
}

/// Each part's rows of the outputs.
fn scatter(outputs: &[Tensor], batch: &mut Batch<'_>) {
    let mut written = vec![0; outputs.len()];
    for part in batch.parts_mut() {
        for ((tensor, to), start) in outputs.iter().zip(&mut part.outputs).zip(&mut written) {
            let end = *start + to.len();
            to.copy_from(View::of(tensor.data()).slice(*start, end));
            *start = end;
        }
    }
}
