//! Where what is tuned is executed: the seam between choosing and measuring. The real host is this process, and worker processes that
//! it starts; tests have one whose costs are scripted and whose time is virtual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paceline_engine::{Callable, Engine, LoadOptions, MeasuredCost};
use paceline_profile::{Configuration, Use};
use paceline_workers::ModelSpec;

use super::space::Point;
use super::surface::Round;
use crate::measure::{Bare, Blocking, Clock, Length, Round as Measured, Strip, Tally, drive, keep_in_flight};
use crate::workload::Workload;
use crate::{Latencies, StudyError, WorkerSetup};

/// Something that executes a workload as it is told, and has a clock.
pub(crate) trait Host {
    /// Time since tuning began.
    fn elapsed(&self) -> Duration;

    /// Executes bare for about so long.
    fn execute(&self, point: Point, time: Duration) -> Result<Round, StudyError>;

    /// An engine, or engines in workers, with this configuration and these costs; without, with all defaults.
    fn start(
        &self,
        configured: Option<(Configuration, &[MeasuredCost])>,
    ) -> Result<Box<dyn Running + '_>, StudyError>;
}

/// Engines that run.
pub(crate) trait Running {
    /// Keeps so many requests of one sample in flight for about so long, as the use has it.
    fn drive(&self, purpose: Use, in_flight: usize, time: Duration) -> Result<Answered, StudyError>;
}

/// What a load came to.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// Samples answered a second.
    pub(crate) samples_per_s: f64,
    /// Times of requests.
    pub(crate) times: Latencies,
}

/// Samples that each worker may hold at least, as without a choice.
const IN_FLIGHT: usize = 2048;
/// The same in bytes.
const IN_FLIGHT_BYTES: usize = 256 << 20;
/// More than a worker can hold is never in flight.
const MOST_IN_FLIGHT: usize = 1 << 20;

/// This process, and workers.
pub(crate) struct Machine<'w> {
    workload: &'w Workload,
    workers: Option<Workers<'w>>,
    default_lanes: usize,
    began: Instant,
}

/// How workers are started.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'w> {
    pub(crate) setup: &'w WorkerSetup,
    /// Draws the weights of the workload's model, if that is where they are from.
    pub(crate) seed: u64,
}

impl<'w> Machine<'w> {
    /// A host that begins now; its engines without a configuration have `default_lanes`.
    pub(crate) fn new(workload: &'w Workload, workers: Option<Workers<'w>>, default_lanes: usize) -> Self {
        Machine { workload, workers, default_lanes, began: Instant::now() }
    }

    /// The model in an engine in this process.
    fn engine(
        &self,
        configured: Option<(Configuration, &[MeasuredCost])>,
    ) -> Result<Arc<dyn Callable>, StudyError> {
        let (builder, options) = match configured {
            None => (Engine::builder().lanes(self.default_lanes), LoadOptions::new()),
            Some((Configuration { lanes, helpers, max_batch, .. }, costs)) => {
                let options = LoadOptions::new().costs(0, costs.iter().copied()).max_batch(max_batch);
                (Engine::builder().lanes(lanes).helpers(helpers), options)
            }
        };
        let programs = [self.workload.program().clone()];
        Ok(Arc::new(builder.build()?.load_with(self.workload.name(), programs, options)?))
    }

    /// The model in worker processes.
    fn pool(
        &self,
        Configuration { workers, lanes, helpers, max_batch }: Configuration,
        costs: &[MeasuredCost],
    ) -> Result<Arc<dyn Callable>, StudyError> {
        let Some(Workers { setup, seed }) = self.workers else {
            return Err(StudyError::NoWorkers { asked: workers });
        };
        let name = self.workload.name();
        let spec = ModelSpec { max_batch: Some(max_batch), costs: costs.to_vec(), ..setup.spec(name, seed) };
        // Twice as many as there will be in flight for each, as they are not divided evenly; their tensors begin at cache lines.
        let samples = lanes.saturating_mul(4 * max_batch);
        let ports = self.workload.signature().inputs.len() + self.workload.signature().outputs.len();
        let bytes = samples.saturating_mul(self.workload.signature().request_bytes(1) + 64 * ports);
        let pool = setup
            .pool(spec)
            .workers(workers)
            .lanes(lanes)
            .helpers(helpers)
            .in_flight_samples(samples.clamp(IN_FLIGHT, MOST_IN_FLIGHT))
            .in_flight_bytes(bytes.max(IN_FLIGHT_BYTES))
            .build()?;
        Ok(Arc::new(pool.model(name).expect("it was made with this model")))
    }
}

impl Host for Machine<'_> {
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn execute(&self, point: Point, time: Duration) -> Result<Round, StudyError> {
        let strip = Arc::new(Strip::new(self.workload, point.batch));
        let caller = |index| Ok(Bare::new(self.workload, &strip, index)?.helped(point.threads > 1));
        let mut callers = (0..point.lanes).map(caller).collect::<Result<Vec<_>, StudyError>>()?;
        let helpers = point.lanes * (point.threads - 1);
        let tally = with_helpers(self.workload, helpers, || {
            drive(&mut callers, Measured::first(Length::Time(time)), Clock::InCalls)
        })?;
        let Answered { samples_per_s, times } = answered(self.workload, tally)?;
        Ok(Round { samples_per_s: samples_per_s * point.batch as f64, times })
    }

    fn start(
        &self,
        configured: Option<(Configuration, &[MeasuredCost])>,
    ) -> Result<Box<dyn Running + '_>, StudyError> {
        let model = match configured {
            Some((configuration, costs)) if configuration.workers > 0 => self.pool(configuration, costs)?,
            here => self.engine(here)?,
        };
        Ok(Box::new(Loaded { workload: self.workload, model }))
    }
}

/// A model in an engine, or in the engines of workers, which end with it.
struct Loaded<'w> {
    workload: &'w Workload,
    model: Arc<dyn Callable>,
}

impl Running for Loaded<'_> {
    fn drive(&self, purpose: Use, in_flight: usize, time: Duration) -> Result<Answered, StudyError> {
        let (workload, round) = (self.workload, Measured::first(Length::Time(time)));
        let tally = match purpose {
            Use::Throughput => keep_in_flight(workload, &*self.model, in_flight, round),
            Use::Streams | Use::Latency => {
                let caller = |index| Blocking::new(workload, Arc::clone(&self.model), index);
                drive(&mut (0..in_flight).map(caller).collect::<Vec<_>>(), round, Clock::Wall)?
            }
        };
        answered(workload, tally)
    }
}

fn answered(workload: &Workload, tally: Tally) -> Result<Answered, StudyError> {
    let Tally { calls_per_s, latencies, expected, errors, wrong, first_error, .. } = tally;
    if errors > 0 || wrong > 0 {
        let name = workload.name().to_string();
        return Err(StudyError::Answers { name, expected, errors, wrong, first_error });
    }
    Ok(Answered { samples_per_s: calls_per_s, times: latencies })
}

/// Does `work` while so many threads help its executions.
fn with_helpers<T>(
    workload: &Workload,
    helpers: usize,
    work: impl FnOnce() -> Result<T, StudyError>,
) -> Result<T, StudyError> {
    /// Also where the work panics: a scope waits for its threads.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        for index in 0..helpers {
            let help = || {
                while !over.load(Ordering::Relaxed) {
                    workload.program().help(&|| over.load(Ordering::Relaxed));
                }
            };
            let builder = thread::Builder::new().name(format!("helper-{index}"));
            builder.spawn_scoped(scope, help).map_err(StudyError::Thread)?;
        }
        work()
    })
}
