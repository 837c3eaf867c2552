//! Load: requests at random times whatever becomes of them (open loop), a number of requests in flight (closed loop), and
//! blocking callers that pause at random.
//!
//! **Traps.** A generator on the host's cores takes from a device that is these cores. So one thread sends everything, wakes up
//! at most once in [`TICK`] and sends what became due meanwhile, and what it took of a core is reported. Where a core is left to it, it
//! does not sleep. A request's time begins when it is sent, and the rate that counts is that of the requests that were sent.

use std::collections::VecDeque;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use paceline::{Model, Request, Ticket};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::time::{ClockId, clock_gettime};

use crate::batcher::Batcher;
use crate::call::{Call, Fate};
use crate::subject::Subject;

/// The generator sleeps at least so long at a time: in a virtual machine, a sleep and its end take some 20 us of a core.
const TICK: Duration = Duration::from_micros(250);

/// Who answers.
#[derive(Clone, Copy)]
pub enum Server<'a> {
    Engine(&'a Model),
    Batcher(&'a Batcher),
    /// Nobody: requests are made and dropped. What is left of the cores is what the others could have.
    Nobody,
}

/// One request of the load.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub shape: usize,
    pub samples: usize,
}

/// A single sample of the first shape.
pub const SINGLE: Wanted = Wanted { shape: 0, samples: 1 };

/// What came of an open loop.
pub struct Tally {
    /// Of the requests sent after the first fifth of the time.
    pub fates: Vec<Fate>,
    /// The time from the first of these to the last.
    pub elapsed: Duration,
    /// CPU time of the generator for each second.
    pub generator_share: f64,
}

impl Tally {
    /// Samples a second that were answered within `limit`.
    pub fn goodput(&self, limit: Duration) -> f64 {
        let good = self.fates.iter().filter(|fate| fate.time.is_some_and(|time| time <= limit));
        good.map(|fate| fate.samples).sum::<usize>() as f64 / self.elapsed.as_secs_f64()
    }

    /// Samples a second that were sent.
    pub fn offered(&self) -> f64 {
        self.fates.iter().map(|fate| fate.samples).sum::<usize>() as f64 / self.elapsed.as_secs_f64()
    }

    /// Times of the requests with one sample that were answered.
    pub fn singles(&self) -> Vec<Duration> {
        self.fates.iter().filter(|fate| fate.samples == 1).filter_map(|fate| fate.time).collect()
    }
}

/// The value that so large a share of the times is not above.
pub fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let index = (times.len() as f64 * share) as usize;
    times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Sends `rate` requests a second for `time`, at random times; each as `pick` says, with this deadline.
pub fn open_loop(
    subject: &Subject,
    server: Server<'_>,
    rate: f64,
    time: Duration,
    deadline: Option<Duration>,
    mut pick: impl FnMut(&mut ChaCha8Rng) -> Wanted,
) -> Tally {
    precise_sleep();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut flight = Flight {
        subject,
        server,
        sent: 0,
        pending: VecDeque::new(),
        fates: Vec::new(),
        start: Instant::now(),
    };
    let (mut due, cpu) = (Duration::ZERO, thread_cpu());
    while due < time {
        while due < flight.start.elapsed() && due < time {
            flight.send(pick(&mut random), deadline);
            due += pause(&mut random, rate);
        }
        flight.reap();
        let gap = due.saturating_sub(flight.start.elapsed());
        if due < time && !subject.core_to_spare {
            thread::sleep(gap.max(TICK));
        }
    }
    let (elapsed, generator) = (flight.start.elapsed(), thread_cpu() - cpu);
    let mut fates = flight.finish();
    let begin = time / 5;
    fates.retain(|fate| fate.sent >= begin);
    let generator_share = generator.as_secs_f64() / elapsed.as_secs_f64();
    Tally { fates, elapsed: elapsed - begin, generator_share }
}

/// Requests that were sent and not yet told of.
struct Flight<'a> {
    subject: &'a Subject,
    server: Server<'a>,
    sent: usize,
    pending: VecDeque<(Arc<Call>, Option<Ticket>)>,
    fates: Vec<Fate>,
    start: Instant,
}

