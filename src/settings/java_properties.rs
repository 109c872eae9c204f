//! Parser of Java properties files, compatible with `java.util.Properties`, with line numbers.

/// In the order of the file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first line of the entry, from 1.
    pub line: usize,
    /// With resolved escapes.
    pub key: String,
    /// With resolved escapes and trailing blanks.
    pub value: String,
    /// Whether there is a separator or a value.
    pub separated: bool,
    /// Whether a backslash precedes a character that needs no escape; Java drops such a backslash.
    pub lost_backslash: bool,
}

/// `\u` without four hexadecimal digits, which Java refuses too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidEscape {
    /// From 1.
    pub line: usize,
}

/// Blanks of the format, without line ends.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// A line with its continuations, before escapes are resolved.
struct LogicalLine {
    line: usize,
    text: Vec<char>,
}

pub(super) fn entries(text: &str) -> Result<Vec<Entry>, InvalidEscape> {
    logical_lines(text).iter().map(entry).collect()
}

/// Joins continued lines and removes blank lines and comments.
fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut current = LogicalLine { line: 1, text: Vec::new() };
    let (mut number, mut skipping, mut continued, mut escaping) = (1, true, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let end_of_line = matches!(character, '\r' | '\n');
        let here = number;
        if end_of_line {
            if character == '\r' && characters.peek() == Some(&'\n') {
                characters.next();
            }
            number += 1;
        }
        if skipping {
            if is_blank(character) || (end_of_line && !continued) {
                continue;
            }
            skipping = false;
            continued = false;
        }
        if current.text.is_empty() && !end_of_line {
            if matches!(character, '#' | '!') {
                // A comment cannot be continued with a backslash.
                while characters.next_if(|next| !matches!(next, '\r' | '\n')).is_some() {}
                skipping = true;
                continue;
            }
            current.line = here;
        }
        if !end_of_line {
            current.text.push(character);
            escaping = character == '\\' && !escaping;
        } else if current.text.is_empty() {
            skipping = true;
        } else if escaping && characters.peek().is_some() {
            current.text.pop();
            (skipping, continued, escaping) = (true, true, false);
        } else {
            if escaping {
                current.text.pop();
            }
            escaping = false;
            skipping = true;
            lines.push(std::mem::replace(&mut current, LogicalLine { line: number, text: Vec::new() }));
        }
    }
    if !current.text.is_empty() {
        if escaping {
            current.text.pop();
        }
        lines.push(current);
    }
    lines
}

/// Splits at the first unescaped separator: `=` or `:` with blanks around it, or blanks alone.
fn entry(logical: &LogicalLine) -> Result<Entry, InvalidEscape> {
    let text = &logical.text;
    let mut escaping = false;
    let mut end = text.len();
    let mut separated = false;
    for (at, &character) in text.iter().enumerate() {
        if !escaping && (is_blank(character) || matches!(character, '=' | ':')) {
            separated = !is_blank(character);
            end = at;
            break;
        }
        escaping = character == '\\' && !escaping;
    }
    let mut start = (end + 1).min(text.len());
    while let Some(&character) = text.get(start) {
        if !separated && matches!(character, '=' | ':') {
            separated = true;
        } else if !is_blank(character) {
            break;
        }
        start += 1;
    }
    let malformed = InvalidEscape { line: logical.line };
    let (key, lost_in_key) = unescaped(&text[..end]).ok_or(malformed)?;
    let (value, lost) = unescaped(&text[start..]).ok_or(malformed)?;
    let separated = separated || !value.is_empty();
    Ok(Entry { line: logical.line, key, value, separated, lost_backslash: lost || lost_in_key })
}

