//! Whether the machine was quiet enough to trust the figures, and how that is known.

use super::document::models;
use super::table::{number, percent};
use crate::{Estimate, Mode, Results, Row, median};

/// From which typical spread of rounds on figures are doubtful.
const MUCH_SPREAD: f64 = 0.1;
/// From which ratio on two baselines of one model differ enough to be told.
const FAR_APART: f64 = 1.1;

/// What is doubtful, a sentence each; empty on a quiet machine.
pub(super) fn warnings(results: &Results) -> Vec<String> {
    [others(results), spread(results), baselines(results)].into_iter().flatten().collect()
}

/// Other processes, and other machines on the same host, as the system counts them.
fn others(results: &Results) -> Option<String> {
    let noisy = results.suites.iter().filter(|run| run.is_noisy()).filter_map(|run| Some((run, run.noise?)));
    let worst = noisy.max_by(|(_, a), (_, b)| (a.foreign + a.stolen).total_cmp(&(b.foreign + b.stolen)));
    worst.map(|(run, noise)| {
        format!(
            "The machine was noisy: while `{}` was measured, other processes took {} of the cores' time, and the hypervisor took {} \
             (from /proc/stat).",
            run.suite,
            percent(noise.foreign),
            percent(noise.stolen)
        )
    })
}

/// How far the rounds of the same measurement are apart.
fn spread(results: &Results) -> Option<String> {
    let spreads: Vec<f64> =
        results.rows.iter().filter_map(|row| row.interval.as_ref().map(Estimate::spread)).collect();
    let typical = median(&spreads);
    (typical > MUCH_SPREAD).then(|| {
        format!(
            "The machine was noisy: half of the intervals are wider than ± {} of their rate. Compare with care.",
            percent(typical)
        )
    })
}

/// How far apart the baselines are that several suites measured of one model: no ratio can be trusted beyond that.
fn baselines(results: &Results) -> Option<String> {
    let rows: Vec<&Row> =
        results.rows.iter().filter(|row| row.mode == Mode::Sequential && !row.rounds.is_empty()).collect();
    let ends = |model: &str| {
        let rates = rows.iter().filter(|row| row.model == model).map(|row| row.samples_per_s);
        rates.fold((f64::INFINITY, 0.0f64), |(least, most), rate| (least.min(rate), most.max(rate)))
    };
    let (model, (least, most)) = models(&rows)
        .into_iter()
        .map(|model| (model, ends(model)))
        .filter(|(_, (least, most))| most / least >= FAR_APART)
        .max_by(|(_, a), (_, b)| (a.1 / a.0).total_cmp(&(b.1 / b.0)))?;
    Some(format!(
        "The machine was not the same all the time: `sequential` of {model} gave {} samples/s in one suite and {} in another. Ratios, \
         each to the baseline of its own suite and rounds, suffer less than rates.",
        number(least),
        number(most)
    ))
}
