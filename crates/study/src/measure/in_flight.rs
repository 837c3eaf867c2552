//! One thread that keeps many tickets in flight, and waits for the oldest.

use std::collections::VecDeque;
use std::time::Instant;

use paceline_engine::{Callable, SubmitError, Ticket};

use super::{Answer, Round, Tally, rate, request};
use crate::workload::Workload;

/// Keeps `tickets` requests of one sample each in flight. Measures whole rounds of as many answers as there are tickets: answers
/// come in bursts, and a rate from the middle of one to the end of another would be too high.
pub(crate) fn keep_in_flight(
    workload: &Workload,
    model: &dyn Callable,
    tickets: usize,
    round: Round,
) -> Tally {
    let Round { length, warm_up } = round;
    let mut flight = Flight { workload, model, next: 0, pending: VecDeque::with_capacity(tickets) };
    (0..tickets).for_each(|_| flight.submit());
    let mut tally = Tally::default();
    let round = |flight: &mut Flight<'_>, each: &mut dyn FnMut(Answer)| {
        for _ in 0..tickets {
            flight.take().into_iter().for_each(&mut *each);
            flight.submit();
        }
    };
    if let Some(warm_up) = warm_up {
        let start = Instant::now();
        while tally.expected == 0 || start.elapsed() < warm_up {
            round(&mut flight, &mut |answer| tally.count(answer.verdict));
        }
    }
    let start = Instant::now();
    while !length.is_reached(tally.measured, start.elapsed()) {
        round(&mut flight, &mut |answer| tally.measure(answer));
    }
    tally.calls_per_s = rate(tally.measured, start.elapsed());
    while let Some(answer) = flight.take() {
        tally.count(answer.verdict);
    }
    tally
}

struct Flight<'w> {
    workload: &'w Workload,
    model: &'w dyn Callable,
    next: usize,
    /// The oldest first: the sample's index, when it was submitted, and what came of that.
    pending: VecDeque<(usize, Instant, Result<Ticket, SubmitError>)>,
}

impl Flight<'_> {
    fn submit(&mut self) {
        self.next += 1;
        let request = request(self.workload, self.workload.sample(self.next));
        let start = Instant::now();
        self.pending.push_back((self.next, start, self.model.submit(request)));
    }

    /// Waits for the oldest.
    fn take(&mut self) -> Option<Answer> {
        let (index, start, submitted) = self.pending.pop_front()?;
        let answer = submitted.map_err(|error| error.to_string());
        let answer = answer.and_then(|ticket| ticket.wait().map_err(|error| error.to_string()));
        Some(Answer::new(self.workload.sample(index), start.elapsed(), answer))
    }
}
