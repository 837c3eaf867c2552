//! Plots as data: what a reader sees as an SVG, and as a table where there are no pictures.

mod scale;
mod svg;

use super::table::{Table, number};

pub(super) use svg::{Dress, classes, render};

/// A plot of series over a common axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plot {
    /// Unique in a report; letters, digits and hyphens.
    pub(super) id: String,
    pub(super) title: String,
    /// The model that it is about, where it is about one.
    pub(super) model: Option<String>,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Horizontal lines.
    pub(super) ceilings: Vec<Ceiling>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Ticks where the data are.
    Log,
    /// From 0, or from below it where data are, to the largest.
    Linear,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// The interval that it lies in, where that is known.
    pub(super) interval: Option<(f64, f64)>,
}

/// What cannot be exceeded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ceiling {
    pub(super) name: String,
    pub(super) y: f64,
}

impl Axis {
    pub(super) fn log(label: &str) -> Self {
        Axis { label: label.into(), scale: Scale::Log }
    }

    pub(super) fn linear(label: &str) -> Self {
        Axis { label: label.into(), scale: Scale::Linear }
    }
}

impl Plot {
    /// Without what cannot be drawn: points that are no numbers, or not positive on a logarithmic axis, and what is empty then.
    /// `None` where nothing is left.
    pub(super) fn drawable(mut self) -> Option<Self> {
        let fits = |scale: Scale, value: f64| value.is_finite() && (scale == Scale::Linear || value > 0.0);
        for series in &mut self.series {
            series.points.retain(|point| fits(self.x.scale, point.x) && fits(self.y.scale, point.y));
            series.points.sort_by(|a, b| a.x.total_cmp(&b.x));
        }
        self.series.retain(|series| !series.points.is_empty());
        self.ceilings.retain(|ceiling| fits(self.y.scale, ceiling.y));
        (!self.series.is_empty()).then_some(self)
    }

    /// All values of the x axis, ascending.
    pub(super) fn xs(&self) -> Vec<f64> {
        let mut xs: Vec<f64> =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        xs
    }

    /// The same numbers as a table: a row for each x, a column for each series.
    pub(super) fn table(&self) -> Table {
        let header = std::iter::once(format!(">{}", self.x.label));
        let mut table =
            Table::with_header(header.chain(self.series.iter().map(|series| format!(">{}", series.name))));
        for x in self.xs() {
            let cell = |series: &Series| {
                let point = series.points.iter().find(|point| point.x == x);
                point.map_or(String::new(), |point| number(point.y))
            };
            table.push(std::iter::once(plain(x)).chain(self.series.iter().map(cell)));
        }
        table
    }

    /// What a reader who sees nothing is told.
    pub(super) fn description(&self) -> String {
        let names = |names: Vec<&str>| names.join(", ");
        let mut text = format!(
            "{} against {}: {}.",
            self.y.label,
            self.x.label,
            names(self.series.iter().map(|series| series.name.as_str()).collect())
        );
        if !self.ceilings.is_empty() {
            let ceilings = names(self.ceilings.iter().map(|ceiling| ceiling.name.as_str()).collect());
            text.push_str(&format!(" Ceilings: {ceilings}."));
        }
        text
    }
}

/// A number of callers, a batch, a time: without digits that say nothing.
pub(super) fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 { format!("{value:.0}") } else { number(value) }
}
