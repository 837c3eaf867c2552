//! What tuning found out, for people.

use std::fmt::Write;

use paceline_profile::{Configuration, CostRow, Figures, Profile, Recommendation, Tried};

use crate::report::table::{Table, count, number, percent};

/// Predictions within this share of what was measured are as good as promised.
pub const PROMISED: f64 = 0.15;

/// The report, in Markdown that lines up in a terminal.
pub fn markdown(profile: &Profile) -> String {
    let mut text = String::new();
    write_all(profile, &mut text).expect("writing to a string cannot fail");
    text
}

fn write_all(profile: &Profile, out: &mut String) -> std::fmt::Result {
    let Profile { machine, model, .. } = profile;
    writeln!(out, "# {} tuned for {}\n", model.name, profile.chosen)?;
    writeln!(
        out,
        "{}, {} cores, {}; {}; `{}`\n",
        machine.hardware, machine.cores, machine.isa, profile.created, profile.command
    )?;
    if let Some(chosen) = profile.chosen() {
        writeln!(out, "**{}** for {}: {}.\n", chosen.configuration, chosen.purpose, chosen.reason)?;
    }
    if !profile.notes.is_empty() {
        profile.notes.iter().try_for_each(|note| writeln!(out, "- {note}"))?;
        writeln!(out)?;
    }
    writeln!(out, "## Recommendations\n\n{}", recommendations(profile))?;
    writeln!(out, "## Predicted and measured\n\n{}", predictions(profile))?;
    writeln!(
        out,
        "Predicted: as it came out while configurations were compared. Measured: afterwards, on an engine, or workers, started \
         from this profile. Unconfigured: an engine in the callers' process with default lanes that measures costs itself, under the same load.\n"
    )?;
    if profile.recommendations.iter().any(|recommendation| !recommendation.tried.is_empty()) {
        writeln!(out, "## Tried\n\n{}", tried(profile))?;
        writeln!(
            out,
            "Zero workers: in the process of the callers. `lanes` and `helpers` are of each worker.\n"
        )?;
    }
    writeln!(out, "## Costs\n\n{}", costs(&profile.costs))?;
    writeln!(
        out,
        "Bare executions: `lanes` at a time, each by so many threads. Another lane beyond {} adds less than 5 %.",
        profile.knee_lanes
    )?;
    Ok(())
}

fn recommendations(profile: &Profile) -> Table {
    let mut table =
        Table::new(["use", ">workers", ">lanes", ">helpers", ">largest batch", ">in flight", "why"]);
    for recommendation in &profile.recommendations {
        let Recommendation { purpose, configuration, in_flight, reason, .. } = recommendation;
        let numbers = numbers(configuration, *in_flight);
        table.push(std::iter::once(purpose.to_string()).chain(numbers).chain([reason.clone()]));
    }
    table
}

fn numbers(configuration: &Configuration, in_flight: usize) -> [String; 5] {
    let &Configuration { workers, lanes, helpers, max_batch } = configuration;
    [workers, lanes, helpers, max_batch, in_flight].map(|value| count(value as u64))
}

/// What the recommendations were compared with.
fn tried(profile: &Profile) -> Table {
    let mut table = Table::new([
        "use",
        ">workers",
        ">lanes",
        ">helpers",
        ">largest batch",
        ">in flight",
        ">samples/s",
        ">+-",
        ">mean us",
        ">p99 us",
    ]);
    for recommendation in &profile.recommendations {
        for Tried { configuration, in_flight, figures, uncertainty } in &recommendation.tried {
            let numbers = numbers(configuration, *in_flight);
            let uncertainty = match *uncertainty {
                f64::MAX => "-".into(),
                uncertainty => format!("{:.1} %", uncertainty * 100.0),
            };
            let [rate, mean, p99] = [figures.samples_per_s, figures.mean_us, figures.p99_us].map(number);
            let figures = [rate, uncertainty, mean, p99];
            table.push(std::iter::once(recommendation.purpose.to_string()).chain(numbers).chain(figures));
        }
    }
    table
}

fn predictions(profile: &Profile) -> Table {
    let mut table = Table::new(["use", "figure", ">predicted", ">measured", ">off by", ">unconfigured"]);
    for recommendation in &profile.recommendations {
        let Recommendation { purpose, predicted, measured, unconfigured, .. } = recommendation;
        type Figure = fn(&Figures) -> f64;
        let figures: [(&str, Figure); 3] = [
            ("samples/s", |figures| figures.samples_per_s),
            ("p50 us", |figures| figures.p50_us),
            ("p99 us", |figures| figures.p99_us),
        ];
        for (figure, of) in figures {
            let optional = |figures: &Option<Figures>| figures.as_ref().map_or("-".into(), |f| number(of(f)));
            let off = measured.as_ref().map_or("-".into(), |m| signed_percent(of(predicted) / of(m) - 1.0));
            let cells = [number(of(predicted)), optional(measured), off, optional(unconfigured)];
            table.push([purpose.to_string(), figure.to_string()].into_iter().chain(cells));
        }
    }
    table
}

fn costs(rows: &[CostRow]) -> Table {
    let mut table =
        Table::new([">lanes", ">threads", ">samples", ">mean us", ">p99 us", ">samples/s", ">+-", ">rounds"]);
    for row in rows {
        table.push([
            count(row.lanes as u64),
            count(row.threads as u64),
            count(row.samples as u64),
            number(row.mean_us),
            number(row.p99_us),
            number(row.samples_per_s),
            if row.uncertainty.is_finite() {
                format!("{:.1} %", row.uncertainty * 100.0)
            } else {
                "-".into()
            },
            count(row.rounds as u64),
        ]);
    }
    table
}

fn signed_percent(share: f64) -> String {
    if share > 0.0 { format!("+{}", percent(share)) } else { percent(share) }
}
