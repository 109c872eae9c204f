//! Entries of the evidence: expected and actual records, with what they are about as the key.

use std::ops::Range;

use super::decision_fold::Actual;
use super::order_fold::Expected;
use crate::audit::entry::{Entry, Place, Side};

/// What an entry is about, in the order in which partitions are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A line of an order.
    Line = 0,
    /// A bad record.
    DeadLetter = 1,
    /// A record of the decisions that cannot be read as an event.
    Unreadable = 2,
    /// A decision that names another partition.
    OtherPartition = 3,
    /// A dead letter that names no record of its partition.
    Stray = 4,
}

pub(super) const CONTENT_BITS: u32 = 40;

fn key(partition: i32, kind: Kind, offset: i64, line: u32) -> u128 {
    let (partition, offset) = (u128::from(partition.unsigned_abs()), u128::from(offset.unsigned_abs()));
    partition << 104 | u128::from(kind as u8) << 96 | offset << 32 | u128::from(line)
}

pub(super) fn parts(key: u128) -> (i32, Kind, i64, u32) {
    let field = |shift: u32, bits: u32| u64::try_from(key >> shift & ((1 << bits) - 1)).unwrap_or(0);
    let kind = match field(96, 8) {
        0 => Kind::Line,
        1 => Kind::DeadLetter,
        2 => Kind::Unreadable,
        3 => Kind::OtherPartition,
        _ => Kind::Stray,
    };
    let number = |field: u64| i64::try_from(field).unwrap_or(i64::MAX);
    (
        i32::try_from(field(104, 24)).unwrap_or(i32::MAX),
        kind,
        number(field(32, 64)),
        u32::try_from(field(0, 32)).unwrap_or(u32::MAX),
    )
}

/// Hashes of identity and content in one number: 24 and 40 bits of them.
#[allow(clippy::cast_possible_truncation, reason = "the low bits of a hash")]
const fn detail(identity: u64, content: u128) -> u64 {
    identity << CONTENT_BITS | (content as u64) & ((1 << CONTENT_BITS) - 1)
}

/// The entry of what must be there because of the order record at an offset.
#[must_use]
pub fn expected_entry(partition: i32, offset: i64, expected: Expected<'_>) -> Entry {
    let place = Place::new(Side::Cause, partition, offset);
    match expected {
        Expected::Decision { line, content, identity, .. } => {
            Entry { key: key(partition, Kind::Line, offset, line), place, detail: detail(identity, content) }
        }
        Expected::DeadLetter { content } => {
            Entry { key: key(partition, Kind::DeadLetter, offset, 0), place, detail: content }
        }
    }
}

/// The entry of a record of the decisions; `None` for a skipped one.
#[must_use]
pub fn decision_entry(partition: i32, offset: i64, actual: Actual) -> Option<Entry> {
    let (key, detail) = match actual {
        Actual::Decision { source, line, content, identity } => {
            (key(partition, Kind::Line, source, line), detail(identity, content))
        }
        Actual::OtherPartition => (key(partition, Kind::OtherPartition, offset, 0), 0),
        Actual::Unreadable => (key(partition, Kind::Unreadable, offset, 0), 0),
        Actual::Skipped => return None,
    };
    Some(Entry { key, place: Place::new(Side::Effect, partition, offset), detail })
}

/// The entry of a dead letter.
#[must_use]
pub fn letter_entry(partition: i32, offset: i64, source: Option<i64>, content: u64) -> Entry {
    let key = match source {
        Some(source) => key(partition, Kind::DeadLetter, source, 0),
        None => key(partition, Kind::Stray, offset, 0),
    };
    Entry { key, place: Place::new(Side::Effect, partition, offset), detail: content }
}

/// What is claimed about the outputs of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The offsets whose orders must have decisions.
    pub decided: Range<i64>,
    /// The offsets whose bad records must have dead letters.
    pub dead_letters: Range<i64>,
    /// Whether there was never an order before the first of them. Otherwise nothing is claimed about those.
    pub begins_at_start: bool,
    /// The offsets at and above this one must have neither.
    pub undecided_from: i64,
    /// The end of the orders.
    pub orders_end: i64,
}
