//! The width of text on a terminal, and how it is shortened.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces what was left out.
const ELLIPSIS: &str = "…";

/// The columns that a text takes.
///
/// Terminals disagree about sequences of characters that are shown as one, so the larger result counts.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.width().max(text.chars().map(|character| character.width().unwrap_or(0)).sum())
}

/// At most `columns` of the text, from its start. A number is shown as a whole or not at all.
pub(super) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut start = prefix(text, columns - 1);
    let is_number = |character: char| character.is_ascii_digit() || matches!(character, ',' | '.');
    if text[start.len()..].starts_with(is_number) {
        start = start.trim_end_matches(is_number);
    }
    format!("{}{ELLIPSIS}", start.trim_end())
}

/// At most `columns` of a name: its start and its end, because names with the same prefix differ at the end.
#[must_use]
pub fn shorten(name: &str, columns: usize) -> String {
    if width(name) <= columns {
        return name.to_owned();
    }
    if columns < 5 {
        return clip(name, columns);
    }
    let end = suffix(name, (columns - 1) / 2);
    format!("{}{ELLIPSIS}{end}", prefix(name, columns - 1 - width(end)))
}

/// The longest start of the text that is at most `columns` wide.
fn prefix(text: &str, columns: usize) -> &str {
    let ends = text.char_indices().map(|(index, character)| index + character.len_utf8());
    let end = ends.take_while(|end| width(&text[..*end]) <= columns).last();
    &text[..end.unwrap_or(0)]
}

/// The longest end of the text that is at most `columns` wide.
fn suffix(text: &str, columns: usize) -> &str {
    let starts = text.char_indices().rev().map(|(index, _)| index);
    let start = starts.take_while(|start| width(&text[*start..]) <= columns).last();
    &text[start.unwrap_or(text.len())..]
}

/// Pads a text to a width.
pub(super) fn padded(text: &str, columns: usize, right: bool) -> String {
    let blanks = " ".repeat(columns.saturating_sub(width(text)));
    if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}
