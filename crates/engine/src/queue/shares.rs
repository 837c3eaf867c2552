//! Fair shares of the lanes' time. A model's *service* is the time of lanes that it had, divided by its weight. `decide` serves the model with the
//! least. A model that had nothing waiting does not save up its share: it resumes at the service of the model served last
//! (start-time fair queueing: Goyal, Vin and Cheng, 1996).

use super::Queue;
use crate::clock::Nanos;

/// A model's claim to the lanes.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) weight: u32,
    pub(super) service: u64,
    pub(super) waiting: usize,
}

impl Share {
    pub(super) fn weight(&self) -> u64 {
        u64::from(self.weight)
    }
}

/// A larger weight counts as this: time divided by it must not vanish.
const MAX_WEIGHT: u32 = 1000;

impl<T> Queue<T> {
    /// Adds a model with a claim to the lanes' time; its number.
    pub(crate) fn add_model(&mut self, weight: u32) -> usize {
        self.models.push(Share { weight: weight.clamp(1, MAX_WEIGHT), service: self.service, waiting: 0 });
        self.models.len() - 1
    }

    /// Puts a model's account right when the lanes' time that was predicted has been spent.
    pub(crate) fn settle_account(&mut self, model: usize, predicted: Nanos, took: Nanos) {
        let share = &mut self.models[model];
        share.service = (share.service + took / share.weight()).saturating_sub(predicted / share.weight());
    }

    /// Changes a model's claim to the lanes' time.
    pub(crate) fn set_weight(&mut self, model: usize, weight: u32) {
        let (weight, share) = (weight.clamp(1, MAX_WEIGHT), &mut self.models[model]);
        if share.waiting > 0 {
            self.active_weight = self.active_weight - share.weight() + u64::from(weight);
        }
        share.weight = weight;
    }

    /// Counts lane time that is about to be spent on a request of this line that did not wait.
    pub(crate) fn charge(&mut self, line: usize, predicted: Nanos) {
        let Some(waiting) = self.lines.get(line).and_then(Option::as_ref) else { return };
        let share = &mut self.models[waiting.options.model];
        share.service = share.service.max(self.service);
        self.service = share.service;
        share.service += predicted / share.weight();
    }
}
