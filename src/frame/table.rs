//! Tables of a live screen: which rows and columns are shown, and the sum of the rows that are not.

use std::cmp::Reverse;

use super::width::{clip, padded, shorten, width};
use super::{Line, Text, Tone};
use crate::printable;
use crate::units::counted;

/// Columns between two cells.
const GAP: usize = 2;
/// The least columns of a name or a note, if it is longer.
const MIN_TEXT: usize = 16;
/// The least and the most columns of a chart.
const MIN_CHART: usize = 10;
const MAX_CHART: usize = 34;
/// From this width on, tables are indented.
const INDENTED: usize = 60;

/// Rows below a heading.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub rest: Rest,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub heading: &'static str,
    pub kind: Kind,
    /// On a narrow screen, columns with the largest number are left out first.
    pub importance: u8,
}

impl Column {
    #[must_use]
    pub const fn new(heading: &'static str, kind: Kind, importance: u8) -> Self {
        Self { heading, kind, importance }
    }
}

/// What a column contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, which may be shortened in its middle.
    Name,
    /// A number, which is never cut.
    Number,
    /// Words, which may be cut at the end.
    Note,
    /// A [`Cell::Span`] or a [`Cell::Series`].
    Chart,
}

/// A row of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// A cell for each column.
    pub cells: Vec<Cell>,
    /// Rows with the largest rank are shown if not all of them fit.
    pub rank: i64,
    /// What the row adds to the sum of the rows that are not shown.
    pub amount: Option<i64>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    /// A part of a range: both ends are between 0 and 1.
    Span {
        from: f64,
        to: f64,
        fill: char,
    },
    /// Numbers as a sparkline; `None` is blank.
    Series(Vec<Option<i64>>),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// How the rows that are not shown are summed up: `and 44 more partitions: 1,200 messages`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rest {
    /// `more`.
    pub which: &'static str,
    /// `partition`.
    pub noun: &'static str,
    /// `message`, if amounts are added.
    pub unit: Option<&'static str>,
}

impl Table {
    /// At most `most` lines: the heading, rows, and the sum of the rows that are not shown.
    pub(super) fn lines(&self, most: usize, columns: usize) -> Vec<Line> {
        let all = self.rows.len();
        if all == 0 || most == 0 {
            return Vec::new();
        }
        let has_heading = self.columns.iter().any(|column| !column.heading.is_empty());
        // Two lines: a row says more than a heading.
        let has_heading = has_heading && (most > 2 || most > all);
        let free = most - usize::from(has_heading);
        let shown = if all <= free { all } else { free - 1 };
        let mut order: Vec<usize> = (0..all).collect();
        order.sort_by_key(|&index| Reverse(self.rows[index].rank));
        let hidden = order.split_off(shown);
        order.sort_unstable();
        let rows: Vec<&Row> = order.into_iter().map(|index| &self.rows[index]).collect();
        let mut lines = if rows.is_empty() { Vec::new() } else { self.grid(&rows, has_heading, columns) };
        if !hidden.is_empty() {
            let rows: Vec<&Row> = hidden.into_iter().map(|index| &self.rows[index]).collect();
            lines.push(Line::new(self.sum(&rows, shown > 0).fit(columns), Tone::Plain));
        }
        lines
    }

    fn sum(&self, rows: &[&Row], is_rest: bool) -> Text {
        let count = rows.len() as u64;
        let Rest { which, noun, unit } = self.rest;
        let what =
            if is_rest { format!("and {}", counted(count, &format!("{which} {noun}"))) } else { counted(count, noun) };
        let short = format!("+ {}", counted(count, noun));
        let amounts = rows.iter().filter_map(|row| row.amount);
        let sum = amounts.fold(None, |sum: Option<i64>, amount| Some(sum.unwrap_or(0).saturating_add(amount)));
        match sum.zip(unit) {
            Some((sum, unit)) => {
                let sum = counted(sum, unit);
                Text::new(format!("{what}: {sum}")).or(format!("{short}: {sum}")).or(short)
            }
            None => Text::new(what).or(short),
        }
    }

    /// The heading and these rows, in the columns that fit.
    fn grid(&self, rows: &[&Row], has_heading: bool, columns: usize) -> Vec<Line> {
        let indent = if columns >= INDENTED { GAP } else { 0 };
        let widths = self.widths(rows, has_heading, columns - indent);
        let line = |cells: &mut dyn Iterator<Item = (Kind, Option<&Cell>, &str)>| {
            let mut text = " ".repeat(indent);
            for ((kind, cell, heading), width) in cells.zip(&widths) {
                let Some(width) = *width else { continue };
                if text.len() > indent {
                    text.push_str(&" ".repeat(GAP));
                }
                text.push_str(&shown(kind, cell, heading, width));
            }
            text.trim_end().to_owned()
        };
        let heading = has_heading.then(|| {
            let text = line(&mut self.columns.iter().map(|column| (column.kind, None, column.heading)));
            Line::new(text, Tone::Heading)
        });
        let rows = rows.iter().map(|row| {
            let mut cells = self.columns.iter().zip(&row.cells).map(|(column, cell)| (column.kind, Some(cell), ""));
            Line::new(line(&mut cells), Tone::Plain)
        });
        heading.into_iter().chain(rows).collect()
    }

