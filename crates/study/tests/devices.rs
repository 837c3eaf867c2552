//! Whole studies and verifications on a device that is right, and on devices that are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use paceline_device::conformance::ReferenceDevice;
use paceline_device::{
    Batch, BatchSizes, CompileError, CompileOptions, Device, DeviceError, DeviceInfo, Program, Session,
    Signature, ViewMut,
};
use paceline_graph::Graph;
use paceline_nn::{Model, models};
use paceline_study::verify::{Checked, Verification};
use paceline_study::{
    Arrivals, Event, Host, Limit, Limits, Message, Mode, Results, Row, Scale, Study, Subject, Suite, Weights,
};

/// What is wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// Every session but the first one of a program, which works out the expected answers, changes the last bit of a result.
    LaterSessionsDiffer,
    /// Every session changes results beyond any tolerance.
    AllAreWrong,
    /// Every session but the first fails.
    LaterSessionsFail,
    /// Batches of several requests are wrong.
    SharedBatchesAreWrong,
}

/// The reference interpreter with a fault.
struct Faulty(Fault);

struct FaultyProgram {
    fault: Fault,
    program: Arc<dyn Program>,
    sessions: AtomicUsize,
}

struct FaultySession {
    fault: Fault,
    is_first: bool,
    session: Box<dyn Session>,
}

impl Device for Faulty {
    fn info(&self) -> DeviceInfo {
        ReferenceDevice.info()
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        let program = ReferenceDevice.compile(graph, options)?;
        Ok(Arc::new(FaultyProgram { fault: self.0, program, sessions: AtomicUsize::new(0) }))
    }
}

impl Program for FaultyProgram {
    fn signature(&self) -> &Signature {
        self.program.signature()
    }

    fn batch_sizes(&self) -> &BatchSizes {
        self.program.batch_sizes()
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        let is_first = self.sessions.fetch_add(1, Ordering::Relaxed) == 0;
        let session = self.program.clone().open()?;
        Ok(Box::new(FaultySession { fault: self.fault, is_first, session }))
    }
}

impl Session for FaultySession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        self.session.launch(batch)?;
        let change: fn(f32) -> f32 = match self.fault {
            Fault::Nothing => return Ok(()),
            Fault::LaterSessionsDiffer | Fault::LaterSessionsFail if self.is_first => return Ok(()),
            Fault::SharedBatchesAreWrong if batch.parts_mut().len() == 1 => return Ok(()),
            Fault::LaterSessionsFail => return Err(DeviceError::Failed("no more".into())),
            Fault::LaterSessionsDiffer => |v| f32::from_bits(v.to_bits() ^ 1),
            Fault::AllAreWrong | Fault::SharedBatchesAreWrong => |v| v + 1.0,
        };
        for output in batch.parts_mut().iter_mut().flat_map(|part| &mut part.outputs) {
            if let ViewMut::F32([.., last]) = output {
                *last = change(*last);
            }
        }
        Ok(())
    }

    fn finish(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        self.session.finish(batch)
    }
}

fn linear() -> Vec<Subject> {
    vec![Subject { model: Model::by_name("linear").unwrap(), weights: Weights::Seed(1) }]
}

/// Of every suite asked for, in this process; checked for what holds of every study.
fn studied(fault: Fault, suites: Vec<Suite>, scale: Scale, limits: Option<&dyn Limits>) -> Results {
    let is_traced = suites.iter().any(|suite| suite.is_traced());
    let study = Study { suites, subjects: linear(), scale, seed: 1, trace: 2_000 };
    let mut results = Results::begin("0", "unknown", "test".into(), &ReferenceDevice.info());
    let (mut planned, mut stepped, mut traced) = (0, 0, 0);
    let observer = &mut |event: Event<'_>| {
        match &event {
            Event::Planned { steps } => planned = *steps,
            Event::Stepped { steps } => stepped += steps,
            Event::Measured(measurement) => {
                let (row, trace) = (&measurement.row, &measurement.trace);
                // The measurements through the engine share the events.
                assert!(trace.batches() + trace.requests() <= 2_000);
                assert!(trace.is_empty() || matches!(row.mode, Mode::Engine | Mode::EngineAsync), "{row:?}");
                traced += usize::from(!trace.is_empty());
            }
            _ => {}
        }
        // As it comes from a process of its own.
        let line = Message::from(&event).to_line();
        results.hear(Message::from_line(&line).unwrap_or_else(|| panic!("{line} is not understood")));
    };
    study.run(Host { limits, ..Host::of(&Faulty(fault)) }, observer).unwrap();
    assert_eq!(stepped, planned);
    assert!(fault != Fault::Nothing || (traced > 0) == is_traced, "{traced} traces");
    results
}

