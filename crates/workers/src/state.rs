//! Who has what: the workers with what each holds, and the requests that wait. Bookkeeping under one lock; nothing here talks to a
//! worker. What is to be sent is returned as [`Transfer`]s, and sent when the lock is free.
//!
//! # Rules
//! - A request goes to the worker with the least to do, by measured costs, that has room.
//! - A request that was in a worker when it died is a **suspect**. It waits for that worker to be there again, and then has it to
//!   itself: a worker with suspects takes nothing else. So whatever kills workers kills one of them, and only together with itself.
//! - While no worker takes requests they wait, in the order in which they are due, as the engine's queue has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::clock::NEVER;
use crate::crashes::{Blame, Death};
use crate::job::{Job, Place};
use crate::layout::Layout;
use crate::link::Link;
use crate::ring::Corrupt;
use crate::seat::{InFlight, Occupancy, Phase, Seat, Table, Transfer, Waiting};

/// What each worker may hold, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) samples: usize,
    pub(crate) layout: Layout,
    /// How much longer than predicted an answer may take.
    pub(crate) request_timeout: Duration,
}

/// The state of a pool.
pub(crate) struct State {
    limits: Limits,
    pub(crate) seats: Vec<Seat>,
    waiting: BTreeMap<(u64, u64), Waiting>,
    waiting_samples: usize,
    waiting_bytes: usize,
    /// Of the next request that waits.
    number: u64,
    /// Whether requests are accepted.
    pub(crate) open: bool,
    /// Whether the workers are to end when nothing is left to do.
    pub(crate) ending: bool,
    /// Whether the workers are to end.
    pub(crate) stopping: bool,
    /// Requests accepted and neither answered nor withdrawn.
    pub(crate) outstanding: usize,
}

/// Requests to be sent.
pub(crate) type Transfers = SmallVec<[Transfer; 2]>;

/// Why a request is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Draining,
    NobodyLeft,
    TooLarge { limit: usize },
    Samples { queued: usize, limit: usize, retry_after: Duration },
    Bytes { queued: usize, limit: usize, retry_after: Duration },
}

/// A request that came out of a done ring.
pub(crate) struct Taken {
    pub(crate) slot: u32,
    pub(crate) begin: usize,
    pub(crate) in_flight: InFlight,
}

/// A request that died with a worker as often as it may.
pub(crate) struct Fallen {
    pub(crate) job: Arc<Job>,
    pub(crate) executions: u32,
}

impl State {
    pub(crate) fn new(limits: Limits, workers: usize) -> State {
        let seats = (0..workers).map(|_| Seat::new(&limits.layout)).collect();
        State {
            limits,
            seats,
            waiting: BTreeMap::new(),
            waiting_samples: 0,
            waiting_bytes: 0,
            number: 0,
            open: true,
            ending: false,
            stopping: false,
            outstanding: 0,
        }
    }

    /// Accepts a request, whose execution is predicted to take `cost_ns`, and is due at `due`; or says why not.
    pub(crate) fn submit(&mut self, job: &Arc<Job>, cost_ns: u64, due: u64) -> Result<Transfers, Refusal> {
        if !self.open {
            return Err(Refusal::Draining);
        }
        if !self.seats.iter().any(Seat::has_future) {
            return Err(Refusal::NobodyLeft);
        }
        let (samples, bytes) = (self.limits.samples, self.limits.layout.arena_bytes);
        if job.samples > samples || job.block.bytes > bytes {
            let fitting = (job.samples as u128 * bytes as u128 / job.block.bytes as u128) as usize;
            return Err(Refusal::TooLarge { limit: samples.min(fitting) });
        }
        let waiting = Waiting { job: Arc::clone(job), cost_ns, due, deaths: 0, spared: false };
        let somebody_takes = self.seats.iter().any(Seat::takes_requests);
        if self.waiting.is_empty() && somebody_takes {
            let transfer = self.place(waiting).map_err(|_| self.full(job))?;
            self.outstanding += 1;
            return Ok(SmallVec::from_iter([transfer]));
        }
        let seats = self.seats.len();
        if self.waiting_samples + job.samples > samples * seats
            || self.waiting_bytes + job.block.bytes > bytes * seats
        {
            return Err(self.full(job));
        }
        self.outstanding += 1;
        self.wait(waiting);
        Ok(self.pump())
    }

