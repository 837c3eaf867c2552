//! The profiles that an engine was given: which of them are of this machine, and which is of a model.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use paceline_graph::Graph;
use paceline_profile::{Difference, Machine, ModelPrint, Profile, Recommendation};

/// Why a profile was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is of another machine or device: nothing in it was used.
    Machine {
        /// The model that it is of.
        profile: String,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// No profile of this machine is of a model that was loaded: its costs were measured.
    Model {
        /// The name under which it was loaded.
        name: String,
        /// Its fingerprint.
        here: ModelPrint,
        /// What the profiles are of.
        profiles: Vec<ModelPrint>,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Machine { profile, differences } => {
                write!(f, "the profile of '{profile}' is of another machine: ")?;
                for (index, difference) in differences.iter().enumerate() {
                    write!(f, "{}{difference}", if index == 0 { "" } else { "; " })?;
                }
                write!(f, "; tune again here")
            }
            Mismatch::Model { name, here, profiles } => {
                write!(f, "no profile is of the model '{name}' ({}), but of ", here.fingerprint)?;
                for (index, print) in profiles.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}'{}' ({})", print.name, print.fingerprint)?;
                }
                write!(f, "; its costs are measured instead")
            }
        }
    }
}

/// The profiles of an engine.
pub(crate) struct Profiles {
    /// Those of this machine.
    usable: Vec<Profile>,
    mismatches: Mutex<Vec<Mismatch>>,
}

impl Profiles {
    pub(crate) fn new(profiles: Vec<Profile>, here: &Machine) -> Self {
        let (mut usable, mut mismatches) = (Vec::new(), Vec::new());
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
        Profiles { usable, mismatches: Mutex::new(mismatches) }
    }

    /// What the first recommends.
    pub(crate) fn first(&self) -> Option<&Recommendation> {
        self.usable.first().and_then(Profile::chosen)
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
