//! A batcher with a fixed window, as in LitServe and BentoML: a batch is released when it is full or when its first request has
//! waited for the window. Where those open the window when a worker takes the first request, this one opens it when the request
//! comes, which is kinder. Each shape has a window of its own.

use std::collections::VecDeque;

use super::scheduler::{Next, Scheduler};
use super::traffic::Request;
use crate::clock::Nanos;

pub(super) struct Window {
    window: Nanos,
    max_samples: usize,
    /// Requests that may wait.
    bound: Option<usize>,
    /// By line: number, samples, arrival.
    lines: Vec<VecDeque<(usize, usize, Nanos)>>,
}

impl Window {
    pub(super) fn new(lines: usize, window: Nanos, max_samples: usize, bound: Option<usize>) -> Self {
        Window { window, max_samples, bound, lines: vec![VecDeque::new(); lines] }
    }

    fn ripe_at(&self, line: &VecDeque<(usize, usize, Nanos)>) -> Option<Nanos> {
        let &(_, _, arrived) = line.front()?;
        let samples: usize = line.iter().take(self.max_samples).map(|&(_, samples, _)| samples).sum();
        Some(if samples >= self.max_samples { arrived } else { arrived + self.window })
    }
}

impl Scheduler for Window {
    fn name(&self) -> String {
        let bound = self.bound.map_or(String::new(), |bound| format!(", queue {bound}"));
        format!("window {:.1} ms{bound}", self.window as f64 / 1e6)
    }

    fn offer(&mut self, number: usize, request: &Request, _: usize) -> bool {
        if self.bound.is_some_and(|bound| self.lines.iter().map(VecDeque::len).sum::<usize>() >= bound) {
            return false;
        }
        self.lines[request.line].push_back((number, request.samples, request.arrived));
        true
    }

    fn next(&mut self, _: usize, _: usize, now: Nanos, batch: &mut Vec<usize>, _: &mut Vec<usize>) -> Next {
        let times = (0..self.lines.len()).filter_map(|line| Some((self.ripe_at(&self.lines[line])?, line)));
        let Some((until, line)) = times.min() else { return Next::Idle };
        if until > now {
            return Next::Wait { until };
        }
        let mut room = self.max_samples;
        while let Some(&(number, samples, _)) = self.lines[line].front()
            && (samples <= room || batch.is_empty())
        {
            room = room.saturating_sub(samples);
            batch.push(number);
            self.lines[line].pop_front();
        }
        Next::Execute { line }
    }

    fn finished(&mut self, _: usize, _: Nanos) {}

    fn is_ripe(&self) -> bool {
        false
    }
}
