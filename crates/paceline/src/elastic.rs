//! Models of which each request chooses the lengths: the words of a sentence, the seconds of a recording.
//!
//! ```no_run
//! use paceline::{Elastic, Engine, Tensor, onnx::ElasticModel};
//! let engine = Engine::on("cpu")?;
//! let bert = ElasticModel::from_onnx("bert.onnx")?.most("sequence", 256)?;
//! let bert: Elastic = engine.load_elastic("bert", bert)?;
//! let words = Tensor::new([1, 7], vec![101, 7592, 1010, 2088, 999, 102, 0])?;
//! let y = bert.infer([("input_ids", words)])?; // any length up to 256
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There is a program for each length, made by the first caller that needs it, in that caller's thread: lanes and other callers know
//! nothing of it. Programs share the model's weights, which are packed once. Each is a model of the engine by itself, so that
//! requests of different lengths never share a batch and never wait for each other's.
//!
//! **Traps.** A program that somebody is calling is never dropped: there may be more than chosen, by one for each caller.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use paceline_device::Signature;
use paceline_engine::{
    Callable, InferError, InputError, LoadOptions, Model, Outputs, Request, SubmitError, Ticket,
};

use crate::engine::{Engine, LoadError};
use crate::onnx::ElasticModel;

/// A loaded model of which each request chooses the lengths. Cheap to clone, called from any thread; it is unloaded when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Elastic(Arc<Shared>);

struct Shared {
    engine: Engine,
    name: String,
    model: ElasticModel,
    options: LoadOptions,
    /// The program for the greatest lengths, which is always there.
    longest: Model,
    /// Programs by the lengths of the free axes.
    programs: Mutex<Programs>,
    /// Counts uses, to know the least recent.
    uses: AtomicU64,
}

type Programs = HashMap<Vec<usize>, Arc<Program>>;

/// A program for some lengths. Whoever calls it holds it.
#[derive(Default)]
struct Program {
    model: OnceLock<Model>,
    /// Held by who makes it.
    making: Mutex<()>,
    used: AtomicU64,
}

impl Engine {
    /// Loads a model under a name that no other model has, for requests of any lengths up to those that the
    /// [model](ElasticModel::most) allows. The program for the greatest lengths is made and measured now, others when they are first needed.
    pub fn load_elastic(&self, name: impl Into<String>, model: ElasticModel) -> Result<Elastic, LoadError> {
        self.load_elastic_with(name, model, LoadOptions::default())
    }

    /// [`load_elastic`](Self::load_elastic) with choices. The weight is that of each length: a model that is called with several at a time has
    /// so many claims to the lanes.
    pub fn load_elastic_with(
        &self,
        name: impl Into<String>,
        model: ElasticModel,
        options: LoadOptions,
    ) -> Result<Elastic, LoadError> {
        let name = name.into();
        let longest = load(self, &name, &model, &model.greatest(), options.clone())?;
        let program = Program { model: OnceLock::from(longest.clone()), ..Program::default() };
        let programs = HashMap::from([(model.greatest(), Arc::new(program))]);
        let (engine, programs, uses) = (self.clone(), Mutex::new(programs), AtomicU64::new(1));
        Ok(Elastic(Arc::new(Shared { engine, name, model, options, longest, programs, uses })))
    }
}

fn load(
    engine: &Engine,
    name: &str,
    model: &ElasticModel,
    lengths: &[usize],
    options: LoadOptions,
) -> Result<Model, LoadError> {
    let imported = model.read(lengths).map_err(|error| LoadError::Onnx { name: name.into(), error })?;
    engine.load_with(format!("{name}[{}]", model.describe(lengths)), [imported.graph], options)
}

impl Elastic {
    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The model, with its free axes and their bounds.
    pub fn model(&self) -> &ElasticModel {
        &self.0.model
    }

    /// Inputs and outputs for the greatest lengths.
    pub fn signature(&self) -> &Signature {
        self.0.longest.signature()
    }

    /// The most samples that one execution serves; a larger request is split.
    pub fn max_batch(&self) -> usize {
        self.0.longest.max_batch()
    }

    /// The lengths that there are programs for now, in the order of the model's free axes.
    pub fn lengths(&self) -> Vec<Vec<usize>> {
        let programs = self.0.lock();
        let made = programs.iter().filter(|(_, program)| program.model.get().is_some());
        let mut lengths: Vec<_> = made.map(|(lengths, _)| lengths.clone()).collect();
        lengths.sort();
        lengths
    }

    /// Makes the program for some lengths, in the order of the model's free axes, unless it is there.
    pub fn prepare(&self, lengths: &[usize]) -> Result<(), LoadError> {
        self.0.model.check(lengths).map_err(|problem| LoadError::Lengths {
            name: self.0.name.clone(),
            problem: problem.to_string(),
        })?;
        self.0.ready(lengths).map(|_| ())
    }