    fn full(&self, job: &Job) -> Refusal {
        let serving = || self.seats.iter().filter(|seat| seat.has_future());
        let count = serving().count().max(1);
        let load_ns = serving().map(|seat| seat.load_ns).min().unwrap_or(0);
        let retry_after = Duration::from_nanos(load_ns).max(Duration::from_millis(1));
        let in_flight: usize = serving().map(|seat| seat.samples).sum();
        let (samples, limit) = (self.limits.samples, self.limits.samples * count);
        if serving().any(|seat| seat.samples + job.samples <= samples)
            && self.waiting_samples + job.samples <= limit
        {
            let queued = serving().map(|seat| seat.table.taken_bytes()).sum::<usize>() + self.waiting_bytes;
            return Refusal::Bytes { queued, limit: self.limits.layout.arena_bytes * count, retry_after };
        }
        Refusal::Samples { queued: in_flight + self.waiting_samples, limit, retry_after }
    }

    fn wait(&mut self, waiting: Waiting) {
        let key = (waiting.due, self.number);
        self.number += 1;
        self.waiting_samples += waiting.job.samples;
        self.waiting_bytes += waiting.job.block.bytes;
        waiting.job.set_place(Place::Waiting(key));
        self.waiting.insert(key, waiting);
    }

    fn stop_waiting(&mut self, key: (u64, u64)) -> Option<Waiting> {
        let waiting = self.waiting.remove(&key)?;
        self.waiting_samples -= waiting.job.samples;
        self.waiting_bytes -= waiting.job.block.bytes;
        Some(waiting)
    }

    /// Gives a request to the worker with the least to do that has room; gives it back when none has.
    fn place(&mut self, waiting: Waiting) -> Result<Transfer, Waiting> {
        let samples = self.limits.samples;
        let fits = |seat: &Seat| seat.takes_requests() && seat.samples + waiting.job.samples <= samples;
        let mut order: SmallVec<[usize; 8]> =
            (0..self.seats.len()).filter(|&i| fits(&self.seats[i])).collect();
        order.sort_by_key(|&i| self.seats[i].load_ns);
        let mut waiting = waiting;
        for worker in order {
            match self.seats[worker].put(worker, waiting, self.limits.request_timeout) {
                Ok(transfer) => return Ok(transfer),
                Err(back) => waiting = back,
            }
        }
        Err(waiting)
    }

    /// Gives out what can be given out. After anything that makes room, or a worker fit.
    pub(crate) fn pump(&mut self) -> Transfers {
        let mut transfers = Transfers::new();
        for (worker, seat) in self.seats.iter_mut().enumerate() {
            if seat.phase == Phase::Up
                && seat.is_idle()
                && let Some(suspect) = seat.suspects.pop_front()
            {
                match seat.put(worker, suspect, self.limits.request_timeout) {
                    Ok(transfer) => {
                        seat.isolating = true;
                        transfers.push(transfer);
                    }
                    Err(back) => unreachable!("an idle worker has room for {} samples", back.job.samples),
                }
            }
        }
        while let Some((&key, _)) = self.waiting.first_key_value() {
            let Some(waiting) = self.stop_waiting(key) else { break };
            match self.place(waiting) {
                Ok(transfer) => transfers.push(transfer),
                Err(back) => {
                    self.waiting_samples += back.job.samples;
                    self.waiting_bytes += back.job.block.bytes;
                    self.waiting.insert(key, back);
                    break;
                }
            }
        }
        transfers
    }

    /// A process serves now.
    pub(crate) fn up(&mut self, worker: usize, link: Arc<Link>) -> Transfers {
        let seat = &mut self.seats[worker];
        seat.table = Table::new(&self.limits.layout);
        (seat.samples, seat.load_ns, seat.answered, seat.isolating) = (0, 0, 0, false);
        seat.link = Some(link);
        seat.phase = Phase::Up;
        seat.starts += 1;
        self.pump()
    }

    /// Takes out of a done ring what is there, at most `limit`. Nothing if the process is another one by now.
    pub(crate) fn take_done(
        &mut self,
        worker: usize,
        link: &Arc<Link>,
        limit: usize,
        taken: &mut Vec<Taken>,
    ) -> Result<(), Corrupt> {
        let Some(seat) = self.seat_of(worker, link) else { return Ok(()) };
        let Table { entries, done, .. } = &mut seat.table;
        let mut result = Ok(());
        while taken.len() < limit {
            let slot = match done.pop(&link.wire().region) {
                Ok(Some(slot)) => slot,
                Ok(None) => break,
                Err(corrupt) => {
                    result = Err(corrupt);
                    break;
                }
            };
            let Some(in_flight) = entries.get_mut(slot as usize).and_then(Option::take) else {
                result = Err(Corrupt);
                break;
            };
            taken.push(Taken { slot, begin: in_flight.block.start, in_flight });
        }
        link.set_taken(done.head());
        result
    }

