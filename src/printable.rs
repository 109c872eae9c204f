//! Owns how text of others is shown: what could steer a terminal, forge a line or mislead the eye is escaped.
//!
//! A piece of foreign text goes through [`printable`] where it becomes a part of a line. What is written at last goes through
//! [`line()`], [`lines`] or [`json`], whoever made it: there nothing has to be remembered.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// A piece of text as it may be shown within a line: control characters, invisible ones and those that turn the direction of
/// writing are escaped as in Rust (`\n`, `\u{1b}`), and so is the backslash, so that no two texts are shown alike.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\\' || steers(character))
}

/// The name of a file as it may be shown within a line.
#[must_use]
pub fn path(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

/// One line of ours that may hold text of others: a line break in it is not ours either.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, steers)
}

/// Several lines of ours: their line breaks and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| steers(character) && !matches!(character, '\n' | '\t'))
}

/// A JSON document with the same values, in which nothing but JSON's own line breaks steers a terminal. What JSON lets stand
/// in a string as it is, and a terminal does not, is spelled `\u009b`.
#[must_use]
pub fn json(document: String) -> String {
    // Outside of strings JSON has no such character.
    let is_odd = |character: char| steers(character) && !matches!(character, '\n' | '\r' | '\t');
    if !has(&document, is_odd) {
        return document;
    }
    let mut shown = String::with_capacity(document.len() + 64);
    for character in document.chars() {
        if is_odd(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes every text.
                write!(shown, "\\u{unit:04x}").unwrap_or_default();
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn escape(text: &str, must: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !has(text, &must) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if must(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn has(text: &str, must: impl Fn(char) -> bool) -> bool {
    text.chars().any(must)
}

/// Whether a character does something to a terminal or to its neighbours instead of being seen.
fn steers(character: char) -> bool {
    // Most are letters and digits.
    if (' '..='~').contains(&character) {
        return false;
    }
    // Unicode's characters that have no width or steer those around them: UAX #9 (bidirectional) and UTS #39 (confusable).
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
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
    fn a_line_of_ours_keeps_its_backslashes_and_lines_keep_their_breaks() {
        assert_eq!(line("a\\ \u{7}\r\nb"), r"a\ \u{7}\r\nb");
        assert_eq!(lines("a\\\n\tb\u{1b}]52;c;eA==\u{7}\r"), "a\\\n\tb\\u{1b}]52;c;eA==\\u{7}\\r");
    }

    #[test]
    fn a_json_document_keeps_its_values() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}31m\u{e0041}\u{7f}\n\\é" });
        let shown = json(serde_json::to_string_pretty(&value).expect("JSON"));
        assert_eq!(shown, "{\n  \"a\\u202e\": \"\\u009b31m\\udb40\\udc41\\u007f\\n\\\\é\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    proptest! {
        #[test]
        fn what_is_shown_steers_nothing_and_no_two_texts_are_shown_alike(left: String, right: String) {
            for text in [&left, &right] {
                for shown in [printable(text), line(text)] {
                    prop_assert!(!has(&shown, steers));
                }
                prop_assert!(!has(&lines(text), |character| steers(character) && !matches!(character, '\n' | '\t')));
            }
            prop_assert_eq!(left == right, printable(&left) == printable(&right));
        }
    }
}
