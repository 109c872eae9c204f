//! Folds of an audit over the topics of a prefix, fed from scans.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::audit::{
    Actual, DeadLetterHeaders, DecisionFold, Entry, Expected, LedgerFold, LetterFold, LogRecord, OrderFold, Place,
    PositionRecord, Side, SkippedRecord, decision_entry, expected_entry, letter_entry,
};
use crate::commands::audit::scan_folds::RangeFold;
use crate::exit::Failure;
use crate::external_sort::ExternalSorter;
use crate::kafka::ScanRecord;
use crate::state::PositionKey;

fn log_record<'a>(record: &ScanRecord<'a>) -> LogRecord<'a> {
    let ScanRecord { offset, timestamp, key, value, .. } = *record;
    LogRecord { offset, timestamp, key, value }
}

/// A fold over a changelog.
#[derive(Debug)]
pub(super) enum ChangelogFold {
    Ledger(Box<LedgerFold>),
    /// The last position record of each analytics group and source partition.
    State(BTreeMap<(String, String, i32), PositionRecord>),
}

impl RangeFold<()> for ChangelogFold {
    fn record(&mut self, record: &ScanRecord<'_>, (): &mut ()) -> Result<(), Failure> {
        match self {
            Self::Ledger(fold) => fold.record(log_record(record)),
            Self::State(positions) => {
                let Some(PositionKey::Shared { group, topic, partition }) = record.key.and_then(PositionKey::decode)
                else {
                    return Ok(());
                };
                match PositionRecord::read(&log_record(record)) {
                    Some(position) => drop(positions.insert((group, topic, partition), position)),
                    None => drop(positions.remove(&(group, topic, partition))),
                }
            }
        }
        Ok(())
    }

    fn reached(&mut self, _position: i64) {}
}

/// What entries the second reading of a partition collects.
#[derive(Debug, Clone, Default)]
pub(super) struct Collected {
    /// Ranges of source offsets whose decisions differ.
    pub decisions: Vec<Range<i64>>,
    /// Ranges of source offsets whose dead letters differ.
    pub dead_letters: Vec<Range<i64>>,
    /// How many bytes dead letters keep of values that were cut more than usual, by the offsets of their records.
    pub short_values: BTreeMap<i64, usize>,
    /// The offsets that need decisions and dead letters: what belongs to others is collected, too.
    pub required: Range<i64>,
    /// Records among the decisions that were skipped.
    pub skipped: Vec<SkippedRecord>,
    /// Values of expected decisions to keep.
    pub wanted: BTreeMap<(i64, u32), Option<Box<[u8]>>>,
}

/// The most skipped records of a partition to keep.
const MOST_SKIPPED: usize = 1_000;

impl Collected {
    /// Keeps a skipped record, and completes those kept before a decision.
    fn skip(&mut self, fold: &DecisionFold, offset: i64, actual: Actual) {
        match actual {
            Actual::Skipped if self.skipped.len() < MOST_SKIPPED => {
                self.skipped.push(SkippedRecord { offset, after: fold.last(), before: None });
            }
            Actual::Decision { source, line, .. } => {
                let open = self.skipped.iter_mut().rev().take_while(|record| record.before.is_none());
                open.for_each(|record| record.before = Some((source, line)));
            }
            _ => {}
        }
    }

    fn wants(&self, ranges: &[Range<i64>], source: i64) -> bool {
        // The ranges are sorted and separate.
        let next = ranges.partition_point(|range| range.end <= source);
        !self.required.contains(&source) || ranges.get(next).is_some_and(|range| range.contains(&source))
    }
}

/// A fold over orders, decisions or dead letters. With [`Collected`] it also collects entries.
#[derive(Debug)]
pub(super) enum PrefixFold {
    Orders(Box<OrderFold>, Option<Collected>),
    Decisions(Box<DecisionFold>, Option<Collected>),
    DeadLetters(Box<LetterFold>, Option<Collected>),
}

impl RangeFold<ExternalSorter> for PrefixFold {
    fn record(&mut self, record: &ScanRecord<'_>, sorter: &mut ExternalSorter) -> Result<(), Failure> {
        let ScanRecord { offset, .. } = *record;
        let record_of_log = log_record(record);
        let mut result = Ok(());
        match self {
            Self::Orders(fold, collected) => {
                let partition = fold.bounds().partition;
                fold.record(record_of_log, &mut |order_id, expected| match (collected.as_mut(), order_id, expected) {
                    (None, Some(order_id), _) if result.is_ok() => result = sorter.push(order_entry(order_id)),
                    (Some(collected), _, Some(expected)) => {
                        let ranges = match expected {
                            Expected::Decision { line, json, .. } => {
                                if let Some(kept) = collected.wanted.get_mut(&(offset, line)) {
                                    *kept = Some(json.into());
                                }
                                &collected.decisions
                            }
                            Expected::DeadLetter { .. } => &collected.dead_letters,
                        };
                        if result.is_ok() && collected.wants(ranges, offset) {
                            result = sorter.push(expected_entry(partition, offset, expected));
                        }
                    }
                    _ => {}
                });
            }
            Self::Decisions(fold, collected) => {
                let actual = fold.record(record_of_log);
                if let Some(collected) = collected {
                    collected.skip(fold, offset, actual);
                    let wanted = match actual {
                        Actual::Decision { source, .. } => collected.wants(&collected.decisions, source),
                        _ => true,
                    };
                    if let Some(entry) = decision_entry(fold.partition(), offset, actual).filter(|_| wanted) {
                        result = sorter.push(entry);
                    }
                }
            }
            Self::DeadLetters(fold, collected) => {
                let mut headers = DeadLetterHeaders::default();
                record.headers.each(|name, value| headers.add(name, value));
                let (source, content) = fold.record(record_of_log, &headers);
                if let Some(collected) = collected
                    && source.is_none_or(|source| collected.wants(&collected.dead_letters, source))
                {
                    result = sorter.push(letter_entry(fold.partition(), offset, source, content));
                }
            }
        }
        result
    }

    fn reached(&mut self, position: i64) {
        match self {
            Self::Orders(fold, _) => fold.reached(position),
            Self::Decisions(fold, _) => fold.reached(position),
            Self::DeadLetters(fold, _) => fold.reached(position),
        }
    }
}

/// The entry by which orders with the same id are counted.
fn order_entry(order_id: &str) -> Entry {
    let key = xxhash_rust::xxh3::xxh3_128(order_id.as_bytes());
    Entry { key, place: Place::new(Side::Cause, 0, 0), detail: 0 }
}
