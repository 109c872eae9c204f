//! Aligned tables of text reports. A row is always one line, whatever its cells contain.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::printable;
use crate::units::grouped;

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows below a header, in columns two spaces apart, indented by two spaces.
pub(super) struct TextTable<const COLUMNS: usize> {
    columns: [Align; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> TextTable<COLUMNS> {
    pub(super) fn new(columns: [(&str, Align); COLUMNS]) -> Self {
        Self { columns: columns.map(|(_, align)| align), rows: vec![columns.map(|(heading, _)| heading.to_owned())] }
    }

    /// Adds a row. Line breaks in its cells are escaped.
    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| match printable::line(&cell) {
            Cow::Borrowed(_) => cell,
            Cow::Owned(shown) => shown,
        }));
    }
}

impl<const COLUMNS: usize> fmt::Display for TextTable<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let mut line = String::new();
        self.rows.iter().try_for_each(|row| write_line(f, &mut line, row, self.columns, widths))
    }
}

/// Writes rows in the format of [`TextTable`] without keeping them: there may be a million. The cells are computed
/// twice.
pub(super) fn write_rows<const COLUMNS: usize, R>(
    out: &mut impl Write,
    columns: [(&str, Align); COLUMNS],
    rows: impl Iterator<Item = R> + Clone,
    cells: impl Fn(R) -> [String; COLUMNS],
) -> fmt::Result {
    let mut widths = columns.map(|(heading, _)| heading.chars().count());
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (aligns, mut line) = (columns.map(|(_, align)| align), String::new());
    write_line(out, &mut line, &columns.map(|(heading, _)| heading.to_owned()), aligns, widths)?;
    for row in rows {
        write_line(out, &mut line, &cells(row), aligns, widths)?;
    }
    Ok(())
}

fn write_line<const COLUMNS: usize>(
    out: &mut impl Write,
    line: &mut String,
    row: &[String; COLUMNS],
    aligns: [Align; COLUMNS],
    widths: [usize; COLUMNS],
) -> fmt::Result {
    line.clear();
    for ((cell, align), width) in row.iter().zip(aligns).zip(widths) {
        match align {
            Align::Left => write!(line, "  {cell:<width$}")?,
            Align::Right => write!(line, "  {cell:>width$}")?,
        }
    }
    writeln!(out, "{}", line.trim_end())
}

/// A rate without decimals: `2,500`.
pub(super) fn whole(number: f64) -> String {
    #[allow(clippy::cast_possible_truncation, reason = "a rate is far below 2^63")]
    let rounded = number.round() as i64;
    grouped(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell() {
        let mut table = TextTable::new([("name", Align::Left), ("n", Align::Right), ("note", Align::Left)]);
        table.row(["Café".into(), "1000".into(), String::new()]);
        table.row(["a longer name".into(), "7".into(), "x".into()]);
        let shown = "  name              n  note\n  Café           1000\n  a longer name     7  x\n";
        assert_eq!(table.to_string(), shown);
        let rows = [("Café", 1_000, ""), ("a longer name", 7, "x")];
        let (mut out, columns) = (String::new(), [("name", Align::Left), ("n", Align::Right), ("note", Align::Left)]);
        let cells = |&(name, n, note): &(&str, i32, &str)| [name.to_owned(), n.to_string(), note.to_owned()];
        write_rows(&mut out, columns, rows.iter(), cells).expect("written");
        assert_eq!(out, shown, "both functions give the same text");
    }

    #[test]
    fn cells_stay_on_one_line() {
        let mut table = TextTable::new([("name", Align::Left), ("n", Align::Right)]);
        table.row(["a\u{1b}[31m\n  b".into(), "7".into()]);
        assert_eq!(table.to_string(), "  name              n\n  a\\u{1b}[31m\\n  b  7\n");
    }
}