    /// A request that was taken out is answered: its slot and its memory are free.
    pub(crate) fn finished(&mut self, worker: usize, link: &Arc<Link>, slot: u32, in_flight: &InFlight) {
        if !in_flight.withdrawn {
            in_flight.waiting.job.set_place(Place::Nowhere);
            self.outstanding -= 1;
        }
        let Some(seat) = self.seat_of(worker, link) else { return };
        seat.answered += 1;
        seat.isolating = false;
        seat.free(slot, in_flight);
    }

    /// A request was taken out, but its slot makes no sense: it dies with its worker, which is to be killed, or is dead already.
    pub(crate) fn put_back(
        &mut self,
        worker: usize,
        link: &Arc<Link>,
        taken: Taken,
        retries: u32,
    ) -> Option<Fallen> {
        match self.seat_of(worker, link) {
            Some(seat) => {
                seat.table.entries[taken.slot as usize] = Some(taken.in_flight);
                None
            }
            None => self.suspect(worker, taken.in_flight, retries),
        }
    }

    /// The process of a worker is dying: it gets no more requests.
    pub(crate) fn retire(&mut self, worker: usize) {
        self.seats[worker].phase = Phase::Starting;
    }

    /// A worker has ended with the pool. What it may still hold are withdrawn requests, which hold the pool in turn.
    pub(crate) fn ended(&mut self, worker: usize) {
        let seat = &mut self.seats[worker];
        seat.phase = Phase::Ended;
        seat.link = None;
        seat.table = Table::new(&self.limits.layout);
    }

    /// The process of a worker is dead. What it had not even taken waits again, if its word can be trusted; the rest is suspect.
    /// Returns what is known of its death, the requests that died with one too often, and what can be given out now.
    pub(crate) fn died(
        &mut self,
        worker: usize,
        was_sound: bool,
        retries: u32,
        now: u64,
    ) -> (Death, Vec<Fallen>, Transfers) {
        self.retire(worker);
        let seat = &mut self.seats[worker];
        let link = seat.link.take();
        let had_died = seat.table.entries.iter().flatten().map(|in_flight| in_flight.waiting.deaths).next();
        let blame = match had_died.filter(|_| seat.isolating) {
            None => Blame::Worker,
            Some(1) => Blame::SuspectForTheFirstTime,
            Some(_) => Blame::Suspect,
        };
        let death = Death { at: now, had_answered: seat.answered > 0, blame };
        (seat.isolating, seat.answered) = (false, 0);
        let lost = std::mem::replace(&mut seat.table, Table::new(&self.limits.layout)).entries;
        (seat.samples, seat.load_ns) = (0, 0);
        let lost = (0..).zip(lost).filter_map(|(slot, in_flight)| Some((slot, in_flight?)));
        let is_suspect = |&(slot, ref in_flight): &(u32, InFlight)| {
            let had_taken = link.as_ref().is_some_and(|link| link.has_taken(slot, in_flight.request));
            had_taken || !was_sound || in_flight.waiting.spared
        };
        let (mut suspects, spared): (Vec<_>, Vec<_>) = lost.partition(is_suspect);
        suspects.sort_by_key(|(_, in_flight)| in_flight.waiting.job.accepted);
        let suspect = |(_, in_flight)| self.suspect(worker, in_flight, retries);
        let fallen = suspects.into_iter().filter_map(suspect).collect();
        for (_, InFlight { mut waiting, withdrawn, .. }) in spared {
            waiting.spared = true;
            match waiting.deaths {
                _ if withdrawn => {}
                0 => self.wait(waiting),
                _ => {
                    waiting.job.set_place(Place::Suspect(worker));
                    self.seats[worker].suspects.push_front(waiting);
                }
            }
        }
        (death, fallen, self.pump())
    }

    /// Has a request executed again, by the worker that it was in; or gives it up.
    fn suspect(&mut self, worker: usize, in_flight: InFlight, retries: u32) -> Option<Fallen> {
        let InFlight { mut waiting, withdrawn, .. } = in_flight;
        if withdrawn {
            return None;
        }
        waiting.deaths += 1;
        let judge = if self.seats[worker].has_future() { Some(worker) } else { self.heir() };
        let Some(judge) = judge.filter(|_| waiting.deaths <= retries) else {
            waiting.job.set_place(Place::Nowhere);
            self.outstanding -= 1;
            return Some(Fallen { job: waiting.job, executions: waiting.deaths });
        };
        waiting.job.set_place(Place::Suspect(judge));
        self.seats[judge].suspects.push_back(waiting);
        None
    }

