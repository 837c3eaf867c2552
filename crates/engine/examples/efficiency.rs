//! What the engine costs, against the bare sessions of a fake device, side by side in one run.
//!
//! `cargo run --release -p paceline-engine --example efficiency [fixed_us per_sample_us]` prints
//! - the time that a lone blocking caller pays over a bare session that computes nothing, and its allocations;
//! - the throughput of callers and tickets as a share of bare batches on as many threads as the engine has lanes, where an
//!   execution takes `fixed_us` and `per_sample_us` of a core (20 and 8 unless given). Medians of alternating rounds.
#![allow(clippy::print_stdout, reason = "a report is what it is for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paceline_device::fake::{FakeProgram, Latency, rows};
use paceline_device::{Batch, BatchSizes, Part, Program, View, ViewMut, execute};
use paceline_engine::{Engine, Model};
use paceline_graph::Tensor;

const WIDTH: usize = 128;
const LANES: usize = 2;
const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: it does what the system's allocator does, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let costs: Vec<f64> = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<_, _>>()?;
    let cost = |i: usize, default| Duration::from_secs_f64(costs.get(i).unwrap_or(&default) * 1e-6);
    inline()?;
    throughput(Latency::busy(cost(0, 20.0), cost(1, 8.0)))
}

/// One sample of zeros.
fn sample() -> Tensor {
    Tensor::new([1, WIDTH], vec![0.0; WIDTH]).expect("the shape fits")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn inline() -> Result<(), Box<dyn std::error::Error>> {
    const CALLS: usize = 200_000;
    let program = Arc::new(FakeProgram::new(rows(WIDTH)));
    let mut session = Arc::clone(&program).open()?;
    let engine = Engine::builder().lanes(LANES).build()?;
    let model = engine.load("fake", program)?;
    let (x, mut y) = (vec![0.0; WIDTH], vec![0.0; WIDTH]);
    let mut bare = || {
        let (inputs, outputs) =
            ([View::F32(&x)].into_iter().collect(), [ViewMut::F32(&mut y)].into_iter().collect());
        execute(&mut *session, &mut Batch::of(Part { samples: 1, inputs, outputs })).expect("computes");
    };
    let mut input_only = || drop(black_box(sample()));
    let mut through_engine = || drop(model.infer([("x", sample())]).expect("computes"));
    type Row<'a> = (&'a str, &'a mut dyn FnMut(), Vec<f64>, f64);
    let mut table: [Row<'_>; 3] = [
        ("bare session", &mut bare, Vec::new(), 0.0),
        ("making the input", &mut input_only, Vec::new(), 0.0),
        ("infer, with its input", &mut through_engine, Vec::new(), 0.0),
    ];
    for _ in 0..9 {
        for (_, call, times, allocations) in &mut table {
            let (start, before) = (Instant::now(), ALLOCATIONS.load(Ordering::Relaxed));
            (0..CALLS).for_each(|_| call());
            times.push(start.elapsed().as_secs_f64() * 1e9 / CALLS as f64);
            *allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / CALLS as f64;
        }
    }
    let [bare, input, infer] = table.map(|(name, _, times, allocations)| {
        let ns = median(times);
        println!("{name:<24} {ns:7.0} ns  {allocations:.1} allocations");
        (ns, allocations)
    });
    println!(
        "{:<24} {:7.0} ns  {:.1} allocations\n",
        "over the bare session",
        infer.0 - bare.0 - input.0,
        infer.1 - input.1
    );
    Ok(())
}

fn throughput(latency: Latency) -> Result<(), Box<dyn std::error::Error>> {
    let program = Arc::new(FakeProgram::new(rows(WIDTH)).latency(latency).batch_sizes(BatchSizes::UpTo(256)));
    let engine = Engine::builder().lanes(LANES).build()?;
    let model = engine.load("fake", Arc::clone(&program) as Arc<dyn Program>)?;
    let mut shares: Vec<(String, Vec<f64>, f64)> = Vec::new();
    for round in 0..ROUNDS {
        let best = [32, 64, 256].map(|batch| bare_batches(&program, batch)).into_iter().fold(0.0, f64::max);
        if round == 0 {
            println!("bare batches on {LANES} threads: {best:.0} samples/s");
        }
        type Load = (&'static str, usize, fn(&Model, usize) -> u64);
        let loads: [Load; 6] = [
            ("blocking callers", 1, blocking),
            ("blocking callers", 2, blocking),
            ("blocking callers", 8, blocking),
            ("blocking callers", 64, blocking),
            ("tickets of one thread", 64, tickets),
            ("tickets of one thread", 128, tickets),
        ];
        for (i, (name, count, load)) in loads.into_iter().enumerate() {
            let before = model.statistics();
            let start = Instant::now();
            let samples = load(&model, count);
            let share = samples as f64 / start.elapsed().as_secs_f64() / best;
            let after = model.statistics();
            let batch =
                (after.samples - before.samples) as f64 / (after.executions - before.executions) as f64;
            if round == 0 {
                shares.push((format!("{count} {name}"), Vec::new(), 0.0));
            }
            shares[i].1.push(share);
            shares[i].2 += batch / ROUNDS as f64;
        }
    }
    for (name, shares, batch) in shares {
        println!("{name:<26} {:5.1} % of it, mean batch {batch:.1}", 100.0 * median(shares));
    }
    Ok(())
}

/// Samples per second of a session in each of as many threads as there are lanes.
fn bare_batches(program: &Arc<FakeProgram>, batch: usize) -> f64 {
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let samples: u64 = thread::scope(|scope| {
        let threads = [(); LANES].map(|()| {
            scope.spawn(|| {
                let mut session = Arc::clone(program).open().expect("opens");
                let (x, mut y, mut done) = (vec![0.0; WIDTH * batch], vec![0.0; WIDTH * batch], 0);
                while !stop.load(Ordering::Relaxed) {
                    let inputs = [View::F32(&x)].into_iter().collect();
                    let outputs = [ViewMut::F32(&mut y)].into_iter().collect();
                    let part = Part { samples: batch, inputs, outputs };
                    execute(&mut *session, &mut Batch::of(part)).expect("computes");
                    done += batch as u64;
                }
                done
            })
        });
        thread::sleep(ROUND / 2);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    samples as f64 / start.elapsed().as_secs_f64()
}

/// Requests answered to this many threads that each wait for one after the other.
fn blocking(model: &Model, callers: usize) -> u64 {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let caller = || {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                model.infer([("x", sample())]).expect("computes");
                done += 1;
            }
            done
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

/// Requests answered to one thread that keeps this many on their way.
fn tickets(model: &Model, in_flight: usize) -> u64 {
    let (start, mut waiting, mut done) = (Instant::now(), VecDeque::with_capacity(in_flight), 0);
    while start.elapsed() < ROUND {
        while waiting.len() < in_flight {
            waiting.push_back(model.submit([("x", sample())]).expect("accepted"));
        }
        if let Some(ticket) = waiting.pop_front() {
            ticket.wait().expect("computes");
            done += 1;
        }
    }
    waiting.into_iter().for_each(|ticket| drop(ticket.wait().expect("computes")));
    done + in_flight as u64
}
