//! Choices made when a pool is made.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use paceline_profile::Mismatch;

use crate::crashes::RestartPolicy;
use crate::error::BuildError;
use crate::layout::Layout;
use crate::pool::WorkerPool;
use crate::spec::ModelSpec;
use crate::worker::is_started_as_one;

/// Makes a [`WorkerPool`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes a pool only when `build` is called"]
pub struct Builder {
    pub(crate) options: Options,
    workers: Option<usize>,
    lanes: Option<usize>,
    executable: Option<PathBuf>,
}

/// What a pool is made with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) executable: PathBuf,
    pub(crate) workers: usize,
    pub(crate) lanes: usize,
    pub(crate) helpers: Option<usize>,
    pub(crate) device: String,
    pub(crate) warm_up: Duration,
    pub(crate) models: Vec<ModelSpec>,
    /// Why profiles that the models had are gone.
    pub(crate) mismatches: Vec<Mismatch>,
    pub(crate) samples: usize,
    pub(crate) bytes: usize,
    pub(crate) retries: u32,
    pub(crate) start_timeout: Duration,
    pub(crate) health_interval: Duration,
    pub(crate) health_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) restart: RestartPolicy,
}

impl Default for Builder {
    fn default() -> Self {
        let options = Options {
            executable: PathBuf::new(),
            workers: 1,
            lanes: 1,
            helpers: None,
            device: "auto".into(),
            warm_up: paceline_engine::Builder::DEFAULT_WARM_UP,
            models: Vec::new(),
            mismatches: Vec::new(),
            samples: 2048,
            bytes: 256 << 20,
            retries: 4,
            start_timeout: Duration::from_secs(60),
            health_interval: Duration::from_millis(250),
            health_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            restart: RestartPolicy {
                first_delay: Duration::from_millis(10),
                longest_delay: Duration::from_secs(5),
                crashes: 5,
                within: Duration::from_secs(10),
            },
        };
        Builder { options, workers: None, lanes: None, executable: None }
    }
}

impl Builder {
    /// The most workers of a pool.
    pub const MAX_WORKERS: usize = 256;

    /// Adds a model that every worker serves.
    pub fn model(mut self, model: ModelSpec) -> Self {
        self.options.models.push(model);
        self
    }

    /// How many processes serve. One unless chosen, here or by a [profile](ModelSpec::profile): more share nothing, so that each
    /// takes memory for all weights, and batches are smaller; but when one dies, the others are still there.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Lanes of each worker's engine. Without a choice, the lanes of a [profile](ModelSpec::profile) or else the machine's cores are
    /// divided among the workers.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// How many idle lanes of a worker may help one long execution; by default as a [profile](ModelSpec::profile) has it, or all.
    pub fn helpers(mut self, most: usize) -> Self {
        self.options.helpers = Some(most);
        self
    }

