//! JSON fields: the text of what a JSON pointer (RFC 6901) points at, without building the whole value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep objects and arrays are put into canonical form. What is deeper is compared as it is written.
const MAX_DEPTH: u32 = 64;

/// Integers up to this one are exact as `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A JSON pointer, split at its slashes.
#[derive(Debug, Clone)]
pub(super) struct JsonPointer(Vec<Token>);

#[derive(Debug, Clone)]
struct Token {
    name: String,
    /// The token as an index into an array.
    index: Option<usize>,
}

impl JsonPointer {
    pub fn new(pointer: &str) -> Self {
        let token = |token: &str| {
            let name = token.replace("~1", "/").replace("~0", "~");
            let is_index = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
            let index = is_index.then(|| name.parse().ok()).flatten();
            Token { name, index }
        };
        Self(pointer.split('/').skip(1).map(token).collect())
    }

    /// The text of the field; `None` without it, for `null`, and for bytes that are not JSON.
    pub fn text<'v>(&self, value: &'v [u8]) -> Option<Cow<'v, str>> {
        let mut deserializer = serde_json::Deserializer::from_slice(value);
        let found = Seek(&self.0).deserialize(&mut deserializer).ok()??;
        deserializer.end().ok()?;
        text(found.get())
    }
}

/// Looks for what the rest of a pointer points at. Of repeated names the last one counts, as in most parsers.
struct Seek<'t>(&'t [Token]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((token, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Name(&token.name))? {
            if is_it {
                found = map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let Some((token, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        for index in 0.. {
            if token.index == Some(index) {
                match sequence.next_element_seed(Seek(rest))? {
                    Some(element) => found = element,
                    None => break,
                }
            } else if sequence.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether the next name is this one.
struct Name<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'n' => None,
        b'"' => Some(string(raw)),
        b'{' | b'[' => {
            let mut canonical = String::with_capacity(raw.len());
            write_canonical(&mut canonical, raw, 0);
            Some(Cow::Owned(canonical))
        }
        b't' | b'f' => Some(Cow::Borrowed(raw)),
        _ => Some(number(raw)),
    }
}

/// The text of a string. One with half of a surrogate pair counts as it is written.
fn string(raw: &str) -> Cow<'_, str> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(raw).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// A number: an integer of any size as it is, another one in the shortest form.
fn number(raw: &str) -> Cow<'_, str> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(if digits == "0" { digits } else { raw });
    }
    match raw.parse::<f64>() {
        // Larger ones may be the rounded form of several numbers.
        Ok(number) if number.abs() < EXACT => {
            Cow::Owned(if number == 0.0 { "0".to_owned() } else { number.to_string() })
        }
        _ => Cow::Borrowed(raw),
    }
}

/// Writes JSON without white space and with sorted names.
fn write_canonical(out: &mut String, raw: &str, depth: u32) {
    let is_shallow = depth < MAX_DEPTH;
    match raw.as_bytes().first() {
        Some(b'{') if is_shallow => {
            let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw) else {
                return out.push_str(raw);
            };
            let mut separator = '{';
            for (name, value) in &members {
                out.push(separator);
                separator = ',';
                write_string(out, name);
                out.push(':');
                write_canonical(out, value.get(), depth + 1);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') if is_shallow => {
            let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw) else { return out.push_str(raw) };
            let mut separator = '[';
            for element in &elements {
                out.push(separator);
                separator = ',';
                write_canonical(out, element.get(), depth + 1);
            }
            out.push_str(if elements.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => write_string(out, &string(raw)),
        Some(b'{' | b'[' | b't' | b'f' | b'n') | None => out.push_str(raw),
        Some(_) => out.push_str(&number(raw)),
    }
}

fn write_string(out: &mut String, text: &str) {
    match serde_json::to_string(text) {
        Ok(json) => out.push_str(&json),
        // A string can always be written.
        Err(_) => out.push_str(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn found(pointer: &str, json: &str) -> Option<String> {
        JsonPointer::new(pointer).text(json.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn a_pointer_is_followed_through_objects_and_arrays() {
        let json = r#" {"a": {"b": [1, {"c": "x"}]}, "a/b": 2, "m~n": 3, "": 4, "0": 5, "01": 6} "#;
        let cases = [
            ("/a/b/0", Some("1")),
            ("/a/b/1/c", Some("x")),
            ("/a/b/2", None),
            ("/a/b/00", None),
            ("/a/b/-", None),
            ("/a/b/1/c/d", None),
            ("/a~1b", Some("2")),
            ("/m~0n", Some("3")),
            ("/", Some("4")),
            ("/0", Some("5")),
            ("/01", Some("6")),
            ("/a/b", Some(r#"[1,{"c":"x"}]"#)),
            ("/b", None),
        ];
        for (pointer, expected) in cases {
            assert_eq!(found(pointer, json).as_deref(), expected, "{pointer}");
        }
        assert_eq!(found("/0/id", r#"[{"id": 9}]"#).as_deref(), Some("9"));
    }

    #[test]
    fn values_are_compared_by_their_text() {
        let cases = [
            ("7", Some("7")),
            ("\"7\"", Some("7")),
            ("7.0", Some("7")),
            ("70e-1", Some("7")),
            ("-0", Some("0")),
            ("-0.0", Some("0")),
            ("0.50", Some("0.5")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("12345678901234567890124.0", Some("12345678901234567890124.0")),
            ("1e999", Some("1e999")),
            ("true", Some("true")),
            ("null", None),
            (r#""\u00e9\n""#, Some("é\n")),
            (r#""\ud800""#, Some(r"\ud800")),
            (r#"{ "b" : [ ], "a" : { "x" : 1.0 }, "c" : {} }"#, Some(r#"{"a":{"x":1},"b":[],"c":{}}"#)),
            (
                r#"{"a": "\u0041\"", "a2": null, "a3": [true, false]}"#,
                Some(r#"{"a":"A\"","a2":null,"a3":[true,false]}"#),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(found("/id", &format!("{{\"id\": {value}}}")).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_last_of_repeated_names_counts() {
        assert_eq!(found("/a", r#"{"a": 1, "a": 2}"#).as_deref(), Some("2"));
        assert_eq!(found("/a/b", r#"{"a": {"b": 1}, "a": 2}"#), None);
    }

    #[test]
    fn what_is_not_json_has_no_field() {
        for json in ["", "{", "{\"id\": 1", "{\"id\": 1} x", "{\"id\": 01}", "\u{0}", "plain text", "{\"id\": 1,}"] {
            assert_eq!(found("/id", json), None, "{json}");
        }
        assert_eq!(JsonPointer::new("/id").text(b"{\"id\": \"\xff\"}"), None);
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("{{\"id\": {}1{}, \"n\": 2}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(found("/id", &deep).expect("a field").starts_with("[[[["));
        assert_eq!(found("/n", &deep).as_deref(), Some("2"));
        let pointer = "/0".repeat(200_000);
        assert_eq!(found(&format!("/id{pointer}"), &deep), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c~/0-2é\"\\\\]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/0-2]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_finds(value in json(), tokens in prop::collection::vec("[a-c0-2]{0,2}|~0|~1", 1..4)) {
            let pointer = tokens.iter().fold(String::new(), |pointer, token| pointer + "/" + token);
            let expected = match value.pointer(&pointer) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                // The names of these objects are sorted already.
                Some(other) => Some(other.to_string()),
            };
            for written in [value.to_string(), serde_json::to_string_pretty(&value).expect("written")] {
                prop_assert_eq!(&found(&pointer, &written), &expected);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, pointer in "(/[a-c0-2]{0,2}){1,3}") {
            drop(JsonPointer::new(&pointer).text(&bytes));
        }
    }
}
