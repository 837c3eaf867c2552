//! A report as Markdown that a terminal shows as well.

use std::fmt::Write as _;

use super::document::{Block, Document};

/// The text. Plots of these names are files in `plots/`.
pub(super) fn render(document: &Document, plots: &[String]) -> String {
    let mut text = String::from("# Paceline study\n\n");
    // Writing to a string cannot fail.
    for fact in &document.facts {
        let _ = writeln!(text, "- {fact}");
    }
    for warning in &document.warnings {
        let _ = writeln!(text, "- **{warning}**");
    }
    for section in &document.sections {
        let _ = write!(text, "\n## {}\n\n{}\n", section.title, section.words);
        section.blocks.iter().for_each(|block| write_block(block, plots, &mut text));
    }
    text
}

fn write_block(block: &Block, plots: &[String], text: &mut String) {
    if let Some(heading) = &block.heading {
        let _ = write!(text, "\n### {heading}\n");
    }
    for table in &block.tables {
        let _ = write!(text, "\n{table}");
    }
    for note in &block.notes {
        let _ = write!(text, "\n{note}\n");
    }
    for plot in block.plots.iter().filter(|plot| plots.contains(&plot.id)) {
        let _ = write!(text, "\n![{}](plots/{}.svg)\n", plot.title, plot.id);
    }
}
