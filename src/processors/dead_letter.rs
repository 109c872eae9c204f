//! Dead letter queue (DLQ): writes a bad record with its key, value and headers, and adds headers with the reason and
//! its origin. Cuts what the topic's size limit does not allow. See `docs/reference/events.md`.

use std::fmt::Write as _;
use std::io;

use crate::domain::BadRecord;
use crate::inventory::{CUT_VALUE, sha256_hex};
use crate::kafka::{Headers, LARGEST_RECORD, TransactionError};
use crate::stream::{Outputs, SourceRecord};

use super::inventory_processor::DEAD_LETTERS;

/// Upper bound for the headers of this module and the batch around a record.
const OVERHEAD: u64 = 4_096;
/// The longest key that is kept where the record does not fit.
const MAX_KEY: u64 = 8_192;

/// Size limits of dead letters, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterLimits {
    /// The topic's `max.message.bytes`: a limit of a batch, which is compressed.
    pub topic: u64,
    /// The client's limit of a record before compression.
    pub client: u64,
}

impl DeadLetterLimits {
    /// Kafka's default `max.message.bytes`, less a margin, and this program's largest record.
    pub const DEFAULT: Self = Self { topic: 1_000_000, client: LARGEST_RECORD };
}

#[derive(Debug)]
struct DeadLetter<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers,
}

/// Writes a bad record to the dead letter queue.
pub(super) fn send_to_dlq(
    topic: &str,
    record: &SourceRecord<'_>,
    bad: &BadRecord,
    limits: DeadLetterLimits,
    outputs: &mut dyn Outputs,
) -> Result<(), TransactionError> {
    let DeadLetter { key, value, headers } = dead_letter(topic, record, record.headers.copy(), bad, limits);
    outputs.send_with_headers(DEAD_LETTERS, key, value, headers)
}

fn dead_letter<'a>(
    topic: &str,
    record: &SourceRecord<'a>,
    headers: Headers,
    bad: &BadRecord,
    limits: DeadLetterLimits,
) -> DeadLetter<'a> {
    let mut reason = bad.to_string();
    let mut letter = DeadLetter { key: record.key, value: record.value, headers };
    let mut checksums = Vec::new();
    if !fits(&letter, limits) {
        cut(&mut letter, limits, &mut reason, &mut checksums);
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
    let added = origin.into_iter().chain(checksums);
    letter.headers = added.fold(letter.headers, |headers, (name, value)| headers.with(name, value.as_bytes()));
    letter
}

/// Removes the parts that are too large, says so in the reason, and adds their sizes and checksums, which identify the
/// original record.
fn cut(
    letter: &mut DeadLetter<'_>,
    limits: DeadLetterLimits,
    reason: &mut String,
    checksums: &mut Vec<(&'static str, String)>,
) {
    let mut left = limits.topic.min(limits.client).saturating_sub(OVERHEAD);
    let mut explain = |what: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        write!(reason, "; {what}").unwrap_or_default();
    };
    if let Some(key) = letter.key {
        if len(key) > MAX_KEY.min(left) {
            explain(format_args!("the key of {} bytes is left out", key.len()));
            checksums.extend([
                ("foodstream.dlq.key.size", key.len().to_string()),
                ("foodstream.dlq.key.sha256", sha256_hex(key)),
            ]);
            letter.key = None;
        } else {
            left -= len(key);
        }
    }
    let own_headers = letter.headers.size() as u64;
    if own_headers > left / 2 {
        explain(format_args!("the record's own headers of {own_headers} bytes are left out"));
        letter.headers = Headers::none();
    } else {
        left -= own_headers;
    }
    if let Some(value) = letter.value
        && let kept = usize::try_from(left).map_or(CUT_VALUE, |left| CUT_VALUE.min(left))
        && value.len() > kept
    {
        let head = &value[..kept];
        explain(format_args!("the value is cut: the first {} of {} bytes", head.len(), value.len()));
        checksums.extend([
            ("foodstream.dlq.value.size", value.len().to_string()),
            ("foodstream.dlq.value.sha256", sha256_hex(value)),
        ]);
        letter.value = Some(head);
    }
}

/// Whether a dead letter fits as a whole, plain or compressed. The client compresses about as this function does.
fn fits(letter: &DeadLetter<'_>, limits: DeadLetterLimits) -> bool {
    let parts = [letter.key, letter.value].map(Option::unwrap_or_default);
    let bytes: u64 = parts.iter().map(|part| len(part)).sum();
    let around = letter.headers.size() as u64 + OVERHEAD;
    if bytes + around <= limits.topic.min(limits.client) {
        return true;
    }
    bytes + around <= limits.client && {
        let compressed = compressed_size(&parts);
        compressed + compressed / 16 + around <= limits.topic
    }
}

/// The size of the parts, compressed with gzip.
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
    // Counting cannot fail; an error would mean that the record does not fit.
    written.and_then(|()| encoder.finish()).map_or(u64::MAX / 2, |count| count.0)
}

fn len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

#[cfg(test)]
#[path = "dead_letter_tests.rs"]
mod tests;