    /// The width of each column that is shown.
    fn widths(&self, rows: &[&Row], has_heading: bool, columns: usize) -> Vec<Option<usize>> {
        let natural: Vec<usize> = self.columns.iter().enumerate().map(|(index, _)| natural(rows, index)).collect();
        // A column without any content is left out.
        let mut kept: Vec<usize> = (0..natural.len()).filter(|&index| natural[index] > 0).collect();
        let heading = |index: usize| if has_heading { width(self.columns[index].heading) } else { 0 };
        let most = |index: usize| natural[index].max(heading(index));
        let least = |index: usize| match self.columns[index].kind {
            Kind::Number => most(index),
            Kind::Name | Kind::Note => most(index).min(MIN_TEXT),
            Kind::Chart => MIN_CHART,
        };
        let needed = |kept: &[usize]| -> usize {
            kept.iter().map(|&index| least(index)).sum::<usize>() + GAP * kept.len().saturating_sub(1)
        };
        while kept.len() > 1 && needed(&kept) > columns {
            let dropped = kept.iter().copied().max_by_key(|&index| self.columns[index].importance);
            kept.retain(|index| Some(*index) != dropped);
        }
        let mut free = columns.saturating_sub(needed(&kept));
        let mut widths = vec![None; natural.len()];
        // Names get what is free before notes, and charts last.
        for kinds in [[Kind::Number, Kind::Name], [Kind::Note, Kind::Note], [Kind::Chart, Kind::Chart]] {
            for &index in kept.iter().filter(|&&index| kinds.contains(&self.columns[index].kind)) {
                let most = if self.columns[index].kind == Kind::Chart { MAX_CHART } else { most(index) };
                let more = most.saturating_sub(least(index)).min(free);
                free -= more;
                widths[index] = Some((least(index) + more).min(columns));
            }
        }
        widths
    }
}

/// The widest cell of a column.
fn natural(rows: &[&Row], index: usize) -> usize {
    let width = |row: &&Row| match row.cells.get(index) {
        Some(Cell::Text(text)) => width(&printable::line(text)),
        Some(Cell::Span { .. }) => MIN_CHART,
        Some(Cell::Series(numbers)) => MIN_CHART * usize::from(!numbers.is_empty()),
        None => 0,
    };
    rows.iter().map(width).max().unwrap_or_default()
}

/// A cell in exactly this width; the heading if it is missing.
fn shown(kind: Kind, cell: Option<&Cell>, heading: &str, columns: usize) -> String {
    let text = match cell {
        Some(Cell::Span { from, to, fill }) => return span(*from, *to, *fill, columns),
        Some(Cell::Series(numbers)) => return series(numbers, columns),
        Some(Cell::Text(text)) => printable::line(text),
        None => heading.into(),
    };
    let text = match kind {
        Kind::Number if cell.is_some() => whole(&text, columns),
        Kind::Name => shorten(&text, columns),
        Kind::Number | Kind::Note | Kind::Chart => clip(&text, columns),
    };
    padded(&text, columns, kind == Kind::Number)
}

/// A number that is too wide loses its separators. If it is still too wide, it is not shown, as in a spreadsheet.
fn whole(number: &str, columns: usize) -> String {
    if width(number) <= columns {
        return number.to_owned();
    }
    let plain = number.replace(',', "");
    if width(&plain) <= columns { plain } else { "#".repeat(columns) }
}

/// `[   ====   ]`.
fn span(from: f64, to: f64, fill: char, columns: usize) -> String {
    let inner = columns.saturating_sub(2).max(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "within the width of the bar"
    )]
    let column = |at: f64| (at * inner as f64).floor().clamp(0.0, inner as f64) as usize;
    let begin = column(from).min(inner - 1);
    let end = column(to).clamp(begin + 1, inner);
    let filled: String = std::iter::repeat_n(fill, end - begin).collect();
    format!("[{}{filled}{}]", " ".repeat(begin), " ".repeat(inner - end))
}

/// The last numbers as eighths of the largest one.
fn series(numbers: &[Option<i64>], columns: usize) -> String {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let inner = columns.saturating_sub(2).max(1);
    let numbers = &numbers[numbers.len().saturating_sub(inner)..];
    let most = numbers.iter().flatten().copied().max().unwrap_or(0).max(1);
    let eighth = |number: i64| {
        let eighth = i128::from(number.clamp(0, most)) * 7 / i128::from(most);
        EIGHTHS[usize::try_from(eighth).unwrap_or(0).min(7)]
    };
    let sparks: String = numbers.iter().map(|number| number.map_or(' ', eighth)).collect();
    format!("[{}]", padded(&sparks, inner, false))
}
