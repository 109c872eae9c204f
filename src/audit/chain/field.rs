//! Matched fields: the part of a record by which inputs and outputs are matched, reduced to a hash.

use xxhash_rust::xxh3::xxh3_128;

use super::super::matching::MatchField;
use super::json_field::JsonPointer;

/// The parts of a record that may have the field.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordParts<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The value of the last header with the name that [`MatchedField::header`] returns.
    pub header: Option<&'a [u8]>,
}

/// A field, ready to be looked up in many records.
///
/// Fields are compared by their bytes. A string in JSON counts as its text, so a key `7`, a number `7` and a string
/// `"7"` match: producers of one id often disagree on this. The number `7.0` is `7`, too. Objects and arrays count as
/// JSON without white space, with sorted names. A `null` counts as a missing field.
#[derive(Debug, Clone)]
pub struct MatchedField(Source);

#[derive(Debug, Clone)]
enum Source {
    Key,
    Header(Vec<u8>),
    Pointer(JsonPointer),
}

impl MatchedField {
    /// Prepares a field.
    #[must_use]
    pub fn new(field: &MatchField) -> Self {
        Self(match field {
            MatchField::Key => Source::Key,
            MatchField::Header(name) => Source::Header(name.as_bytes().to_vec()),
            MatchField::Pointer(pointer) => Source::Pointer(JsonPointer::new(pointer)),
        })
    }

    /// The name of the header that has the field, if it is in a header.
    #[must_use]
    pub fn header(&self) -> Option<&[u8]> {
        match &self.0 {
            Source::Header(name) => Some(name),
            Source::Key | Source::Pointer(_) => None,
        }
    }

    /// The XXH3-128 hash of a record's field; `None` without the field, or with a value that is not JSON.
    ///
    /// Two different fields of ten million have the same hash with a probability below 10^-24.
    #[must_use]
    pub fn hash(&self, parts: RecordParts<'_>) -> Option<u128> {
        match &self.0 {
            Source::Key => parts.key.map(xxh3_128),
            Source::Header(_) => parts.header.map(xxh3_128),
            Source::Pointer(pointer) => Some(xxh3_128(pointer.text(parts.value?)?.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(field: &str, parts: RecordParts<'_>) -> Option<u128> {
        MatchedField::new(&field.parse().expect("a field")).hash(parts)
    }

    #[test]
    fn a_field_is_found_in_key_header_and_value() {
        let parts = RecordParts { key: Some(b"a"), value: Some(b"{\"id\": \"a\", \"n\": 7}"), header: Some(b"7") };
        assert_eq!(hash("key", parts), Some(xxh3_128(b"a")));
        assert_eq!(hash("key", parts), hash("/id", parts));
        assert_eq!(hash("header:n", parts), hash("/n", parts));
        assert_eq!(hash("/other", parts), None);
        for field in ["key", "/id", "header:n"] {
            assert_eq!(hash(field, RecordParts::default()), None, "{field}");
        }
        let name = MatchedField::new(&MatchField::Header("n".to_owned()));
        assert_eq!(name.header(), Some(&b"n"[..]));
        assert_eq!(MatchedField::new(&MatchField::Key).header(), None);
    }

    #[test]
    fn an_empty_field_is_a_field() {
        assert!(hash("key", RecordParts { key: Some(b""), ..RecordParts::default() }).is_some());
        assert!(hash("/id", RecordParts { value: Some(b"{\"id\":\"\"}"), ..RecordParts::default() }).is_some());
    }
}
