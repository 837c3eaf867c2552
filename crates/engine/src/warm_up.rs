//! Measuring what executions of a program cost, before it serves its first request: a bounded time, the sizes that tell most first.
//!
//! The sizes double from 1 to the largest, then the gaps between them are filled, so that whatever time there is, the whole range
//! is known about equally well. Then all lanes execute at once, for what they cost each other. A size that would take more
//! than is left is not begun. Inputs are zeros: the time of a dense kernel does not depend on its values, and a device whose
//! does learns from the requests.

use std::sync::{RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use paceline_device::{Batch, Part, Signature, View, ViewMut};
use paceline_graph::Data;

use crate::clock::nanos;
use crate::cost::CostTable;
use crate::loaded::Variant;
use crate::options::WarmUp;
use crate::serving::Serving;

/// Executions of one size, beside the first.
const REPEATS: usize = 3;
/// Inputs and outputs of one execution take at most this much, so that a large program is not measured at its largest batch.
const MAX_BYTES: usize = 64 << 20;
/// Sizes executed by all lanes at once.
const CONTENDED_SIZES: [usize; 3] = [1, 8, 64];

/// Measures the program on sessions of lanes that do not serve it yet. `busy` lanes execute other models meanwhile. A device that
/// fails is not measured further; it will tell its callers.
pub(crate) fn warm_up(
    serving: &Serving,
    variant: &Variant,
    lanes: &[usize],
    busy: usize,
    budget: Duration,
    costs: &mut CostTable,
    progress: &dyn Fn(WarmUp),
) {
    let Some((&first, others)) = lanes.split_first() else { return };
    if budget.is_zero() {
        return;
    }
    let start = Instant::now();
    let sizes = order(costs.sizes());
    let total = sizes.len();
    let (mut samples, mut measured) = (Samples::new(&variant.signature), 0);
    for size in sizes {
        let expected = costs.predict(size, busy + 1).map_or(0.0, |cost| cost.mean_ns);
        let left = budget.saturating_sub(start.elapsed());
        if measured > 0 && (left.is_zero() || expected > nanos(left) as f64)
            || samples.bytes(size) > MAX_BYTES
        {
            continue;
        }
        // The first one of a size grows arenas; and other work makes executions longer, nothing makes them shorter.
        let Some(mut least) = samples.execute(serving, first, size) else { return };
        let mut executions = 1;
        while executions <= REPEATS && start.elapsed() + least <= budget {
            let Some(took) = samples.execute(serving, first, size) else { return };
            least = least.min(took);
            executions += 1;
        }
        match executions {
            1 => costs.learn(size, busy + 1, nanos(least)),
            _ => costs.record(size, busy + 1, nanos(least)),
        }
        measured += 1;
        progress(WarmUp { measured, sizes: total, elapsed: start.elapsed() });
    }
    if !others.is_empty() && !cfg!(loom) {
        contended(serving, variant, lanes, busy, budget.saturating_sub(start.elapsed()), costs);
    }
    costs.draw();
    tracing::debug!(model = &*serving.name, measured, sizes = total, elapsed = ?start.elapsed(), "costs measured");
}

/// Measures what executions on all lanes at once cost each other.
fn contended(
    serving: &Serving,
    variant: &Variant,
    lanes: &[usize],
    busy: usize,
    budget: Duration,
    costs: &mut CostTable,
) {
    for size in CONTENDED_SIZES.into_iter().filter(|&size| size <= variant.max_samples) {
        let expected = costs.predict(size, busy + 1).map_or(0.0, |cost| cost.mean_ns) * (2 * REPEATS) as f64;
        if expected > nanos(budget) as f64 / CONTENDED_SIZES.len() as f64 {
            continue;
        }
        if variant.signature.request_bytes(size) > MAX_BYTES {
            continue;
        }
        // Each thread drops its end of the channel when it is ready, and begins when the gate opens. A barrier would wait for ever for a
        // thread that the system did not start.
        let (ready, all_ready) = mpsc::channel::<()>();
        let gate = RwLock::new(());
        let measure = |lane: usize, ready: mpsc::Sender<()>| {
            let mut samples = Samples::new(&variant.signature);
            let first = samples.execute(serving, lane, size);
            drop(ready);
            drop(gate.read());
            let times = (0..REPEATS).map_while(|_| samples.execute(serving, lane, size)).collect();
            if first.is_some() { times } else { Vec::new() }
        };
        let (measure, closed) = (&measure, gate.write());
        let times: Option<Vec<Duration>> = thread::scope(|scope| {
            let spawn = |&lane: &usize| {
                let ready = ready.clone();
                thread::Builder::new().spawn_scoped(scope, move || measure(lane, ready)).ok()
            };
            let threads: Option<Vec<_>> = lanes.iter().map(spawn).collect();
            drop(ready);
            let _ = all_ready.recv();
            drop(closed);
            Some(threads?.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect())
        });
        let Some(times) = times else {
            return tracing::warn!(
                model = &*serving.name,
                "too few threads to measure lanes beside each other"
            );
        };
        times.into_iter().for_each(|took| costs.record(size, busy + lanes.len(), nanos(took)));
    }
}

/// The sizes that double, then those between, each time in the largest gap.
fn order(sizes: &[usize]) -> Vec<usize> {
    let (doubled, between): (Vec<usize>, Vec<usize>) = sizes
        .iter()
        .partition(|&&size| size.is_power_of_two() || size == sizes[sizes.len() - 1] || sizes.len() < 8);
    let mut between = between;
    // Odd multiples of a larger power of two first: they halve the gaps.
    between.sort_by_key(|&size| (std::cmp::Reverse(size.trailing_zeros()), size));
    doubled.into_iter().chain(between).collect()
}

/// Inputs of zeros and room for outputs.
struct Samples<'a> {
    signature: &'a Signature,
    inputs: Vec<Data>,
    outputs: Vec<Data>,
    samples: usize,
}

impl<'a> Samples<'a> {
    fn new(signature: &'a Signature) -> Self {
        Samples { signature, inputs: Vec::new(), outputs: Vec::new(), samples: 0 }
    }

    fn bytes(&self, samples: usize) -> usize {
        self.signature.request_bytes(samples)
    }

    /// The time of one execution; `None` when it failed.
    fn execute(&mut self, serving: &Serving, lane: usize, samples: usize) -> Option<Duration> {
        if self.samples != samples {
            let zeros = |ports: &[paceline_device::Port]| -> Vec<Data> {
                ports.iter().map(|port| Data::zeros(port.dtype, port.elements * samples)).collect()
            };
            self.inputs = zeros(&self.signature.inputs);
            self.outputs = zeros(&self.signature.outputs);
            self.samples = samples;
        }
        let inputs = self.inputs.iter().map(View::of).collect();
        let outputs = self.outputs.iter_mut().map(ViewMut::of).collect();
        let mut batch = Batch::of(Part { samples, inputs, outputs });
        let start = Instant::now();
        match serving.execute_on(lane, &mut batch) {
            Ok(()) => Some(start.elapsed()),
            Err(fault) => {
                tracing::warn!(model = &*serving.name, error = %fault.error, "measuring costs failed");
                if fault.lost {
                    serving.close(lane);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_that_double_come_first_and_none_is_left_out() {
        let sizes: Vec<usize> = (1..=16).collect();
        let order = order(&sizes);
        assert_eq!(order[..8], [1, 2, 4, 8, 16, 12, 6, 10]);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, sizes);
    }
}
