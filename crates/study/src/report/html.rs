//! A report as one HTML file: no network, nothing beside it. Without scripts everything is there to read; with them, values appear under
//! the pointer and the arrow keys, series and models can be left out, and light and dark can be chosen.

use std::fmt::Write as _;

use super::document::{Block, Document, Section};
use super::plot::{Dress, Plot, classes, render as svg};
use super::table::Table;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
pub(super) fn render(document: &Document) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Paceline study</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the report</a>\n<header>\n<h1>Paceline study</h1>\n\
         <button type=\"button\" id=\"theme\" hidden>Theme: system</button>\n</header>\n<nav aria-label=\"Sections\"><ul>\n",
    );
    for section in &document.sections {
        let _ = writeln!(page, "<li><a href=\"#{}\">{}</a></li>", section.id, escape(&section.title));
    }
    page.push_str("</ul></nav>\n");
    page.push_str(&model_choice(document));
    page.push_str("<main id=\"content\">\n<ul class=\"facts\">\n");
    for fact in &document.facts {
        let _ = writeln!(page, "<li>{}</li>", words(fact));
    }
    page.push_str("</ul>\n");
    for warning in &document.warnings {
        let _ = writeln!(page, "<p class=\"warning\" role=\"note\">{}</p>", words(warning));
    }
    document.sections.iter().for_each(|section| write_section(section, &mut page));
    let _ = write!(
        page,
        "</main>\n<div id=\"tip\" role=\"status\" aria-live=\"polite\" hidden></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    page
}

/// Which model to show; of use only with scripts, and with more than one.
fn model_choice(document: &Document) -> String {
    let mut models: Vec<&str> = Vec::new();
    for model in document
        .sections
        .iter()
        .flat_map(|section| &section.blocks)
        .filter_map(|block| block.model.as_deref())
    {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    if models.len() < 2 {
        return String::new();
    }
    let mut text = String::from("<fieldset id=\"models\" hidden><legend>Model</legend>\n");
    for model in std::iter::once("all").chain(models) {
        let _ = writeln!(
            text,
            "<label><input type=\"radio\" name=\"model\" value=\"{0}\"><span>{0}</span></label>",
            escape(model)
        );
    }
    text.push_str("</fieldset>\n");
    text
}

fn write_section(section: &Section, page: &mut String) {
    let _ = write!(
        page,
        "<section id=\"{0}\" aria-labelledby=\"{0}-heading\">\n<h2 id=\"{0}-heading\">{1}</h2>\n\
         <details class=\"words\"><summary>How to read this</summary><p>{2}</p></details>\n",
        section.id,
        escape(&section.title),
        words(&section.words)
    );
    section.blocks.iter().for_each(|block| write_block(block, page));
    page.push_str("</section>\n");
}

fn write_block(block: &Block, page: &mut String) {
    let model = block.model.as_deref().map(|model| format!(" data-model=\"{}\"", escape(model)));
    let _ = writeln!(page, "<div class=\"block\"{}>", model.unwrap_or_default());
    if let Some(heading) = &block.heading {
        let _ = writeln!(page, "<h3>{}</h3>", escape(heading));
    }
    for note in &block.notes {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", words(note));
    }
    if !block.plots.is_empty() {
        page.push_str("<div class=\"plots\">\n");
        block.plots.iter().for_each(|plot| write_plot(plot, page));
        page.push_str("</div>\n");
    }
    let named = block.heading.as_deref().unwrap_or("all");
    match block.plots.is_empty() {
        true => block.tables.iter().for_each(|table| write_table(table, named, page)),
        false if block.tables.is_empty() => {}
        false => {
            let _ = writeln!(page, "<details><summary>All figures: {}</summary>", escape(named));
            block.tables.iter().for_each(|table| write_table(table, named, page));
            page.push_str("</details>\n");
        }
    }
    page.push_str("</div>\n");
}

fn write_plot(plot: &Plot, page: &mut String) {
    let _ = write!(
        page,
        "<figure data-x-label=\"{}\" data-y-label=\"{}\">\n<figcaption>{}</figcaption>\n<div class=\"legend\">",
        escape(&plot.x.label),
        escape(&plot.y.label),
        escape(&plot.title)
    );
    for (index, series) in plot.series.iter().enumerate() {
        let _ = write!(
            page,
            "<button type=\"button\" class=\"{}\" aria-pressed=\"true\" data-series=\"{index}\" disabled>\
             <svg viewBox=\"0 0 24 12\" aria-hidden=\"true\"><path class=\"line\" d=\"M0 6h24\"/></svg>{}</button>",
            classes(index),
            escape(&series.name)
        );
    }
    let _ = write!(page, "</div>\n<div class=\"canvas\">{}</div>\n", svg(plot, Dress::Page));
    page.push_str("<details><summary>Data</summary>\n");
    write_table(&plot.table(), &plot.title, page);
    page.push_str("</details>\n</figure>\n");
}

fn write_table(table: &Table, caption: &str, page: &mut String) {
    let _ = write!(
        page,
        "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption class=\"unseen\">{0}</caption>\n<thead><tr>",
        escape(caption)
    );
    let kind = |number: bool| if number { " class=\"number\"" } else { "" };
    let numbers: Vec<bool> = table.columns().map(|(_, number)| number).collect();
    for (header, number) in table.columns() {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", kind(number), escape(header));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows() {
        page.push_str("<tr>");
        for (cell, number) in row.iter().zip(&numbers) {
            let _ = write!(page, "<td{}>{}</td>", kind(*number), escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

/// Text that may stand between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Not allowed in XML, which the plots are.
            c if c < ' ' && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Words with `code` and **strong** parts. A mark without its partner stands for itself.
fn words(text: &str) -> String {
    let paired = |text: String, mark: &str, tag: &str| {
        let parts: Vec<&str> = text.split(mark).collect();
        let mut marked = String::with_capacity(text.len());
        for (index, part) in parts.iter().enumerate() {
            match index {
                0 => {}
                _ if index % 2 == 1 && index + 1 < parts.len() => {
                    let _ = write!(marked, "<{tag}>");
                }
                _ if index % 2 == 0 => {
                    let _ = write!(marked, "</{tag}>");
                }
                _ => marked.push_str(mark),
            }
            marked.push_str(part);
        }
        marked
    };
    paired(paired(escape(text), "`", "code"), "**", "strong")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_and_nothing_of_them_is_a_tag() {
        for (text, expected) in [
            ("a `b` c **d**", "a <code>b</code> c <strong>d</strong>"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
            ("a ` b", "a ` b"),
            ("**<script>** & `\"'`", "<strong>&lt;script&gt;</strong> &amp; <code>&quot;&#39;</code>"),
            ("\u{1b}[0m", "\u{fffd}[0m"),
            ("", ""),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
