//! Threads that help an execution, coming and going as they like, change no bit of its result.

mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use paceline_device::{Batch, CompileOptions, Device, Part, Program, Session, View, ViewMut, execute};
use paceline_device_cpu::{CpuDevice, Isa};
use paceline_graph::{Data, Graph, Tensor};
use paceline_nn::{GELU, Linear, Model, Sequential, StateDict, build_layer, sample_inputs};

/// Ends the helpers of a scope with it, also when it panics: a scope waits for its threads.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A program, an input, and the bits that come out when nobody helps.
struct Subject {
    program: Arc<dyn Program>,
    samples: usize,
    inputs: Vec<Tensor>,
    alone: Vec<u32>,
}

impl Subject {
    fn new(isa: Isa, graph: &Graph, samples: usize) -> Self {
        let device = CpuDevice::with_isa(isa).unwrap();
        let program = device.compile(graph, &CompileOptions::default()).unwrap();
        let inputs = sample_inputs(graph, samples, 7).unwrap();
        let mut subject = Subject { program, samples, inputs, alone: Vec::new() };
        subject.alone = subject.execute(&mut *subject.session(), false);
        subject
    }

    fn session(&self) -> Box<dyn Session> {
        self.program.clone().open().unwrap()
    }

    fn execute(&self, session: &mut dyn Session, open: bool) -> Vec<u32> {
        let [port] = &self.program.signature().outputs[..] else { panic!("one output") };
        let mut output = Data::zeros(port.dtype, port.elements * self.samples);
        let mut batch = Batch::of(Part {
            samples: self.samples,
            inputs: self.inputs.iter().map(|t| View::of(t.data())).collect(),
            outputs: [ViewMut::of(&mut output)].into_iter().collect(),
        });
        batch.open_to_help(open);
        execute(session, &mut batch).unwrap();
        drop(batch);
        let Data::F32(values) = output else { panic!("an output of floats") };
        values.iter().map(|v| v.to_bits()).collect()
    }

    /// Executes in `leaders` threads until each has done so three times and somebody has helped.
    fn check(&self, leaders: usize, helpers: usize, what: &str) {
        let (stop, helped) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _stop_at_end = StopAtEnd(&stop);
            for helper in 0..helpers {
                let (stop, helped) = (&stop, &helped);
                scope.spawn(move || {
                    for visit in 0.. {
                        if stop.load(Relaxed) {
                            return;
                        }
                        // Some visits are short, some last as long as the execution.
                        let (asked, patience) = (AtomicUsize::new(0), (visit * 7 + helper) % 13 * 40);
                        let leave = || {
                            stop.load(Relaxed) || (patience > 0 && asked.fetch_add(1, Relaxed) >= patience)
                        };
                        helped.fetch_add(self.program.help(&leave).into(), Relaxed);
                    }
                });
            }
            let lead = || {
                let (mut session, begin) = (self.session(), Instant::now());
                let mut executions = 0;
                while executions < 3
                    || (helped.load(Relaxed) == 0 && begin.elapsed() < Duration::from_secs(20))
                {
                    if self.execute(&mut *session, true) != self.alone {
                        return false;
                    }
                    executions += 1;
                }
                true
            };
            let leaders: Vec<_> = (0..leaders).map(|_| scope.spawn(lead)).collect();
            let same: Vec<bool> = leaders.into_iter().map(|leader| leader.join().unwrap()).collect();
            assert!(same.iter().all(|&same| same), "{what}: help changed the result");
        });
        assert!(helped.into_inner() > 0, "{what}: nobody helped");
    }
}

#[test]
fn the_models_of_the_study_are_the_same_with_help() {
    for isa in Isa::available() {
        for (name, samples) in [("mlp", 1), ("mlp", 9), ("tlayer", 1), ("tlayer", 3)] {
            let graph = Model::by_name(name).unwrap().graph(1).unwrap();
            Subject::new(isa, &graph, samples).check(1, 2, &format!("{isa}, {samples} of {name}"));
        }
    }
}

#[test]
fn products_of_odd_sizes_are_the_same_with_help() {
    // Rows of a sample, k, n, samples: few rows, columns that fill no panel, many rows and few columns, several blocks of rows.
    let sizes =
        [[1, 1031, 1537, 1], [3, 517, 1201, 1], [5, 1031, 333, 2], [301, 1031, 40, 1], [67, 300, 77, 5]];
    for isa in Isa::available() {
        for [rows, k, n, samples] in sizes {
            let layers =
                Sequential::new().then(Linear::new(k, n)).then(GELU::default()).then(Linear::new(n, k));
            let graph = build_layer(&layers, &StateDict::random(&layers, 1), &[rows, k]).unwrap();
            let what = format!("{isa}, {samples} of [{rows}, {k}] x [{k}, {n}]");
            Subject::new(isa, &graph, samples).check(1, 1, &what);
        }
    }
}

#[test]
fn every_kind_of_step_is_the_same_with_help() {
    for isa in Isa::available() {
        for (name, samples, graph) in steps::graphs() {
            Subject::new(isa, &graph, samples).check(1, 2, &format!("{isa}, {samples} of {name}"));
        }
    }
}

#[test]
fn two_executions_at_once_share_a_helper() {
    let graph = Model::by_name("mlp").unwrap().graph(1).unwrap();
    Subject::new(Isa::best(), &graph, 2).check(2, 1, "two leaders");
}

#[test]
fn a_small_program_cannot_be_helped_and_does_not_keep_a_helper() {
    let layer = Linear::new(16, 16);
    let graph = build_layer(&layer, &StateDict::random(&layer, 1), &[16]).unwrap();
    let subject = Subject::new(Isa::best(), &graph, 3);
    assert!(!subject.program.can_be_helped());
    assert!(!subject.program.help(&|| false));
    assert_eq!(subject.execute(&mut *subject.session(), true), subject.alone);
}
