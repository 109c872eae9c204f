//! Dead letters of an audit: what a bad record and its dead letter must have in common.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::log_record::LogRecord;
use crate::inventory::{CUT_VALUE, sha256_hex};

/// The words of a reason before the number of bytes that are kept of a value.
const KEPT: &str = "; the value is cut: the first ";

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
    /// How many bytes are kept of a value that was cut, as the reason says.
    kept: Option<usize>,
    /// Of a key that was left out.
    key: Cut,
    /// Of a value that was cut.
    value: Cut,
}

/// The headers about a part that a dead letter does not have as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cut {
    size: Option<u64>,
    /// In hexadecimal digits.
    sha256: Option<Vec<u8>>,
}

impl Cut {
    /// The part that these headers are about; `None` without them.
    fn part<'a>(&self, kept: Option<&'a [u8]>) -> Option<Part<'a>> {
        let is_cut = *self != Self::default();
        is_cut.then(|| Part { size: self.size, sha256: self.sha256.clone().unwrap_or_default(), kept })
    }
}

/// What a bad record and its dead letter have in common of a key or value; nothing if it is null.
#[derive(Debug, Default)]
struct Part<'a> {
    size: Option<u64>,
    sha256: Vec<u8>,
    /// The bytes that a dead letter keeps of a part that it does not have as a whole.
    kept: Option<&'a [u8]>,
}

impl<'a> Part<'a> {
    fn whole(bytes: Option<&'a [u8]>, kept: usize) -> Self {
        let Some(bytes) = bytes else { return Self::default() };
        let (size, kept) = (Some(bytes.len() as u64), Some(bytes.get(..kept).unwrap_or(bytes)));
        Self { size, sha256: sha256_hex(bytes).into_bytes(), kept }
    }

    fn hash(&self, seed: u64) -> u64 {
        let hash = xxh3_64_with_seed(&self.sha256, seed);
        let hash = xxh3_64_with_seed(&self.size.unwrap_or(u64::MAX).to_le_bytes(), hash);
        self.kept.map_or(hash, |kept| xxh3_64_with_seed(kept, hash))
    }
}

impl DeadLetterHeaders {
    /// Adds a header. Of headers with the same name the last one counts: the record's own come first.
    pub fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Some(name) = name.strip_prefix(b"foodstream.dlq.") else { return };
        let value = value.unwrap_or_default();
        let number = || std::str::from_utf8(value).ok()?.parse::<i64>().ok();
        let size = || number().and_then(|size| u64::try_from(size).ok());
        match name {
            b"topic" => self.topic = Some(value.to_vec()),
            b"partition" => self.partition = number().and_then(|number| i32::try_from(number).ok()),
            b"offset" => self.offset = number().filter(|offset| *offset >= 0),
            b"timestamp" => {
                self.timestamp = number();
                self.has_timestamp = value.is_empty() || self.timestamp.is_some();
            }
            b"reason" => {
                let word = value.split(|byte| *byte == b':').next().unwrap_or_default();
                self.reason = word.to_vec();
                let kept = std::str::from_utf8(value).ok().and_then(|text| text.rsplit_once(KEPT));
                self.kept = kept.and_then(|(_, bytes)| bytes.split(' ').next()?.parse().ok());
                // Checksums before it are those of an earlier dead letter that was published as an order.
                (self.key, self.value) = (Cut::default(), Cut::default());
            }
            b"key.size" => self.key.size = size(),
            b"key.sha256" => self.key.sha256 = Some(value.to_vec()),
            b"value.size" => self.value.size = size(),
            b"value.sha256" => self.value.sha256 = Some(value.to_vec()),
            _ => {}
        }
    }

    /// The offset of the bad record, if the headers name one of this partition.
    #[must_use]
    pub fn source(&self, topic: &str, partition: i32) -> Option<i64> {
        let is_own = self.topic.as_deref() == Some(topic.as_bytes()) && self.partition == Some(partition);
        self.offset.filter(|_| is_own && self.has_timestamp)
    }

    /// How many bytes are kept of a cut value, if they are fewer than usual: the topic's limit allows no more.
    #[must_use]
    pub fn short_value(&self, value: Option<&[u8]>) -> Option<usize> {
        self.kept
            .filter(|kept| *kept < CUT_VALUE && self.value.sha256.is_some() && value.map(<[u8]>::len) == Some(*kept))
    }

    /// The hash of what the dead letter has in common with its record, as that of the record.
    #[must_use]
    pub fn hash(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
        // Nothing is kept of a key.
        let key = self.key.part(key.is_none().then_some(&[])).unwrap_or_else(|| Part::whole(key, 0));
        let value = self.value.part(value).unwrap_or_else(|| Part::whole(value, CUT_VALUE));
        combined(&key, &value, self.timestamp, &self.reason)
    }
}

