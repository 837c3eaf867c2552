//! A model as the engine holds it: a program, a session for each lane, and counters.
//!
//! **Traps.** A lane's session may be used only by the holder of that [`Lane`]; its mutex makes that safe, and is never contended.
//! A device may panic anywhere, so every call of a session or program goes through [`isolated`].
//!
//! A cost table belongs here, filled when the model is loaded.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use paceline_device::{Batch, DeviceError, Program, Session, Signature, execute};

use crate::dispatch::Lane;
use crate::error::{ExecutionError, LoadError};
use crate::statistics::{Counters, LaneTimes};

/// A model as the engine holds it.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) signature: Arc<Signature>,
    /// Samples that one execution may have: 1 when the program has no batch.
    pub(crate) max_samples: usize,
    /// Its line in the queue; set when it is added there.
    pub(crate) line: usize,
    pub(crate) counters: Counters,
    program: Arc<dyn Program>,
    sessions: Box<[Mutex<Slot>]>,
}

/// A lane's session; `None` when it could not be opened again.
type Slot = Option<Box<dyn Session>>;

/// A failed execution.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: ExecutionError,
    /// Whether the session must be opened again.
    pub(crate) lost: bool,
}

impl Loaded {
    /// Opens a session for each lane.
    pub(crate) fn open(
        name: String,
        program: Arc<dyn Program>,
        times: &Arc<LaneTimes>,
        lanes: usize,
    ) -> Result<Self, LoadError> {
        let signature = Arc::new(program.signature().clone());
        let max_samples = if signature.batched { program.batch_sizes().max() } else { 1 };
        if max_samples == 0 {
            return Err(LoadError::NoBatchSize { name });
        }
        let mut sessions = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            match open_session(&program) {
                Ok(session) => sessions.push(Mutex::new(Some(session))),
                Err(error) => return Err(LoadError::Session { name, lane, error }),
            }
        }
        let counters = Counters::new(times);
        Ok(Loaded { name, signature, max_samples, line: 0, counters, program, sessions: sessions.into() })
    }

    /// Samples that the device computes for a batch of so many.
    pub(crate) fn prepared(&self, samples: usize) -> usize {
        if self.signature.batched { self.program.batch_sizes().prepared(samples) } else { samples }
    }

    /// Executes a batch on the lane's session. A failure or panic of the device is the error.
    pub(crate) fn execute(&self, lane: &Lane, batch: &mut Batch<'_>) -> Result<(), Fault> {
        let mut session = self.session(lane);
        let session = session.as_mut().expect("a lane without a session is retired");
        let (model, lane) = (|| self.name.clone(), lane.index());
        match isolated(|| execute(&mut **session, batch)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let lost = error.is_lost();
                Err(Fault { error: ExecutionError::Device { model: model(), lane, error }, lost })
            }
            Err(message) => {
                Err(Fault { error: ExecutionError::Panicked { model: model(), lane, message }, lost: true })
            }
        }
    }

    /// Replaces the lane's session by a new one.
    pub(crate) fn reopen(&self, lane: &Lane) -> Result<(), DeviceError> {
        self.close(lane);
        *self.session(lane) = Some(open_session(&self.program)?);
        Ok(())
    }

    /// Drops the lane's session, if it has one.
    pub(crate) fn close(&self, lane: &Lane) {
        let session = self.session(lane).take();
        if let Err(message) = isolated(|| drop(session)) {
            tracing::error!(model = self.name, lane = lane.index(), message, "closing a session panicked");
        }
    }

    fn session(&self, lane: &Lane) -> MutexGuard<'_, Slot> {
        match self.sessions[lane.index()].try_lock() {
            Ok(session) => session,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("a lane has one holder"),
        }
    }
}

fn open_session(program: &Arc<dyn Program>) -> Result<Box<dyn Session>, DeviceError> {
    isolated(|| Arc::clone(program).open())
        .unwrap_or_else(|message| Err(DeviceError::Failed(format!("opening a session panicked: {message}"))))
}

/// The result of code that is not ours, or the message of its panic. What it touched is used again only after a panic by
/// dropping it.
pub(crate) fn isolated<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
        .to_string()
}
