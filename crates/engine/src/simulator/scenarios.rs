//! The machines, models and callers that policies are tried on.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::machine::{Curve, GPU, MLP, Machine, SLOW, TILES};
use super::paceline::Paceline;
use super::report::Report;
use super::scheduler::Scheduler;
use super::traffic::{Source, Stream};
use super::triton::Triton;
use super::window::Window;
use super::world::{History, simulate};
use crate::clock::{NEVER, Nanos};
use crate::decide::Late;

const US: Nanos = 1_000;
const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000_000_000;
/// Of a lone request of the `mlp`, in microseconds.
const LONE_US: f64 = 276.0;
/// Batches of the others.
const RIVALS_MAX: usize = 32;

/// A machine, models, and callers.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    pub(super) machine: Machine,
    pub(super) models: Vec<Model>,
    pub(super) streams: Vec<Stream>,
    /// Requests come until then.
    pub(super) horizon: Nanos,
    rivals: Vec<Rival>,
}

/// A model; each of its shapes has a curve, and is a line.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) weight: u32,
    pub(super) late: Late,
    pub(super) max_samples: usize,
    pub(super) curves: Vec<Curve>,
}

#[derive(Clone, Copy, Debug)]
enum Rival {
    Window { window: Nanos, bound: Option<usize> },
    Triton { delay: Nanos, levels: bool },
}

const WINDOW: Rival = Rival::Window { window: 5 * MS, bound: None };
const BOUNDED: Rival = Rival::Window { window: 5 * MS, bound: Some(64) };
const TRITON: Rival = Rival::Triton { delay: 0, levels: false };
const TRITON_DELAY: Rival = Rival::Triton { delay: MS / 2, levels: false };

impl Scenario {
    fn new(name: &'static str, about: &'static str, models: Vec<Model>, streams: Vec<Stream>) -> Self {
        let rivals = vec![WINDOW, TRITON, TRITON_DELAY];
        Scenario { name, about, machine: Machine::new(2), models, streams, horizon: 2 * SECOND, rivals }
    }

    /// Every scheduler's report; the engine's own is the first. The same seed gives the same reports.
    pub fn run(&self, seed: u64) -> Vec<Report> {
        let mut reports = vec![self.run_paceline(seed).1];
        let rivals = self.rivals.iter().map(|&rival| simulate(self, self.scheduler(rival).as_mut(), seed).1);
        reports.extend(rivals);
        reports
    }

    /// What the engine's scheduler does.
    pub(super) fn run_paceline(&self, seed: u64) -> (History, Report) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        simulate(self, &mut Paceline::new(&self.models, &self.machine, &mut random), seed)
    }

    fn scheduler(&self, rival: Rival) -> Box<dyn Scheduler> {
        match rival {
            Rival::Window { window, bound } => {
                let lines = self.models.iter().map(|model| model.curves.len()).sum();
                Box::new(Window::new(lines, window, RIVALS_MAX, bound))
            }
            Rival::Triton { delay, levels } => {
                Box::new(Triton::new(&self.models, self.machine.lanes, RIVALS_MAX, delay, levels))
            }
        }
    }

    /// The true costs of a line.
    pub(super) fn curve(&self, line: usize) -> &Curve {
        let mut curves = self.models.iter().flat_map(|model| &model.curves);
        curves.nth(line).unwrap_or(&MLP)
    }

    /// The model of a line.
    pub(super) fn model_of(&self, line: usize) -> usize {
        let mut of_lines =
            self.models.iter().enumerate().flat_map(|(i, model)| model.curves.iter().map(move |_| i));
        of_lines.nth(line).unwrap_or(0)
    }

    /// The most samples per second of the first line, in batches that keep the first stream's deadline.
    pub(super) fn capacity(&self) -> f64 {
        let within = self.streams[0].deadline.unwrap_or(NEVER);
        self.machine.capacity(self.curve(0), self.models[0].max_samples, within)
    }

    fn on(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    fn for_time(mut self, horizon: Nanos) -> Self {
        self.horizon = horizon;
        self
    }

    fn against(mut self, rivals: &[Rival]) -> Self {
        self.rivals = rivals.to_vec();
        self
    }
}

