//! `paceline worker`: an engine in a process of its own, for the process that started it.

use std::sync::Arc;

use paceline::seam::Program;
use paceline::workers::{self, Assignment, Source as WorkerSource};

use crate::Verdict;
use crate::source::{ModelFile, Source};
use crate::subjects::device_by_name;

/// Serves until the parent is gone.
pub fn run() -> anyhow::Result<Verdict> {
    // The parent is told the causes too.
    workers::run(|assignment| programs(assignment).map_err(|error| crate::message(&error).into()))?;
    Ok(Verdict::Right)
}

fn programs(assignment: &Assignment<'_>) -> anyhow::Result<Vec<Arc<dyn Program>>> {
    let device = device_by_name(assignment.device)?;
    let WorkerSource::Custom { description } = &assignment.model.source else {
        return assignment.compile(&*device).map_err(anyhow::Error::from_boxed);
    };
    let file: ModelFile = serde_json::from_str(description)?;
    let source = file.path.parse::<Source>().map_err(anyhow::Error::msg)?;
    let loaded = source.load(&file.options, 0)?;
    assignment.compile_graph(&loaded.graph, &*device).map_err(anyhow::Error::from_boxed)
}