    /// Computes the outputs and blocks until they are there. The first request of a length also makes its program.
    pub fn infer<'n>(&self, request: impl Into<Request<'n>>) -> Result<Outputs, InferError> {
        self.call(request.into(), |model, request| model.infer(request))
    }

    /// Puts a request on its way; a refused one gives its inputs back inside the error. It waits for nobody, but the first request of
    /// a length makes its program.
    pub fn submit<'n>(&self, request: impl Into<Request<'n>>) -> Result<Ticket, SubmitError> {
        self.call(request.into(), |model, request| model.submit(request))
    }

    /// Calls the model for the request's lengths, which is kept while it is called.
    fn call<'n, T, E: From<SubmitError>>(
        &self,
        request: Request<'n>,
        call: impl FnOnce(&Model, Request<'n>) -> Result<T, E>,
    ) -> Result<T, E> {
        let shared = &*self.0;
        let invalid = |request: Request<'n>, problem| {
            let (model, inputs) = (shared.name.clone(), request.into_inputs());
            E::from(SubmitError::Invalid { model, problem: Box::new(problem), inputs })
        };
        // What lacks an input is refused by any program, with the reason.
        let Some(lengths) = shared.model.lengths(|input| request.shape(input)) else {
            return call(&shared.longest, request);
        };
        if let Err(problem) = shared.model.check(&lengths) {
            return Err(invalid(request, problem));
        }
        match shared.ready(&lengths) {
            Ok(program) => call(program.model.get().expect("it is ready"), request),
            Err(error) => {
                let lengths = shared.model.describe(&lengths);
                Err(invalid(request, InputError::NoProgram { lengths, problem: error.to_string() }))
            }
        }
    }
}

impl Shared {
    /// The program for some lengths, made now if it is not there. Callers with the same lengths wait, others do not.
    fn ready(&self, lengths: &[usize]) -> Result<Arc<Program>, LoadError> {
        let program = self.place(lengths);
        match self.make(&program, lengths) {
            Ok(()) => Ok(program),
            Err(error) => {
                self.give_up(program, lengths);
                Err(error)
            }
        }
    }

    /// The place of the program for some lengths, whether or not it is made.
    fn place(&self, lengths: &[usize]) -> Arc<Program> {
        let mut programs = self.lock();
        let program = match programs.get(lengths) {
            Some(program) => Arc::clone(program),
            None => Arc::clone(programs.entry(lengths.to_vec()).or_default()),
        };
        program.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.make_room(&mut programs);
        program
    }

    fn make(&self, program: &Program, lengths: &[usize]) -> Result<(), LoadError> {
        if program.model.get().is_some() {
            return Ok(());
        }
        let _making = program.making.lock().unwrap_or_else(PoisonError::into_inner);
        if program.model.get().is_some() {
            return Ok(());
        }
        // Its costs are learned from the requests that wait for it.
        let options = self.options.clone().warm_up(Duration::ZERO);
        let model = load(&self.engine, &self.name, &self.model, lengths, options)?;
        program.model.get_or_init(|| model);
        self.make_room(&mut self.lock());
        Ok(())
    }

    /// Forgets the place of a program that cannot be made. The last of those who wanted it does.
    fn give_up(&self, program: Arc<Program>, lengths: &[usize]) {
        let mut programs = self.lock();
        drop(program);
        // Nobody can begin to hold a program while the map is locked.
        let is_empty = |program: &Arc<Program>| program.model.get().is_none();
        if programs.get(lengths).is_some_and(|program| is_empty(program) && Arc::strong_count(program) == 1) {
            programs.remove(lengths);
        }
    }

    /// Of more programs than are kept, those go that were not called for the longest time, unless somebody is calling them. Those
    /// that are not made take no room: what cannot be made would drive out what can.
    fn make_room(&self, programs: &mut Programs) {
        let greatest = self.model.greatest();
        let made = |(_, program): &(&Vec<usize>, &Arc<Program>)| program.model.get().is_some();
        let most = self.model.most_programs();
        // Mostly there are so few that they need not be counted: every request comes here.
        while programs.len() > most && programs.iter().filter(made).count() > most {
            // Nobody can begin to hold a program while the map is locked.
            let idle = programs
                .iter()
                .filter(made)
                .filter(|(lengths, program)| **lengths != greatest && Arc::strong_count(program) == 1);
            let oldest = idle.min_by_key(|(_, program)| program.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(lengths, _)| lengths.clone()) else { break };
            if let Some(model) = programs.remove(&oldest).and_then(|program| program.model.get().cloned()) {
                // While the map is locked, so that the name is free when the next one is made.
                self.engine.unload(model.name());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let programs = self.programs.get_mut().unwrap_or_else(PoisonError::into_inner);
        for program in programs.values() {
            if let Some(model) = program.model.get() {
                self.engine.unload(model.name());
            }
        }
    }
}

impl Callable for Elastic {
    fn name(&self) -> &str {
        self.name()
    }

    fn signature(&self) -> &Signature {
        self.signature()
    }

    fn max_batch(&self) -> usize {
        self.max_batch()
    }

    fn infer(&self, request: Request<'_>) -> Result<Outputs, InferError> {
        self.infer(request)
    }

    fn submit(&self, request: Request<'_>) -> Result<Ticket, SubmitError> {
        self.submit(request)
    }
}

impl fmt::Debug for Elastic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elastic").field("name", &self.name()).field("lengths", &self.lengths()).finish()
    }
}