    /// A worker is given up. Its suspects go to another; if none is left, all that wait are returned.
    pub(crate) fn give_up(&mut self, worker: usize, reason: &str) -> (Transfers, Vec<Arc<Job>>) {
        self.seats[worker].phase = Phase::GivenUp(reason.to_string());
        let suspects = std::mem::take(&mut self.seats[worker].suspects);
        match self.heir() {
            Some(heir) => {
                suspects.iter().for_each(|suspect| suspect.job.set_place(Place::Suspect(heir)));
                self.seats[heir].suspects.extend(suspects);
                (self.pump(), Vec::new())
            }
            None => {
                let waiting = std::mem::take(&mut self.waiting);
                (self.waiting_samples, self.waiting_bytes) = (0, 0);
                let left = suspects.into_iter().chain(waiting.into_values());
                let jobs: Vec<Arc<Job>> = left.map(|waiting| waiting.job).collect();
                jobs.iter().for_each(|job| job.set_place(Place::Nowhere));
                self.outstanding -= jobs.len();
                (Transfers::new(), jobs)
            }
        }
    }

    /// The worker that takes over another's suspects.
    fn heir(&self) -> Option<usize> {
        let alive = (0..self.seats.len()).filter(|&i| self.seats[i].has_future());
        alive.min_by_key(|&i| (self.seats[i].phase != Phase::Up, self.seats[i].suspects.len()))
    }

    /// Takes out the requests that wait and whose deadline has passed, of models that do not serve late.
    pub(crate) fn expire(&mut self, now: u64, serves_late: impl Fn(usize) -> bool) -> Vec<Arc<Job>> {
        let is_late = |job: &Job| job.deadline != NEVER && job.deadline < now && !serves_late(job.model);
        let late = self.waiting.iter().filter(|(_, waiting)| is_late(&waiting.job)).map(|(&key, _)| key);
        let late: Vec<_> = late.collect();
        let mut expired: Vec<Arc<Job>> =
            late.into_iter().filter_map(|key| self.stop_waiting(key)).map(|waiting| waiting.job).collect();
        for seat in &mut self.seats {
            let (late, kept) =
                seat.suspects.drain(..).partition::<Vec<_>, _>(|suspect| is_late(&suspect.job));
            seat.suspects.extend(kept);
            expired.extend(late.into_iter().map(|suspect| suspect.job));
        }
        expired.iter().for_each(|job| job.set_place(Place::Nowhere));
        self.outstanding -= expired.len();
        expired
    }

    /// Nobody wants the answer to a request any more. Returns the worker that is to be told, what can be given out now, and whether
    /// the request was not answered yet.
    pub(crate) fn cancel(&mut self, job: &Job) -> (Option<(Arc<Link>, u32)>, Transfers, bool) {
        let place = job.place();
        job.set_place(Place::Nowhere);
        let mut tell = None;
        match place {
            Place::Nowhere => return (None, Transfers::new(), false),
            Place::Waiting(key) => drop(self.stop_waiting(key)),
            Place::Suspect(worker) => {
                self.seats[worker].suspects.retain(|suspect| !std::ptr::eq(&*suspect.job, job));
            }
            Place::InFlight(berth) => {
                if let Some(seat) = self.seat_of(berth.worker, &berth.link)
                    && let Some(in_flight) = &mut seat.table.entries[berth.slot as usize]
                {
                    in_flight.withdrawn = true;
                    tell = Some((berth.link, berth.slot));
                } else {
                    // Somebody has taken it out and is about to answer it.
                    job.set_place(Place::InFlight(berth));
                    return (None, Transfers::new(), false);
                }
            }
        }
        self.outstanding -= 1;
        (tell, self.pump(), true)
    }

    /// Whether a worker should have answered one of its requests by now.
    pub(crate) fn is_late(&self, worker: usize, now: Instant) -> bool {
        let entries = &self.seats[worker].table.entries;
        entries.iter().flatten().any(|in_flight| in_flight.late.is_some_and(|late| late <= now))
    }

    /// The worker's seat, if its process is still this one.
    fn seat_of(&mut self, worker: usize, link: &Arc<Link>) -> Option<&mut Seat> {
        let seat = &mut self.seats[worker];
        seat.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)).then_some(seat)
    }

    pub(crate) fn occupancy(&self, worker: usize) -> Occupancy {
        let seat = &self.seats[worker];
        Occupancy {
            process: seat.link.as_ref().map(|link| link.process),
            requests: seat.table.entries.iter().flatten().count(),
            samples: seat.samples,
            suspects: seat.suspects.len() + usize::from(seat.isolating),
        }
    }

    /// Requests that wait for any worker.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The connections to all processes that serve.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.seats.iter().filter_map(|seat| seat.link.clone()).collect()
    }
}
