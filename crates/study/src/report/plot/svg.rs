//! A plot as SVG: alone, with title, legend and colours of its own, or within a page that has these.
//!
//! Series differ by colour, by the shape of their marks and by their dashes, so that no one of the three is needed. What a script
//! needs to show values is in `data-` attributes.

use std::fmt::Write as _;

use super::scale::{Range, short};
use super::{Plot, Scale, Series, plain};
use crate::report::html::escape;
use crate::report::table::number;

/// Where a plot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Dress {
    /// In a file of its own.
    Alone,
    /// In a page, whose style sheet and caption it uses.
    Page,
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Of more points than these, marks would hide the line.
const MANY: usize = 40;
/// Widths of letters, about.
const LETTER: f64 = 7.3;

/// Colours of a file that stands alone: a page that shows it may be light or dark.
const STYLE: &str = include_str!("../plot.css");

/// The SVG.
pub(in crate::report) fn render(plot: &Plot, dress: Dress) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-title {id}-desc">
<title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>"#,
        id = plot.id,
        title = escape(&plot.title),
        desc = escape(&plot.description()),
    );
    let mut top = 12.0;
    if dress == Dress::Alone {
        top = heading(plot, &mut text);
    }
    let canvas = Canvas::new(plot, top);
    canvas.axes(&mut text);
    canvas.ceilings(&mut text);
    plot.series.iter().enumerate().for_each(|(index, series)| canvas.series(index, series, &mut text));
    text.push_str("</svg>\n");
    text
}

/// What a page has around a plot: colours, title and legend. Returns where it ends.
fn heading(plot: &Plot, text: &mut String) -> f64 {
    let _ = writeln!(
        text,
        "<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\n\
         <text class=\"heading\" x=\"14\" y=\"23\">{}</text>",
        escape(&plot.title)
    );
    let mut y = 42.0;
    for row in legend_rows(plot) {
        for (index, at) in row {
            let _ = writeln!(
                text,
                "<g class=\"{}\"><path class=\"line\" d=\"M{at:.0} {y}h22\"/>{}<text x=\"{:.0}\" y=\"{}\">{}</text></g>",
                classes(index),
                mark(index, at + 11.0, y, ""),
                at + 27.0,
                y + 4.5,
                escape(&plot.series[index].name),
            );
        }
        y += 20.0;
    }
    y - 4.0
}

/// The area of the axes.
struct Canvas<'p> {
    plot: &'p Plot,
    x_range: Range,
    y_range: Range,
    top: f64,
    bottom: f64,
    right: f64,
}