fn measured(fault: Fault) -> Results {
    let scale =
        Scale { callers: vec![1, 3], batches: vec![1, 5], thread_batches: vec![2], ..Scale::default() };
    studied(fault, vec![Suite::Compare, Suite::Threads, Suite::Batches, Suite::Compare], scale, None)
}

#[test]
fn a_right_device_has_a_row_for_every_point_and_no_wrong_answer() {
    let results = measured(Fault::Nothing);
    assert!(results.are_right(), "{:?}", results.problems);
    let got: Vec<_> =
        results.rows.iter().map(|row| (row.suite.as_str(), row.mode, row.callers, row.batch)).collect();
    let expected = [
        ("threads", Mode::Sequential, 1, 1),
        ("threads", Mode::Batch, 1, 2),
        ("threads", Mode::Threads, 1, 2),
        ("threads", Mode::Threads, 3, 2),
        ("threads", Mode::Engine, 1, 1),
        ("threads", Mode::Engine, 3, 1),
        ("threads", Mode::EngineAsync, 1, 1),
        ("threads", Mode::EngineAsync, 3, 1),
        ("batches", Mode::Sequential, 1, 1),
        ("batches", Mode::Batch, 1, 1),
        ("batches", Mode::Batch, 1, 5),
        ("compare", Mode::Sequential, 1, 1),
        ("compare", Mode::Threads, 3, 1),
        ("compare", Mode::Batch, 1, 3),
        ("compare", Mode::Engine, 3, 1),
        ("compare", Mode::EngineAsync, 3, 1),
    ];
    assert_eq!(got, expected);
    for row in &results.rows {
        assert!(row.expected >= row.samples / row.batch as u64 && row.samples > 0, "{row:?}");
        let rate = row.samples as f64 / row.seconds;
        assert!((rate / row.samples_per_s - 1.0).abs() < 1e-9, "{row:?}");
        let interval = row.interval.unwrap();
        assert!(row.rounds.len() == 2 && interval.rounds == 2, "{row:?}");
        assert!((interval.low..=interval.high).contains(&row.samples_per_s), "{row:?}");
        assert_eq!(row.over.is_none(), row.mode == Mode::Sequential, "{row:?}");
        if let Some(over) = &row.over {
            let of_batch = row.suite == "threads" && row.mode == Mode::Threads;
            assert_eq!(over.baseline, if of_batch { "batch 2" } else { "sequential" });
            assert!((over.efficiency * over.parallelism / over.ratio.median - 1.0).abs() < 1e-9, "{over:?}");
        }
        let is_of_the_engine = matches!(row.mode, Mode::Engine | Mode::EngineAsync);
        assert_eq!(row.engine.is_some(), is_of_the_engine, "{row:?}");
        if let Some(engine) = &row.engine {
            let samples = engine.mean_batch * engine.executions as f64;
            assert!((samples - row.expected as f64).abs() < 1e-3, "{row:?}");
            assert!(
                engine.execute_us.p50 > 0.0 && engine.occupancy > 0.0 && engine.occupancy <= 1.0,
                "{row:?}"
            );
        }
    }
}

/// A machine whose every core computes and reads so much.
struct Machine;

