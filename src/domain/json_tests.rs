//! Holds the JSON reader against `serde_json`, and tries by hand what the two are meant to judge differently.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::domain::{BadReason, BadRecord};

fn reason(text: &str) -> Option<BadReason> {
    let mut reader = JsonReader::new(text);
    let broken = reader.skip().and_then(|()| reader.end()).err()?;
    Some(BadRecord::from(reader.fault(broken)).reason)
}

/// JSON-like texts: fragments that are likely to meet, in any order.
fn texts() -> impl Strategy<Value = String> {
    let fragments = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "\\",
        " ",
        "\n",
        "\t",
        "-",
        "+",
        ".",
        "0",
        "7",
        "12",
        "e",
        "E",
        "true",
        "false",
        "null",
        "nul",
        "\"a\"",
        "\"a\":",
        "\"\\u00e9\"",
        "\\ud83d",
        "\\ude00",
        "\\n",
        "\\x",
        "\u{1}",
        "é",
        "{}",
        "[]",
        "[1",
        "{\"k\":",
        "1.5",
        "1e3",
        "\u{feff}",
    ]);
    prop::collection::vec(fragments, 0..14).prop_map(|fragments| fragments.concat())
}

/// JSON texts that are valid, written by `serde_json`, with one byte changed, inserted or removed half of the time.
fn nearly_valid() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let tree = leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    });
    (tree, any::<bool>(), any::<prop::sample::Index>(), 0..3, prop::sample::select(b"{}[]\",:\\u0d8-+.eE n".to_vec()))
        .prop_map(|(tree, damage, place, how, byte)| {
            let mut bytes = tree.to_string().into_bytes();
            if damage {
                let place = place.index(bytes.len());
                match how {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    _ => drop(bytes.remove(place)),
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
}

/// A JSON text as Python writes it by default: what is not ASCII in escapes.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => ascii.push(byte.into()),
            None => write!(ascii, "\\u{unit:04x}").expect("a String takes all"),
        }
    }
    ascii
}

fn agrees_with_serde_json(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    // Only a value that is kept can be out of range; the reader under test leaves that to whoever wants the number.
    if !theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
        prop_assert_eq!(reason(text).is_none(), theirs.is_ok(), "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fragments_are_json_when_serde_json_says_so(text in texts()) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn damaged_documents_are_json_when_serde_json_says_so(text in nearly_valid()) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn a_string_reads_as_serde_json_reads_it(text in any::<String>(), ascii in any::<bool>()) {
        let mut json = serde_json::to_string(&text).expect("a string is JSON");
        if ascii {
            json = in_ascii(&json);
        }
        let read = JsonReader::new(&json).string().expect("a string");
        prop_assert_eq!(&read, &text);
        prop_assert_eq!(matches!(read, Cow::Borrowed(_)), !json.contains('\\'));
    }
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
    // Breadth is not depth: what was closed does not count.
    assert_eq!(reason(&format!("[{}1]", "[[]],{\"a\":{}},".repeat(1_000))), None);
}

#[test]
fn surrogates_are_judged_in_what_is_skipped() {
    for bad in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83d\ud83d""#,
        r#""\ud83d\ue000""#,
        r#""\ud83d\u0041""#,
        r#"{"\udead":1}"#,
    ] {
        assert_eq!(reason(bad), Some(BadReason::NotJson), "{bad}");
    }
    assert_eq!(reason(r#"["\ud83d\uDE00"]"#), None);
}

#[test]
fn a_number_that_no_double_holds_is_still_json() {
    assert_eq!(reason("[1e400,-1e-400,123456789012345678901234567890]"), None);
}
