//! Results for people: Markdown for a terminal or a forge, a page to look around in, and plots for a README. Every ratio names its
//! baseline, which was measured in the same suite and the same rounds.

mod checked;
mod compared;
mod comparison;
mod document;
mod html;
mod listed;
mod markdown;
mod noise;
mod plot;
mod recommend;
mod saturated;
mod scaling;
pub(crate) mod table;
mod verified;
mod words;

pub use comparison::comparison;
pub use listed::models as model_list;
pub use table::{Table, count};
pub use verified::verification;

use document::{Document, Section};
use plot::{Dress, Plot};

use crate::{Results, Row, Suite};

/// A report in all its forms.
pub struct Report {
    /// `report.md`
    pub markdown: String,
    /// `index.html`
    pub html: String,
    /// Names without their extension, and SVGs: what goes into `plots/`.
    pub plots: Vec<(String, String)>,
}

impl Report {
    /// Of these results.
    pub fn new(results: &Results) -> Self {
        let document = document(results);
        let plots: Vec<(String, String)> =
            shown(&document).map(|plot| (plot.id.clone(), plot::render(plot, Dress::Alone))).collect();
        let names: Vec<String> = plots.iter().map(|(name, _)| name.clone()).collect();
        Report { markdown: markdown::render(&document, &names), html: html::render(&document), plots }
    }
}

/// Of each section, the plots of all models, and those of one model: of several pictures that look alike, one is enough beside a text.
fn shown(document: &Document) -> impl Iterator<Item = &Plot> {
    const FAVOURITE: &str = "mlp";
    document.sections.iter().flat_map(|section| {
        let plots = || section.blocks.iter().flat_map(|block| &block.plots);
        let models = || plots().filter_map(|plot| plot.model.as_deref());
        let chosen = models().find(|&model| model == FAVOURITE).or(models().next());
        plots().filter(move |plot| plot.model.is_none() || plot.model.as_deref() == chosen)
    })
}

fn document(results: &Results) -> Document {
    let Results { version, commit, command, started, machine, device, rows, problems, .. } = results;
    let mut facts = vec![
        format!("{started}, paceline {version} ({commit}): `{command}`"),
        format!(
            "{}, {} cores, {:.1} GiB, {}",
            machine.cpu,
            machine.cores,
            machine.memory_bytes as f64 / f64::from(1 << 30),
            machine.os
        ),
        format!("device {}: {}, {} kernels", device.id, device.name, device.isa),
    ];
    let mut warnings = problems.clone();
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    let calls: u64 = rows.iter().map(|row| row.expected).sum();
    match wrong {
        0 => facts.push(format!(
            "all {} answers are, bit for bit, what the same sample gives alone",
            table::count(calls)
        )),
        n => warnings.insert(0, format!("{n} of {} measurements have wrong or missing answers", rows.len())),
    }
    let seconds: f64 = results.suites.iter().map(|run| run.seconds).sum();
    if !results.suites.is_empty() {
        let names: Vec<&str> = results.suites.iter().map(|run| run.suite.as_str()).collect();
        facts.push(format!("{seconds:.0} s, each suite in a process of its own: {}", names.join(", ")));
    }
    if let Some(rounds) =
        rows.iter().filter_map(|row| row.interval.as_ref()).map(|interval| interval.rounds).max()
    {
        facts.push(format!(
            "medians of up to {rounds} rounds; intervals hold the median with 95 %, or span all rounds where these are fewer than six"
        ));
    }
    warnings.extend(noise::warnings(results));
    let all: Vec<&Row> = rows.iter().collect();
    let mut sections: Vec<Section> = recommend::section(&all).into_iter().collect();
    for suite in Suite::ALL {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.suite == suite.name()).collect();
        if !rows.is_empty() {
            sections.push(section(suite, results, &rows));
        }
    }
    // Whether all is right is told first; the tables of what was right can wait.
    sections.sort_by_key(|section| matches!(section.id, "ops" | "layers" | "stress"));
    Document { facts, warnings, sections }
}

fn section(suite: Suite, results: &Results, rows: &[&Row]) -> Section {
    match suite {
        Suite::Ops => checked::checked("ops", "Operators", "operator", rows),
        Suite::Layers => checked::checked("layers", "Layers", "layer", rows),
        Suite::Stress => checked::stressed(rows),
        Suite::Threads => scaling::threads(results, rows),
        Suite::Workload => compared::sized(results, rows),
        Suite::Batches => scaling::batches(results, rows),
        Suite::Compare => compared::compared(results, rows),
        Suite::Workers => compared::workers(rows),
        Suite::Mixed => compared::mixed(rows),
        Suite::Saturation => saturated::saturated(results, rows),
        Suite::Soak => saturated::soaked(&results.soak, rows),
    }
}

#[cfg(test)]
mod tests;
