//! `paceline worker`: an engine in a process of its own, for the process that started it.

use paceline::workers;

use crate::Verdict;
use crate::subjects::device_by_name;

/// Serves until the parent is gone.
pub fn run() -> anyhow::Result<Verdict> {
    workers::run(|assignment| {
        let device = device_by_name(assignment.device)?;
        assignment.model.compile(&*device)
    })?;
    Ok(Verdict::Right)
}
