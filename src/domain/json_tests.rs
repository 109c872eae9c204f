//! Holds the JSON reader against `serde_json`, and tries by hand what the two are meant to judge differently.

use proptest::prelude::*;

use super::*;

fn judge(text: &str) -> Result<(), Fault> {
    let mut reader = JsonReader::new(text);
    reader.skip()?;
    reader.end()
}

fn reason(text: &str) -> Option<BadReason> {
    judge(text).err().map(|fault| crate::domain::BadRecord::from(fault).reason)
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

fn agrees_with_serde_json(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    // Only a value that is kept can be out of range; the reader under test leaves that to whoever wants the number.
    prop_assume!(!theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")));
    prop_assert_eq!(judge(text).is_ok(), theirs.is_ok(), "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

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
            json = json.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }).collect();
        }
        let read = JsonReader::new(&json).string().expect("a string");
        prop_assert_eq!(&read, &text);
        prop_assert_eq!(matches!(read, Cow::Borrowed(_)), !json.contains('\\'));
    }

    #[test]
    fn the_plain_length_is_the_first_byte_that_needs_care(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let slow = bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        prop_assert_eq!(plain_length(&bytes), slow.unwrap_or(bytes.len()));
    }
}

#[test]
fn the_plain_length_sees_every_byte_in_every_place() {
    for byte in 0..=u8::MAX {
        for place in 0..24 {
            let mut bytes = [b'a'; 24];
            bytes[place] = byte;
            let care = byte < 0x20 || byte == b'"' || byte == b'\\';
            assert_eq!(plain_length(&bytes), if care { place } else { 24 }, "byte {byte} at {place}");
        }
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
    for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\ud83d\ud83d""#, r#"{"\udead":1}"#] {
        assert_eq!(reason(bad), Some(BadReason::NotJson), "{bad}");
    }
    assert_eq!(reason(r#"["\ud83d\uDE00"]"#), None);
}

#[test]
fn a_number_that_no_double_holds_is_still_json() {
    assert_eq!(reason("[1e400,-1e-400,123456789012345678901234567890]"), None);
}
