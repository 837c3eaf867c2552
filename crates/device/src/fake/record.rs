//! What a fake program remembers of its executions.

use std::sync::Mutex;
use std::time::Instant;

use super::lock;
use super::script::Execution;

/// One execution that took place.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What the script saw.
    pub execution: Execution,
    /// When `launch` was called.
    pub start: Instant,
    /// When it returned; also set when it panicked.
    pub end: Instant,
}

/// Adds its record when the execution ends, also by a panic.
pub(super) struct Recorder<'a> {
    pub to: &'a Mutex<Vec<Record>>,
    pub execution: Execution,
    pub start: Instant,
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        let record = Record { execution: self.execution.clone(), start: self.start, end: Instant::now() };
        lock(self.to).push(record);
    }
}
