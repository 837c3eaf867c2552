//! What a device promises, and what of the suite is run on it.

use super::{Case, Check};

/// What a device promises, and what of the suite is run on it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the device promises that a sample's result has the same bits whatever batch, position, session and thread it
    /// was computed in. If not, such results must only agree with the reference within tolerance.
    pub bitwise: bool,
    /// Multiplies the tolerance of every case that has one; above 1 for a device of lower precision.
    pub tolerance_factor: f32,
    /// From which the inputs are drawn.
    pub seed: u64,
    /// At most this many samples of any case, for slow devices.
    pub max_samples: usize,
    /// Threads that share a program.
    pub threads: usize,
    /// Executions of each thread.
    pub executions: usize,
    /// Only cases whose name matches one of these patterns, where there are any; `*` stands for any text.
    pub only: Vec<String>,
    /// What is known not to pass.
    pub ignore: Vec<Ignore>,
    /// Whether a graph that the device does not support counts as a fault, unless it is in the ignore list.
    pub unsupported_is_a_fault: bool,
}

/// What is known not to pass, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignore {
    /// Case names; `*` stands for any text.
    pub pattern: String,
    /// One check, or all of them.
    pub check: Option<Check>,
    /// Why it does not pass.
    pub reason: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bitwise: true,
            tolerance_factor: 1.0,
            seed: 1,
            max_samples: 64,
            threads: 8,
            executions: 3,
            only: Vec::new(),
            ignore: Vec::new(),
            unsupported_is_a_fault: true,
        }
    }
}

impl Options {
    /// Whether a case is to be run.
    pub fn selects(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| matches(pattern, case.name()))
    }
}

impl Ignore {
    /// Whether this entry is about `check` of the case of this name.
    pub fn covers(&self, case: &str, check: Check) -> bool {
        self.check.is_none_or(|of| of == check) && matches(&self.pattern, case)
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|&i| rest.is_char_boundary(i)).any(|i| matches(after, &rest[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("Conv/a", "Conv/a", true),
            ("Conv/a", "Conv/ab", false),
            ("Conv/*", "Conv/", true),
            ("Conv/*", "ConvTranspose/a", false),
            ("*/extreme*", "Relu/extreme-17", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
