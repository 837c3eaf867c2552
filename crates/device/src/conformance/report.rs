//! What the suite found.

use std::fmt;

/// One property that every device must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The graph compiles; the program has the graph's signature and sound batch sizes, and opens. Where the device cannot run
    /// it, the error lists every node concerned.
    Compile,
    /// Each sample on its own agrees with the reference interpreter.
    Reference,
    /// Batches of 0, 1, 2, 7 ... samples agree with the samples alone; every output element is written, nothing else is.
    Batches,
    /// A batch of several parts agrees with the samples alone, whatever the parts' sizes and order.
    Parts,
    /// NaN, infinities and absurd indices in some samples change no other sample.
    Isolation,
    /// One session serves batches that grow and shrink.
    Reuse,
    /// Two executions launched before the first is finished keep apart.
    InFlight,
    /// Threads with a session each share a program.
    Threads,
    /// An execution that is open to help gives the same with help and without; a helper with nothing to do comes back.
    Help,
    /// A batch that does not fit is refused, touches no output and leaves the session usable.
    WrongBatches,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Check::Compile => "compile",
            Check::Reference => "reference",
            Check::Batches => "batches",
            Check::Parts => "parts",
            Check::Isolation => "isolation",
            Check::Reuse => "reuse",
            Check::InFlight => "in flight",
            Check::Threads => "threads",
            Check::Help => "help",
            Check::WrongBatches => "wrong batches",
        })
    }
}

/// How one check of one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Passed,
    /// Not as it should be; the text says how to make it happen again.
    Failed(String),
    /// The device does not run this graph, and says why.
    Unsupported(String),
    /// It did not pass, and the options said that it would not.
    Ignored {
        /// The reason that the options gave.
        reason: String,
        /// What went wrong.
        message: String,
    },
}

/// One check of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The case's name.
    pub case: String,
    /// What was checked.
    pub check: Check,
    /// How it ended.
    pub status: Status,
}

/// What the suite found on one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The device's id and instruction set.
    pub device: String,
    /// Every check of every case, in order.
    pub outcomes: Vec<Outcome>,
    /// Entries of the ignore list that hide nothing: what they name passes, or does not exist.
    pub stale: Vec<String>,
    /// Whether a graph that the device does not support counts as a fault.
    pub unsupported_is_a_fault: bool,
}

impl Report {
    /// The outcomes that are not as they should be.
    pub fn faults(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| match outcome.status {
            Status::Failed(_) => true,
            Status::Unsupported(_) => self.unsupported_is_a_fault,
            Status::Passed | Status::Ignored { .. } => false,
        })
    }

    /// Whether there is no fault and no stale ignore.
    pub fn is_clean(&self) -> bool {
        self.faults().next().is_none() && self.stale.is_empty()
    }

    /// For tests: nothing, when the report is clean and any check was made.
    ///
    /// # Panics
    /// With the report, when it is not.
    pub fn assert_clean(&self) {
        assert!(self.is_clean() && !self.outcomes.is_empty(), "{self}");
    }

    fn count(&self, which: impl Fn(&Status) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| which(&outcome.status)).count()
    }
}

/// Faults written out, failures first; a device that is wrong everywhere would fill the screen.
const FAULTS_SHOWN: usize = 40;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} checks passed, {} failed, {} unsupported, {} ignored",
            self.device,
            self.count(|s| *s == Status::Passed),
            self.count(|s| matches!(s, Status::Failed(_))),
            self.count(|s| matches!(s, Status::Unsupported(_))),
            self.count(|s| matches!(s, Status::Ignored { .. })),
        )?;
        let mut faults: Vec<&Outcome> = self.faults().collect();
        faults.sort_by_key(|fault| !matches!(fault.status, Status::Failed(_)));
        faults.iter().take(FAULTS_SHOWN).try_for_each(|fault| write!(f, "\n  {fault}"))?;
        if faults.len() > FAULTS_SHOWN {
            write!(f, "\n  ... and {} more", faults.len() - FAULTS_SHOWN)?;
        }
        self.stale
            .iter()
            .try_for_each(|stale| write!(f, "\n  the ignore list has {stale}, which hides nothing"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]: ", self.case, self.check)?;
        match &self.status {
            Status::Passed => f.write_str("passed"),
            Status::Failed(message) => f.write_str(message),
            Status::Unsupported(message) => write!(f, "unsupported: {message}"),
            Status::Ignored { reason, message } => write!(f, "ignored ({reason}): {message}"),
        }
    }
}
