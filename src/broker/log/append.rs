//! Appends to a log: validation by the topic's settings, batches of clients, transaction markers, segment roll.

use std::io;

use bytes::Bytes;

use super::aborted::{AbortedEntry, AbortedTransaction};
use super::batch::{Batch, StoredBatch};
use super::header::{Header, marker_header};
use super::records::Marker;
use super::segment::{Segment, extend_digest};
use super::{Log, LogStorage};
use crate::broker::ends::LogEnd;
use crate::broker::kill_points;
use crate::broker::storage_error::describe_io_error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// Append time for a topic with `LogAppendTime`, otherwise -1. For a duplicate, the timestamp of the earlier batch,
    /// as in Kafka.
    pub log_append_time: i64,
    /// The batch repeats one of the producer's last five batches. Nothing was appended.
    pub duplicate: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`
    #[error("the sequence number is out of order")]
    OutOfOrderSequence,
    /// `INVALID_PRODUCER_EPOCH`
    #[error("the producer epoch is older than the current one")]
    InvalidProducerEpoch,
    /// `INVALID_TXN_STATE`: a batch outside of a transaction from a producer that has a transaction open in this
    /// partition.
    #[error("the producer has an open transaction in this partition, and the batch is not part of it")]
    InvalidTransactionState,
    /// `MESSAGE_TOO_LARGE`
    #[error("the batch is larger than max.message.bytes")]
    TooLarge,
    /// `RECORD_LIST_TOO_LARGE`
    #[error("the batch is larger than segment.bytes")]
    LargerThanSegment,
    /// `INVALID_TIMESTAMP`: indexes of the rejected records in the batch.
    #[error("a timestamp is outside of the range that the topic allows")]
    InvalidTimestamp(Vec<i32>),
    /// `INVALID_RECORD`: indexes of the records without a key, which a compacted topic rejects.
    #[error("a compacted topic does not accept records without a key")]
    NoKey(Vec<i32>),
    /// `KAFKA_STORAGE_ERROR`
    #[error("cannot write to the log: {}", describe_io_error(.0))]
    Storage(#[from] io::Error),
}

impl Log {
    /// Appends a client's batch. After an error the log is unchanged.
    pub fn append(&mut self, batch: &Batch, now: i64) -> Result<Appended, AppendError> {
        self.validate(batch, now)?;
        if let Some(earlier) = self.producers.check(&batch.header, batch.starts_at_zero)? {
            return Ok(Appended {
                base_offset: earlier.base_offset,
                last_offset: earlier.last_offset,
                log_append_time: earlier.timestamp,
                duplicate: true,
            });
        }
        let append_time = self.settings.log_append_time.then_some(now);
        let (header, stored) = batch.to_stored(self.end, append_time);
        self.write(&header, &stored, now)?;
        self.producers.add_batch(&header);
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time: append_time.unwrap_or(-1),
            duplicate: false,
        })
    }

    /// Checks a batch against the topic's settings, in Kafka's order.
    fn validate(&self, batch: &Batch, now: i64) -> Result<(), AppendError> {
        let settings = &self.settings;
        if settings.compact && !batch.keyed {
            return Err(AppendError::NoKey(batch.record_indexes(|has_key, _| !has_key)));
        }
        if !settings.log_append_time {
            let early = |timestamp| now.saturating_sub(timestamp) > settings.timestamp_before_max_ms;
            let late = |timestamp: i64| timestamp.saturating_sub(now) > settings.timestamp_after_max_ms;
            if batch.timestamps.is_some_and(|(least, most)| early(least) || late(most)) {
                let out = |_, timestamp| timestamp != -1 && (early(timestamp) || late(timestamp));
                return Err(AppendError::InvalidTimestamp(batch.record_indexes(out)));
            }
        }
        if batch.size() as u64 > u64::from(settings.max_message_bytes) {
            return Err(AppendError::TooLarge);
        }
        if batch.size() as u64 > settings.segment_bytes {
            return Err(AppendError::LargerThanSegment);
        }
        Ok(())
    }

    /// Appends the marker that ends a producer's transaction. Returns `None` and appends nothing if the producer has a
    /// newer epoch.
    /// Like Kafka, this also writes a marker to a partition that was added to the transaction and got no record.
    pub fn end_transaction(
        &mut self,
        producer_id: i64,
        epoch: i16,
        commit: bool,
        coordinator_epoch: i32,
        now: i64,
    ) -> io::Result<Option<i64>> {
        if self.producers.epoch(producer_id).is_some_and(|known| known > epoch) {
            return Ok(None);
        }
        let marker = Marker { commit, coordinator_epoch };
        let mut header = marker_header(self.end, producer_id, epoch, now);
        if self.settings.log_append_time {
            header.set_log_append_time(now);
        }
        let bytes = header.write(&marker.record());
        header.size = bytes.len();
        self.write(&header, &StoredBatch { front: bytes, rest: Bytes::new() }, now)?;
        self.apply_marker(&header, marker);
        Ok(Some(header.base_offset))
    }

    /// Updates producer state and transaction index by a marker of the log.
    pub(super) fn apply_marker(&mut self, header: &Header, marker: Marker) {
        let Some(ended) = self.producers.complete_transaction(header, marker) else { return };
        if !marker.commit {
            self.aborted.push(AbortedEntry {
                transaction: AbortedTransaction { producer_id: header.producer_id, first_offset: ended.first_offset },
                last_offset: header.last_offset(),
                last_stable_offset: ended.last_stable_offset,
            });
        }
    }

    fn write(&mut self, header: &Header, stored: &StoredBatch, now: i64) -> io::Result<()> {
        if self.write_failed {
            return Err(io::Error::other("an earlier write failed and could not be undone"));
        }
        let (size, last_offset) = (stored.size(), header.last_offset());
        let (segment_bytes, segment_ms) = (self.settings.segment_bytes, self.settings.segment_ms);
        let active = self.active();
        if active.is_full(size, last_offset, segment_bytes) || active.is_old(header.max_timestamp, now, segment_ms) {
            self.roll(now)?;
        }
        let fsync = self.storage.fsync();
        let position = match self.active().write(stored, fsync) {
            Ok(position) => position,
            Err((error, torn)) => {
                self.write_failed |= torn;
                return Err(error);
            }
        };
        let front = stored.header();
        if self.slot.is_some() {
            let before = self.current_end();
            let (size, digest) = (before.size + size as u64, extend_digest(before.digest, &front));
            if let Err(error) = self.write_end(&LogEnd { end: last_offset + 1, size, digest, ..before }) {
                self.write_failed |= self.active().undo_write().is_err();
                return Err(error);
            }
        }
        self.active().add(header, &front, position);
        self.end = last_offset + 1;
        Ok(())
    }

    /// The log's end as it is to be recorded in the file `ends`, computed from memory.
    pub(super) fn current_end(&self) -> LogEnd {
        let (first, active) = (&self.segments[0], &self.segments[self.segments.len() - 1]);
        LogEnd {
            first: first.base_offset,
            active: active.base_offset,
            end: self.end,
            size: active.size,
            digest: active.digest,
            closed_digest: self.closed_digest,
            pending_digest: self.closed_digest,
        }
    }

    /// Records the log's end, if it has a slot.
    pub(super) fn write_end(&self, end: &LogEnd) -> io::Result<()> {
        self.slot.as_ref().map_or(Ok(()), |slot| slot.write(end))
    }

    /// Records an end before files are removed or replaced, and flushes it if `fsync` is on: the disk must have it first.
    pub(super) fn write_end_through(&self, end: &LogEnd) -> io::Result<()> {
        self.slot.as_ref().map_or(Ok(()), |slot| slot.write_through(end))
    }

    /// Closes the active segment and begins the next one.
    pub(super) fn roll(&mut self, now: i64) -> io::Result<()> {
        let segment = self.storage.segment(self.end, now)?;
        self.closed_digest = self.closed_digest.wrapping_add(self.active().closed_digest());
        self.segments.push(segment);
        kill_points::passed();
        Ok(())
    }
}

impl LogStorage {
    fn fsync(&self) -> bool {
        matches!(self, Self::Directory { fsync: true, .. })
    }

    pub(super) fn segment(&self, base_offset: i64, now: i64) -> io::Result<Segment> {
        match self {
            Self::Memory => Ok(Segment::in_memory(base_offset, now)),
            Self::Directory { dir, fsync, files } => {
                let segment = Segment::in_directory(files, dir, base_offset, now)?;
                if *fsync {
                    dir.flush()?;
                }
                Ok(segment)
            }
        }
    }
}
