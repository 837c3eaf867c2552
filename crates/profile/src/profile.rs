//! What a profile file holds.

use paceline_engine::MeasuredCost;
use serde::{Deserialize, Serialize};

use crate::{CostRow, Machine, ModelPrint, Recommendation, Use};

/// The schema that this version reads and writes.
pub const SCHEMA: &str = "paceline.profile/1";

/// What tuning a model on a machine found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// [`SCHEMA`].
    pub schema: String,
    /// Commit that it was made with, or `unknown`.
    pub commit: String,
    /// The command that made it.
    pub command: String,
    /// When: UTC, RFC 3339.
    pub created: String,
    /// The machine that it is true of.
    pub machine: Machine,
    /// The model that it is true of.
    pub model: ModelPrint,
    /// What it was tuned for: an engine takes this recommendation.
    pub chosen: Use,
    /// One for each use that was tuned for, the chosen one among them.
    pub recommendations: Vec<Recommendation>,
    /// What executions cost.
    pub costs: Vec<CostRow>,
    /// The most lanes of which each gives at least 5 % more samples a second than one less.
    pub knee_lanes: usize,
    /// What a reader should know: what was left out for lack of time, which prediction failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Profile {
    /// The recommendation for a use, if it was tuned for.
    pub fn recommendation(&self, purpose: Use) -> Option<&Recommendation> {
        self.recommendations.iter().find(|recommendation| recommendation.purpose == purpose)
    }

    /// The recommendation that an engine takes. There is one in every profile that was read; `None` for one that was put together
    /// otherwise.
    pub fn chosen(&self) -> Option<&Recommendation> {
        self.recommendation(self.chosen)
    }

    /// The costs from which an engine starts.
    pub fn engine_costs(&self) -> Vec<MeasuredCost> {
        self.costs.iter().filter_map(CostRow::for_engine).collect()
    }

    /// The content of the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a profile has names as keys and no foreign types") + "\n"
    }
}