    /// The device of every worker, by a name that the workers' executable knows. `auto` unless chosen.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.options.device = device.into();
        self
    }

    /// The executable of the workers, which is started with [`ARGUMENTS`](crate::ARGUMENTS). Without a choice, that of this process:
    /// then its `main` must begin with [`become_worker_if_started_as_one`](crate::become_worker_if_started_as_one).
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// How much time a worker spends, for each model, on measuring its costs when the pool is made; ones that are started again
    /// spend a tenth, to be back soon. 100 ms unless chosen.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.options.warm_up = time;
        self
    }

    /// How many samples each worker may hold; and how many may wait, for each worker, while it is not there. Requests beyond are
    /// refused at once. 2048 unless chosen.
    pub fn in_flight_samples(mut self, samples: usize) -> Self {
        self.options.samples = samples;
        self
    }

    /// How many bytes the inputs and outputs of what each worker holds may take: the size of the memory shared with it, which is
    /// taken from the system as it is used. 256 MiB unless chosen.
    pub fn in_flight_bytes(mut self, bytes: usize) -> Self {
        self.options.bytes = bytes;
        self
    }

    /// How often a request is tried again when the worker that executed it dies. From the second execution on, it has a worker to
    /// itself. 4 unless chosen; 0 lets every request of a worker that dies fail.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// How long a worker may take to load its models and begin to serve. 60 s unless chosen.
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.options.start_timeout = time;
        self
    }

    /// A worker that does not answer its parent for so long hangs, and is killed. 10 s unless chosen.
    pub fn health_timeout(mut self, time: Duration) -> Self {
        self.options.health_timeout = time;
        self.options.health_interval = (time / 8).clamp(Duration::from_millis(5), Duration::from_millis(250));
        self
    }

    /// A worker that takes so much longer to answer a request than predicted hangs, and is killed. 60 s unless chosen.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.options.request_timeout = time;
        self
    }

    /// How long a worker may take to end when the pool does, before it is killed. 5 s unless chosen.
    pub fn stop_timeout(mut self, time: Duration) -> Self {
        self.options.stop_timeout = time;
        self
    }

    /// The wait before a worker that died without answering a request is started again: this after the second death in a row, twice
    /// as long after each further one, but never longer than `longest`. After the first, and after one that had answered, it
    /// is started at once. 10 ms and 5 s unless chosen.
    pub fn back_off(mut self, first: Duration, longest: Duration) -> Self {
        (self.options.restart.first_delay, self.options.restart.longest_delay) = (first, longest);
        self
    }

    /// A worker that dies so many times within this time is given up. Deaths on a request that is executed alone because it is
    /// suspected already do not count, nor does the one that made it suspected. 5 within 10 s unless chosen.
    pub fn crash_loop(mut self, crashes: usize, within: Duration) -> Self {
        (self.options.restart.crashes, self.options.restart.within) = (crashes, within);
        self
    }

    /// Starts the workers, and returns when all of them serve.
    ///
    /// Only a worker knows whether a [profile](ModelSpec::profile) is of its machine and model. Where it is not, the pool is started
    /// once more, without that profile; a warning says so, and [`WorkerPool::profile_mismatches`].
    pub fn build(self) -> Result<WorkerPool, BuildError> {
        // Otherwise a program that forgets to become a worker would start processes without end.
        if is_started_as_one() {
            return Err(BuildError::IsWorker);
        }
        let pool = WorkerPool::start(self.clone().checked()?)?;
        let mismatches = pool.profile_mismatches();
        if mismatches.is_empty() {
            return Ok(pool);
        }
        mismatches.iter().for_each(|mismatch| tracing::warn!("{mismatch}"));
        let mut again = self;
        for (model, served) in again.options.models.iter_mut().zip(pool.model_infos()) {
            model.profile = model.profile.take().filter(|_| served.mismatch.is_none());
        }
        drop(pool);
        again.options.mismatches = mismatches;
        WorkerPool::start(again.checked()?)
    }

    /// What was chosen, and what follows from it; or what is out of range.
    fn checked(self) -> Result<Options, BuildError> {
        let Builder { mut options, workers, lanes, executable } = self;
        let tuned = options.models.iter().find_map(|model| model.profile.as_ref()?.chosen());
        let tuned = tuned.map(|chosen| chosen.configuration);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        options.workers = workers.or(tuned.map(|tuned| tuned.workers.max(1))).unwrap_or(1);
        let all_lanes = tuned.map_or(cores, |tuned| tuned.all_lanes());
        options.lanes = lanes.unwrap_or_else(|| (all_lanes / options.workers.max(1)).max(1));
        options.helpers = options.helpers.or(tuned.map(|tuned| tuned.helpers));
        options.executable = match executable {
            Some(path) => path,
            None => std::env::current_exe()
                .map_err(|error| BuildError::Executable { path: "of this process".into(), error })?,
        };
        let max_bytes = isize::MAX as usize / 2;
        let ranges = [
            ("workers", options.workers, 1..=Self::MAX_WORKERS),
            ("lanes", options.lanes, 1..=paceline_engine::Builder::MAX_LANES),
            ("in_flight_samples", options.samples, 1..=Layout::MAX_SLOTS as usize),
            ("in_flight_bytes", options.bytes, 1..=max_bytes),
            ("crash_loop", options.restart.crashes, 1..=usize::MAX),
        ];
        for (option, got, range) in ranges {
            if !range.contains(&got) {
                return Err(BuildError::Range { option, range, got });
            }
        }
        if options.models.is_empty() {
            return Err(BuildError::NoModels);
        }
        for ModelSpec { name, .. } in &options.models {
            let times = options.models.iter().filter(|other| other.name == *name).count();
            if times > 1 || name.is_empty() {
                return Err(BuildError::Name { name: name.clone(), times });
            }
        }
        Ok(options)
    }
}
