//! What callers and supervisors of a pool share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use paceline_engine::remote::{Checked, Contract, Pending};
use paceline_engine::{Answer, ExecutionError, Inputs, SubmitError};
use paceline_profile::Mismatch;
use smallvec::SmallVec;

use crate::clock::{self, NEVER, nanos};
use crate::error::BuildError;
use crate::job::{Berth, Job, Parts, Place, Waiter};
use crate::layout::Block;
use crate::link::Link;
use crate::options::Options;
use crate::patience::Patience;
use crate::seat::Phase;
use crate::sleeper;
use crate::state::{Fallen, Refusal, State, Taken, Transfers};
use crate::statistics::Counters;

/// Requests taken out of a done ring at a time.
const BATCH: usize = 64;
/// A request without a deadline is due so long after it came, as in the engine's queue.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a step of priority counts.
const PRIORITY_STEP: Duration = Duration::from_millis(100);
/// A caller does not look for an answer that takes longer to compute, but sleeps.
const LOOK_LIMIT_NS: u64 = 50_000;
/// A caller is woken by the worker itself if its request takes longer to compute.
const SLEEP_LIMIT_NS: u64 = 100_000;
/// How long a caller looks before it sleeps: the computation, and waking a worker whose core sleeps too.
const LONGEST_LOOK: Duration = Duration::from_micros(200);

/// What callers and supervisors share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    /// Set when the first worker has loaded them.
    models: OnceLock<Box<[ModelInfo]>>,
    state: Mutex<State>,
    /// Something of the state changed that somebody may wait for: a phase, or the last request is answered.
    changed: Condvar,
    /// One for each caller that may look for its answer at a time.
    lookers: Box<[Mutex<Patience>]>,
    pub(crate) counters: Counters,
    /// Why the first start of a worker failed.
    pub(crate) first_failure: Mutex<Option<BuildError>>,
}

/// A model that the workers serve.
pub(crate) struct ModelInfo {
    pub(crate) contract: Contract,
    sample_ns: u64,
    single_ns: u64,
    /// Why its profile is not used.
    pub(crate) mismatch: Option<Mismatch>,
}

impl ModelInfo {
    pub(crate) fn new(
        contract: Contract,
        sample_ns: u64,
        single_ns: u64,
        mismatch: Option<Mismatch>,
    ) -> Self {
        ModelInfo { contract, sample_ns, single_ns, mismatch }
    }

    fn cost_ns(&self, samples: usize) -> u64 {
        // Something, so that requests count even where nothing was measured; little, so that sums stay in range.
        self.sample_ns
            .saturating_mul(samples as u64)
            .max(self.single_ns)
            .clamp(1000, u64::from(u32::MAX) * 1000)
    }
}

impl Shared {
    pub(crate) fn new(options: Options, state: State) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Shared {
            options,
            models: OnceLock::new(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            lookers: (0..cores / 2).map(|_| Mutex::new(Patience::new(LONGEST_LOOK))).collect(),
            counters: Counters::default(),
            first_failure: Mutex::default(),
        }
    }

    /// The models; none before the first worker has loaded them.
    pub(crate) fn models(&self) -> &[ModelInfo] {
        self.models.get().map_or(&[], |models| models)
    }

    /// Sets the models, or says whether they are what they were.
    pub(crate) fn agree_on_models(&self, models: Vec<ModelInfo>) -> bool {
        let alike =
            |a: &Contract, b: &Contract| a.signatures().eq(b.signatures()) && a.max_batch() == b.max_batch();
        let contracts: Vec<Contract> = models.iter().map(|model| model.contract.clone()).collect();
        let known = self.models.get_or_init(|| models.into());
        known.len() == contracts.len()
            && known.iter().zip(&contracts).all(|(known, contract)| alike(&known.contract, contract))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Tells who waits for a change.
    pub(crate) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, at most so long.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Has the workers end. What they hold is lost.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.open = false;
        state.stopping = true;
        let links = state.links();
        drop(state);
        links.iter().for_each(|link| link.close());
        self.changed();
    }

    /// Nobody can send requests any more: has the workers end when they have nothing left to do.
    pub(crate) fn end_when_over(&self) {
        let mut state = self.lock();
        state.open = false;
        state.ending = true;
    }

    /// Ends the pool if that was asked for and nothing is left to do.
    pub(crate) fn stop_if_over(&self) {
        let state = self.lock();
        let is_over = state.ending && state.outstanding == 0 && !state.stopping;
        drop(state);
        if is_over {
            self.stop();
        }
    }

