//! The check of every operator, layer and model from many threads at once.
//!
//! Callers wait for each answer, and send every second request by ticket, so that they share batches. Each answer is compared,
//! bit for bit, with what the same sample gives alone, and that with the reference within tolerance.

use paceline_device::Device;
use paceline_device::conformance::{Case, cases};
use serde::{Deserialize, Serialize};

use crate::runner::check_answers;
use crate::subject::case_workload;
use crate::workload::Workload;
use crate::{DeviceRow, Machine, StudyError, Subject};

/// What is checked, and how.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Whether every operator and layer of the conformance suite is checked.
    pub cases: bool,
    /// The models that are.
    pub subjects: Vec<Subject>,
    /// Threads that call at once.
    pub callers: usize,
    /// Calls of each, for every case.
    pub iterations: u64,
    /// Lanes of the engine.
    pub lanes: usize,
    /// From which samples are drawn.
    pub seed: u64,
}

/// What a verification found, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of Paceline.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub commit: String,
    /// The command line.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// The device.
    pub device: DeviceRow,
    /// One an operator, layer or model.
    pub checks: Vec<Checked>,
}

/// The schema of [`Findings`] that this version writes.
pub const SCHEMA: &str = "paceline.verify/1";

/// What came of one operator, layer or model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// `operator`, `structure`, `layer`, `model`, `random graph`.
    pub kind: String,
    /// The operator, layer or model.
    pub name: String,
    /// Graphs that stand for it.
    pub cases: usize,
    /// Calls made.
    pub expected: u64,
    /// Calls answered with the expected bits.
    pub right: u64,
    /// Calls answered with an error.
    pub errors: u64,
    /// Calls answered with other bits.
    pub wrong: u64,
    /// Calls a second.
    pub ops_per_s: f64,
    /// What went wrong, a line each.
    pub problems: Vec<String>,
}

impl Checked {
    /// Whether every call was answered rightly, and the reference agrees.
    pub fn is_right(&self) -> bool {
        self.right == self.expected && self.problems.is_empty()
    }

    fn new(kind: impl ToString, name: &str) -> Self {
        Checked {
            kind: kind.to_string(),
            name: name.to_string(),
            cases: 0,
            expected: 0,
            right: 0,
            errors: 0,
            wrong: 0,
            ops_per_s: 0.0,
            problems: Vec::new(),
        }
    }
}

impl Verification {
    /// Checks; `observer` is told of each operator, layer and model when it is begun, with how many there are, and when it is
    /// done.
    pub fn run(
        &self,
        device: &dyn Device,
        observer: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Checked>, StudyError> {
        let groups = if self.cases { grouped(cases()) } else { Vec::new() };
        observer(Progress::Planned { checks: groups.len() + self.subjects.len() });
        let mut all = Vec::new();
        let mut finish = |checked: Checked, observer: &mut dyn FnMut(Progress<'_>)| {
            observer(Progress::Checked(&checked));
            all.push(checked);
        };
        for group in groups {
            observer(Progress::Checking { name: group[0].subject() });
            let mut checked = Checked::new(group[0].kind(), group[0].subject());
            let mut seconds = 0.0;
            for case in &group {
                let workload = || case_workload(device, case, self.seed, self.callers);
                seconds += self.check(case.name(), workload, &mut checked)?;
            }
            checked.ops_per_s = if seconds > 0.0 { checked.expected as f64 / seconds } else { 0.0 };
            finish(checked, observer);
        }
        for subject in &self.subjects {
            let name = subject.model.name();
            observer(Progress::Checking { name });
            let mut checked = Checked::new("model", name);
            let workload = || subject.workload(device, self.seed, self.callers);
            let seconds = self.check(name, workload, &mut checked)?;
            checked.ops_per_s = if seconds > 0.0 { checked.expected as f64 / seconds } else { 0.0 };
            finish(checked, observer);
        }
        Ok(all)
    }

    /// Checks one graph, and says how many seconds its calls took. A device that computes it wrongly is a finding, not an error.
    fn check(
        &self,
        name: &str,
        workload: impl FnOnce() -> Result<Workload, StudyError>,
        checked: &mut Checked,
    ) -> Result<f64, StudyError> {
        checked.cases += 1;
        let calls = self.callers as u64 * self.iterations;
        checked.expected += calls;
        let workload = match workload() {
            Ok(workload) => workload,
            Err(error) if error.is_of_the_device() => {
                checked.problems.push(error.to_string());
                return Ok(0.0);
            }
            Err(error) => return Err(error),
        };
        let tally = check_answers(&workload, self.callers, self.lanes, self.iterations)?;
        checked.right += tally.completed - tally.wrong;
        checked.errors += tally.errors;
        checked.wrong += tally.wrong;
        if tally.wrong > 0 {
            checked
                .problems
                .push(format!("{name}: {} of {calls} answers have other bits than alone", tally.wrong));
        }
        if let Some(error) = tally.first_error {
            checked.problems.push(format!("{name}: {} of {calls} calls failed: {error}", tally.errors));
        }
        Ok(tally.measured as f64 / tally.calls_per_s)
    }
}

/// What a verification tells while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// How many operators, layers and models there are.
    Planned {
        /// Their number.
        checks: usize,
    },
    /// One is begun.
    Checking {
        /// Its name.
        name: &'a str,
    },
    /// It is done.
    Checked(&'a Checked),
}

/// Cases by kind and subject, in the order of the kinds.
fn grouped(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut groups: Vec<Vec<Case>> = Vec::new();
    for case in cases {
        let same = |group: &Vec<Case>| group[0].kind() == case.kind() && group[0].subject() == case.subject();
        match groups.iter().position(same) {
            Some(index) => groups[index].push(case),
            None => groups.push(vec![case]),
        }
    }
    groups.sort_by_key(|group| group[0].kind());
    groups
}
