//! Weights as programs use them: packed, or in memory of the device's own; made once however many programs use them.
//!
//! What a graph holds may lie in a mapped file. A program must not depend on that file, so everything that it reads while it runs is
//! packed or copied when it is compiled, by all cores at once, and the file's pages are given back as soon as they were read. Programs
//! for other lengths of the same model find what was made for the first.
//!
//! **Traps.** A tensor is known by its address, which is its own only while the tensor, or a weak reference to it, exists.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use paceline_graph::{Data, Element, Graph, Linear, Op, Source, Tensor, by_type};

use crate::kernels::pack::PackedMatrix;
use crate::kernels::set::KernelSet;
use crate::memory::Block;

/// Bytes of weights from which several threads share the work.
const WORTH_THREADS_BYTES: usize = 4 << 20;

/// What the programs of one device share.
#[derive(Default)]
pub(crate) struct Weights {
    known: Mutex<HashMap<Key, Known>>,
}

/// A tensor's address, and what is made of it.
type Key = (usize, Form);

/// What is made of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Packed as the weight of a Linear, transposed or not.
    Packed { transposed: bool },
    /// A copy in memory of the device's own.
    Copied,
}

/// What was made; it is kept by the programs that use it.
struct Known {
    tensor: Weak<Tensor>,
    made: Made<Weak<Block>, Weak<Tensor>>,
}

#[derive(Clone)]
enum Made<B, T> {
    Packed { n: usize, k: usize, panels: B },
    Copied(T),
}

/// The weights of one program.
#[derive(Default)]
pub(crate) struct Ready {
    packed: HashMap<Key, PackedMatrix>,
    copied: HashMap<usize, Arc<Tensor>>,
}

impl Ready {
    /// The packed weight of a Linear of the graph.
    pub fn packed(&self, weight: &Arc<Tensor>, transposed: bool) -> PackedMatrix {
        self.packed[&(address(weight), Form::Packed { transposed })].clone()
    }

    /// A constant of the graph in memory of the program's own.
    pub fn resident(&self, tensor: &Arc<Tensor>) -> Arc<Tensor> {
        self.copied.get(&address(tensor)).unwrap_or(tensor).clone()
    }
}

impl Weights {
    /// Everything that a program of `graph` will read.
    pub fn prepare(&self, graph: &Graph, kernels: &KernelSet) -> Ready {
        let mut ready = Ready::default();
        let mut missing = Vec::new();
        for (tensor, form) in wanted(graph) {
            match self.find(&tensor, form) {
                Some(made) => ready.add(&tensor, form, made),
                None => missing.push((tensor, form)),
            }
        }
        // The largest first, so that no thread is left with one at the end.
        missing.sort_by_key(|(tensor, _)| std::cmp::Reverse(tensor.len()));
        for ((tensor, form), made) in missing.iter().zip(make_all(&missing, kernels)) {
            self.keep(tensor, *form, &made);
            ready.add(tensor, *form, made);
        }
        ready
    }

    fn find(&self, tensor: &Arc<Tensor>, form: Form) -> Option<Made<Arc<Block>, Arc<Tensor>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match &known.get(&(address(tensor), form))?.made {
            Made::Packed { n, k, panels } => Made::Packed { n: *n, k: *k, panels: panels.upgrade()? },
            Made::Copied(copy) => Made::Copied(copy.upgrade()?),
        })
    }

    fn keep(&self, tensor: &Arc<Tensor>, form: Form, made: &Made<Arc<Block>, Arc<Tensor>>) {
        let made = match made {
            Made::Packed { n, k, panels } => Made::Packed { n: *n, k: *k, panels: Arc::downgrade(panels) },
            Made::Copied(copy) => Made::Copied(Arc::downgrade(copy)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.is_alive());
        known.insert((address(tensor), form), Known { tensor: Arc::downgrade(tensor), made });
    }
}

impl Known {
    fn is_alive(&self) -> bool {
        self.tensor.strong_count() > 0
            && match &self.made {
                Made::Packed { panels, .. } => panels.strong_count() > 0,
                Made::Copied(copy) => copy.strong_count() > 0,
            }
    }
}

impl Ready {
    fn add(&mut self, tensor: &Arc<Tensor>, form: Form, made: Made<Arc<Block>, Arc<Tensor>>) {
        match made {
            Made::Packed { n, k, panels } => {
                self.packed.insert((address(tensor), form), PackedMatrix::of_panels(n, k, panels));
            }
            Made::Copied(copy) => {
                self.copied.insert(address(tensor), copy);
            }
        }
    }
}

/// What of a graph's constants a program needs, and in which form. The weights of convolutions are packed, and small ones copied,
/// where they are lowered.
fn wanted(graph: &Graph) -> Vec<(Arc<Tensor>, Form)> {
    let mut seen = HashSet::new();
    let mut wanted = Vec::new();
    let mut want = |value, form| {
        let Source::Constant(tensor) = &graph.value(value).source else { return };
        let needed = matches!(form, Form::Packed { .. }) || tensor.data().is_stored();
        if needed && seen.insert((address(tensor), form)) {
            wanted.push((Arc::clone(tensor), form));
        }
    };
    for node in graph.nodes() {
        for (index, value) in node.inputs.iter().enumerate() {
            let Some(value) = *value else { continue };
            match (&node.op, index) {
                (&Op::Linear(Linear { transposed, .. }), 1) => want(value, Form::Packed { transposed }),
                (Op::Conv(_) | Op::ConvTranspose(_), 1) => {}
                _ => want(value, Form::Copied),
            }
        }
    }
    for output in graph.outputs() {
        want(output.value, Form::Copied);
    }
    wanted
}