    /// Whether the workers are to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Puts a request on its way.
    pub(crate) fn submit(self: &Arc<Self>, model: usize, checked: Checked) -> Result<Arc<Job>, SubmitError> {
        let info = &self.models()[model];
        let Checked { inputs, samples, variant, deadline, priority } = checked;
        let give_back = |inputs: SmallVec<_>| info.contract.inputs(inputs);
        if let Some(deadline) = deadline
            && deadline <= Instant::now()
            && !self.options.models[model].serve_late
        {
            self.counters.refused();
            let predicted = Duration::from_nanos(info.cost_ns(samples));
            let inputs = give_back(inputs);
            return Err(SubmitError::Deadline {
                predicted,
                left: Duration::ZERO,
                retry_after: Duration::ZERO,
                inputs,
            });
        }
        let Some(block) = Block::of(info.contract.signature(variant), samples) else {
            self.counters.refused();
            return Err(SubmitError::TooLarge {
                samples,
                limit: self.options.samples,
                inputs: give_back(inputs),
            });
        };
        let deadline = deadline.map_or(NEVER, clock::shared);
        let due = deadline.min(clock::now().saturating_add(nanos(PATIENCE)));
        let due = due.saturating_add_signed(-i64::from(priority) * nanos(PRIORITY_STEP).cast_signed());
        let job =
            Arc::new(Job::new(self, Parts { model, variant, samples, inputs, block, deadline, priority }));
        let submitted = self.lock().submit(&job, info.cost_ns(samples), due);
        match submitted {
            Ok(transfers) => {
                self.counters.accepted();
                send(&transfers);
                Ok(job)
            }
            Err(refusal) => {
                self.counters.refused();
                let (samples, bytes) = (job.samples, job.block.bytes);
                let inputs = Arc::into_inner(job).map(|job| job.inputs).unwrap_or_default();
                Err(self.refusal(refusal, samples, bytes, give_back(inputs)))
            }
        }
    }

    fn refusal(&self, refusal: Refusal, samples: usize, bytes: usize, inputs: Inputs) -> SubmitError {
        match refusal {
            Refusal::Draining => SubmitError::Draining { inputs },
            Refusal::NobodyLeft => SubmitError::Unavailable { reason: self.why_nobody_is_left(), inputs },
            Refusal::TooLarge { limit } => SubmitError::TooLarge { samples, limit, inputs },
            Refusal::Samples { queued, limit, retry_after } => {
                SubmitError::QueueFull { samples, queued, limit, retry_after, inputs }
            }
            Refusal::Bytes { queued, limit, retry_after } => {
                SubmitError::QueueBytes { bytes, queued, limit, retry_after, inputs }
            }
        }
    }

    /// What became of the workers.
    pub(crate) fn why_nobody_is_left(&self) -> String {
        let state = self.lock();
        let reasons = state.seats.iter().enumerate().filter_map(|(worker, seat)| match &seat.phase {
            Phase::GivenUp(reason) => Some(format!("worker {worker} was given up: {reason}")),
            _ => None,
        });
        let reasons: Vec<String> = reasons.collect();
        if reasons.is_empty() { "the pool has ended".into() } else { reasons.join("; ") }
    }

    /// Nobody wants the answer to a request any more.
    pub(crate) fn cancel(&self, job: &Job) {
        let (tell, transfers, was_pending) = self.lock().cancel(job);
        if let Some((link, slot)) = tell {
            link.withdraw(slot);
        }
        send(&transfers);
        if was_pending {
            self.counters.cancelled();
            self.changed();
        }
    }

    /// Answers what a worker has put into its done ring. False when the ring makes no sense; then the worker is to be killed.
    pub(crate) fn collect(&self, worker: usize, link: &Arc<Link>) -> bool {
        loop {
            let mut taken = Vec::new();
            let sound = self.lock().take_done(worker, link, BATCH, &mut taken).is_ok();
            let count = taken.len();
            let sound = self.answer(worker, link, taken) && sound;
            if !sound {
                return false;
            }
            if count < BATCH {
                return true;
            }
        }
    }

