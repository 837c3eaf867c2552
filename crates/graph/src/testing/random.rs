//! Random valid graphs over all operators, and inputs for them.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Pieces, steps};
use crate::{DType, Data, Dim, Graph, Tensor, Value};

/// Samples of a graph without a batch axis that has samples nonetheless.
const FIXED_SAMPLES: usize = 2;

/// Inputs of f32 that a graph has, the first values made.
const F32_INPUTS: usize = 4;

/// A graph of at least `nodes` nodes (a few more where the last pattern has several), decided by the seed.
///
/// Every operator occurs, and with good probability the patterns that the passes recognise, with values inside them sometimes
/// used elsewhere or returned. Shapes are small and odd; most graphs have a batch. Values stay within a few powers of ten, so
/// that results can be compared in f32; only constant masks of Attention are infinite. An index
/// out of range, which [`random_inputs`] sometimes gives, brings NaN in.
pub fn random_graph(seed: u64, nodes: usize) -> Graph {
    let mut p = Pieces::new(seed);
    if p.rng.random_ratio(1, 6) {
        p.batch = Dim::Fixed(FIXED_SAMPLES);
    }
    let indices = p.input_of(DType::I64, &[3]);
    let padding = p.input_of(DType::Bool, &[5]);
    let shapes: [&[usize]; F32_INPUTS] = [&[4], &[5, 6], &[4, 7], &[2, 5, 4]];
    for shape in shapes {
        p.input(shape);
    }
    let mut tries = 0;
    while p.node_count() < nodes.max(1) {
        let x = pick(&mut p);
        steps::any(&mut p, x, indices, padding);
        tries += 1;
        assert!(tries < 100 * nodes.max(1), "no step applies");
    }
    let outputs = outputs(&mut p);
    p.finish(&outputs)
}

/// A value to go on from: mostly one of the latest.
fn pick(p: &mut Pieces) -> Value {
    let usable: Vec<Value> = p.made().iter().copied().filter(|&v| steps::is_usable(p, v)).collect();
    let latest = p.rng.random_ratio(2, 3);
    let from = if latest { usable.len() - usable.len().min(3) } else { 0 };
    *usable[from..].choose(&mut p.rng).expect("there are inputs")
}

/// What may be returned: most of what is not used, and perhaps something that is.
fn outputs(p: &mut Pieces) -> Vec<Value> {
    let returnable: Vec<Value> = p.made().iter().copied().filter(|&v| steps::is_usable(p, v)).collect();
    let mut outputs = Vec::new();
    let inputs = p.made()[..F32_INPUTS].to_vec();
    for &value in &returnable {
        if !inputs.contains(&value) && !p.is_used(value) && p.rng.random_ratio(3, 4) {
            outputs.push(value);
        }
    }
    if outputs.is_empty() || p.rng.random_bool(0.5) {
        outputs.extend(returnable.choose(&mut p.rng));
    }
    outputs
}

/// Inputs for `graph` with a batch of `batch`, decided by the seed: f32 around zero, and indices, of which few are out of range,
/// that fit any table of at least four rows.
pub fn random_inputs(graph: &Graph, batch: usize, seed: u64) -> Vec<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let tensors = graph.inputs().iter().map(|&value| {
        let ty = &graph.value(value).ty;
        let shape = ty.shape.resolve(batch);
        let count = shape.iter().product();
        let data: Data = match ty.dtype {
            DType::F32 => (0..count).map(|_| rng.random_range(-2.0f32..2.0)).collect::<Vec<_>>().into(),
            DType::I64 => (0..count)
                .map(|_| if rng.random_ratio(1, 40) { -1 } else { rng.random_range(0..4) })
                .collect::<Vec<i64>>()
                .into(),
            DType::Bool => (0..count).map(|_| rng.random_ratio(1, 4)).collect::<Vec<_>>().into(),
            other => panic!("no random graph has an input of {other}"),
        };
        Tensor::new(shape, data).expect("as many elements as the shape has")
    });
    tensors.collect()
}
