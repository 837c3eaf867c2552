//! The engine's scheduler: its queue, costs, admission and `decide`, driven as `dispatch` drives them.

use rand_chacha::ChaCha8Rng;

use super::machine::Machine;
use super::scenarios::Model;
use super::scheduler::{Next, Scheduler};
use super::traffic::Request;
use crate::clock::Nanos;
use crate::cost::CostTable;
use crate::decide::{Decision, Load, Take};
use crate::queue::{Arrival, Bounds, LineOptions, Queue};

/// The engine's defaults.
const BOUNDS: Bounds = Bounds { samples: 16_384, bytes: 1 << 30, time: 60_000_000_000 };
/// Executions of each size before the first request, and sizes that all lanes execute at once, as in `warm_up`.
const REPEATS: usize = 2;
const CONTENDED_SIZES: [usize; 3] = [1, 8, 64];

pub(super) struct Paceline {
    queue: Queue<(usize, usize)>,
    posts: Vec<Post>,
}

/// What a lane is at.
#[derive(Clone, Copy, Default)]
struct Post {
    latest: usize,
    until: Nanos,
    line: usize,
    busy: usize,
    predicted: Nanos,
}

impl Paceline {
    pub(super) fn new(models: &[Model], machine: &Machine, random: &mut ChaCha8Rng) -> Self {
        let mut queue = Queue::new();
        for model in models {
            let share = queue.add_model(model.weight);
            for curve in &model.curves {
                let mut costs =
                    CostTable::new(&curve.batch_sizes(model.max_samples), model.max_samples, machine.lanes);
                let mut measure = |samples: usize, busy: usize, times: usize| {
                    for _ in 0..times {
                        costs.record(samples, busy, machine.took(curve, samples, busy, 0, random));
                    }
                };
                let sizes = CostTable::new(&curve.batch_sizes(model.max_samples), model.max_samples, 1);
                sizes.sizes().iter().for_each(|&samples| measure(samples, 1, REPEATS));
                let contended =
                    CONTENDED_SIZES.iter().filter(|&&size| machine.lanes > 1 && size <= model.max_samples);
                contended.for_each(|&samples| measure(samples, machine.lanes, 3 * machine.lanes));
                let (late, max_delay, max_samples) = (model.late, 0, model.max_samples);
                queue.add_line(LineOptions { model: share, max_samples, late, max_delay }, costs);
            }
        }
        Paceline { queue, posts: vec![Post::default(); machine.lanes] }
    }

    fn load(&self, busy: usize) -> Load {
        let running = self.posts.iter().map(|post| post.latest).sum();
        Load { lanes: self.posts.len(), busy, waiting: self.queue.samples(), running }
    }
}

impl Scheduler for Paceline {
    fn name(&self) -> String {
        "paceline".into()
    }

    fn offer(&mut self, number: usize, request: &Request, busy: usize) -> bool {
        let &Request { line, samples, deadline, priority, arrived: now, .. } = request;
        let arrival = Arrival { samples, bytes: samples * 4096, deadline, priority, now };
        let ahead = self.posts.iter().map(|post| post.until.saturating_sub(now)).collect();
        let load = self.load(busy);
        let Ok(arrival) = self.queue.admit(line, &arrival, &BOUNDS, load, &ahead) else { return false };
        self.queue.push(line, &arrival, load.lanes, (number, samples));
        true
    }

    fn next(
        &mut self,
        lane: usize,
        busy: usize,
        now: Nanos,
        batch: &mut Vec<usize>,
        shed: &mut Vec<usize>,
    ) -> Next {
        let (mut taken, mut late) = (Vec::new(), Vec::new());
        let decision = loop {
            let load = self.load(busy);
            match self.queue.take_batch(load, now, &mut taken, &mut late) {
                Decision::Take(Take { samples: 0, .. }) => continue,
                decision => break decision,
            }
        };
        shed.extend(late.into_iter().map(|(number, _)| number));
        let next = match decision {
            Decision::Take(Take { line, samples, predicted, .. }) => {
                debug_assert_eq!(samples, taken.iter().map(|&(_, samples)| samples).sum::<usize>());
                batch.extend(taken.into_iter().map(|(number, _)| number));
                self.posts[lane] =
                    Post { latest: samples, until: now.saturating_add(predicted), line, busy, predicted };
                return Next::Execute { line };
            }
            Decision::Wait { until } => Next::Wait { until },
            Decision::Idle => Next::Idle,
        };
        self.posts[lane] = Post::default();
        next
    }

    fn finished(&mut self, lane: usize, took: Nanos) {
        let Post { latest, line, busy, predicted, .. } = self.posts[lane];
        self.queue.executed(line, latest, busy, predicted, took);
    }

    fn is_ripe(&self) -> bool {
        !self.queue.is_empty()
    }
}
