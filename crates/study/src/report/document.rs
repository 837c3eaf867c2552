//! A report before it is Markdown or HTML.

use super::plot::{Axis, Ceiling, Plot, Point, Series};
use super::table::Table;
use crate::{Mode, Results, Row};

/// A report. Words may have `code` and **strong** parts, as in Markdown.
pub(super) struct Document {
    /// What was run, on what; a line each.
    pub(super) facts: Vec<String>,
    /// What is not as it should be; a line each.
    pub(super) warnings: Vec<String>,
    pub(super) sections: Vec<Section>,
}

pub(super) struct Section {
    /// Letters and hyphens.
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) words: String,
    pub(super) blocks: Vec<Block>,
}

/// What is said of one model, or of all.
#[derive(Default)]
pub(super) struct Block {
    pub(super) model: Option<String>,
    pub(super) heading: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) tables: Vec<Table>,
    pub(super) plots: Vec<Plot>,
}

impl Block {
    /// Of a model.
    pub(super) fn of(model: &str) -> Self {
        Block { model: Some(model.into()), heading: Some(model.into()), ..Block::default() }
    }

    /// With a table, unless it is empty.
    pub(super) fn with_table(mut self, table: Table) -> Self {
        self.tables.extend((!table.is_empty()).then_some(table));
        self
    }

    /// With a plot, where there is anything to draw: two values of x at least.
    pub(super) fn with_plot(mut self, plot: Plot) -> Self {
        self.plots.extend(plot.drawable().filter(|plot| plot.xs().len() > 1));
        self
    }
}

/// What a point of a plot is made of: its x, its y, and the interval of y.
pub(super) type Coordinates = (f64, f64, Option<(f64, f64)>);

/// A series of these rows; `of` says where each is.
pub(super) fn series<'r>(
    name: impl Into<String>,
    rows: impl Iterator<Item = &'r Row>,
    of: impl Fn(&Row) -> Coordinates,
) -> Series {
    let point = |row: &Row| {
        let (x, y, interval) = of(row);
        Point { x, y, interval }
    };
    Series { name: name.into(), points: rows.map(point).collect() }
}

/// Samples a second against `x`.
pub(super) fn rate_at(x: impl Fn(&Row) -> f64) -> impl Fn(&Row) -> Coordinates {
    move |row| (x(row), row.samples_per_s, row.interval.map(|interval| (interval.low, interval.high)))
}

/// The efficiency, in per cent, against `x`.
pub(super) fn efficiency_at(x: impl Fn(&Row) -> f64) -> impl Fn(&Row) -> Coordinates {
    move |row| {
        let Some(over) = &row.over else { return (x(row), f64::NAN, None) };
        let percent = |ratio: f64| ratio / over.parallelism * 100.0;
        (x(row), percent(over.ratio.median), Some((percent(over.ratio.low), percent(over.ratio.high))))
    }
}

/// A plot of a model's series over logarithmic axes.
pub(super) fn log_plot(id: &str, model: &str, title: &str, x: &str, y: &str, series: Vec<Series>) -> Plot {
    Plot {
        id: format!("{id}-{model}"),
        title: format!("{title}: {model}"),
        model: Some(model.into()),
        x: Axis::log(x),
        y: Axis::log(y),
        series,
        ceilings: Vec::new(),
    }
}

/// The models of rows, each once, in their order.
pub(super) fn models<'r>(rows: &[&'r Row]) -> Vec<&'r str> {
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !models.contains(&row.model.as_str()) {
            models.push(&row.model);
        }
    }
    models
}

/// The rows of a model in a mode.
pub(super) fn of<'a, 'r>(
    rows: &'a [&'r Row],
    model: &'a str,
    mode: Mode,
) -> impl Iterator<Item = &'r Row> + use<'a, 'r> {
    rows.iter().copied().filter(move |row| row.model == model && row.mode == mode)
}

/// What the machine's rates allow of a model, in samples a second, with so many threads.
pub(super) fn ceilings(results: &Results, model: &str, threads: &[usize]) -> Vec<Ceiling> {
    let (Some(ceilings), Some(cost)) =
        (&results.ceilings, results.models.iter().find(|cost| cost.model == model))
    else {
        return Vec::new();
    };
    let mut lines: Vec<Ceiling> = Vec::new();
    for &threads in threads {
        let cores = if threads == 1 { "one core".into() } else { format!("{threads} cores") };
        let flops = ceilings.flops.iter().find(|ceiling| ceiling.threads == threads);
        lines.extend(flops.map(|ceiling| Ceiling {
            name: format!("multiply-adds of {cores}"),
            y: ceiling.flops_per_s / cost.flops_per_sample.max(1) as f64,
        }));
    }
    lines
}
