//! Escaping of foreign text for display: control characters, forged line breaks and invisible characters. Quoting of
//! words for a shell.
//!
//! Foreign text passes [`printable`] where it becomes part of a line. All output finally passes [`line()`], [`lines`]
//! or [`json`], whatever its origin.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Foreign text for use within a line. Control characters, invisible characters and bidirectional controls are escaped
/// as in Rust (`\n`, `\u{1b}`). The backslash is escaped too, so that different texts never look the same.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\\' || steers(character))
}

/// Bytes for use within a line: UTF-8 as [`printable`] writes it, other bytes as `\xff`. Of more than `head` + `tail`
/// bytes only so many at the start and the end are shown, with `…` between them.
#[must_use]
pub fn excerpt(bytes: &[u8], [head, tail]: [usize; 2]) -> String {
    if bytes.len() <= head + tail {
        return escaped_bytes(bytes);
    }
    format!("{}…{}", escaped_bytes(&bytes[..head]), escaped_bytes(&bytes[bytes.len() - tail..]))
}

fn escaped_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            write!(text, "\\x{byte:02x}").unwrap_or_default();
        }
    }
    text
}

/// A file name for use within a line.
#[must_use]
pub fn path(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

/// A word of a command line for a POSIX shell, in quotes where it needs them. It escapes nothing.
#[must_use]
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,%+@".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A line of this program that may contain foreign text. Line breaks are escaped too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, steers)
}

/// Lines of this program: line breaks and tabs are kept.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| steers(character) && !matches!(character, '\n' | '\t'))
}

/// A JSON document with the same values and without control characters in its strings: those that JSON allows are
/// written as `\u009b`.
#[must_use]
pub fn json(document: String) -> String {
    // Outside of strings, JSON has no such character.
    let is_odd = |character: char| steers(character) && !matches!(character, '\n' | '\r' | '\t');
    if !has(&document, is_odd) {
        return document;
    }
    let mut shown = String::with_capacity(document.len() + 64);
    for character in document.chars() {
        if is_odd(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.extend(["\\u", &format!("{unit:04x}")]);
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

/// Whether a character affects the terminal or its neighbours instead of being visible itself.
fn steers(character: char) -> bool {
    // The common case.
    if (' '..='~').contains(&character) {
        return false;
    }
    // Characters without width, and those that affect their neighbours: UAX #9 (bidirectional), UTS #39 (confusable).
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
            // Noncharacters, two of which XML does not allow.
            | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_control_and_invisible_characters() {
        assert_eq!(printable("Café №7 \u{1f355}"), "Café №7 \u{1f355}");
        assert_eq!(printable("a\u{1b}[31m\n\0\u{9b}b"), r"a\u{1b}[31m\n\u{0}\u{9b}b");
        assert_eq!(printable("\u{202e}\u{200b}\u{feff}\u{2066}"), r"\u{202e}\u{200b}\u{feff}\u{2066}");
        assert_eq!(printable(r"\n"), r"\\n");
    }

    #[test]
    fn line_keeps_backslashes_and_lines_keeps_breaks() {
        assert_eq!(line("a\\ \u{7}\r\nb"), r"a\ \u{7}\r\nb");
        assert_eq!(lines("a\\\n\tb\u{1b}]52;c;eA==\u{7}\r"), "a\\\n\tb\\u{1b}]52;c;eA==\\u{7}\\r");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}31m\u{e0041}\u{7f}\n\\é" });
        let shown = json(serde_json::to_string_pretty(&value).expect("JSON"));
        assert_eq!(shown, "{\n  \"a\\u202e\": \"\\u009b31m\\udb40\\udc41\\u007f\\n\\\\é\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    proptest! {
        #[test]
        fn escaping_is_safe_and_injective(left: String, right: String) {
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