/// All of them, in order.
fn make_all(wanted: &[(Arc<Tensor>, Form)], kernels: &KernelSet) -> Vec<Made<Arc<Block>, Arc<Tensor>>> {
    let bytes: usize = wanted.iter().map(|(tensor, _)| tensor.len() * tensor.dtype().size_bytes()).sum();
    let cores = if bytes < WORTH_THREADS_BYTES {
        1
    } else {
        std::thread::available_parallelism().map_or(1, |cores| cores.get())
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut made = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((tensor, form)) = wanted.get(index) else { return made };
            made.push((index, make(tensor, *form, kernels)));
        }
    };
    let mut made: Vec<_> = std::thread::scope(|scope| {
        let others = (1..cores.min(wanted.len()))
            .map(|_| std::thread::Builder::new().name("paceline-pack".into()).spawn_scoped(scope, work));
        // Where no thread can be had, this one does it all.
        let others: Vec<_> = others.map_while(Result::ok).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, made)| made).collect()
}

fn make(tensor: &Arc<Tensor>, form: Form, kernels: &KernelSet) -> Made<Arc<Block>, Arc<Tensor>> {
    let made = match form {
        Form::Packed { transposed } => {
            let weight = tensor.as_f32().expect("shape rules guarantee f32 weights");
            let &[rows, columns] = tensor.shape() else { unreachable!("shape rules guarantee a matrix") };
            let packed = match transposed {
                false => PackedMatrix::new(kernels, weight, rows, columns),
                true => PackedMatrix::transposed(kernels, weight, columns, rows),
            };
            let PackedMatrix { n, k, panels } = packed;
            Made::Packed { n, k, panels }
        }
        Form::Copied => Made::Copied(Arc::new(copy(tensor))),
    };
    tensor.release();
    made
}

/// The same tensor in memory of the device's own.
fn copy(tensor: &Tensor) -> Tensor {
    let block = by_type!(Data, tensor.data(), elements => Element::raw(elements).map(|raw| {
        let mut block = Block::zeroed(raw.len()).expect("memory for a second copy of the weight");
        block.bytes_mut().copy_from_slice(raw);
        block
    }));
    let stored = block.and_then(|block| Data::stored(tensor.dtype(), Arc::new(block)));
    let data =
        stored.unwrap_or_else(|| by_type!(Data, tensor.data(), elements => Data::of(elements.to_vec())));
    Tensor::new(tensor.shape(), data).expect("as many elements as before")
}

fn address(tensor: &Arc<Tensor>) -> usize {
    Arc::as_ptr(tensor).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use paceline_graph::{Binary, BinaryOp, DType, Dim, GraphBuilder};

    fn graph(weights: [&Arc<Tensor>; 2], length: usize) -> Graph {
        let mut g = GraphBuilder::new();
        let x = g.input("x", DType::F32, [Dim::BATCH, length.into(), 3.into()]).unwrap();
        let [w, table] = weights.map(Arc::clone);
        let (w, table) = (g.constant("w", w).unwrap(), g.constant("t", table).unwrap());
        let y = g.add("y", Op::Linear(Linear::default()), &[Some(x), Some(w)]).unwrap();
        let z = g.add("z", Op::Binary(Binary(BinaryOp::Add)), &[Some(y), Some(table)]);
        g.output("z", z.unwrap()).unwrap();
        g.finish().unwrap()
    }

    #[test]
    fn programs_of_one_model_share_what_was_packed_and_copied() {
        let kernels = KernelSet::of(Isa::Portable).unwrap();
        let mut block = Block::zeroed(8).unwrap();
        block.floats_mut().fill(1.0);
        let stored = Data::stored(DType::F32, Arc::new(block)).unwrap();
        let table = Arc::new(Tensor::new([2], stored).unwrap());
        let w = Arc::new(Tensor::new([2, 3], vec![1.0; 6]).unwrap());
        let weights = Weights::default();
        let (a, b) = (
            weights.prepare(&graph([&w, &table], 4), kernels),
            weights.prepare(&graph([&w, &table], 5), kernels),
        );
        assert_eq!(a.packed(&w, false).panels().as_ptr(), b.packed(&w, false).panels().as_ptr());
        assert!(Arc::ptr_eq(&a.resident(&table), &b.resident(&table)));
        assert!(!Arc::ptr_eq(&a.resident(&table), &table), "not where the file is");
        let again = Arc::new(Tensor::new([2, 3], vec![2.0; 6]).unwrap());
        let c = weights.prepare(&graph([&again, &table], 4), kernels);
        assert_ne!(c.packed(&again, false).panels().as_ptr(), a.packed(&w, false).panels().as_ptr());
        drop((a, b));
        drop(w);
        assert_eq!(weights.known.lock().unwrap().values().filter(|known| known.is_alive()).count(), 2);
    }
}
