//! A program as the lanes run it: one version of a model, for one shape, with a session for each lane.
//!
//! **Traps.** A lane's session may be used only by the holder of that [`Lane`]; its mutex makes that safe, and is never contended.
//! A device may panic anywhere, so every call of a session or program goes through [`isolated`]. Sessions close on the thread
//! that drops the last handle, which is why handles are never dropped under the dispatcher's lock.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use paceline_device::{Batch, DeviceError, Program, Session, execute};

use crate::dispatch::Lane;
use crate::error::ExecutionError;

/// A program and its sessions.
pub(crate) struct Serving {
    /// The model's name.
    pub(crate) name: Arc<str>,
    pub(crate) program: Arc<dyn Program>,
    /// Whether idle lanes can help an execution.
    pub(crate) can_be_helped: bool,
    sessions: Box<[Mutex<Slot>]>,
}

/// A lane's session; `None` before it is first needed, and when it could not be opened again.
type Slot = Option<Box<dyn Session>>;

/// A failed execution.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: ExecutionError,
    /// Whether the session must be opened again.
    pub(crate) lost: bool,
}

impl Serving {
    /// Without sessions, for lanes of indices below `capacity`.
    pub(crate) fn new(name: Arc<str>, program: Arc<dyn Program>, capacity: usize) -> Self {
        let can_be_helped = isolated(|| program.can_be_helped()).unwrap_or(false);
        Serving { name, program, can_be_helped, sessions: (0..capacity).map(|_| Mutex::new(None)).collect() }
    }

    /// Opens a session for a lane that nobody holds yet.
    pub(crate) fn open(&self, lane: usize) -> Result<(), DeviceError> {
        let mut slot = self.session(lane);
        if slot.is_none() {
            *slot = Some(open_session(&self.program)?);
        }
        Ok(())
    }

    /// Executes a batch on the lane's session. A failure or panic of the device is the error.
    pub(crate) fn execute(&self, lane: &Lane, batch: &mut Batch<'_>) -> Result<(), Fault> {
        self.execute_on(lane.index(), batch)
    }

    /// [`execute`](Self::execute) before any lane serves the program.
    pub(crate) fn execute_on(&self, lane: usize, batch: &mut Batch<'_>) -> Result<(), Fault> {
        let mut slot = self.session(lane);
        let model = || self.name.to_string();
        let device = |error: DeviceError| ExecutionError::Device { model: model(), lane, error };
        let session = match &mut *slot {
            Some(session) => session,
            None => match open_session(&self.program) {
                Ok(session) => slot.insert(session),
                Err(error) => return Err(Fault { error: device(error), lost: true }),
            },
        };
        match isolated(|| execute(&mut **session, batch)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let lost = error.is_lost();
                Err(Fault { error: device(error), lost })
            }
            Err(message) => {
                Err(Fault { error: ExecutionError::Panicked { model: model(), lane, message }, lost: true })
            }
        }
    }

    /// Lends the calling thread to an execution of the program, until that is over or `leave` says so.
    pub(crate) fn help(&self, leave: &dyn Fn() -> bool) {
        if let Err(message) = isolated(|| self.program.help(leave)) {
            tracing::error!(model = &*self.name, message, "helping an execution panicked");
        }
    }

    /// Replaces a lane's session by a new one.
    pub(crate) fn reopen(&self, lane: usize) -> Result<(), DeviceError> {
        self.close(lane);
        *self.session(lane) = Some(open_session(&self.program)?);
        Ok(())
    }

    /// Drops a lane's session, if it has one.
    pub(crate) fn close(&self, lane: usize) {
        let session = self.session(lane).take();
        if session.is_none() {
            return;
        }
        if let Err(message) = isolated(|| drop(session)) {
            tracing::error!(model = &*self.name, lane, message, "closing a session panicked");
        }
    }

    /// Samples that the device computes for a batch of this many.
    pub(crate) fn prepared(&self, samples: usize) -> usize {
        self.program.batch_sizes().prepared(samples)
    }

    fn session(&self, lane: usize) -> MutexGuard<'_, Slot> {
        match self.sessions[lane].try_lock() {
            Ok(session) => session,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("a lane has one holder"),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        (0..self.sessions.len()).for_each(|lane| self.close(lane));
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
