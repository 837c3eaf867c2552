//! Models that are added, replaced and removed under load.

use std::sync::Arc;

use super::Dispatch;
use super::state::{Model, Phase, State};
use crate::cost::CostTable;
use crate::loaded::Loaded;
use crate::queue::LineOptions;
use crate::serving::Serving;
use crate::sync::{Thread, lock};

/// Why a model is not added or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    NameTaken,
    NoSuchModel,
    Draining,
}

/// Programs to be served, each with its line's options and costs.
pub(crate) type Lines = Vec<(Arc<Serving>, LineOptions, CostTable)>;

impl Dispatch {
    /// Adds a model with this weight.
    pub(crate) fn add_model(
        &self,
        mut loaded: Loaded,
        weight: u32,
        lines: Lines,
    ) -> Result<Arc<Loaded>, Conflict> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Conflict::Draining);
        }
        if state.find(&loaded.name).is_some() {
            return Err(Conflict::NameTaken);
        }
        let share = state.queue.add_model(weight);
        loaded.slot = share;
        let loaded = Arc::new(loaded);
        let lines = state.add_lines(share, lines);
        state.models.push(Some(Model { loaded: Arc::clone(&loaded), lines, version: 1 }));
        Ok(loaded)
    }

    /// Has other programs serve a model from the next request on; its version.
    pub(crate) fn replace_model(&self, slot: usize, weight: u32, lines: Lines) -> Result<u64, Conflict> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(Conflict::Draining);
        }
        if state.models[slot].is_none() {
            return Err(Conflict::NoSuchModel);
        }
        state.queue.set_weight(slot, weight);
        let new = state.add_lines(slot, lines);
        let Some(model) = &mut state.models[slot] else { unreachable!("it was there under the same lock") };
        model.version += 1;
        let (version, old) = (model.version, std::mem::replace(&mut model.lines, new));
        let gone = state.retire_lines(&old);
        let woken = self.rouse(&mut state);
        drop(state);
        drop(gone);
        woken.iter().for_each(Thread::unpark);
        Ok(version)
    }

    /// Accepts no more requests for a model; what waits for it is served. Whether there was such a model.
    pub(crate) fn remove_model(&self, name: &str) -> bool {
        let mut state = lock(&self.state);
        let Some(slot) = state.find(name) else { return false };
        let Some(model) = state.models[slot].take() else { return false };
        let gone = state.retire_lines(&model.lines);
        let woken = self.rouse(&mut state);
        drop(state);
        drop((gone, model));
        woken.iter().for_each(Thread::unpark);
        true
    }

    /// The models, in the order they were added.
    pub(crate) fn models(&self) -> Vec<Arc<Loaded>> {
        lock(&self.state).models.iter().flatten().map(|model| Arc::clone(&model.loaded)).collect()
    }

    /// The model of this name.
    pub(crate) fn model(&self, name: &str) -> Option<Arc<Loaded>> {
        let state = lock(&self.state);
        state.models[state.find(name)?].as_ref().map(|model| Arc::clone(&model.loaded))
    }

    /// Which version serves a model; `None` when it was unloaded.
    pub(crate) fn version(&self, slot: usize) -> Option<u64> {
        lock(&self.state).models[slot].as_ref().map(|model| model.version)
    }

    /// Looks something up in what is known of the costs of a model's variant; `None` when it was unloaded.
    pub(crate) fn costs<T>(
        &self,
        slot: usize,
        variant: usize,
        look_up: impl FnOnce(&CostTable) -> T,
    ) -> Option<T> {
        let state = lock(&self.state);
        let line = state.models[slot].as_ref()?.lines[variant];
        state.queue.costs(line).map(look_up)
    }

    /// Every program that is served.
    pub(crate) fn serving(&self) -> Vec<Arc<Serving>> {
        lock(&self.state).serving.iter().flatten().cloned().collect()
    }
}

impl State {
    fn find(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model.as_ref().is_some_and(|model| &*model.loaded.name == name))
    }

    fn add_lines(&mut self, share: usize, lines: Lines) -> Vec<usize> {
        let add = |(serving, options, costs): (Arc<Serving>, LineOptions, CostTable)| {
            let line = self.queue.add_line(LineOptions { model: share, ..options }, costs);
            self.serving.resize_with(self.serving.len().max(line + 1), || None);
            self.serving[line] = Some(serving);
            line
        };
        lines.into_iter().map(add).collect()
    }

    /// Lines to which nothing is added any more; the programs of those where nothing waits.
    fn retire_lines(&mut self, lines: &[usize]) -> Vec<Option<Arc<Serving>>> {
        let retire =
            |&line: &usize| if self.queue.retire_line(line) { self.serving[line].take() } else { None };
        lines.iter().map(retire).collect()
    }
}
