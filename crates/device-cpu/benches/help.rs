//! What an idle core adds to a lone execution: each model alone, open to help without a helper, and with one, taking turns.
//!
//! `cargo bench -p paceline-device-cpu --bench help -- [MODEL:BATCH ...]`. Needs two idle cores.

#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paceline_device::{Batch, CompileOptions, Device, Part, Program, Session, View, ViewMut, execute};
use paceline_device_cpu::CpuDevice;
use paceline_graph::{Data, Tensor};
use paceline_nn::{Model, sample_inputs};

const CASES: [&str; 9] =
    ["linear:1", "mlp:1", "mlp:8", "mlp:64", "conv1d:1", "conv1d:8", "tlayer:1", "tlayer:8", "t6:1"];
const ROUNDS: usize = 12;
const ROUND: Duration = Duration::from_millis(60);

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| arg.contains(':')).collect();
    let cases = if chosen.is_empty() { CASES.map(String::from).to_vec() } else { chosen };
    println!("median microseconds    closed   open    helped   open/closed  helped/closed");
    for case in cases {
        let (name, batch) = case.split_once(':').expect("MODEL:BATCH");
        measure(name, batch.parse().expect("a batch size"));
    }
}

fn measure(name: &str, samples: usize) {
    let graph = Model::by_name(name).expect("a model of the study").graph(1).expect("models build");
    let program = CpuDevice::new().compile(&graph, &CompileOptions::default()).expect("models compile");
    let mut caller =
        Caller::new(&*program, sample_inputs(&graph, samples, 1).expect("models have inputs"), samples);
    let mut session = program.clone().open().expect("sessions open");
    let mut times: [Vec<f64>; 3] = Default::default();
    let (stop, idle) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let leave = || !idle.load(Ordering::Relaxed);
            while !stop.load(Ordering::Relaxed) {
                if leave() {
                    thread::park();
                }
                program.help(&leave);
            }
        });
        let _end = EndHelper { stop: &stop, idle: &idle, helper: helper.thread() };
        for round in 0..3 * ROUNDS {
            let mode = round % 3;
            idle.store(mode == 2, Ordering::Relaxed);
            helper.thread().unpark();
            // The first executions after a change bring weights and threads to where they belong.
            for _ in 0..3 {
                caller.time(&mut *session, mode > 0);
            }
            let begin = Instant::now();
            while begin.elapsed() < ROUND {
                times[mode].push(caller.time(&mut *session, mode > 0));
            }
        }
    });
    let [closed, open, helped] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "{name:>12} {samples:>4}  {closed:>10.1} {open:>8.1} {helped:>8.1} {:>10.3} {:>12.3}",
        open / closed,
        helped / closed
    );
}

/// Ends the helper with its scope, also when that panics: a scope waits for its threads.
struct EndHelper<'a> {
    stop: &'a AtomicBool,
    idle: &'a AtomicBool,
    helper: &'a thread::Thread,
}

impl Drop for EndHelper<'_> {
    fn drop(&mut self) {
        self.idle.store(false, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
        self.helper.unpark();
    }
}

/// One caller's memory.
struct Caller {
    samples: usize,
    inputs: Vec<Tensor>,
    outputs: Vec<Data>,
}

impl Caller {
    fn new(program: &dyn Program, inputs: Vec<Tensor>, samples: usize) -> Self {
        let outputs = program.signature().outputs.iter();
        Caller {
            samples,
            inputs,
            outputs: outputs.map(|p| Data::zeros(p.dtype, p.elements * samples)).collect(),
        }
    }

    /// Microseconds of one execution.
    fn time(&mut self, session: &mut dyn Session, open: bool) -> f64 {
        let mut batch = Batch::of(Part {
            samples: self.samples,
            inputs: self.inputs.iter().map(|t| View::of(t.data())).collect(),
            outputs: self.outputs.iter_mut().map(ViewMut::of).collect(),
        });
        batch.open_to_help(open);
        let begin = Instant::now();
        execute(session, &mut batch).expect("executions succeed");
        begin.elapsed().as_secs_f64() * 1e6
    }
}
