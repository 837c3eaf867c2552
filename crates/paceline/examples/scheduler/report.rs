//! Figures, and how they are written: as a table for people, as JSON for programs.

use serde::Serialize;

use crate::subject::Subject;

/// What is asked of a figure's median.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure: a value for each round.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    suite: &'static str,
    subject: String,
    what: String,
    rounds: Vec<f64>,
    asked: Option<Asked>,
}

impl Figure {
    pub fn new(suite: &'static str, subject: &Subject, what: impl Into<String>) -> Self {
        Figure { suite, subject: subject.name.clone(), what: what.into(), rounds: Vec::new(), asked: None }
    }

    pub fn asked(self, asked: Asked) -> Self {
        Figure { asked: Some(asked), ..self }
    }

    pub fn add(&mut self, value: f64) {
        self.rounds.push(value);
    }

    fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// A Markdown table.
pub fn table(figures: &[Figure]) -> String {
    let mut text =
        String::from("| | subject | figure | median | range | asked | |\n|---|---|---|---|---|---|---|\n");
    for figure in figures {
        let median = figure.median();
        let (asked, verdict) = match figure.asked {
            None => (String::new(), ""),
            Some(Asked::AtLeast(x)) => (format!(">= {x}"), if median >= x { "reached" } else { "missed" }),
            Some(Asked::AtMost(x)) => (format!("<= {x}"), if median <= x { "reached" } else { "missed" }),
        };
        let least = figure.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figure.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let Figure { suite, subject, what, .. } = figure;
        text += &format!(
            "| {suite} | {subject} | {what} | {} | {} to {} | {asked} | {verdict} |\n",
            number(median),
            number(least),
            number(most)
        );
    }
    text
}

fn number(x: f64) -> String {
    if x.abs() >= 100.0 { format!("{x:.0}") } else { format!("{x:.3}") }
}
