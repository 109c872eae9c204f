//! Owns the log of one partition: batches as they came, in segments, with what readers and producers must know of them.
//!
//! A log knows no topic and no protocol message: batches go in, slices of batches come out. Offsets, positions and
//! transactions are counted here and nowhere else.

use std::path::PathBuf;

use bytes::Bytes;

use super::notice::Notice;

/// Where a log keeps its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStorage {
    /// In memory, gone with the process.
    Memory,
    /// In a folder of its own, made when it is missing.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Flush to the disk before an append returns.
        fsync: bool,
    },
}

/// What a topic's configs mean to its logs; names and units are Kafka's.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSettings {
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `retention.ms`; `None` for -1.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` for -1.
    pub retention_bytes: Option<u64>,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
}

/// One record batch (format v2) that came off the wire and is whole: length, magic, CRC and record count agree.
/// Made outside of the broker's lock, because the CRC costs the most.
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Bytes,
}

/// What is wrong with a batch, before a log was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Cut short, longer than its length says, or its CRC differs.
    #[error("the batch is corrupt")]
    Corrupt,
    /// Not format v2.
    #[error("the batch has an old format")]
    OldFormat,
    /// Anything else that Kafka answers `INVALID_RECORD`: no records, counts that disagree, control records from a client, …
    #[error("the batch is not valid: {0}")]
    Invalid(&'static str),
}

impl Batch {
    /// Takes what stands in a produce request for one partition: exactly one batch, as Kafka demands from version 3 on.
    ///
    /// # Errors
    ///
    /// When it is not one whole valid batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        Ok(Self { bytes })
    }

    /// The producer id, -1 for none.
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        unimplemented!()
    }

    /// The producer's epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        unimplemented!()
    }

    /// Sequence of the first record, -1 for none.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        unimplemented!()
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        unimplemented!()
    }

    /// Size in bytes, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// The append's time for a topic with `LogAppendTime`, otherwise -1.
    pub log_append_time: i64,
    /// It stood there already: a duplicate of one of the producer's last five batches; nothing was appended.
    pub duplicate: bool,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`
    #[error("the sequence has a gap")]
    OutOfOrderSequence,
    /// `INVALID_PRODUCER_EPOCH`
    #[error("the producer's epoch is old")]
    InvalidProducerEpoch,
    /// `MESSAGE_TOO_LARGE`
    #[error("the batch is larger than max.message.bytes")]
    TooLarge,
    /// `INVALID_TIMESTAMP`
    #[error("a timestamp lies outside of what the topic allows")]
    InvalidTimestamp,
    /// `INVALID_RECORD`: a record without a key for a compacted topic, …
    #[error("the batch is not valid here: {0}")]
    Invalid(&'static str),
    /// `KAFKA_STORAGE_ERROR`
    #[error("the log could not be written")]
    Storage(#[from] std::io::Error),
}

/// What a reader is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Everything below the last stable offset.
    ReadCommitted,
}

/// A stretch of whole batches of a log, to be read outside of the broker's lock: it stays readable when its segment is deleted.
#[derive(Debug, Clone)]
pub struct Slice {}

impl Slice {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {}
    }

    /// An upper bound of its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        unimplemented!()
    }

    /// The batches: the first holds the offset asked for, the last ends below the limit of the reader's isolation.
    ///
    /// # Errors
    ///
    /// When the segment cannot be read.
    pub fn read(&self) -> std::io::Result<Bytes> {
        unimplemented!()
    }
}

/// A transaction that was aborted, as a fetch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who.
    pub producer_id: i64,
    /// Its first record.
    pub first_offset: i64,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
}

