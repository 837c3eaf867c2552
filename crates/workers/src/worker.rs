//! The worker's side: a process that another one has started, with an engine in it.
//!
//! Its standard input is the socket to its parent. When that closes, the process ends, whatever it was doing.

mod serve;
mod tickets;
mod watch;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use paceline_device::{CompileOptions, Device, Program};
use paceline_engine::{Builder, Engine, Model};
use paceline_graph::Graph;
use paceline_profile::{Machine, ModelPrint, Profile};

use crate::channel::{receive, receive_file, send};
use crate::layout::Layout;
use crate::message::{PROTOCOL, Ready, Seen, Start, Started, Variant};
use crate::region::Region;
use crate::spec::{LoadFailure, ModelSpec};
use crate::wire::Wire;

/// What a pool puts after the name of the executable that it starts.
pub const ARGUMENTS: [&str; 2] = ["worker", "--socket-is-stdin"];

/// How long a parent may take to say what is to be served.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a process could not serve as a worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Nobody started it as a worker.
    #[error("a worker is started by a `WorkerPool`, with a socket as its standard input: {0}")]
    NoParent(io::Error),
    /// The parent is of another version.
    #[error(
        "the worker speaks version {PROTOCOL} of the protocol, its parent version {parent}; start workers of the same build"
    )]
    Protocol {
        /// The parent's version.
        parent: u32,
    },
    /// What the parent asked for cannot be had. The parent was told.
    #[error("{0}")]
    Load(String),
    /// The connection failed.
    #[error("the connection to the parent failed: {0}")]
    Connection(#[from] io::Error),
}

/// What a parent asked its worker for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assignment<'a> {
    /// The device, by a name that the program knows.
    pub device: &'a str,
    /// The model to be compiled.
    pub model: &'a ModelSpec,
    /// What it was compiled for, as far as that is known.
    seen: RefCell<Option<Seen>>,
}

impl Assignment<'_> {
    /// The programs of a source that this crate knows, compiled for `device`.
    pub fn compile(&self, device: &dyn Device) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
        self.compile_graph(&self.model.graph()?, device)
    }

    /// The programs of a graph that the caller made of the model's source, compiled for `device`.
    pub fn compile_graph(
        &self,
        graph: &Graph,
        device: &dyn Device,
    ) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
        let model = ModelPrint::of(&*self.model.name, graph);
        let seen = Seen { machine: Machine::of(&device.info()), model };
        let profile = self.model.fitting_profile(Some(&seen));
        let mut options = CompileOptions::default();
        if let Some(chosen) = profile.and_then(Profile::chosen) {
            options.max_batch = options.max_batch.max(chosen.configuration.max_batch);
        }
        options.max_batch = self.model.max_batch.unwrap_or(options.max_batch);
        *self.seen.borrow_mut() = Some(seen);
        Ok(vec![device.compile(graph, &options)?])
    }
}

/// Makes this process a worker if a [`WorkerPool`](crate::WorkerPool) started it as one: then it serves until the pool is gone,
/// and ends. Otherwise it does nothing.
///
/// To be called first thing in `main` by programs whose own executable is the pool's, which it is unless chosen otherwise. `load`
/// makes the programs of a model, one for each shape of its samples.
pub fn become_worker_if_started_as_one(
    load: impl Fn(&Assignment<'_>) -> Result<Vec<Arc<dyn Program>>, LoadFailure>,
) {
    if !is_started_as_one() {
        return;
    }
    match run(load) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            tracing::error!(%error, "worker failed");
            std::process::exit(1)
        }
    }
}

/// Whether this process was started as a worker.
pub(crate) fn is_started_as_one() -> bool {
    std::env::args_os().skip(1).eq(ARGUMENTS)
}

/// Serves as a worker until the parent is gone. For programs that parse [`ARGUMENTS`] themselves.
pub fn run(
    load: impl Fn(&Assignment<'_>) -> Result<Vec<Arc<dyn Program>>, LoadFailure>,
) -> Result<(), WorkerError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(WorkerError::NoParent)?;
    rustix::net::sockopt::socket_type(&stdin).map_err(|error| WorkerError::NoParent(error.into()))?;
    let socket = UnixStream::from(stdin);
    let file = receive_file(&socket)?;
    let start: Start = receive(&socket, START_TIMEOUT, || true)?;
    if start.protocol != PROTOCOL {
        return Err(WorkerError::Protocol { parent: start.protocol });
    }
    watch::exit_with_parent(&socket)?;
    let layout = Layout::new(start.slots, start.arena_bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "impossible bounds"))?;
    let region = Region::open(file, layout.bytes())?;
    let (served, seen) = match serve_models(&start, load) {
        Ok(served) => served,
        Err(error) => {
            let text = error.to_string();
            send(&socket, &Started::Failed(text.clone()))?;
            return Err(WorkerError::Load(text));
        }
    };
    let ready = served.models.iter().zip(seen).map(ready).collect();
    send(&socket, &Started::Ready(ready))?;
    tracing::info!(worker = start.worker, models = served.models.len(), "worker serves");
    serve::until_closed(Wire::of_worker(region, layout, socket)?, served);
    Ok(())
}

/// What is served.
struct Served {
    /// Keeps the lanes, which are joined when it goes.
    #[expect(dead_code, reason = "held for its end")]
    engine: Engine,
    models: Vec<Model>,
}

fn serve_models(
    start: &Start,
    load: impl Fn(&Assignment<'_>) -> Result<Vec<Arc<dyn Program>>, LoadFailure>,
) -> Result<(Served, Vec<Option<Seen>>), LoadFailure> {
    // What may wait is bounded by the parent.
    let builder = start.helpers.into_iter().fold(Builder::default(), Builder::helpers);
    let engine = builder
        .lanes(start.lanes)
        .queue_samples(usize::MAX)
        .queue_bytes(usize::MAX)
        .queue_time(Duration::MAX)
        .warm_up(start.warm_up)
        .build()?;
    let model = |spec: &ModelSpec| {
        let assignment = Assignment { device: &start.device, model: spec, seen: RefCell::default() };
        let programs = load(&assignment).map_err(|error| format!("model '{}': {error}", spec.name))?;
        let seen = assignment.seen.into_inner();
        let options = spec.load_options(spec.fitting_profile(seen.as_ref()));
        Ok::<_, LoadFailure>((engine.load_with(&*spec.name, programs, options)?, seen))
    };
    let models = start.models.iter().map(model).collect::<Result<Vec<_>, _>>()?;
    let (models, seen) = models.into_iter().unzip();
    Ok((Served { engine, models }, seen))
}

fn ready((model, seen): (&Model, Option<Seen>)) -> Ready {
    let max_batch = model.max_batch();
    let nanos = |samples| {
        let cost = model.predicted_cost(samples, 0);
        cost.map_or(0, |(mean, _)| crate::clock::nanos(mean))
    };
    Ready {
        variants: model.signatures().map(|signature| Variant::of(signature, max_batch)).collect(),
        sample_ns: nanos(max_batch) / max_batch as u64,
        single_ns: nanos(1),
        seen,
    }
}
