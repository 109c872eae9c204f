//! Fold over the dead letters of one partition.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chunk_sums::ChunkSums;
use super::dead_letter::DeadLetterHeaders;
use super::hashes::spread;
use super::log_record::LogRecord;

/// The fold.
#[derive(Debug)]
pub struct LetterFold {
    topic: String,
    partition: i32,
    /// Sums of the dead letters, by the offsets of their records.
    pub sums: ChunkSums,
    /// Whether there are records that name no record of this partition.
    pub has_strays: bool,
    /// Source of the first dead letter.
    pub first: Option<i64>,
    /// The lowest and the highest offset of a record that a dead letter names.
    pub sources: Option<(i64, i64)>,
    /// How many bytes are kept of values that were cut more than usual, by the offsets of their records.
    pub short_values: BTreeMap<i64, usize>,
    /// Everything before it was read.
    pub position: i64,
}

impl LetterFold {
    /// A fold that has read nothing. `topic` is the one of the orders, `required` the offsets whose bad records must
    /// have a dead letter.
    #[must_use]
    pub fn new(topic: &str, partition: i32, required: &Range<i64>, start: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            sums: ChunkSums::new(required.start, required.end),
            has_strays: false,
            first: None,
            sources: None,
            short_values: BTreeMap::new(),
            position: start,
        }
    }

    /// Adds the next record, and returns the offset of its bad record, if it names one of this partition, and its hash.
    pub fn record(&mut self, record: LogRecord<'_>, headers: &DeadLetterHeaders) -> (Option<i64>, u64) {
        self.position = record.offset + 1;
        let source = headers.source(&self.topic, self.partition);
        let content = headers.hash(record.key, record.value);
        let Some(source) = source else {
            self.has_strays = true;
            return (None, content);
        };
        self.short_values.extend(headers.short_value(record.value).map(|kept| (source, kept)));
        self.first.get_or_insert(source);
        let (lowest, highest) = self.sources.unwrap_or((source, source));
        self.sources = Some((lowest.min(source), highest.max(source)));
        self.sums.add(source, spread(content, 0));
        (Some(source), content)
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> i32 {
        self.partition
    }

    /// Everything before a position was read.
    pub fn reached(&mut self, position: i64) {
        self.position = self.position.max(position);
    }
}
