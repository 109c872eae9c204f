//! Checks of values that `serde_json` skips or passes on as text: nesting depth and lone surrogates.
//!
//! `serde_json` checks both only in values that it parses.

use super::not_json;
use crate::domain::BadRecord;
use crate::domain::decode_error::{DecodeError, Location, Problem};

/// The largest nesting depth, counted from the outer object; the limit of `serde_json`.
const MAX_DEPTH: usize = 127;

/// The first byte that is nested too deep or has an invalid escape. Only valid up to the first syntax error.
#[inline]
pub(super) fn check_skipped(text: &str) -> Option<(usize, BadRecord)> {
    if is_plain(text.as_bytes()) { None } else { check_all(text) }
}

/// Whether the text has no escapes, and fewer opening brackets than the largest depth, like nearly every record.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let mut found = memchr::memchr3_iter(b'{', b'[', b'\\', text);
    found.by_ref().take(MAX_DEPTH).all(|at| text[at] != b'\\') && found.next().is_none()
}

#[cold]
fn check_all(text: &str) -> Option<(usize, BadRecord)> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                let string = string_at(text, at)?;
                if string.contains("\\u")
                    && let Err(error) = serde_json::from_str::<String>(string)
                {
                    return Some(not_json(string, at, &error));
                }
                at += string.len();
                continue;
            }
            b'{' | b'[' if depth == MAX_DEPTH => {
                return Some((at, DecodeError { location: Location::Byte(at), problem: Problem::TooDeep }.into()));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The string that starts at `start`, with its quotes; `None` if it does not end.
fn string_at(text: &str, start: usize) -> Option<&str> {
    let mut escaped = false;
    let end = text.as_bytes()[start + 1..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[start..=start + 1 + end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::BadReason;

    fn reason(text: &str) -> Option<BadReason> {
        check_skipped(text).map(|(_, bad)| bad.reason)
    }

    #[test]
    fn nesting_is_limited_to_127() {
        let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
            let per_round = open.matches(['[', '{']).count();
            let rounds = 127 / per_round;
            assert_eq!(reason(&nested(open, close, rounds)), None);
            assert_eq!(reason(&nested(open, close, rounds + 1)), Some(BadReason::TooDeep));
            assert_eq!(reason(&nested(open, close, 100_000)), Some(BadReason::TooDeep));
        }
        assert_eq!(check_skipped(&"[".repeat(128)).map(|(at, _)| at), Some(127));
    }

    #[test]
    fn only_open_brackets_outside_strings_count() {
        assert_eq!(reason(&format!("[{}1]", "[[]],{\"a\":{}},".repeat(1_000))), None);
        assert_eq!(reason(&format!(r#"["{0}","\"{0}","\\","{0}"]"#, "[{".repeat(1_000))), None);
    }

    #[test]
    fn lone_surrogates_are_found_everywhere() {
        for bad in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83d\ue000""#,
            r#""\ud83d\u0041""#,
            r#"{"\udead":1}"#,
            r#"["\"\\",{"a":["\\\ud83d"]}]"#,
        ] {
            assert_eq!(reason(bad), Some(BadReason::NotJson), "{bad}");
        }
        for good in [r#"["\ud83d\uDE00"]"#, r#""\\ud83d""#, r#"["\"","\\",{"\u0022[":"\"\u00e9"}]"#] {
            assert_eq!(reason(good), None, "{good}");
        }
    }

    proptest! {
        #[test]
        fn plain_texts_have_few_brackets_and_no_escapes(
            brackets in "[\\[{]{120,135}", other in "[a\"\\]}\\\\]{0,2}", at in 0_usize..120,
        ) {
            let text = format!("{}{other}{}", &brackets[..at], &brackets[at..]);
            prop_assert_eq!(is_plain(text.as_bytes()), brackets.len() <= MAX_DEPTH && !other.contains('\\'));
        }

        #[test]
        fn finds_whole_strings(text in any::<String>(), before in "[ \\[{:,1]{0,9}", after in "[ \\]},:\"]{0,9}") {
            let json = serde_json::to_string(&text).expect("a string is JSON");
            let around = format!("{before}{json}{after}");
            prop_assert_eq!(string_at(&around, before.len()), Some(&*json));
            prop_assert_eq!(string_at(&json[..json.len() - 1], 0), None);
        }
    }
}
