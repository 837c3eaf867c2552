//! Tables that are Markdown and still line up in a terminal.

use std::fmt;

/// A table. A header that begins with `>` is over a column of numbers, aligned to the right.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    numbers: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Self {
        Self::with_header(header.into_iter().map(String::from))
    }

    /// The same, with as many columns as there are.
    pub(crate) fn with_header(header: impl Iterator<Item = String>) -> Self {
        let header: Vec<String> = header.collect();
        Table {
            numbers: header.iter().map(|text| text.starts_with('>')).collect(),
            header: header.into_iter().map(|text| text.trim_start_matches('>').to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// The headers, each with whether it is over a column of numbers.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, bool)> {
        self.header.iter().map(String::as_str).zip(self.numbers.iter().copied())
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row with a cell for every column.
    pub fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let row: Vec<String> = row.into_iter().collect();
        debug_assert_eq!(row.len(), self.header.len(), "a cell for every column");
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                let cells = std::iter::once(&self.header).chain(&self.rows);
                cells.map(|row| row[column].chars().count()).max().unwrap_or(0).max(2)
            })
            .collect();
        let write_row = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match self.numbers[column] {
                    true => write!(f, "| {cell:>width$} ")?,
                    false => write!(f, "| {cell:<width$} ")?,
                }
            }
            writeln!(f, "|")
        };
        write_row(f, &self.header)?;
        for (column, &width) in widths.iter().enumerate() {
            match self.numbers[column] {
                true => write!(f, "|{}:", "-".repeat(width + 1))?,
                false => write!(f, "|{}", "-".repeat(width + 2))?,
            }
        }
        writeln!(f, "|")?;
        self.rows.iter().try_for_each(|row| write_row(f, row))
    }
}

/// `1,234,567`; with digits after the point where there are few before it.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "-".into(),
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => thousands(&format!("{value:.0}")),
    }
}

/// `1,234,567`
pub fn count(value: u64) -> String {
    thousands(&value.to_string())
}

/// `2.07x`
pub(crate) fn ratio(value: f64) -> String {
    format!("{}x", number(value))
}

/// `86 %`
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0} %", share * 100.0) } else { "-".into() }
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3);
    let head = (first > 0).then_some(&digits.as_bytes()[..first]);
    let groups: Vec<String> =
        head.into_iter().chain(groups).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, expected) in [
            (0.0, "0.00"),
            (0.304, "0.30"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.6, "1,000"),
            (-1234.0, "-1,234"),
            (123456.7, "123,457"),
            (1388672.0, "1,388,672"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
        assert_eq!((count(7), count(1_000)), ("7".into(), "1,000".into()));
        assert_eq!((ratio(2.066), percent(0.857)), ("2.07x".into(), "86 %".into()));
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["mode", ">callers", ">x"]);
        table.push(["sequential".into(), "1".into(), "1.00x".into()]);
        table.push(["batch".into(), "16".into(), "12.3x".into()]);
        let expected = "\
| mode       | callers |     x |
|------------|--------:|------:|
| sequential |       1 | 1.00x |
| batch      |      16 | 12.3x |
";
        assert_eq!(table.to_string(), expected);
    }
}
