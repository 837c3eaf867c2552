//! A session allocates when a batch is larger than any before it, and never else.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use paceline_device::{Batch, CompileOptions, Device, Part, Program, Session, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Data, Graph};
use paceline_nn::{Model, models, sample_inputs};

/// Counts what this thread asks of the system's allocator.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations made by this thread in `f`.
fn allocations(f: impl FnOnce()) -> usize {
    let before = CALLS.get();
    f();
    CALLS.get() - before
}

fn compile(name: &str) -> (Graph, Arc<dyn Program>) {
    let graph = Model::by_name(name).unwrap().graph(1).unwrap();
    let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).unwrap();
    (graph, program)
}

/// The callers' memory for batches of up to so many samples.
struct Rows {
    inputs: Vec<paceline_graph::Tensor>,
    outputs: Vec<Data>,
    elements: Vec<usize>,
    samples: usize,
}

impl Rows {
    fn new(graph: &Graph, program: &dyn Program, samples: usize) -> Self {
        let signature = program.signature();
        Rows {
            inputs: sample_inputs(graph, samples, 1).unwrap(),
            outputs: signature.outputs.iter().map(|p| Data::zeros(p.dtype, p.elements * samples)).collect(),
            elements: signature.inputs.iter().map(|p| p.elements).collect(),
            samples,
        }
    }

    /// All samples as one part, or each as a part of its own (which is then gathered).
    fn batch(&mut self, apart: bool) -> Batch<'_> {
        if !apart {
            return Batch::of(Part {
                samples: self.samples,
                inputs: self.inputs.iter().map(|t| View::of(t.data())).collect(),
                outputs: self.outputs.iter_mut().map(ViewMut::of).collect(),
            });
        }
        let mut outputs: Vec<_> = self.outputs.iter_mut().map(|o| rows_of(o, self.samples)).collect();
        let mut batch = Batch::new();
        for sample in 0..self.samples {
            let inputs = self.inputs.iter().zip(&self.elements);
            batch.push(Part {
                samples: 1,
                inputs: inputs.map(|(t, n)| View::of(t.data()).slice(sample * n, (sample + 1) * n)).collect(),
                outputs: outputs.iter_mut().map(|rows| rows.next().unwrap()).collect(),
            });
        }
        batch
    }
}

fn rows_of(data: &mut Data, samples: usize) -> impl Iterator<Item = ViewMut<'_>> {
    let Data::F32(values) = data else { panic!("the models give f32") };
    let row = values.len() / samples;
    values.chunks_mut(row).map(ViewMut::F32)
}

fn launch(session: &mut dyn Session, rows: &mut Rows, apart: bool) -> usize {
    let mut batch = rows.batch(apart);
    allocations(|| execute(session, &mut batch).unwrap())
}

#[test]
fn launch_allocates_nothing_after_its_first_call_at_a_size() {
    for model in models().iter().filter(|m| m.name() != "t6" && m.name() != "linear-4096") {
        let (graph, program) = compile(model.name());
        let mut session = program.clone().open().unwrap();
        let (mut large, mut small) = (Rows::new(&graph, &*program, 9), Rows::new(&graph, &*program, 4));
        let mut first = 0;
        for round in 0..3 {
            for apart in [false, true] {
                let calls =
                    launch(&mut *session, &mut large, apart) + launch(&mut *session, &mut small, apart);
                first += calls;
                assert!(round == 0 || calls == 0, "{}: {calls} allocations in round {round}", model.name());
            }
        }
        assert!(first > 0, "{}: the counter does not count", model.name());
    }
}