impl<'p> Canvas<'p> {
    fn new(plot: &'p Plot, top: f64) -> Self {
        let points = || plot.series.iter().flat_map(|series| &series.points);
        let ends = points().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [low, point.y, high]
        });
        let ys = ends.chain(plot.ceilings.iter().map(|ceiling| ceiling.y));
        let ys = ys.filter(|y| y.is_finite() && (*y > 0.0 || plot.y.scale == Scale::Linear));
        Canvas {
            plot,
            x_range: Range::around(plot.x.scale, points().map(|point| point.x), 0.04),
            y_range: Range::around(plot.y.scale, ys, 0.06),
            top,
            bottom: HEIGHT - BOTTOM,
            right: WIDTH - RIGHT,
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x_range.place(value) * (self.right - LEFT)
    }

    /// What is below a logarithmic axis is at its end.
    fn y(&self, value: f64) -> f64 {
        let place = self.y_range.place(value);
        self.bottom - if place.is_finite() { place.max(0.0) } else { 0.0 } * (self.bottom - self.top)
    }

    fn axes(&self, text: &mut String) {
        let Canvas { plot, top, bottom, right, .. } = self;
        text.push_str("<g class=\"axes\">");
        for tick in self.y_range.ticks(5) {
            let at = self.y(tick);
            let _ = write!(
                text,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>\
                 <text class=\"end\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                at + 4.5,
                short(tick)
            );
        }
        for (tick, label) in self.x_ticks() {
            let at = self.x(tick);
            let _ = write!(
                text,
                "<path class=\"tick\" d=\"M{at:.1} {bottom}v4\"/>\
                 <text class=\"middle\" x=\"{at:.1}\" y=\"{:.0}\">{label}</text>",
                bottom + 18.0,
            );
        }
        let _ = writeln!(
            text,
            "<path class=\"axis\" d=\"M{LEFT} {top}V{bottom}H{right}\"/>\
             <text class=\"middle label\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\
             <text class=\"middle label\" transform=\"translate(13 {:.0}) rotate(-90)\">{}</text></g>",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            escape(&plot.x.label),
            (top + bottom) / 2.0,
            escape(&plot.y.label),
        );
    }

    fn ceilings(&self, text: &mut String) {
        for ceiling in &self.plot.ceilings {
            let (at, right) = (self.y(ceiling.y), self.right);
            let label = if at < self.top + 14.0 { at + 14.0 } else { at - 4.0 };
            let _ = writeln!(
                text,
                "<g class=\"ceiling\"><path d=\"M{LEFT} {at:.1}H{right}\"/>\
                 <text x=\"{:.0}\" y=\"{label:.1}\">{}</text></g>",
                LEFT + 8.0,
                escape(&ceiling.name),
            );
        }
    }

    fn series(&self, index: usize, series: &Series, text: &mut String) {
        let _ = write!(
            text,
            "<g class=\"series {}{}\" data-name=\"{}\">",
            classes(index),
            if series.points.len() > MANY { " many" } else { "" },
            escape(&series.name)
        );
        for (point, (low, high)) in series.points.iter().filter_map(|point| Some((point, point.interval?))) {
            let (x, low, high) = (self.x(point.x), self.y(low), self.y(high));
            let _ = write!(text, "<path class=\"interval\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>");
        }
        let places =
            series.points.iter().map(|point| format!("{:.1} {:.1}", self.x(point.x), self.y(point.y)));
        let path = places.collect::<Vec<_>>().join("L");
        let _ = write!(text, "<path class=\"line\" d=\"M{path}\"/>");
        for point in &series.points {
            let interval = point.interval.map_or(String::new(), |(low, high)| {
                format!(" data-interval=\"{} to {}\"", number(low), number(high))
            });
            let data = format!(" data-x=\"{}\" data-y=\"{}\"{interval}", plain(point.x), number(point.y));
            text.push_str(&mark(index, self.x(point.x), self.y(point.y), &data));
        }
        text.push_str("</g>\n");
    }

    /// On a logarithmic axis the values themselves, as far as their labels do not overlap.
    fn x_ticks(&self) -> Vec<(f64, String)> {
        let candidates = match self.plot.x.scale {
            Scale::Log => self.plot.xs(),
            Scale::Linear => self.x_range.ticks(6),
        };
        let mut ticks: Vec<(f64, String)> = Vec::new();
        let mut free = f64::NEG_INFINITY;
        for value in candidates {
            let label = if value < 10_000.0 { plain(value) } else { short(value) };
            let (at, half) = (self.x(value), LETTER * label.len() as f64 / 2.0 + 3.0);
            if at - half >= free {
                free = at + half;
                ticks.push((value, label));
            }
        }
        ticks
    }
}

/// The style sheet's classes of the index-th series: eight colours and four kinds of dashes, in turn.
pub(in crate::report) fn classes(index: usize) -> String {
    format!("s{} d{}", index % 8, index % 4)
}

/// The mark of the index-th series.
fn mark(index: usize, x: f64, y: f64, data: &str) -> String {
    let shape = match index % 4 {
        0 => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4.0),
        1 => format!("M{:.1} {:.1}h7v7h-7z", x - 3.5, y - 3.5),
        2 => format!("M{x:.1} {:.1}l4.5 8h-9z", y - 5.0),
        _ => format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0),
    };
    format!("<path class=\"mark\" d=\"{shape}\" data-at=\"{x:.1},{y:.1}\"{data}/>")
}

/// The entries of each row of the legend, and where they begin.
fn legend_rows(plot: &Plot) -> Vec<Vec<(usize, f64)>> {
    let mut rows: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    let mut at = 14.0;
    for (index, series) in plot.series.iter().enumerate() {
        let width = 44.0 + LETTER * series.name.chars().count() as f64;
        if at + width > WIDTH && at > 14.0 {
            rows.push(Vec::new());
            at = 14.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((index, at));
        }
        at += width;
    }
    rows
}
