//! `paceline worker`: an engine in a process of its own, for the process that started it.

use paceline::workers;

use crate::Verdict;

/// Serves until the parent is gone.
pub fn run() -> anyhow::Result<Verdict> {
    workers::run(|assignment| {
        let device = paceline::device(assignment.device)?;
        assignment.model.compile(&*device)
    })?;
    Ok(Verdict::Right)
}
