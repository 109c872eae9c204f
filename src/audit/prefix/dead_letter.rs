//! Dead letters of an audit: what a bad record and its dead letter must have in common.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::log_record::LogRecord;
use crate::inventory::sha256_hex;

/// The headers of a dead letter that say where it came from. See `docs/reference/events.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterHeaders {
    topic: Option<Vec<u8>>,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp: Option<i64>,
    /// Whether the header with the timestamp is there and well-formed; an empty one means a record without a timestamp.
    has_timestamp: bool,
    /// The first word of the reason.
    reason: Vec<u8>,
    /// SHA-256 in hexadecimal digits of a key that was left out.
    key_sha256: Option<Vec<u8>>,
    /// SHA-256 in hexadecimal digits of a value that was cut.
    value_sha256: Option<Vec<u8>>,
}

impl DeadLetterHeaders {
    /// Adds a header. Of headers with the same name the last one counts: the record's own come first.
    pub fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Some(name) = name.strip_prefix(b"foodstream.dlq.") else { return };
        let value = value.unwrap_or_default();
        let number = || std::str::from_utf8(value).ok()?.parse::<i64>().ok();
        match name {
            b"topic" => self.topic = Some(value.to_vec()),
            b"partition" => self.partition = number().and_then(|number| i32::try_from(number).ok()),
            b"offset" => self.offset = number(),
            b"timestamp" => {
                self.timestamp = number();
                self.has_timestamp = value.is_empty() || self.timestamp.is_some();
            }
            b"reason" => {
                let word = value.split(|byte| *byte == b':').next().unwrap_or_default();
                self.reason = word.to_vec();
                // Checksums before it are those of an earlier dead letter that was published as an order.
                (self.key_sha256, self.value_sha256) = (None, None);
            }
            b"key.sha256" => self.key_sha256 = Some(value.to_vec()),
            b"value.sha256" => self.value_sha256 = Some(value.to_vec()),
            _ => {}
        }
    }

    /// The offset of the bad record, if the headers name one of this partition.
    #[must_use]
    pub fn source(&self, topic: &str, partition: i32) -> Option<i64> {
        let is_own = self.topic.as_deref() == Some(topic.as_bytes()) && self.partition == Some(partition);
        self.offset.filter(|_| is_own && self.has_timestamp)
    }

    /// The hash of what the dead letter has in common with its record, as that of the record.
    #[must_use]
    pub fn hash(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
        let part = |bytes: Option<&[u8]>, cut: Option<&Vec<u8>>| match cut {
            Some(digits) => Some(digits.clone()),
            None => bytes.map(sha256),
        };
        let key = part(key, self.key_sha256.as_ref());
        combined(key, part(value, self.value_sha256.as_ref()), self.timestamp, &self.reason)
    }
}

/// The hash of what a bad record has in common with its dead letter: key, value, timestamp, and the word of the reason.
/// Of a key or value its SHA-256, because a dead letter has nothing else of one that is too large.
#[must_use]
pub fn source_hash(record: LogRecord<'_>, reason: &str) -> u64 {
    combined(record.key.map(sha256), record.value.map(sha256), record.timestamp, reason.as_bytes())
}

fn combined(key: Option<Vec<u8>>, value: Option<Vec<u8>>, timestamp: Option<i64>, reason: &[u8]) -> u64 {
    let mut hash = xxh3_64_with_seed(reason, timestamp.map_or(1, i64::unsigned_abs));
    for part in [key, value] {
        hash = xxh3_64_with_seed(&part.unwrap_or_default(), hash);
    }
    hash
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    sha256_hex(bytes).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> DeadLetterHeaders {
        let mut headers = DeadLetterHeaders::default();
        for (name, value) in pairs {
            headers.add(format!("foodstream.dlq.{name}").as_bytes(), Some(value.as_bytes()));
        }
        headers
    }

    const ORIGIN: [(&str, &str); 5] = [
        ("reason", "not_json: byte 5: expected value"),
        ("topic", "order-events"),
        ("partition", "3"),
        ("offset", "17"),
        ("timestamp", "1800000000000"),
    ];

    #[test]
    fn a_dead_letter_has_the_hash_of_its_record() {
        let (key, value) = (Some(&b"k"[..]), Some(&b"not json"[..]));
        let record = LogRecord { offset: 17, timestamp: Some(1_800_000_000_000), key, value };
        let own = headers(&ORIGIN);
        assert_eq!(own.source("order-events", 3), Some(17));
        assert_eq!((own.source("other", 3), own.source("order-events", 2)), (None, None));
        assert_eq!(own.hash(key, value), source_hash(record, "not_json"));
        assert_ne!(own.hash(key, Some(b"not jsom")), source_hash(record, "not_json"));
        assert_ne!(own.hash(None, value), source_hash(record, "not_json"));
        assert_ne!(own.hash(key, value), source_hash(record, "bad_value"));
        assert_ne!(own.hash(key, value), source_hash(LogRecord { timestamp: None, ..record }, "not_json"));
    }

    #[test]
    fn a_dead_letter_of_a_dead_letter_has_its_own_checksums() {
        let stale = [("value.sha256", "00"), ("key.sha256", "00")];
        let again = headers(&[&stale[..], &ORIGIN].concat());
        assert_eq!(again.hash(Some(b"k"), Some(b"v")), headers(&ORIGIN).hash(Some(b"k"), Some(b"v")));
    }

    #[test]
    fn a_cut_dead_letter_is_compared_by_its_checksums() {
        let value = vec![b'x'; 100_000];
        let record = LogRecord { offset: 17, timestamp: None, key: Some(b"long"), value: Some(&value) };
        let sums = [sha256(b"long"), sha256(&value)].map(|sum| String::from_utf8(sum).expect("digits"));
        assert_eq!(sha256(b"abc"), b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let cut = headers(&[
            ("reason", "not_json: byte 0: x; the value is cut: the first 65536 of 100000 bytes"),
            ("timestamp", ""),
            ("key.sha256", &sums[0]),
            ("value.sha256", &sums[1]),
        ]);
        assert_eq!(cut.hash(None, Some(&value[..65_536])), source_hash(record, "not_json"));
    }
}
