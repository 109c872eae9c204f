//! A live screen as data, and how it is fitted into the rows and columns of a terminal.

mod table;
#[cfg(test)]
mod tests;
mod width;

use std::time::Duration;

use crate::printable;
use crate::units;

pub use table::{Cell, Column, Kind, Rest, Row, Table};
pub use width::shorten;

/// The rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// From this height on, blank lines separate the parts.
const ROWS_WITH_GAPS: usize = 16;

/// From this height on, the last message is shown.
const ROWS_WITH_MESSAGE: usize = 8;

/// What a command shows while it runs.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// What the screen shows.
    pub title: Text,
    /// The numbers that are visible at any size.
    pub totals: Vec<Table>,
    /// The totals in one line, for a screen with too few rows for them.
    pub sum: Text,
    /// What has space below the totals.
    pub tables: Vec<Table>,
    /// When the numbers were read; `None` if they cannot be stale.
    pub age: Option<Age>,
}

/// The age of a frame's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// At the time when the frame was made.
    pub at_first: Duration,
    /// Numbers of this age are marked as stale.
    pub limit: Duration,
}

/// What a screen adds to a frame.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The last line.
    pub footer: Text,
    /// The last message of the command, if any.
    pub message: Option<String>,
    /// The time since the frame was made.
    pub elapsed: Duration,
}

/// One line in several wordings, the longest first: the first that fits is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<String>);

impl Text {
    #[must_use]
    pub fn new(longest: impl Into<String>) -> Self {
        Self(vec![longest.into()])
    }

    /// Adds a shorter wording.
    #[must_use]
    pub fn or(mut self, shorter: impl Into<String>) -> Self {
        self.0.push(shorter.into());
        self
    }

    /// The first wording that fits, or the start of the last one.
    fn fit(&self, columns: usize) -> String {
        let mut shown = self.0.iter().map(|text| printable::line(text));
        let fits = shown.clone().find(|text| width::width(text) <= columns);
        fits.or_else(|| shown.next_back()).map_or_else(String::new, |text| width::clip(&text, columns))
    }
}

/// What a line is, for its style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Title,
    /// Names of columns.
    Heading,
    /// Stale numbers.
    Alert,
    /// The message and the footer.
    Hint,
}

/// A line of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub tone: Tone,
}

impl Line {
    fn new(text: String, tone: Tone) -> Self {
        Self { text, tone }
    }

    fn blank() -> Self {
        Self::new(String::new(), Tone::Plain)
    }
}

/// Exactly the lines of a screen: as many as it has rows, none wider than its columns. The totals or their sum, and the
/// footer, are always there, unless there is only one row.
#[must_use]
pub fn fit(frame: &Frame, around: &Surroundings, size: Size) -> Vec<Line> {
    let Size { rows, columns } = size;
    if rows < 2 {
        return std::iter::repeat_n(Line::new(frame.sum.fit(columns), Tone::Plain), rows).collect();
    }
    let mut bottom = vec![Line::new(around.footer.fit(columns), Tone::Hint)];
    let mut top = Vec::new();
    let alert = frame.age.and_then(|age| stale(age, around.elapsed));
    // One row each for the totals and the footer is taken.
    if let Some(alert) = alert.filter(|_| rows > 2) {
        top.push(Line::new(alert.fit(columns), Tone::Alert));
    }
    let totals: Vec<Vec<Line>> = frame.totals.iter().map(|table| table.lines(usize::MAX, columns)).collect();
    let gap = usize::from(rows >= ROWS_WITH_GAPS);
    let wanted: usize = totals.iter().map(Vec::len).sum();
    let free = rows - bottom.len() - top.len();
    // Totals that do not fit are replaced by one line.
    if free > if wanted <= free { wanted.max(1) } else { 1 } {
        top.insert(0, Line::new(frame.title.fit(columns), Tone::Title));
    }
    let mut rest: Vec<&Table> = Vec::new();
    if wanted > 0 && wanted <= free {
        for lines in totals {
            // Without space for the gaps too, the totals have priority.
            if gap > 0 && free > wanted + 2 * frame.totals.len() {
                top.push(Line::blank());
            }
            top.extend(lines);
        }
    } else {
        top.push(Line::new(frame.sum.fit(columns), Tone::Plain));
        rest.extend(&frame.totals);
    }
    rest.extend(&frame.tables);
    if let Some(message) = around.message.as_ref().filter(|_| rows >= ROWS_WITH_MESSAGE && top.len() + 2 < rows) {
        bottom.insert(0, Line::new(Text::new(message.as_str()).fit(columns), Tone::Hint));
    }
    let mut free = rows - bottom.len() - top.len();
    let wants: Vec<usize> = rest.iter().map(|table| table.lines(usize::MAX, columns).len()).collect();
    let gaps = gap * wants.iter().filter(|wanted| **wanted > 0).count();
    let shares = shares(&wants, free.saturating_sub(gaps));
    for (table, share) in rest.iter().zip(shares) {
        let lines = table.lines(share, columns);
        if lines.is_empty() {
            continue;
        }
        if gap > 0 && lines.len() < free {
            top.push(Line::blank());
            free -= 1;
        }
        free -= lines.len();
        top.extend(lines);
    }
    top.resize(rows - bottom.len(), Line::blank());
    top.extend(bottom);
    top
}

/// Divides lines among tables: each gets the same number, and what one does not need goes to the others.
fn shares(wants: &[usize], mut lines: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|&index| wants[index]);
    let mut shares = vec![0; wants.len()];
    for (done, index) in order.into_iter().enumerate() {
        shares[index] = wants[index].min(lines.div_ceil(wants.len() - done));
        lines -= shares[index];
    }
    shares
}

fn stale(age: Age, elapsed: Duration) -> Option<Text> {
    let Age { at_first, limit } = age;
    let age = at_first + elapsed;
    let shown = units::duration(Duration::from_secs(age.as_secs()));
    let note =
        || Text::new(stale_note(&shown)).or(format!("stale for {shown}")).or(format!("stale {shown}")).or("stale");
    (age >= limit).then(note)
}

/// The sentence next to numbers that are shown while the cluster does not respond.
#[must_use]
pub fn stale_note(age: &str) -> String {
    format!("stale: no answer from the cluster for {age}")
}
