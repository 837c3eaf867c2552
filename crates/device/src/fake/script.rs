//! What a script sees of an execution, and what it may answer.

use super::gate::Gate;

/// What a script may look at before an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Executions of this program before this one.
    pub number: u64,
    /// Which session runs it: sessions are numbered from 0 in the order they were opened.
    pub session: u64,
    /// The samples of each part, in order.
    pub parts: Vec<usize>,
    /// The first element of the first input of each part, in order; 0 where a part has no element.
    pub firsts: Vec<f64>,
}

impl Execution {
    /// Samples of all parts.
    pub fn samples(&self) -> usize {
        self.parts.iter().sum()
    }
}

/// What an execution does after its latency.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Writes `2x + 1`.
    Compute,
    /// Returns [`crate::DeviceError::Failed`]; the session stays usable.
    Fail(String),
    /// Returns [`crate::DeviceError::Lost`], as does every later execution of this session.
    Lose(String),
    /// Panics with this message.
    Panic(String),
    /// Waits for the gate, then computes.
    Hang(Gate),
}
