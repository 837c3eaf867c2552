//! Open-loop load: requests come at their times, whatever becomes of those before them.
//!
//! **Traps.** A generator on the host's cores takes from a device that is these cores. So one thread sends everything, sleeps at
//! least [`TICK`] at a time, and sends what became due meanwhile. How late that is, is recorded ([`Opened::late`]): a load whose
//! requests are sent late is not the load that was asked for. A request's time begins when it was due, so that what a late generator
//! hides is in it (coordinated omission).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use paceline_engine::{Answer as Outcome, Model, Ticket};

use super::{Answer, Tally, rate, request};
use crate::Latencies;
use crate::workload::Workload;

/// The generator sleeps at least so long at a time: in a virtual machine, a sleep and its end take some 20 us of a core.
const TICK: Duration = Duration::from_micros(100);

/// What came of an open loop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// Of the requests that were accepted.
    pub(crate) tally: Tally,
    /// Requests a second that were sent.
    pub(crate) sent_per_s: f64,
    /// Requests that were refused because too much waited.
    pub(crate) refused: u64,
    /// How much later than due requests were sent.
    pub(crate) late: Latencies,
    /// When the last answer came.
    last: Duration,
}

/// Sends requests of one sample at these times for `time`; those of the first fifth are not measured.
pub(crate) fn open_loop(
    workload: &Workload,
    model: &Model,
    mut due: impl Iterator<Item = Duration>,
    time: Duration,
) -> Opened {
    let begin = time / 5;
    let mut opened = Opened::default();
    let mut pending: VecDeque<Sent> = VecDeque::new();
    let (mut index, mut sent, start) = (0, 0u64, Instant::now());
    let mut next = due.next();
    while let Some(at) = next.filter(|&at| at < time) {
        let now = start.elapsed();
        if now < at {
            reap(workload, &mut pending, begin, &mut opened);
            thread::sleep(at.saturating_sub(start.elapsed()).max(TICK));
            continue;
        }
        if at >= begin {
            sent += 1;
            opened.late.record(now - at);
        }
        match submit(workload, model, index, at, start) {
            Some(request) => pending.push_back(request),
            None => opened.refused += 1,
        }
        index += 1;
        next = due.next();
    }
    let elapsed = start.elapsed();
    while !pending.is_empty() {
        reap(workload, &mut pending, begin, &mut opened);
        thread::sleep(TICK);
    }
    // Where requests are rare, there may be none, and the loop over before it is to be measured.
    opened.sent_per_s = rate(sent, elapsed.saturating_sub(begin));
    opened.tally.calls_per_s = rate(opened.tally.measured, opened.last.max(elapsed).saturating_sub(begin));
    opened
}

/// A request on its way.
struct Sent {
    index: usize,
    due: Duration,
    stamp: Arc<Stamp>,
    ticket: Pending,
}

enum Pending {
    Ticket(Ticket),
    Answered(Box<Outcome>),
    Failed(String),
}

/// Sends request `index`, that was due then; `None` where it is refused because too much waits.
fn submit(workload: &Workload, model: &Model, index: usize, due: Duration, start: Instant) -> Option<Sent> {
    let stamp = Arc::new(Stamp { start, answered_ns: AtomicU64::new(0) });
    let ticket = match model.submit(request(workload, workload.sample(index))) {
        Ok(mut ticket) => {
            // A ticket that was polled tells its stamp when the answer comes.
            let waker = Waker::from(Arc::clone(&stamp));
            match Future::poll(std::pin::Pin::new(&mut ticket), &mut Context::from_waker(&waker)) {
                Poll::Pending => Pending::Ticket(ticket),
                Poll::Ready(answer) => {
                    stamp.answer();
                    Pending::Answered(Box::new(answer))
                }
            }
        }
        Err(error) if error.retry_after().is_some() => return None,
        Err(error) => {
            stamp.answer();
            Pending::Failed(error.to_string())
        }
    };
    Some(Sent { index, due, stamp, ticket })
}

/// Takes the answers that came, as far as they came in order; those of requests due from `begin` on are measured.
fn reap(workload: &Workload, pending: &mut VecDeque<Sent>, begin: Duration, opened: &mut Opened) {
    while let Some(at) = pending.front().and_then(|sent| sent.stamp.answered())
        && let Some(Sent { index, due, ticket, .. }) = pending.pop_front()
    {
        let answer = match ticket {
            Pending::Ticket(ticket) => ticket.wait().map_err(|error| error.to_string()),
            Pending::Answered(answer) => answer.map_err(|error| error.to_string()),
            Pending::Failed(error) => Err(error),
        };
        let answer = Answer::new(workload.sample(index), at.saturating_sub(due), answer);
        opened.last = opened.last.max(at);
        match due >= begin {
            true => opened.tally.measure(answer),
            false => opened.tally.count(answer.verdict),
        }
    }
}

/// When an answer came.
struct Stamp {
    start: Instant,
    /// Nanoseconds after the start; 0 before it came.
    answered_ns: AtomicU64,
}

impl Stamp {
    fn answer(&self) {
        let ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        // Whoever reads it takes the answer from the ticket, whose own synchronisation is between.
        self.answered_ns.store(ns, Ordering::Relaxed);
    }

    fn answered(&self) -> Option<Duration> {
        let ns = self.answered_ns.load(Ordering::Relaxed);
        (ns > 0).then(|| Duration::from_nanos(ns))
    }
}

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.answer();
    }
}

#[cfg(test)]
mod tests {
    use paceline_device::conformance::ReferenceDevice;

    use super::*;
    use crate::Suite;
    use crate::runner::load;
    use crate::subject::{case_workload, representatives};

    #[test]
    fn a_load_with_hardly_any_request_is_no_panic() {
        let case = representatives(Suite::Ops).remove(0);
        let workload = case_workload(&ReferenceDevice, &case, 1, 8).unwrap();
        let (_engine, model) = load(&workload, 1, 0).unwrap();
        let ms = Duration::from_millis;
        for (due, expected, measured) in
            [(vec![], 0, 0), (vec![ms(1), ms(900)], 1, 0), (vec![ms(1), ms(60)], 2, 1)]
        {
            let Opened { tally, .. } = open_loop(&workload, &model, due.into_iter(), ms(100));
            assert_eq!((tally.expected, tally.completed, tally.measured), (expected, expected, measured));
            assert_eq!(tally.calls_per_s > 0.0, measured > 0, "{}", tally.calls_per_s);
        }
    }
}
