//! What a caller holds until the answer comes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::dispatch::{Dispatch, Place};
use crate::job::{Answer, Job};
use crate::lane;
use crate::remote;

/// A request on its way. Wait for it, or await it: it is a future, for any executor.
///
/// Dropping it cancels the request: what has not begun to execute is withdrawn, what runs completes and is discarded.
#[must_use = "dropping a ticket cancels its request"]
pub struct Ticket {
    /// `None` once the answer was taken.
    pending: Option<Pending>,
}

enum Pending {
    Here(Here),
    Elsewhere(Arc<dyn remote::Pending>),
}

struct Here {
    job: Arc<Job>,
    dispatch: Arc<Dispatch>,
    place: Place,
}

impl Here {
    fn withdraw(&self) {
        if !self.job.is_answered() && !self.dispatch.withdraw(&self.place).is_empty() {
            self.job.model.counters.cancelled();
        }
    }
}

impl Ticket {
    pub(crate) fn new(job: Arc<Job>, dispatch: Arc<Dispatch>, place: Place) -> Self {
        Ticket { pending: Some(Pending::Here(Here { job, dispatch, place })) }
    }

    pub(crate) fn elsewhere(pending: Arc<dyn remote::Pending>) -> Self {
        Ticket { pending: Some(Pending::Elsewhere(pending)) }
    }

    /// Blocks until the answer comes. If a lane was called for work and its thread is not there yet, the calling thread does it
    /// meanwhile.
    ///
    /// # Panics
    /// When the ticket was polled until it was ready: its answer is taken. The same holds of the other methods that take the answer.
    pub fn wait(mut self) -> Answer {
        let answer = match self.pending() {
            Pending::Here(Here { job, dispatch, place }) => {
                lane::help_until_answered(dispatch, job, place.line);
                job.wait()
            }
            Pending::Elsewhere(pending) => pending.wait(),
        };
        self.pending = None;
        answer
    }

    /// Blocks until the answer comes; gives the ticket back when it has not come after `timeout`.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<Answer, Ticket> {
        let answer = match self.pending() {
            Pending::Here(here) => here.job.wait_timeout(timeout),
            Pending::Elsewhere(pending) => pending.wait_timeout(timeout),
        };
        self.settle(answer)
    }

    /// The answer, if it has come; otherwise the ticket.
    pub fn try_take(mut self) -> Result<Answer, Ticket> {
        let answer = match self.pending() {
            Pending::Here(here) => here.job.take_answer(),
            Pending::Elsewhere(pending) => pending.try_take(),
        };
        self.settle(answer)
    }

    /// Whether the answer has come.
    pub fn is_answered(&self) -> bool {
        self.pending.as_ref().is_none_or(|pending| match pending {
            Pending::Here(here) => here.job.is_answered(),
            Pending::Elsewhere(pending) => pending.is_answered(),
        })
    }

    fn settle(mut self, answer: Option<Answer>) -> Result<Answer, Ticket> {
        match answer {
            Some(answer) => {
                self.pending = None;
                Ok(answer)
            }
            None => Err(self),
        }
    }

    fn pending(&mut self) -> &Pending {
        self.pending.as_ref().expect("a ticket is not polled again after its answer")
    }
}

impl Future for Ticket {
    type Output = Answer;

    /// # Panics
    /// When it was ready before.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let poll = match self.pending() {
            Pending::Here(here) => here.job.poll(context),
            Pending::Elsewhere(pending) => pending.poll(context),
        };
        if poll.is_ready() {
            self.pending = None;
        }
        poll
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.pending.take() {
            Some(Pending::Here(here)) => here.withdraw(),
            Some(Pending::Elsewhere(pending)) => pending.cancel(),
            None => {}
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("is_answered", &self.is_answered()).finish()
    }
}