/// A producer as a partition knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Its id.
    pub producer_id: i64,
    /// Its newest epoch here.
    pub epoch: i16,
    /// Sequence of its last record, -1 after nothing but a marker.
    pub last_sequence: i32,
    /// Time of its last batch, in milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 before one.
    pub coordinator_epoch: i32,
    /// First offset of the transaction that is open here.
    pub transaction_start: Option<i64>,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Opens the log, and reads what it must know from its segments: a torn tail is cut, and told in `notices`.
    /// `log_start` is the start that the journal remembers (records below it are deleted, whatever the segments hold).
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written.
    pub fn open(
        _storage: &LogStorage,
        _settings: LogSettings,
        _log_start: i64,
        _now: i64,
        _notices: &mut Vec<Notice>,
    ) -> std::io::Result<Self> {
        unimplemented!()
    }

    /// Takes other settings from here on.
    pub fn configure(&mut self, _settings: LogSettings) {
        unimplemented!()
    }

    /// Appends a client's batch.
    ///
    /// # Errors
    ///
    /// When the batch may not stand here; the log is then as it was.
    pub fn append(&mut self, _batch: &Batch, _now: i64) -> Result<Appended, AppendError> {
        unimplemented!()
    }

    /// Writes the marker that ends a producer's transaction; `None` and no marker if it is known to have a newer epoch.
    /// Kafka writes a marker for a partition that was added to a transaction and got no record, too.
    ///
    /// # Errors
    ///
    /// When the segment cannot be written.
    pub fn end_transaction(
        &mut self,
        _producer_id: i64,
        _epoch: i16,
        _commit: bool,
        _coordinator_epoch: i32,
        _now: i64,
    ) -> std::io::Result<Option<i64>> {
        unimplemented!()
    }

    /// The first offset that can be read.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        unimplemented!()
    }

    /// The next offset to be written: on a single node also the high watermark.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        unimplemented!()
    }

    /// The first offset of the oldest open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Where a reader of this isolation must stop.
    #[must_use]
    pub fn end_offset(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// Bytes of the segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        unimplemented!()
    }

    /// Batches from the one that holds `offset` on, at most `max_bytes` of them but at least one if `at_least_one`.
    /// The offset lies within the log (the caller has looked).
    #[must_use]
    pub fn read(&self, _offset: i64, _max_bytes: usize, _isolation: Isolation, _at_least_one: bool) -> Slice {
        unimplemented!()
    }

    /// Bytes that a reader at this offset could have now, counted no further than `enough`.
    #[must_use]
    pub fn available(&self, _offset: i64, _isolation: Isolation, _enough: usize) -> usize {
        unimplemented!()
    }

    /// The transactions aborted in these offsets, as a fetch of read_committed needs them.
    #[must_use]
    pub fn aborted(&self, _from: i64, _to: i64) -> Vec<AbortedTransaction> {
        unimplemented!()
    }

    /// The first record at or after this time.
    ///
    /// # Errors
    ///
    /// When a segment cannot be read.
    pub fn offset_for_time(&self, _timestamp: i64, _isolation: Isolation) -> std::io::Result<Option<TimedOffset>> {
        unimplemented!()
    }

    /// The record with the largest timestamp, the first of them.
    ///
    /// # Errors
    ///
    /// When a segment cannot be read.
    pub fn max_timestamp(&self) -> std::io::Result<Option<TimedOffset>> {
        unimplemented!()
    }

    /// Moves the log's start up to this offset (within the log) and drops segments that lie below it as a whole.
    ///
    /// # Errors
    ///
    /// When a segment cannot be removed.
    pub fn delete_records_before(&mut self, _offset: i64) -> std::io::Result<()> {
        unimplemented!()
    }

    /// Rolls, applies retention and compacts, as far as it is due. Returns whether the log's start has moved.
    ///
    /// # Errors
    ///
    /// When a segment cannot be written or removed.
    pub fn clean(&mut self, _now: i64) -> std::io::Result<bool> {
        unimplemented!()
    }

    /// The producers that wrote here and are not forgotten.
    #[must_use]
    pub fn producers(&self) -> Vec<ProducerState> {
        unimplemented!()
    }

    /// Leaves everything on the disk, and a mark that the next open need not check it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(&mut self) -> std::io::Result<()> {
        unimplemented!()
    }

    /// Removes its files.
    ///
    /// # Errors
    ///
    /// When they cannot be removed.
    pub fn remove(self) -> std::io::Result<()> {
        unimplemented!()
    }
}