impl Limits for Machine {
    fn flops(&self, _: std::time::Duration) -> f64 {
        1e12
    }

    fn read(&self, _: &[f32], _: std::time::Duration) -> f64 {
        1e10
    }
}

#[test]
fn saturation_has_loops_of_both_kinds_and_says_what_bounds() {
    let scale = Scale {
        callers: vec![1, 8],
        arrivals: Arrivals::ALL.to_vec(),
        shares: vec![0.5],
        ..Scale::default()
    };
    let results = studied(Fault::Nothing, vec![Suite::Saturation], scale.clone(), Some(&Machine));
    assert!(results.are_right(), "{:?}", results.problems);
    let got: Vec<_> = results.rows.iter().map(|row| (row.mode, row.callers)).collect();
    let (closed, idle, open) = (Mode::EngineAsync, Mode::HandOff, Mode::EngineOpen);
    let expected = [
        (Mode::Sequential, 1),
        (closed, 1),
        (idle, 1),
        (closed, 8),
        (idle, 8),
        (open, 1),
        (open, 1),
        (open, 1),
    ];
    assert_eq!(got, expected);
    let ceilings = results.ceilings.as_ref().unwrap();
    assert_eq!((ceilings.flops_with(2), ceilings.read_with(2, 1)), (Some(2e12), Some(2e10)));
    let [bound] = &results.bounds[..] else { panic!("{:?}", results.bounds) };
    // The reference interpreter is slow: next to nothing is exhausted, and of that, an engine without work the least.
    let shares = [bound.shares.compute, bound.shares.memory, bound.shares.hand_off];
    assert!(
        bound.bound != Limit::Unknown && shares.iter().all(|share| *share > 0.0 && *share < 1.5),
        "{bound:?}"
    );
    let best =
        results.rows.iter().filter(|row| row.mode == closed).map(|row| row.samples_per_s).fold(0.0, f64::max);
    for row in results.rows.iter().filter(|row| row.mode == open) {
        let load = row.load.unwrap();
        assert!((load.offered_per_s / best - 0.5).abs() < 1e-9 && row.completed > 0, "{row:?}");
        assert!(load.sent_per_s <= load.offered_per_s * 2.5 && row.latency_us.p50 > 0.0, "{row:?}");
    }
    // Without a machine that tells, the bound is that of the engine alone.
    let results = studied(Fault::Nothing, vec![Suite::Saturation], scale, None);
    assert!(results.ceilings.is_none() && results.bounds[0].bound == Limit::HandOff, "{:?}", results.bounds);
}

#[test]
fn models_are_called_at_once_and_for_long() {
    let suites = vec![Suite::Stress, Suite::Workload, Suite::Soak];
    let scale = Scale { callers: vec![3], soak: std::time::Duration::from_millis(1500), ..Scale::default() };
    let results = studied(Fault::Nothing, suites.clone(), scale.clone(), None);
    let of = |suite: &str| results.rows.iter().filter(|row| row.suite == suite).collect::<Vec<_>>();
    let stress: Vec<_> = of("stress").iter().map(|row| (row.callers, row.expected, row.is_right())).collect();
    assert_eq!(stress, [(8, 400, true), (31, 3100, true)]);
    let workload: Vec<_> = of("workload").iter().map(|row| (row.mode, row.callers)).collect();
    assert_eq!(workload, [(Mode::Sequential, 1), (Mode::Threads, 3), (Mode::Engine, 3)]);
    assert!(of("soak")[0].expected > 0 && of("soak")[0].is_right(), "{:?}", of("soak"));
    assert!(results.soak.len() >= 3, "{:?}", results.soak);
    assert!(results.soak.windows(2).all(|pair| pair[0].seconds < pair[1].seconds));
    assert!(results.soak.iter().any(|sample| sample.samples_per_s > 0.0), "{:?}", results.soak);

    let results = studied(Fault::SharedBatchesAreWrong, vec![Suite::Stress], scale, None);
    assert!(results.rows.iter().any(|row| row.wrong > 0), "batches are shared");
}