    /// Answers requests that were taken out of a done ring. False when a slot made no sense.
    fn answer(&self, worker: usize, link: &Arc<Link>, taken: Vec<Taken>) -> bool {
        if taken.is_empty() {
            return true;
        }
        let outcome = |taken: Taken| {
            let job = taken.in_flight.job();
            let info = &self.models()[job.model];
            let outcome = link.outcome(taken.slot, taken.begin, job, &info.contract);
            (outcome, taken)
        };
        // What is copied out of shared memory is copied while the lock is free.
        let outcomes: SmallVec<[_; 4]> = taken.into_iter().map(outcome).collect();
        let mut sound = true;
        let (mut waiters, mut fallen) = (SmallVec::<[Waiter; 4]>::new(), Vec::new());
        let mut state = self.lock();
        for (outcome, taken) in outcomes {
            match outcome {
                // Only who was asked to withdraw a request may do so.
                Ok(None) if !taken.in_flight.is_withdrawn() => {
                    sound = false;
                    fallen.extend(state.put_back(worker, link, taken, self.options.retries));
                }
                Ok(answer) => {
                    state.finished(worker, link, taken.slot, &taken.in_flight);
                    if !taken.in_flight.is_withdrawn()
                        && let Some(answer) = answer
                    {
                        self.counters.answered(&answer);
                        waiters.extend(taken.in_flight.job().answer(answer));
                    }
                }
                Err(_) => {
                    sound = false;
                    fallen.extend(state.put_back(worker, link, taken, self.options.retries));
                }
            }
        }
        let transfers = state.pump();
        let is_empty = state.outstanding == 0;
        drop(state);
        send(&transfers);
        waiters.into_iter().for_each(Waiter::wake);
        self.fail(fallen, "it broke the protocol");
        if is_empty {
            self.changed();
        }
        sound
    }

    /// Answers requests that died with a worker too often.
    pub(crate) fn fail(&self, fallen: Vec<Fallen>, how: &str) {
        for Fallen { job, executions } in fallen {
            let model = self.models()[job.model].contract.name().to_string();
            tracing::warn!(
                model,
                executions,
                how,
                "a request is given up: the worker died each time it was executed"
            );
            let error = ExecutionError::Crashed { model, executions, how: how.to_string() };
            self.settle(&job, Err(error));
        }
        self.changed();
    }

    /// Answers requests that nobody is left for.
    pub(crate) fn abandon(&self, jobs: Vec<Arc<Job>>) {
        if jobs.is_empty() {
            return;
        }
        let reason = self.why_nobody_is_left();
        for job in jobs {
            let model = self.models()[job.model].contract.name().to_string();
            self.settle(&job, Err(ExecutionError::Unavailable { model, reason: reason.clone() }));
        }
        self.changed();
    }

    /// Answers requests whose deadline passed before a worker was there.
    pub(crate) fn expire(&self) {
        let serves_late = |model: usize| self.options.models[model].serve_late;
        let expired = self.lock().expire(clock::now(), serves_late);
        if expired.is_empty() {
            return;
        }
        for job in expired {
            let model = self.models()[job.model].contract.name().to_string();
            let waited = job.accepted.elapsed();
            self.settle(&job, Err(ExecutionError::Expired { model, waited }));
        }
        self.changed();
    }

    fn settle(&self, job: &Job, answer: Answer) {
        self.counters.answered(&answer);
        if let Some(waiter) = job.answer(answer) {
            waiter.wake();
        }
    }

    /// For a caller that is about to block: looks for its answer a little, if its request is short and the worker has no other.
    /// Being woken takes longer than a short request.
    /// Returns who looked, for [`slept`](Self::slept).
    pub(crate) fn look(&self, job: &Job) -> Option<usize> {
        let Place::InFlight(Berth { worker, link, alone: true, .. }) = job.place() else { return None };
        if self.models()[job.model].cost_ns(job.samples) > LOOK_LIMIT_NS {
            return None;
        }
        let mut lookers = self.lookers.iter().enumerate();
        let (number, mut patience) =
            lookers.find_map(|(number, looker)| Some((number, looker.try_lock().ok()?)))?;
        link.begin_watching();
        patience.watch(|| {
            if link.is_pending() {
                self.collect(worker, &link);
            }
            job.is_answered()
        });
        link.end_watching();
        if link.is_pending() {
            self.collect(worker, &link);
        }
        Some(number)
    }

    /// The slot that a caller may sleep on, for the worker to wake it. Not where many short requests end together: waking one caller
    /// after the other would keep the worker's lane from the next batch.
    pub(crate) fn berth_to_sleep_on(&self, job: &Job) -> Option<Berth> {
        match job.place() {
            Place::InFlight(berth)
                if sleeper::POSSIBLE
                    && (berth.alone || self.models()[job.model].cost_ns(job.samples) >= SLEEP_LIMIT_NS) =>
            {
                Some(berth)
            }
            _ => None,
        }
    }

    /// An answer that somebody looked for came after so long.
    pub(crate) fn slept(&self, looker: usize, time: Duration) {
        lock(&self.lookers[looker]).slept(time);
    }
}

/// Sends what was given out. Without the lock.
pub(crate) fn send(transfers: &Transfers) {
    transfers.iter().for_each(|transfer| transfer.send());
}

/// Locks. Of the users' code only the clone of a waker runs under a lock of this crate, before anything is changed, so a poisoned
/// one still holds a consistent value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