/// The hash of what a bad record has in common with its dead letter: key, value, timestamp, and the word of the reason.
/// A key or value that is too large is not in the dead letter, only its size, its SHA-256 and the first bytes of the
/// value: `kept`, usually [`CUT_VALUE`].
#[must_use]
pub fn source_hash(record: LogRecord<'_>, reason: &str, kept: usize) -> u64 {
    combined(&Part::whole(record.key, 0), &Part::whole(record.value, kept), record.timestamp, reason.as_bytes())
}

fn combined(key: &Part<'_>, value: &Part<'_>, timestamp: Option<i64>, reason: &[u8]) -> u64 {
    value.hash(key.hash(xxh3_64_with_seed(reason, timestamp.map_or(1, i64::unsigned_abs))))
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
        assert_eq!(own.hash(key, value), source_hash(record, "not_json", CUT_VALUE));
        assert_ne!(own.hash(key, Some(b"not jsom")), source_hash(record, "not_json", CUT_VALUE));
        assert_ne!(own.hash(None, value), source_hash(record, "not_json", CUT_VALUE));
        assert_ne!(own.hash(key, value), source_hash(record, "bad_value", CUT_VALUE));
        assert_ne!(own.hash(key, value), source_hash(LogRecord { timestamp: None, ..record }, "not_json", CUT_VALUE));
    }

    #[test]
    fn a_dead_letter_of_a_dead_letter_has_its_own_checksums() {
        let stale = [("value.sha256", "00"), ("key.sha256", "00")];
        let again = headers(&[&stale[..], &ORIGIN].concat());
        assert_eq!(again.hash(Some(b"k"), Some(b"v")), headers(&ORIGIN).hash(Some(b"k"), Some(b"v")));
    }

    #[test]
    fn a_negative_offset_is_that_of_no_record() {
        let mut negative = ORIGIN;
        negative[3].1 = "-17";
        assert_eq!(headers(&negative).source("order-events", 3), None);
    }

    #[test]
    fn a_cut_dead_letter_is_compared_by_its_checksums_sizes_and_kept_bytes() {
        let value: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).take(100_000).collect();
        let record = LogRecord { offset: 17, timestamp: None, key: Some(b"long"), value: Some(&value) };
        let sums = [&b"long"[..], &value].map(sha256_hex);
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let of = |reason: &str, key_size: &str, value_size: &str| {
            headers(&[
                ("reason", &format!("not_json: byte 0: x; the key of 4 bytes is left out; {reason}")),
                ("timestamp", ""),
                ("key.size", key_size),
                ("key.sha256", &sums[0]),
                ("value.size", value_size),
                ("value.sha256", &sums[1]),
            ])
        };
        let cut = of("the value is cut: the first 65536 of 100000 bytes", "4", "100000");
        let (expected, kept) = (source_hash(record, "not_json", CUT_VALUE), &value[..65_536]);
        assert_eq!(cut.hash(None, Some(kept)), expected);
        assert_eq!(cut.short_value(Some(kept)), None);
        let mut altered = kept.to_vec();
        altered[60_000] ^= 1;
        for other in
            [Some(&altered[..]), Some(&kept[1..]), Some(&kept[..65_535]), Some(&value[..65_537]), Some(b""), None]
        {
            assert_ne!(cut.hash(None, other), expected, "{:?} bytes", other.map(<[u8]>::len));
            assert_eq!(cut.short_value(other), None);
        }
        for key in [&b"long"[..], b"", b"another"] {
            assert_ne!(cut.hash(Some(key), Some(kept)), expected, "{key:?}");
        }
        for (key_size, value_size) in [("5", "100000"), ("4", "100001"), ("4", "-1"), ("x", "100000")] {
            assert_ne!(of("", key_size, value_size).hash(None, Some(kept)), expected, "{key_size} {value_size}");
        }
        let short = of("the value is cut: the first 70 of 100000 bytes", "4", "100000");
        assert_eq!([70, 69, 71].map(|length| short.short_value(Some(&value[..length]))), [Some(70), None, None]);
        assert_eq!(short.hash(None, Some(&value[..70])), source_hash(record, "not_json", 70));
        assert_ne!(short.hash(None, Some(&value[1..71])), source_hash(record, "not_json", 70));
    }
}
