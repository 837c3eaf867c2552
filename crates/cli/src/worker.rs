//! `paceline worker`: an engine in a process of its own, for the process that started it.

use paceline::workers::{self, Source as WorkerSource};

use crate::Verdict;
use crate::source::{ModelFile, Source};
use crate::subjects::device_by_name;

/// Serves until the parent is gone.
pub fn run() -> anyhow::Result<Verdict> {
    workers::run(|assignment| {
        let device = device_by_name(assignment.device)?;
        let WorkerSource::Custom { description } = &assignment.model.source else {
            return assignment.compile(&*device);
        };
        let file: ModelFile = serde_json::from_str(description)?;
        let loaded = file.path.parse::<Source>()?.load(&file.options, 0)?;
        assignment.compile_graph(&loaded.graph, &*device)
    })?;
    Ok(Verdict::Right)
}
