//! The profiles that an engine was given: which of them are of this machine, and which is of a model.

use std::sync::{Mutex, PoisonError};

use paceline_graph::Graph;
use paceline_profile::{Configuration, Machine, Mismatch, ModelPrint, Profile};

/// The profiles of an engine.
pub(crate) struct Profiles {
    /// Those of this machine.
    usable: Vec<Profile>,
    mismatches: Mutex<Vec<Mismatch>>,
}

impl Profiles {
    pub(crate) fn new(profiles: Vec<Profile>, here: &Machine) -> Self {
        let (mut usable, mut mismatches) = (Vec::<Profile>::new(), Vec::new());
        for profile in profiles {
            let differences = profile.machine.differences(here);
            if differences.is_empty() {
                usable.push(profile);
            } else {
                let mismatch = Mismatch::Machine { profile: profile.model.name, differences };
                tracing::warn!("{mismatch}");
                mismatches.push(mismatch);
            }
        }
        if let Some(first) = usable.first()
            && let Some(configuration) = first.chosen().map(|chosen| chosen.configuration)
            && configuration.workers > 0
        {
            let mismatch = Mismatch::Workers { profile: first.model.name.clone(), configuration };
            tracing::warn!("{mismatch}");
            mismatches.push(mismatch);
        }
        Profiles { usable, mismatches: Mutex::new(mismatches) }
    }

    /// What the first recommends.
    pub(crate) fn first(&self) -> Option<Configuration> {
        Some(self.usable.first()?.chosen()?.configuration)
    }

    /// The profile of a model; takes note where there is none although there are others.
    pub(crate) fn of(&self, name: &str, graph: &Graph) -> Option<&Profile> {
        if self.usable.is_empty() {
            return None;
        }
        let here = ModelPrint::of(name, graph);
        let found = self.usable.iter().find(|profile| profile.model.is_alike(&here));
        if found.is_none() {
            let profiles = self.usable.iter().map(|profile| profile.model.clone()).collect();
            let mismatch = Mismatch::Model { name: name.into(), here, profiles };
            tracing::warn!("{mismatch}");
            self.mismatches.lock().unwrap_or_else(PoisonError::into_inner).push(mismatch);
        }
        found
    }

    pub(crate) fn mismatches(&self) -> Vec<Mismatch> {
        self.mismatches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