/// Resolves escapes, and returns whether a backslash was dropped; `None` for `\u` without digits.
fn unescaped(text: &[char]) -> Option<(String, bool)> {
    // Java's escapes are UTF-16 units, so two of them may form one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut lost = false;
    let mut characters = text.iter().copied();
    let push = |units: &mut Vec<u16>, character: char| {
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    };
    while let Some(character) = characters.next() {
        if character != '\\' {
            push(&mut units, character);
            continue;
        }
        match characters.next() {
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let hexadecimal = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                units.push(hexadecimal.then(|| u16::from_str_radix(&digits, 16).ok()).flatten()?);
            }
            Some('t') => units.push(u16::from(b'\t')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('f') => units.push(0xc),
            Some(other) => {
                lost |= other.is_alphanumeric();
                push(&mut units, other);
            }
            None => {}
        }
    }
    Some((String::from_utf16_lossy(&units), lost))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// A text and the result of `java.util.Properties` in Java 17.
    #[derive(Deserialize)]
    struct Recorded {
        text: String,
        entries: Option<Vec<(String, String)>>,
    }

    #[test]
    fn reads_all_recorded_texts_like_java() {
        let recorded: Vec<Recorded> =
            serde_json::from_str(include_str!("../../tests/java/properties.json")).expect("recorded");
        assert!(recorded.len() > 100);
        for Recorded { text, entries: wanted } in recorded {
            let read = entries(&text).ok().map(|entries| {
                entries.into_iter().map(|entry| (entry.key, entry.value)).collect::<Vec<(String, String)>>()
            });
            assert_eq!(read, wanted, "{text:?}");
        }
    }

    #[test]
    fn an_entry_has_the_number_of_its_first_line() {
        let lines = |text| entries(text).expect("read").iter().map(|entry| entry.line).collect::<Vec<_>>();
        assert_eq!(lines("a=1\nb=2\r\nc=3\rd=4"), [1, 2, 3, 4]);
        assert_eq!(lines("# x\n\n  a=1\\\n  2\\\r\n  3\n! y\\\nb=2\n"), [3, 7]);
        assert_eq!(entries("a=1\nb=\\u12\n").err(), Some(InvalidEscape { line: 2 }));
    }

    #[test]
    fn reports_a_dropped_backslash() {
        let lost = |text| entries(text).expect("read")[0].lost_backslash;
        assert!(lost("a=C:\\dir"));
        assert!(!lost("a=\\\\dir\\n\\=\\:\\ \\#\\u0041\\\"") && !lost("a=1\\\n  2"));
    }

    /// Writes like `java.util.Properties.store`.
    fn stored(text: &str, key: bool) -> String {
        let mut stored = String::new();
        for (at, character) in text.chars().enumerate() {
            match character {
                ' ' if at == 0 || key => stored.push_str("\\ "),
                '\t' => stored.push_str("\\t"),
                '\n' => stored.push_str("\\n"),
                '\r' => stored.push_str("\\r"),
                '\u{c}' => stored.push_str("\\f"),
                '=' | ':' | '#' | '!' | '\\' => stored.extend(['\\', character]),
                ' '..='~' => stored.push(character),
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        stored.extend(format!("\\u{unit:04X}").chars());
                    }
                }
            }
        }
        stored
    }

    proptest! {
        #[test]
        fn reads_what_java_stores(pairs in prop::collection::vec((".{1,12}", "(?s).{0,20}"), 0..6)) {
            let lines = pairs.iter().map(|(key, value)| format!("{}={}\n", stored(key, true), stored(value, false)));
            let text = lines.collect::<Vec<_>>().concat();
            let read: Vec<(String, String)> =
                entries(&text).expect("read").into_iter().map(|entry| (entry.key, entry.value)).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn never_panics_and_keeps_line_order(text in "(?s)[\\\\=: \t\r\n\u{c}#!aué0]{0,60}") {
            if let Ok(entries) = entries(&text) {
                let lines = text.split(['\r', '\n']).count();
                prop_assert!(entries.is_sorted_by_key(|entry| entry.line));
                prop_assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
            }
        }
    }
}
