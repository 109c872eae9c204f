//! Owns dead letters: a bad record as it came, or its head where the topic does not take the whole of it, and where it came from in
//! headers behind its own.

use std::fmt::Write as _;
use std::io;

use crate::domain::BadRecord;
use crate::kafka::{Headers, LARGEST_RECORD, TransactionError, sha256};
use crate::stream::{Outputs, SourceRecord};

use super::inventory_processor::DEAD_LETTERS;

/// What the headers of this module and the batch around a record need at most.
const OURS: u64 = 4_096;
/// Bytes of a value that are kept where it does not fit, and of a key: what is longer is no name of anything.
const HEAD: u64 = 65_536;
const LONGEST_KEY: u64 = 8_192;

/// How large a dead letter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterLimits {
    /// What the topic takes in a batch, which is compressed: its `max.message.bytes`.
    pub topic: u64,
    /// What the client hands over as one record, before it is compressed.
    pub client: u64,
}

impl DeadLetterLimits {
    /// What fits everywhere: Kafka's own limit of a topic, less a little, and that of this program.
    pub const DEFAULT: Self = Self { topic: 1_000_000, client: LARGEST_RECORD };
}

/// What is written.
#[derive(Debug)]
struct Letter<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers,
}

/// Writes a bad record to the dead letters.
pub(super) fn send_to_dlq(
    topic: &str,
    record: &SourceRecord<'_>,
    bad: &BadRecord,
    room: DeadLetterLimits,
    outputs: &mut dyn Outputs,
) -> Result<(), TransactionError> {
    let Letter { key, value, headers } = letter(topic, record, record.headers.copy(), bad, room);
    outputs.send_with_headers(DEAD_LETTERS, key, value, headers)
}

fn letter<'a>(
    topic: &str,
    record: &SourceRecord<'a>,
    headers: Headers,
    bad: &BadRecord,
    room: DeadLetterLimits,
) -> Letter<'a> {
    let mut reason = bad.to_string();
    let mut letter = Letter { key: record.key, value: record.value, headers };
    let mut sums = Vec::new();
    if !fits(&letter, room) {
        cut(&mut letter, room, &mut reason, &mut sums);
    }
    let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
    let timestamp = record.timestamp_millis.map_or_else(String::new, |millis| millis.to_string());
    let origin = [
        ("foodstream.dlq.reason", reason),
        ("foodstream.dlq.topic", topic.to_owned()),
        ("foodstream.dlq.partition", partition),
        ("foodstream.dlq.offset", offset),
        ("foodstream.dlq.timestamp", timestamp),
    ];
    let headers = origin.into_iter().chain(sums);
    letter.headers = headers.fold(letter.headers, |headers, (name, value)| headers.with(name, value.as_bytes()));
    letter
}

/// Leaves out of a letter what is too large for it, says so in the reason, and tells sizes and digests by which the original can
/// be recognised.
fn cut(letter: &mut Letter<'_>, room: DeadLetterLimits, reason: &mut String, sums: &mut Vec<(&'static str, String)>) {
    let mut left = room.topic.min(room.client).saturating_sub(OURS);
    let mut say = |what: std::fmt::Arguments<'_>| {
        // A string takes whatever is written to it.
        write!(reason, "; {what}").unwrap_or_default();
    };
    if let Some(key) = letter.key {
        if len(key) > LONGEST_KEY.min(left) {
            say(format_args!("the key of {} bytes is left out", key.len()));
            sums.extend([
                ("foodstream.dlq.key.size", key.len().to_string()),
                ("foodstream.dlq.key.sha256", digest(key)),
            ]);
            letter.key = None;
        } else {
            left -= len(key);
        }
    }
    let own = letter.headers.size() as u64;
    if own > left / 2 {
        say(format_args!("the record's own headers of {own} bytes are left out"));
        letter.headers = Headers::none();
    } else {
        left -= own;
    }
    if let Some(value) = letter.value
        && len(value) > HEAD.min(left)
    {
        let head = &value[..usize::try_from(HEAD.min(left)).unwrap_or(0)];
        say(format_args!("the value is cut: the first {} of {} bytes", head.len(), value.len()));
        sums.extend([
            ("foodstream.dlq.value.size", value.len().to_string()),
            ("foodstream.dlq.value.sha256", digest(value)),
        ]);
        letter.value = Some(head);
    }
}

/// Whether a letter fits as a whole: as it is, or compressed. How the client compresses is known but for a little.
fn fits(letter: &Letter<'_>, room: DeadLetterLimits) -> bool {
    let parts = [letter.key, letter.value].map(Option::unwrap_or_default);
    let bytes: u64 = parts.iter().map(|part| len(part)).sum();
    let around = letter.headers.size() as u64 + OURS;
    if bytes + around <= room.topic.min(room.client) {
        return true;
    }
    bytes + around <= room.client && {
        let compressed = compressed_size(&parts);
        compressed + compressed / 16 + around <= room.topic
    }
}

/// Bytes that gzip makes of the parts.
fn compressed_size(parts: &[&[u8]]) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut encoder = flate2::write::GzEncoder::new(Count(0), flate2::Compression::default());
    let written = parts.iter().try_for_each(|part| io::Write::write_all(&mut encoder, part));
    // To count cannot fail; what cannot be counted does not fit.
    written.and_then(|()| encoder.finish()).map_or(u64::MAX / 2, |count| count.0)
}

fn len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

fn digest(bytes: &[u8]) -> String {
    sha256(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
#[path = "dead_letter_tests.rs"]
mod tests;
