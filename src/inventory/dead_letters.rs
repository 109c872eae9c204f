//! Dead letters of a run by reason: how many, and an example of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::BadRecord;
use crate::printable::excerpt;

/// The most bytes of a value that an example has: those at its start, and those at its end.
const SHOWN_BYTES: [usize; 2] = [160, 80];

/// Bytes that are kept of a value that does not fit into a dead letter; fewer, if the topic's limit is small.
pub const CUT_VALUE: usize = 65_536;

/// The dead letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterRow {
    /// The reason, as in the header `foodstream.dlq.reason`: `not_json`.
    pub reason: String,
    /// Bad records with this reason.
    pub records: u64,
    /// One of them.
    pub example: DeadLetterExample,
}

/// A bad record: where it is, and the beginning of its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterExample {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The field or byte position of the error.
    pub detail: String,
    /// Its value, of a long one the first 160 and the last 80 bytes with `…` between them. Bytes that are not UTF-8 are
    /// written as `\xff`, control characters as `\u{1b}`. `null` for a record without a value.
    pub value: Option<String>,
    /// The size of its value in bytes.
    pub value_bytes: u64,
}

/// Counts dead letters by reason, and keeps the first one of each by partition and offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetters {
    by_reason: BTreeMap<&'static str, (u64, DeadLetterExample)>,
}

impl DeadLetters {
    /// Counts a bad record of a partition of `topic`.
    pub fn add(&mut self, bad: &BadRecord, topic: &str, (partition, offset): (i32, i64), value: Option<&[u8]>) {
        let example = || DeadLetterExample {
            topic: topic.to_owned(),
            partition,
            offset,
            detail: bad.detail.clone(),
            value: value.map(|value| excerpt(value, SHOWN_BYTES)),
            value_bytes: value.map_or(0, <[u8]>::len) as u64,
        };
        self.by_reason.entry(bad.reason.as_str()).or_insert_with(|| (0, example())).0 += 1;
    }

    /// Moves the counts of `other` to these.
    pub fn append(&mut self, other: &mut Self) {
        for (reason, (records, example)) in std::mem::take(&mut other.by_reason) {
            let known = self.by_reason.entry(reason).or_insert_with(|| (0, example.clone()));
            known.0 += records;
            if (example.partition, example.offset) < (known.1.partition, known.1.offset) {
                known.1 = example;
            }
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.by_reason.clear();
    }

    /// A row for each reason, by its name.
    #[must_use]
    pub fn rows(&self) -> Vec<DeadLetterRow> {
        let row = |(reason, (records, example)): (&&'static str, &(u64, DeadLetterExample))| DeadLetterRow {
            reason: (*reason).to_owned(),
            records: *records,
            example: example.clone(),
        };
        self.by_reason.iter().map(row).collect()
    }
}

/// The SHA-256 of a part of a bad record that its dead letter leaves out, in hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or('0');
    hmac_sha256::Hash::hash(bytes).into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BadReason;

    fn bad(reason: BadReason) -> BadRecord {
        BadRecord { reason, detail: "byte 7".to_owned() }
    }

    #[test]
    fn first_record_of_each_reason_is_the_example() {
        let (mut total, mut of_a_transaction) = (DeadLetters::default(), DeadLetters::default());
        of_a_transaction.add(&bad(BadReason::NotJson), "orders", (3, 10), Some(b"{"));
        of_a_transaction.add(&bad(BadReason::NotJson), "orders", (3, 11), Some(b"["));
        of_a_transaction.add(&bad(BadReason::NoValue), "orders", (3, 12), None);
        total.append(&mut of_a_transaction);
        assert_eq!(of_a_transaction, DeadLetters::default(), "nothing is counted twice");
        of_a_transaction.add(&bad(BadReason::NotJson), "orders", (1, 99), Some(b"x"));
        total.append(&mut of_a_transaction);
        let rows: Vec<_> = total
            .rows()
            .into_iter()
            .map(|row| (row.reason, row.records, row.example.partition, row.example.value))
            .collect();
        assert_eq!(rows, [("no_value".to_owned(), 1, 3, None), ("not_json".to_owned(), 3, 1, Some("x".to_owned()))]);
    }

    #[test]
    fn values_are_escaped_and_cut() {
        let shown = |value: &[u8]| excerpt(value, SHOWN_BYTES);
        assert_eq!(shown(b"{\"a\":\"\xc3\xa9\xff\x1b[2J"), "{\"a\":\"é\\xff\\u{1b}[2J");
        let long = shown(&[&[b'a'; 500][..], &[b'z'; 500]].concat());
        assert_eq!(long, format!("{}…{}", "a".repeat(160), "z".repeat(80)));
        assert_eq!(shown(&[b'a'; 240]), "a".repeat(240));
    }
}
