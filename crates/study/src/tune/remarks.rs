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