impl Model {
    fn new(name: &'static str, curve: Curve) -> Self {
        Model { name, weight: 1, late: Late::Reject, max_samples: 256, curves: vec![curve] }
    }

    fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl Stream {
    fn new(class: &'static str, source: Source) -> Self {
        Stream { class, lines: vec![0], samples: 1, deadline: None, priority: 0, source }
    }

    fn lines(mut self, lines: &[usize]) -> Self {
        self.lines = lines.to_vec();
        self
    }

    fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    fn deadline_us(mut self, us: f64) -> Self {
        self.deadline = Some((us * 1e3) as Nanos);
        self
    }

    fn priority(mut self, priority: i8) -> Self {
        self.priority = priority;
        self
    }
}

fn poisson(per_second: f64) -> Source {
    Source::Poisson { per_second }
}

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    let mlp = || vec![Model::new("mlp", MLP)];
    let two = Machine::new(2);
    let full = two.capacity(&MLP, 256, NEVER);
    let hurried = two.capacity(&MLP, 256, (5.0 * LONE_US) as Nanos * US);
    let gpu = || vec![Model { max_samples: 256, ..Model::new("gpu", GPU) }];
    let gpu_full = Machine::new(2).capacity(&GPU, 256, NEVER);
    let mixed = |name, about, part: f64, with_large: bool| {
        let mut streams = vec![Stream::new("singles", poisson(part * full))];
        if with_large {
            streams.push(Stream::new("large", poisson(part * full / 0.95 * 0.05)).samples(16));
        }
        Scenario::new(name, about, mlp(), streams).for_time(4 * SECOND)
    };
    let load = |name, about, part: f64| {
        Scenario::new(name, about, mlp(), vec![Stream::new("singles", poisson(part * full))])
    };
    let low = |name, about, lanes: usize| {
        let machine = Machine::new(lanes);
        let stream = Stream::new("singles", poisson(0.1 * machine.capacity(&MLP, 1, NEVER)));
        Scenario::new(name, about, mlp(), vec![stream]).on(machine).for_time(10 * SECOND)
    };
    let overload = |name, about, factor: f64| {
        let stream = Stream::new("singles", poisson(factor * hurried)).deadline_us(5.0 * LONE_US);
        Scenario::new(name, about, mlp(), vec![stream]).for_time(SECOND).against(&[WINDOW, BOUNDED, TRITON])
    };
    let tickets = Source::Driver { tickets: 64, turn: 50 * US };
    vec![
        Scenario::new(
            "lone",
            "one caller that waits a millisecond between its requests",
            mlp(),
            vec![Stream::new("singles", Source::Callers { callers: 1, pause: MS })],
        )
        .for_time(10 * SECOND),
        low("low-1-lane", "Poisson at 10 % of what one lane makes of lone requests", 1),
        low("low-2-lanes", "Poisson at 10 % of what two lanes make of lone requests", 2),
        low("low-4-lanes", "Poisson at 10 % of what four lanes make of lone requests", 4),
        load("light", "Poisson at 10 % of what full batches make: all that two lanes make of lone requests", 0.1),
        load("half", "Poisson at 50 % of capacity", 0.5),
        load("high", "Poisson at 90 % of capacity", 0.9),
        Scenario::new(
            "bursts",
            "Poisson at twice the capacity for 5 ms of every 20 ms",
            mlp(),
            vec![Stream::new("singles", Source::Bursts { per_second: 2.0 * full, on: 5 * MS, off: 15 * MS })],
        ),
        Scenario::new(
            "callers",
            "64 callers, each 20 us with an answer",
            mlp(),
            vec![Stream::new("callers", Source::Callers { callers: 64, pause: 20 * US })],
        ),
        Scenario::new(
            "tickets",
            "64 tickets of one driver, which needs 50 us for the answers of a batch",
            mlp(),
            vec![Stream::new("tickets", tickets)],
        ),
        Scenario::new(
            "tickets-8-lanes",
            "256 tickets of one driver on eight lanes",
            mlp(),
            vec![Stream::new("tickets", Source::Driver { tickets: 256, turn: 50 * US })],
        )
        .on(Machine::new(8)),
        Scenario::new(
            "shapes",
            "64 tickets of one driver, of two shapes in turn",
            vec![Model { curves: vec![MLP, MLP], ..Model::new("mlp", MLP) }],
            vec![Stream::new("tickets", tickets).lines(&[0, 1])],
        ),
        mixed("singles", "singles at 10 % of capacity, alone", 0.1, false),
        mixed("large", "the same singles, and 5 % of the requests with 16 samples", 0.1, true),
        mixed("singles-busy", "singles at 35 % of capacity, alone", 0.35, false),
        mixed("large-busy", "the same singles, and 5 % of the requests with 16 samples: 64 % of capacity", 0.35, true),
        Scenario::new(
            "priorities",
            "a few requests of priority -1 below a flood of priority 1 at 1.3 times the capacity",
            mlp(),
            vec![
                Stream::new("high", poisson(1.3 * full)).priority(1),
                Stream::new("low", poisson(0.01 * full)).priority(-1),
            ],
        )
        .for_time(SECOND)
        .against(&[WINDOW, TRITON, Rival::Triton { delay: 0, levels: true }]),
        overload("overload-1.5", "1.5 times the capacity, deadlines of 5 lone latencies", 1.5),
        overload("overload-3", "3 times the capacity, deadlines of 5 lone latencies", 3.0),
        Scenario::new(
            "models",
            "a fast model of weight 3 and a slow one of weight 1, both with more work than there is time",
            vec![Model::new("fast", MLP).weight(3), Model::new("slow", SLOW)],
            vec![
                Stream::new("fast", Source::Callers { callers: 128, pause: 20 * US }),
                Stream::new("slow", Source::Callers { callers: 32, pause: 20 * US }).lines(&[1]),
            ],
        )
        .for_time(4 * SECOND),
        Scenario::new(
            "trickle",
            "the slow model saturated, and the fast one at 10 % of capacity with equal weight",
            vec![Model::new("fast", MLP), Model::new("slow", SLOW)],
            vec![
                Stream::new("fast", poisson(0.1 * full)),
                Stream::new("slow", Source::Callers { callers: 32, pause: 20 * US }).lines(&[1]),
            ],
        )
        .for_time(4 * SECOND),
        Scenario::new(
            "slower",
            "at 80 % of capacity with deadlines of 20 lone latencies, the machine becomes twice as slow half way",
            mlp(),
            vec![Stream::new("singles", poisson(0.8 * full)).deadline_us(20.0 * LONE_US)],
        )
        .on(Machine { slower: Some((SECOND, 2.0)), ..Machine::new(2) }),
        Scenario::new(
            "gpu",
            "buckets, flat up to 32 samples: 70 % of capacity",
            gpu(),
            vec![Stream::new("singles", poisson(0.7 * gpu_full))],
        )
        .for_time(SECOND / 4),
        Scenario::new(
            "gpu-overload",
            "buckets: 1.5 times the capacity, deadlines of 20 lone latencies",
            gpu(),
            vec![
                Stream::new("singles", poisson(1.5 * Machine::new(2).capacity(&GPU, 256, 1200 * US)))
                    .deadline_us(1200.0),
            ],
        )
        .for_time(SECOND / 4)
        .against(&[WINDOW, BOUNDED, TRITON]),
        Scenario::new(
            "tiles",
            "larger batches are often quicker: 80 % of capacity",
            vec![Model::new("tiles", TILES)],
            vec![Stream::new("singles", poisson(0.8 * two.capacity(&TILES, 256, NEVER)))],
        ),
    ]
}