#[test]
fn wrong_bits_and_errors_are_counted_in_every_mode() {
    let wrong = measured(Fault::LaterSessionsDiffer);
    assert!(
        wrong
            .rows
            .iter()
            .all(|row| row.wrong == row.expected && row.completed == row.expected && row.errors == 0)
    );
    assert!(!wrong.are_right());
    let failing = measured(Fault::LaterSessionsFail);
    assert!(
        failing.rows.iter().all(|row| row.errors == row.expected && row.completed == 0 && row.wrong == 0)
    );
    assert!(failing.problems[0].contains("no more"), "{:?}", failing.problems);
}

#[test]
fn a_model_that_is_computed_wrongly_is_left_out() {
    let results = measured(Fault::AllAreWrong);
    assert!(results.rows.is_empty() && !results.are_right());
    assert!(results.problems[0].contains("computed wrongly"), "{:?}", results.problems);
}

#[test]
fn operators_and_layers_are_measured_by_name() {
    let study =
        Study { suites: vec![Suite::Ops], subjects: Vec::new(), scale: Scale::default(), seed: 1, trace: 0 };
    let mut rows: Vec<Row> = Vec::new();
    study
        .run(Host::of(&ReferenceDevice), &mut |event| {
            if let Event::Measured(m) = event {
                rows.push(m.row.clone())
            }
        })
        .unwrap();
    for operator in
        ["MatMul", "Linear", "Softmax", "Relu", "Conv", "LayerNorm", "Attention", "Embedding", "MaxPool"]
    {
        let of: Vec<_> = rows.iter().filter(|row| row.model == operator).collect();
        assert_eq!(of.len(), 2, "{operator}");
        assert!(of.iter().all(|row| row.expected == 400 && row.is_right()), "{operator}: {of:?}");
    }
}

fn verified(fault: Fault) -> Checked {
    let verification =
        Verification { cases: false, subjects: linear(), callers: 3, iterations: 4, lanes: 2, seed: 1 };
    verification.run(&Faulty(fault), &mut |_| ()).unwrap().remove(0)
}

#[test]
fn a_verification_finds_every_fault() {
    for (fault, counts, problem) in [
        (Fault::Nothing, (12, 0, 0), None),
        (Fault::LaterSessionsDiffer, (0, 0, 12), Some("12 of 12 answers have other bits")),
        (Fault::LaterSessionsFail, (0, 12, 0), Some("12 of 12 calls failed")),
        (Fault::AllAreWrong, (0, 0, 0), Some("computed wrongly")),
    ] {
        let checked = verified(fault);
        assert_eq!((checked.right, checked.errors, checked.wrong), counts, "{fault:?}");
        assert_eq!((checked.expected, checked.is_right()), (12, problem.is_none()), "{fault:?}");
        assert_eq!(checked.problems.len(), usize::from(problem.is_some()), "{:?}", checked.problems);
        assert!(problem.is_none_or(|text| checked.problems[0].contains(text)), "{:?}", checked.problems);
    }
}

#[test]
fn callers_of_a_verification_share_batches() {
    let verification =
        Verification { cases: true, subjects: Vec::new(), callers: 8, iterations: 25, lanes: 2, seed: 1 };
    let checks = verification.run(&Faulty(Fault::SharedBatchesAreWrong), &mut |_| {}).unwrap();
    // Which requests meet is up to the scheduler: not all need to.
    let found = checks.iter().filter(|check| check.wrong > 0).count();
    assert!(found > checks.len() / 3, "found in {found} of {}", checks.len());
}

#[test]
fn the_catalog_lists_every_model() {
    let catalog = paceline_study::catalog().unwrap();
    assert!(catalog.iter().map(|entry| entry.name.as_str()).eq(models().iter().map(|model| model.name())));
    assert!(catalog.iter().all(|entry| entry.flops_per_sample > 0 && entry.parameters > 0));
}
