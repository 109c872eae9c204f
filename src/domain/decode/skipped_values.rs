//! Owns what the contract asks of every part of a record and `serde_json` asks only of the parts it keeps.
//!
//! A value that `serde_json` skips, or hands on as its text, may nest without bound and hold lone surrogates.

use super::not_json;
use crate::domain::BadRecord;
use crate::domain::decode_error::{DecodeError, Location, Problem};

/// Arrays and objects may be nested that deep, counted from the outer object; as deep as `serde_json` reads.
const DEEPEST: usize = 127;

/// The first place that is nested too deep or has an escape that is none, as far as the text is JSON: behind the first
/// fault of syntax the answer means nothing.
#[inline]
pub(super) fn unseen_fault(text: &str) -> Option<(usize, BadRecord)> {
    if is_plain(text.as_bytes()) { None } else { look_closely(text) }
}

/// Whether there is no escape, and not one bracket more than may be nested, wherever they close. So is nearly every record.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let mut found = memchr::memchr3_iter(b'{', b'[', b'\\', text);
    found.by_ref().take(DEEPEST).all(|at| text[at] != b'\\') && found.next().is_none()
}

#[cold]
fn look_closely(text: &str) -> Option<(usize, BadRecord)> {
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
            b'{' | b'[' if depth == DEEPEST => {
                return Some((at, DecodeError { place: Location::Byte(at), problem: Problem::TooDeep }.into()));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The string that begins there, with its quotes; `None` if it never ends.
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
        unseen_fault(text).map(|(_, bad)| bad.reason)
    }

    #[test]
    fn nesting_ends_at_127_and_never_at_the_stack() {
        let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
            let per_round = open.matches(['[', '{']).count();
            let rounds = 127 / per_round;
            assert_eq!(reason(&nested(open, close, rounds)), None);
            assert_eq!(reason(&nested(open, close, rounds + 1)), Some(BadReason::TooDeep));
            assert_eq!(reason(&nested(open, close, 100_000)), Some(BadReason::TooDeep));
        }
        assert_eq!(unseen_fault(&"[".repeat(128)).map(|(at, _)| at), Some(127));
    }

    #[test]
    fn breadth_is_not_depth_and_a_string_nests_nothing() {
        assert_eq!(reason(&format!("[{}1]", "[[]],{\"a\":{}},".repeat(1_000))), None);
        assert_eq!(reason(&format!(r#"["{0}","\"{0}","\\","{0}"]"#, "[{".repeat(1_000))), None);
    }

    #[test]
    fn surrogates_are_judged_wherever_they_stand() {
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
        fn what_is_not_looked_at_closely_has_no_escape_and_few_brackets(
            brackets in "[\\[{]{120,135}", other in "[a\"\\]}\\\\]{0,2}", at in 0_usize..120,
        ) {
            let text = format!("{}{other}{}", &brackets[..at], &brackets[at..]);
            prop_assert_eq!(is_plain(text.as_bytes()), brackets.len() <= DEEPEST && !other.contains('\\'));
        }

        #[test]
        fn a_string_is_found_whole(text in any::<String>(), before in "[ \\[{:,1]{0,9}", after in "[ \\]},:\"]{0,9}") {
            let json = serde_json::to_string(&text).expect("a string is JSON");
            let around = format!("{before}{json}{after}");
            prop_assert_eq!(string_at(&around, before.len()), Some(&*json));
            prop_assert_eq!(string_at(&json[..json.len() - 1], 0), None);
        }
    }
}
