//! Owns what all reports share: text from records made safe to print, and aligned tables.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// Text from a record as it may be printed: control characters, invisible ones and those that turn the direction of
/// writing are escaped as in Rust (`\n`, `\u{1b}`), and so is the backslash, so that no two texts print alike.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(must_escape) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if must_escape(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn must_escape(character: char) -> bool {
    // Unicode's characters that have no width or steer those around them: UAX #9 (bidirectional) and UTS #39 (confusable).
    character.is_control()
        || matches!(
            character,
            '\\' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// On which side a column's cells end flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a heading, in columns two spaces apart, the whole indented by two spaces.
pub(super) struct Table<const COLUMNS: usize> {
    columns: [Align; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(columns: [(&str, Align); COLUMNS]) -> Self {
        Self { columns: columns.map(|(_, align)| align), rows: vec![columns.map(|(heading, _)| heading.to_owned())] }
    }

    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let mut line = String::new();
        for row in &self.rows {
            line.clear();
            for ((cell, align), width) in row.iter().zip(self.columns).zip(widths) {
                match align {
                    Align::Left => write!(line, "  {cell:<width$}")?,
                    Align::Right => write!(line, "  {cell:>width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_or_misleads_the_eye_is_escaped() {
        assert_eq!(printable("Café №7 \u{1f355}"), "Café №7 \u{1f355}");
        assert_eq!(printable("a\u{1b}[31m\n\0\u{9b}b"), r"a\u{1b}[31m\n\u{0}\u{9b}b");
        assert_eq!(printable("\u{202e}\u{200b}\u{feff}\u{2066}"), r"\u{202e}\u{200b}\u{feff}\u{2066}");
        assert_eq!(printable(r"\n"), r"\\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_characters_and_no_line_ends_in_blanks() {
        let mut table = Table::new([("name", Align::Left), ("n", Align::Right), ("note", Align::Left)]);
        table.row(["Café".into(), "1000".into(), String::new()]);
        table.row(["a longer name".into(), "7".into(), "x".into()]);
        assert_eq!(table.to_string(), "  name              n  note\n  Café           1000\n  a longer name     7  x\n");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_printable_and_no_two_texts_print_alike(left: String, right: String) {
            for text in [&left, &right] {
                prop_assert!(!printable(text).chars().any(|character| character != '\\' && must_escape(character)));
            }
            prop_assert_eq!(left == right, printable(&left) == printable(&right));
        }
    }
}
