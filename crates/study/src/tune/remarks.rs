//! What is said of recommendations: why, and what a reader should know.

use paceline_profile::{Recommendation, Use};

use super::knee::WORTHWHILE;
use super::report::PROMISED;
use super::space::Row;
use super::surface::Surface;
use super::trial::Trial;
use crate::Noise;

/// Why the default is recommended.
pub(crate) const DEFAULT: &str = "the default: what was best in the trials gave less beside it";

/// Why workers are not recommended although they were best in the trials.
pub(crate) const IN_PROCESS: &str =
    "the best in this process: workers were better in the trials, and no longer when that was checked";

/// What other work there was.
pub(crate) fn disturbance(noise: Noise) -> String {
    format!(
        "Other processes had {:.0} % of the machine meanwhile, the hypervisor took {:.0} %: on a quiet machine all of this may be otherwise.",
        noise.foreign * 100.0,
        noise.stolen * 100.0
    )
}

/// Why a configuration is recommended, by what was measured.
pub(crate) fn reason(surface: &Surface, purpose: Use, trials: &[Trial], chosen: usize) -> String {
    let beside = beside(trials, chosen).map(|beside| format!("; {beside}")).unwrap_or_default();
    alone(surface, purpose, trials, chosen) + &beside
}

/// The best of the other kind beside what is recommended: of workers where that is in this process, or the other way about.
fn beside(trials: &[Trial], chosen: usize) -> Option<String> {
    let has_workers = |trial: &&Trial| trial.plan.configuration.workers > 0;
    let recommended = &trials[chosen];
    let others = trials.iter().filter(|trial| has_workers(trial) != has_workers(&recommended));
    let score = |trial: &&Trial| trial.record.score().map_or(0.0, |score| score.median);
    let other = others.max_by(|a, b| score(a).total_cmp(&score(b)))?;
    let times = score(&other) / score(&recommended).max(f64::MIN_POSITIVE);
    let kind = if has_workers(&other) { "with workers" } else { "in this process" };
    Some(format!("the best {kind} ({}) is {times:.2} times as good", other.plan.configuration))
}

fn alone(surface: &Surface, purpose: Use, trials: &[Trial], chosen: usize) -> String {
    let lone = surface.rate(Row { lanes: 1, threads: 1 }.at(1)).unwrap_or_default();
    let figures = trials[chosen].record.figures();
    let others = trials.len() - 1;
    let tried = format!("{others} other configuration{} tried", if others == 1 { "" } else { "s" });
    match purpose {
        Use::Throughput | Use::Streams => {
            format!(
                "{:.1} times the samples/s of bare single samples on one lane; {tried}",
                figures.samples_per_s / lone.max(1e-9)
            )
        }
        Use::Latency => {
            let mean = figures.mean_us / (1e6 / lone.max(1e-9));
            format!("{mean:.2} times the time of a bare execution of one sample in one thread; {tried}")
        }
    }
}

/// What a reader should know of a recommendation.
pub(crate) fn findings(recommendation: &Recommendation) -> Vec<String> {
    let Recommendation { purpose, predicted, measured, unconfigured, keeps_bound, .. } = recommendation;
    let mut notes = Vec::new();
    if recommendation.configuration.workers > 0 {
        notes.push(format!(
            "{purpose}: an engine inside a process cannot start workers; a WorkerPool starts them from this profile."
        ));
    }
    if *keeps_bound == Some(false) {
        notes.push(format!(
            "{purpose}: nothing that was tried keeps the bound on the 99th percentile; this is nearest."
        ));
    }
    let Some(measured) = measured else { return notes };
    let requests = predicted.requests.min(measured.requests);
    for (figure, unit, predicted, measured) in [
        ("a rate of", "samples/s", predicted.samples_per_s, measured.samples_per_s),
        ("a 99th percentile of", "us", predicted.p99_us, measured.p99_us),
    ] {
        let off = predicted / measured - 1.0;
        if off.abs() > PROMISED {
            notes.push(format!(
                "{purpose}: {figure} {predicted:.0} {unit} was predicted, and {measured:.0} measured, {:+.0} %, of {requests} request{}: \
                 other work on the machine, or too few of them.",
                off * 100.0,
                if requests == 1 { "" } else { "s" }
            ));
        }
    }
    if let Some(unconfigured) = unconfigured
        && unconfigured.samples_per_s > measured.samples_per_s * (1.0 + WORTHWHILE)
    {
        notes.push(format!(
            "{purpose}: an engine without a profile gave {:.0} samples/s, this one {:.0}.",
            unconfigured.samples_per_s, measured.samples_per_s
        ));
    }
    notes
}
