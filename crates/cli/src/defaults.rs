//! What is measured without a choice: the study's own models and numbers.

use paceline_study::Suite;

/// What one suite measures without a choice.
pub struct Defaults {
    pub models: &'static [&'static str],
    pub callers: &'static [usize],
    pub batches: &'static [usize],
    /// Batches of the callers with a session each, for models that have their own.
    pub thread_batches_of: &'static [(&'static str, usize)],
    /// Rates of open loops, as shares of the best rate.
    pub shares: &'static [f64],
}

/// Time of a measurement in seconds, and the rounds that it has.
pub const TIMES: [(f64, usize); 2] = [(0.12, 6), (0.05, 5)];

const NOTHING: Defaults =
    Defaults { models: &[], callers: &[], batches: &[], thread_batches_of: &[], shares: &[] };

/// Of a suite; `quick` is with fewer models and points.
pub fn of(suite: Suite, quick: bool) -> Defaults {
    match (suite, quick) {
        (Suite::Ops | Suite::Layers | Suite::Mixed, _) => NOTHING,
        (Suite::Stress, false) => {
            Defaults { models: &["linear", "mlp", "conv1d", "tlayer", "mha"], ..NOTHING }
        }
        (Suite::Stress, true) => Defaults { models: &["linear", "mlp"], ..NOTHING },
        (Suite::Threads, false) => Defaults {
            models: &["linear", "mlp", "tlayer", "t6", "linear-2048"],
            callers: &[1, 2, 4, 6, 8, 12, 16],
            thread_batches_of: &[("linear-2048", 32)],
            ..NOTHING
        },
        (Suite::Threads, true) => {
            Defaults { models: &["linear", "mlp", "tlayer"], callers: &[1, 2, 8], ..NOTHING }
        }
        (Suite::Workload, false) => Defaults {
            models: &["linear", "linear-512", "linear-1024", "linear-2048", "linear-4096"],
            callers: &[8],
            ..NOTHING
        },
        (Suite::Workload, true) => Defaults { models: &["linear", "linear-1024"], callers: &[8], ..NOTHING },
        (Suite::Batches, false) => Defaults {
            models: &["linear", "linear-2048", "mlp", "conv1d", "tlayer", "t6", "speech", "translation"],
            batches: &[1, 2, 4, 8, 16, 32, 64, 128, 256],
            ..NOTHING
        },
        (Suite::Batches, true) => {
            Defaults { models: &["linear", "mlp", "tlayer"], batches: &[1, 8, 64], ..NOTHING }
        }
        (Suite::Compare, false) => {
            Defaults { models: &["linear", "mlp", "conv1d", "tlayer"], callers: &[2, 4, 8, 16], ..NOTHING }
        }
        (Suite::Compare, true) => {
            Defaults { models: &["linear", "mlp", "tlayer"], callers: &[2, 8], ..NOTHING }
        }
        (Suite::Saturation, false) => Defaults {
            models: &["linear", "mlp", "tlayer"],
            callers: &[1, 2, 4, 8, 16, 32, 64, 128, 256],
            shares: &[0.25, 0.5, 0.75, 0.9],
            ..NOTHING
        },
        (Suite::Saturation, true) => {
            Defaults { models: &["mlp"], callers: &[1, 8, 64], shares: &[0.5, 0.9], ..NOTHING }
        }
        (Suite::Workers, false) => Defaults { models: &["linear", "mlp"], ..NOTHING },
        (Suite::Workers, true) => Defaults { models: &["mlp"], ..NOTHING },
        (Suite::Soak, _) => Defaults { models: &["linear", "mlp", "tlayer"], ..NOTHING },
    }
}
