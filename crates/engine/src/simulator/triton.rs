//! Triton's dynamic batcher, after its source (`dynamic_batch_scheduler.cc`, `instance_queue.cc`): for each model, a batch is the
//! first requests of a first-in-first-out queue up to the first of another shape, released when it is full, when the shape
//! ends it, or when its first request has waited for `max_queue_delay`. Up to two batches for each instance are formed before
//! an instance is free. With a delay, one that is taken is merged with those behind it that have waited for longer. No size is
//! preferred. With `levels`, higher priorities go strictly first.

use std::collections::VecDeque;

use super::scenarios::Model;
use super::scheduler::{Next, Scheduler};
use super::traffic::Request;
use crate::clock::Nanos;

pub(super) struct Triton {
    delay: Nanos,
    instances: usize,
    levels: bool,
    /// By line, its model.
    models: Vec<usize>,
    batchers: Vec<Batcher>,
}

/// The batcher of one model.
#[derive(Default)]
struct Batcher {
    max_samples: usize,
    /// Highest priority first, in order of arrival.
    waiting: VecDeque<Waiting>,
    formed: VecDeque<Formed>,
}

#[derive(Clone, Copy)]
struct Waiting {
    number: usize,
    line: usize,
    samples: usize,
    arrived: Nanos,
    priority: i8,
}

struct Formed {
    line: usize,
    samples: usize,
    numbers: Vec<usize>,
    first: Nanos,
    at: Nanos,
}

impl Triton {
    pub(super) fn new(
        models: &[Model],
        instances: usize,
        max_samples: usize,
        delay: Nanos,
        levels: bool,
    ) -> Self {
        let batcher =
            |model: &Model| Batcher { max_samples: model.max_samples.min(max_samples), ..Batcher::default() };
        let of_lines = models.iter().enumerate().flat_map(|(i, model)| model.curves.iter().map(move |_| i));
        Triton {
            delay,
            instances,
            levels,
            models: of_lines.collect(),
            batchers: models.iter().map(batcher).collect(),
        }
    }
}

impl Batcher {
    /// Forms batches as long as there is room for them.
    fn form(&mut self, room: usize, delay: Nanos, now: Nanos) {
        while self.formed.len() < room {
            let Some(first) = self.waiting.front().copied() else { return };
            let (mut count, mut samples) = (0, 0);
            for waiting in &self.waiting {
                if waiting.line != first.line || count > 0 && samples + waiting.samples > self.max_samples {
                    break;
                }
                (count, samples) = (count + 1, samples + waiting.samples);
            }
            let cut = count < self.waiting.len() || samples >= self.max_samples;
            if !cut && now < first.arrived + delay {
                return;
            }
            let numbers = self.waiting.drain(..count).map(|waiting| waiting.number).collect();
            self.formed.push_back(Formed {
                line: first.line,
                samples,
                numbers,
                first: first.arrived,
                at: now,
            });
        }
    }
}

impl Scheduler for Triton {
    fn name(&self) -> String {
        let levels = if self.levels { ", priorities" } else { "" };
        format!("triton {:.1} ms{levels}", self.delay as f64 / 1e6)
    }

    fn offer(&mut self, number: usize, request: &Request, _: usize) -> bool {
        let &Request { line, samples, arrived, priority, .. } = request;
        let priority = if self.levels { priority } else { 0 };
        let batcher = &mut self.batchers[self.models[line]];
        let position = batcher.waiting.partition_point(|waiting| waiting.priority >= priority);
        batcher.waiting.insert(position, Waiting { number, line, samples, arrived, priority });
        batcher.form(2 * self.instances, self.delay, arrived);
        true
    }

    fn next(&mut self, _: usize, _: usize, now: Nanos, batch: &mut Vec<usize>, _: &mut Vec<usize>) -> Next {
        for batcher in &mut self.batchers {
            batcher.form(2 * self.instances, self.delay, now);
        }
        let formed = self.batchers.iter_mut().filter(|batcher| !batcher.formed.is_empty());
        let Some(batcher) = formed.min_by_key(|batcher| batcher.formed.front().map(|formed| formed.at))
        else {
            let waiting = self.batchers.iter().filter_map(|batcher| batcher.waiting.front());
            let until = waiting.map(|first| first.arrived + self.delay).min();
            return until.map_or(Next::Idle, |until| Next::Wait { until });
        };
        let Some(mut taken) = batcher.formed.pop_front() else { return Next::Idle };
        while self.delay > 0
            && let Some(behind) = batcher.formed.front()
            && behind.line == taken.line
            && taken.samples + behind.samples <= batcher.max_samples
            && now > behind.first + self.delay
            && let Some(mut behind) = batcher.formed.pop_front()
        {
            taken.samples += behind.samples;
            taken.numbers.append(&mut behind.numbers);
        }
        batcher.form(2 * self.instances, self.delay, now);
        batch.append(&mut taken.numbers);
        Next::Execute { line: taken.line }
    }

    fn finished(&mut self, _: usize, _: Nanos) {}

    fn is_ripe(&self) -> bool {
        self.batchers.iter().any(|batcher| !batcher.formed.is_empty())
    }
}
