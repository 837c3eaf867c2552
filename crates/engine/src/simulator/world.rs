//! Moves the time from event to event: requests come, lanes finish, alarms ring.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::machine::HAND_OVER_NS;
use super::report::Report;
use super::scenarios::Scenario;
use super::scheduler::{Next, Scheduler};
use super::traffic::{Generator, Request};
use crate::clock::Nanos;

/// A caller that is refused tries again after this.
const RETRY_NS: Nanos = 1_000_000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered { at: Nanos },
    Refused,
    Shed { at: Nanos },
}

/// What happened to all of them.
pub(super) struct History {
    pub(super) requests: Vec<Request>,
    /// Of each request; `None` if it was lost.
    pub(super) ends: Vec<Option<End>>,
    pub(super) batches: Vec<Executed>,
    /// Whether a lane was idle while something was ripe.
    pub(super) idled: bool,
    /// Whether a request ended twice.
    pub(super) ended_twice: bool,
}

/// One execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executed {
    pub(super) line: usize,
    pub(super) samples: usize,
    pub(super) start: Nanos,
    pub(super) end: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Finish { lane: usize },
    Arrive { stream: usize },
    Alarm { lane: usize },
}

struct World<'a> {
    scenario: &'a Scenario,
    scheduler: &'a mut dyn Scheduler,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    sequence: u64,
    now: Nanos,
    generators: Vec<Generator>,
    random: ChaCha8Rng,
    /// The last to become idle is called first.
    idle: Vec<usize>,
    lanes: Vec<Running>,
    history: History,
}

/// What a lane executes.
#[derive(Clone, Debug, Default)]
struct Running {
    numbers: Vec<usize>,
    took: Nanos,
}

/// Gives the scheduler the scenario's requests, from the first to the last answer.
pub(super) fn simulate(scenario: &Scenario, scheduler: &mut dyn Scheduler, seed: u64) -> (History, Report) {
    let streams = scenario.streams.iter().enumerate();
    let history = History {
        requests: Vec::new(),
        ends: Vec::new(),
        batches: Vec::new(),
        idled: false,
        ended_twice: false,
    };
    let mut world = World {
        scenario,
        scheduler,
        events: BinaryHeap::new(),
        sequence: 0,
        now: 0,
        generators: streams.map(|(index, stream)| Generator::new(stream, index, seed)).collect(),
        random: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
        idle: (0..scenario.machine.lanes).rev().collect(),
        lanes: vec![Running::default(); scenario.machine.lanes],
        history,
    };
    for stream in 0..world.generators.len() {
        for at in world.generators[stream].first() {
            world.at(at, Event::Arrive { stream });
        }
    }
    while let Some(Reverse((now, _, event))) = world.events.pop() {
        world.now = now;
        world.happen(event);
        world.history.idled |= !world.idle.is_empty() && world.scheduler.is_ripe();
    }
    let report = Report::new(scenario, world.scheduler.name(), &world.history);
    (world.history, report)
}

impl World<'_> {
    fn at(&mut self, time: Nanos, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { stream } => {
                if let Some(next) = self.generators[stream].after(self.now) {
                    self.come(next, stream);
                }
                self.arrive(stream);
            }
            Event::Finish { lane } => {
                let Running { numbers, took } = std::mem::take(&mut self.lanes[lane]);
                self.scheduler.finished(lane, took);
                let at = self.now;
                self.end(&numbers, End::Answered { at });
                self.turn(lane);
            }
            Event::Alarm { lane } => {
                if let Some(position) = self.idle.iter().position(|&idle| idle == lane) {
                    self.idle.remove(position);
                    self.turn(lane);
                }
            }
        }
    }

    fn come(&mut self, time: Nanos, stream: usize) {
        if time < self.scenario.horizon {
            self.at(time, Event::Arrive { stream });
        }
    }

    fn arrive(&mut self, stream: usize) {
        let request = self.generators[stream].request(self.now);
        let number = self.history.requests.len();
        self.history.requests.push(request);
        self.history.ends.push(None);
        let busy = self.lanes.len() - self.idle.len();
        if !self.scheduler.offer(number, &request, busy) {
            self.history.ends[number] = Some(End::Refused);
            if self.generators[stream].is_closed() {
                self.come(self.now + RETRY_NS, stream);
            }
        } else if let Some(lane) = self.idle.pop() {
            self.turn(lane);
        }
    }

    /// A free lane does what the scheduler says.
    fn turn(&mut self, lane: usize) {
        let busy = self.lanes.len() - self.idle.len();
        let (mut numbers, mut shed) = (Vec::new(), Vec::new());
        let next = self.scheduler.next(lane, busy, self.now, &mut numbers, &mut shed);
        let at = self.now;
        self.end(&shed, End::Shed { at });
        match next {
            Next::Execute { line } => {
                let samples = numbers.iter().map(|&number| self.history.requests[number].samples).sum();
                let (scenario, start) = (self.scenario, self.now);
                let took =
                    scenario.machine.took(scenario.curve(line), samples, busy, start, &mut self.random);
                let end = start + took + HAND_OVER_NS;
                self.history.batches.push(Executed { line, samples, start, end });
                self.lanes[lane] = Running { numbers, took };
                self.at(end, Event::Finish { lane });
            }
            Next::Wait { until } => {
                self.idle.push(lane);
                self.at(until.max(self.now), Event::Alarm { lane });
            }
            Next::Idle => self.idle.push(lane),
        }
    }

    fn end(&mut self, numbers: &[usize], end: End) {
        let mut answers = vec![0; self.generators.len()];
        for &number in numbers {
            self.history.ended_twice |= self.history.ends[number].replace(end).is_some();
            answers[self.history.requests[number].stream] += 1;
        }
        for (stream, answers) in answers.into_iter().enumerate().filter(|&(_, answers)| answers > 0) {
            for time in self.generators[stream].answered(answers, self.now) {
                self.come(time, stream);
            }
        }
    }
}
