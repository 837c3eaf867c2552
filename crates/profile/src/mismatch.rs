//! Why a profile is not used, or not all of it.

use std::fmt;

use crate::{Configuration, Difference, Machine, ModelPrint, Profile};

/// Why a profile was not used, or not all of it.
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
    /// It recommends worker processes, which an engine inside this process cannot start: the engine has as many lanes as all of them.
    Workers {
        /// The model that it is of.
        profile: String,
        /// What it recommends.
        configuration: Configuration,
    },
    /// The program of the workers compiles a model in a way of its own, so that nobody knows whether the profile is of it: nothing
    /// in it was used.
    Unchecked {
        /// The name of the model.
        name: String,
    },
}

impl Mismatch {
    /// What speaks against using a profile for this model on this machine; nothing where it is of both.
    pub fn of(profile: &Profile, machine: &Machine, model: &ModelPrint) -> Option<Mismatch> {
        let differences = profile.machine.differences(machine);
        if !differences.is_empty() {
            return Some(Mismatch::Machine { profile: profile.model.name.clone(), differences });
        }
        let is_other = !profile.model.is_alike(model);
        is_other.then(|| Mismatch::Model {
            name: model.name.clone(),
            here: model.clone(),
            profiles: vec![profile.model.clone()],
        })
    }
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
            Mismatch::Workers { profile, configuration } => write!(
                f,
                "the profile of '{profile}' recommends {configuration}; an engine inside this process cannot start workers and has as \
                 many lanes as all of them instead; a WorkerPool starts them"
            ),
            Mismatch::Unchecked { name } => write!(
                f,
                "the workers' program does not say whether the profile is of its model '{name}', so its costs are measured instead; \
                 compile the model with Assignment::compile or Assignment::compile_graph"
            ),
        }
    }
}