impl Flight<'_> {
    fn send(&mut self, Wanted { shape, samples }: Wanted, deadline: Option<Duration>) {
        self.sent += 1;
        let call = Call::new(samples, None);
        if let Server::Batcher(batcher) = self.server {
            batcher.send(Arc::clone(&call), shape, self.sent);
            return self.pending.push_back((call, None));
        }
        let request = request(self.subject, shape, samples, self.sent);
        let Server::Engine(model) = self.server else { return drop(black_box(request)) };
        let request = match deadline {
            Some(deadline) => request.deadline(call.sent + deadline),
            None => request,
        };
        match model.submit(request) {
            Ok(mut ticket) => {
                // A ticket that was polled tells its call when the answer comes.
                let waker = Waker::from(Arc::clone(&call));
                match Future::poll(std::pin::Pin::new(&mut ticket), &mut Context::from_waker(&waker)) {
                    Poll::Pending => self.pending.push_back((call, Some(ticket))),
                    Poll::Ready(answer) => self.tell(&call, answer.is_ok().then(|| call.sent.elapsed())),
                }
            }
            Err(_) => self.tell(&call, None),
        }
    }

    fn tell(&mut self, call: &Call, time: Option<Duration>) {
        self.fates.push(Fate { samples: call.samples, sent: call.sent - self.start, time });
    }

    /// Takes the answers that came, as far as they came in order.
    fn reap(&mut self) {
        while let Some((call, _)) = self.pending.front()
            && let Some(time) = call.time()
            && let Some((call, ticket)) = self.pending.pop_front()
        {
            let answered = ticket.is_none_or(|ticket| ticket.try_take().is_ok_and(|answer| answer.is_ok()));
            self.tell(&call, answered.then_some(time));
        }
    }

    fn finish(mut self) -> Vec<Fate> {
        while !self.pending.is_empty() {
            self.reap();
            thread::sleep(TICK);
        }
        self.fates
    }
}

/// Keeps `in_flight` requests in flight for `time`; samples a second. The shape of each is what `pick` says.
pub fn closed_loop(
    subject: &Subject,
    server: Server<'_>,
    in_flight: usize,
    time: Duration,
    mut pick: impl FnMut(usize) -> usize,
) -> f64 {
    enum Pending {
        Ticket(Ticket),
        Call(Arc<Call>),
    }
    let mut send = |index: usize| match server {
        Server::Engine(model) => {
            Pending::Ticket(model.submit(request(subject, pick(index), 1, index)).expect("it is accepted"))
        }
        Server::Batcher(batcher) => {
            let call = Call::new(1, Some(thread::current()));
            batcher.send(Arc::clone(&call), pick(index), index);
            Pending::Call(call)
        }
        Server::Nobody => unreachable!("nobody answers"),
    };
    let take = |pending: Pending| match pending {
        Pending::Ticket(ticket) => drop(ticket.wait().expect("it is computed")),
        Pending::Call(call) => drop(call.wait()),
    };
    let mut pending: VecDeque<Pending> = (0..in_flight).map(&mut send).collect();
    let mut sent = in_flight;
    // Whole rounds: answers come in bursts, and a rate from the middle of one to the end of another would be too high.
    let mut round = || {
        for _ in 0..in_flight {
            pending.pop_front().into_iter().for_each(take);
            pending.push_back(send(sent));
            sent += 1;
        }
    };
    let begin = Instant::now();
    while begin.elapsed() < time / 5 {
        round();
    }
    let (start, mut rounds) = (Instant::now(), 0);
    while start.elapsed() < time {
        round();
        rounds += 1;
    }
    let rate = (rounds * in_flight) as f64 / start.elapsed().as_secs_f64();
    pending.into_iter().for_each(take);
    rate
}

/// `callers` threads that call, wait for the answer, and pause for `pause` on average; the times of their calls.
pub fn pausing_callers(
    subject: &Subject,
    server: Server<'_>,
    callers: usize,
    pause_mean: Duration,
    time: Duration,
) -> Vec<Duration> {
    let caller = |number: usize| {
        precise_sleep();
        let mut random = ChaCha8Rng::seed_from_u64(number as u64);
        let (start, mut times) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            thread::sleep(pause(&mut random, 1.0 / pause_mean.as_secs_f64()));
            let took = match server {
                Server::Engine(model) => {
                    let request = request(subject, 0, 1, times.len());
                    let start = Instant::now();
                    drop(model.infer(request).expect("it is computed"));
                    start.elapsed()
                }
                Server::Batcher(batcher) => {
                    let call = Call::new(1, Some(thread::current()));
                    batcher.send(Arc::clone(&call), 0, times.len());
                    call.wait()
                }
                Server::Nobody => unreachable!("nobody answers"),
            };
            times.push(took);
        }
        times
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|number| scope.spawn(move || caller(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the caller is answered")).collect()
    })
}

/// A request for one input.
pub fn request(subject: &Subject, shape: usize, samples: usize, index: usize) -> Request<'_> {
    Request::new([(subject.input_name(), subject.input(shape, samples, index).clone())])
}

/// A time between two events of a Poisson process.
pub fn pause(random: &mut ChaCha8Rng, rate: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate)
}

/// Lets the calling thread's sleeps end when they should, and not up to 50 us later.
fn precise_sleep() {
    // Where the system refuses, sleeps are as they were.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

fn thread_cpu() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of the process.
pub fn process_cpu() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
