//! The same requests to an engine in this process, and to one, two and four worker processes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use paceline_engine::{Callable, Engine};
use paceline_nn::Model;
use paceline_workers::{Builder, ModelSpec, Source, WorkerPool};

use crate::measure::{Bare, Blocking, Clock, Length, Round, Strip, Tally, drive, keep_in_flight};
use crate::row::{Mode, Over, Row};
use crate::runner::{Identity, Measurement};
use crate::suite::Scale;
use crate::workload::Workload;
use crate::{StudyError, Suite};

/// Samples of each request.
pub const BATCH: usize = 64;
/// Requests in flight for each lane: one that executes, and one that waits.
const IN_FLIGHT: usize = 2;

/// How workers are started.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    /// The program of the workers.
    pub executable: PathBuf,
    /// The device, by a name that this program knows; it must give the same bits as the device of this process.
    pub device: String,
    /// Where the models' weights are, if not drawn from the seed.
    pub weights: Option<PathBuf>,
    /// What the program of the workers makes models of that only it knows, by their names.
    pub custom: HashMap<String, String>,
}

impl WorkerSetup {
    /// A model as workers are told of it.
    pub(crate) fn spec(&self, name: &str, seed: u64) -> ModelSpec {
        let model = name.to_string();
        let source = match (self.custom.get(name), &self.weights) {
            (Some(description), _) => Source::Custom { description: description.clone() },
            (None, None) => Source::Study { model, seed },
            (None, Some(path)) => Source::Weights { model, path: path.clone() },
        };
        ModelSpec::new(name, source)
    }

    /// A pool with one model.
    pub(crate) fn pool(&self, spec: ModelSpec) -> Builder {
        WorkerPool::builder().executable(&self.executable).device(&self.device).model(spec)
    }
}

/// How many ways there are to send the requests: a bare session, this process's engine and each number of workers, large requests and
/// small ones.
pub(crate) fn ways(scale: &Scale) -> usize {
    1 + 2 * (1 + scale.workers.len())
}

/// Measures a round of each way in turns. `step` is told of each round, and how it is called.
pub(crate) fn measure(
    setup: &WorkerSetup,
    model: &Model,
    seed: u64,
    workload: &Workload,
    scale: &Scale,
    step: &mut dyn FnMut(&str),
) -> Result<Vec<Measurement>, StudyError> {
    let (one, large) = (workload, workload.joined(BATCH)?);
    let engine = Engine::builder().lanes(scale.lanes).build()?;
    let own: Arc<dyn Callable> = Arc::new(engine.load(one.name(), one.program().clone())?);
    let mut served: Vec<(usize, usize, Arc<dyn Callable>)> = vec![(0, scale.lanes, own)];
    for &workers in &scale.workers {
        let lanes = (scale.lanes / workers).max(1);
        let pool = setup.pool(setup.spec(model.name(), seed)).workers(workers).lanes(lanes).build()?;
        let model = pool.model(one.name()).expect("it was made with this model");
        served.push((workers, workers * lanes, Arc::new(model)));
    }
    let strip = Arc::new(Strip::new(one, BATCH));
    let mut all = vec![Way::new(Mode::Batch, 1, 1, 0, BATCH, Calls::Bare([Bare::new(one, &strip, 0)?]))];
    for (workers, lanes, model) in &served {
        let tickets = IN_FLIGHT * lanes;
        let calls = Calls::InFlight(Arc::clone(model), &large);
        all.push(Way::new(Mode::EngineAsync, tickets, *lanes, *workers, BATCH, calls));
    }
    for (workers, lanes, model) in &served {
        let calls = Calls::Blocking([Blocking::new(one, Arc::clone(model), 0)]);
        all.push(Way::new(Mode::Engine, 1, *lanes, *workers, 1, calls));
    }
    for _ in 0..scale.rounds.max(1) {
        for way in &mut all {
            step(&way.name());
            way.round(Length::Time(scale.round_time()))?;
        }
    }
    Ok(all.iter().map(|way| way.measurement(one.name(), &all)).collect())
}

/// One way to send requests.
struct Way<'w> {
    mode: Mode,
    callers: usize,
    lanes: usize,
    workers: usize,
    batch: usize,
    calls: Calls<'w>,
    rounds: Vec<f64>,
    tally: Tally,
}

enum Calls<'w> {
    Bare([Bare; 1]),
    InFlight(Arc<dyn Callable>, &'w Workload),
    Blocking([Blocking<'w>; 1]),
}

impl<'w> Way<'w> {
    fn new(mode: Mode, callers: usize, lanes: usize, workers: usize, batch: usize, calls: Calls<'w>) -> Self {
        Way { mode, callers, lanes, workers, batch, calls, rounds: Vec::new(), tally: Tally::default() }
    }

    fn name(&self) -> String {
        match (self.mode, self.workers) {
            (Mode::Batch, _) => format!("batch {}", self.batch),
            (_, 0) => format!("in process x {}", self.batch),
            (_, workers) => format!("{workers} workers x {}", self.batch),
        }
    }

    fn round(&mut self, length: Length) -> Result<(), StudyError> {
        let round = match self.rounds.is_empty() {
            true => Round::first(length),
            false => Round::again(length, self.tally.latencies.mean()),
        };
        let tally = match &mut self.calls {
            Calls::Bare(callers) => drive(callers, round, Clock::InCalls)?,
            Calls::Blocking(callers) => drive(callers, round, Clock::Wall)?,
            Calls::InFlight(model, workload) => keep_in_flight(workload, &**model, self.callers, round),
        };
        self.rounds.push(tally.calls_per_s * self.batch as f64);
        self.tally.merge(tally);
        Ok(())
    }

    /// Next to the engine of this process that gets the same requests, and that next to the bare session.
    fn measurement(&self, model: &str, all: &[Way<'_>]) -> Measurement {
        let Way { mode, callers, lanes, workers, batch, .. } = *self;
        let identity = Identity { suite: Suite::Workers.name(), model, mode, callers, lanes, batch };
        let of = |mode: Mode| {
            all.iter().find(move |way| way.mode == mode && way.workers == 0 && way.batch == batch)
        };
        let over = match (mode, workers) {
            (Mode::EngineAsync, 0) => {
                of(Mode::Batch).and_then(|way| Over::new(way.name(), &self.rounds, &way.rounds, lanes as f64))
            }
            (_, 0) => None,
            _ => of(mode).and_then(|way| {
                let parallelism = lanes as f64 / way.lanes as f64;
                Over::new(way.name(), &self.rounds, &way.rounds, parallelism)
            }),
        };
        Measurement {
            row: Row { workers, over, ..identity.row(&self.rounds, &self.tally) },
            first_error: self.tally.first_error.clone(),
            trace: Default::default(),
        }
    }
}
