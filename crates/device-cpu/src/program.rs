//! A graph compiled for the CPU.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use paceline_device::{
    BatchSizes, CompileError, CompileOptions, DeviceError, Program, Session, Signature, UnsupportedNode,
};
use paceline_graph::Graph;
use paceline_graph::passes::simplify;

use crate::board::Board;
use crate::kernels::set::KernelSet;
use crate::lower::{Lowered, check_sizes, lower};
use crate::memory::Block;
use crate::plan::Plan;
use crate::session::CpuSession;
use crate::weights::Weights;

/// Packed weights, a plan of steps, and a board for helpers; shared by every session.
pub(crate) struct CpuProgram {
    pub signature: Signature,
    pub batch_sizes: BatchSizes,
    pub kernels: &'static KernelSet,
    pub plan: Plan,
    pub without_kernel: Vec<UnsupportedNode>,
    pub board: Board,
    /// Scratch of helpers, while they are away: as many blocks as ever helped at once.
    scratch: Mutex<Vec<Block>>,
}

impl CpuProgram {
    pub fn compile(
        graph: &Graph,
        options: &CompileOptions,
        kernels: &'static KernelSet,
        weights: &Weights,
        device: &str,
    ) -> Result<Self, CompileError> {
        if options.max_batch == 0 {
            return Err(CompileError::Option {
                option: "max_batch",
                expected: "at least 1".into(),
                got: options.max_batch.to_string(),
            });
        }
        let signature = Signature::of(graph);
        let max_batch = if signature.batched { options.max_batch } else { 1 };
        let graph = simplify(graph)?;
        check_sizes(&graph, max_batch)?;
        let ready = weights.prepare(&graph, kernels);
        let Lowered { plan, without_kernel } = lower(&graph, kernels, &ready, max_batch, device)?;
        Ok(CpuProgram {
            signature,
            batch_sizes: BatchSizes::UpTo(max_batch),
            kernels,
            plan,
            without_kernel,
            board: Board::new(),
            scratch: Mutex::new(Vec::new()),
        })
    }
}

impl Program for CpuProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_sizes(&self) -> &BatchSizes {
        &self.batch_sizes
    }

    fn without_kernel(&self) -> &[UnsupportedNode] {
        &self.without_kernel
    }

    fn lane_bytes(&self) -> Option<usize> {
        let samples = self.plan.chunk.min(self.batch_sizes.max());
        Some(samples.saturating_mul(self.plan.sample_bytes).saturating_add(self.plan.once_bytes))
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        Ok(Box::new(CpuSession::new(self)))
    }

    fn can_be_helped(&self) -> bool {
        self.plan.steps.iter().any(|step| step.can_be_shared(self.kernels, self.plan.chunk))
    }

    fn help(&self, leave: &dyn Fn() -> bool) -> bool {
        let spare = lock(&self.scratch).pop();
        // Without memory there is no help; the execution goes on alone.
        let Ok(mut scratch) = spare.map_or_else(|| Block::zeroed(self.plan.helper_bytes), Ok) else {
            return false;
        };
        let helped = self.board.help(scratch.as_mut_ptr(), leave);
        lock(&self.scratch).push(scratch);
        helped
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
