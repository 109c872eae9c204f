//! Log of one partition: record batches in segments, with their index, producer state and transaction state.
//!
//! A log knows nothing of topics or protocol messages. The files have Kafka's format, so Kafka's tools can read them.

use std::io;

mod aborted;
mod append;
mod batch;
mod cleaner;
mod compaction;
mod compression;
mod header;
mod lookup;
mod open_files;
mod producers;
mod read;
mod recorded_end;
mod records;
mod recovery;
mod retention;
mod rewrite;
mod segment;
mod segment_data;

pub use aborted::AbortedTransaction;
pub use append::{AppendError, Appended};
pub use batch::{Batch, BatchError};
pub use compaction::{Compacted, Compaction, ReplacedSegments};
pub use header::has_transactional_attribute;
pub use lookup::TimedOffset;
pub use open_files::OpenFiles;
pub use producers::ProducerState;
pub use read::LogSlice;
pub use recorded_end::{DecidedMarker, RecordedEnd};
pub use recovery::LogFilesState;

use aborted::AbortedTransactions;
use compaction::CHECKPOINT;
use producers::ProducerStates;
use recovery::{CLEAN, CLEANED, Repairs};
use segment::{Segment, base_offset_of};
use segment_data::SegmentData;

use super::directory::{Directory, original_name};
use super::ends::EndsSlot;

/// Removes a log's files, also those that were set aside, and its directory. A directory that also holds other files
/// stays.
pub fn remove_files(dir: &Directory) -> io::Result<()> {
    dir.remove_dir_with(|name| {
        let name = original_name(name);
        base_offset_of(name).is_some() || name.ends_with(CLEANED) || [CLEAN, CHECKPOINT].contains(&name)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// Where a log keeps its segments.
#[derive(Debug, Clone)]
pub enum LogStorage {
    /// Lost when the process ends.
    Memory,
    /// In a directory, which is created if it is missing.
    Directory {
        dir: Directory,
        /// Call fsync before an append returns.
        fsync: bool,
        /// Pool of open files that its segments share.
        files: OpenFiles,
    },
}

/// Topic configs that a log needs. Names and units are Kafka's.
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

#[derive(Debug)]
pub struct Log {
    storage: LogStorage,
    settings: LogSettings,
    /// By base offset. Never empty; the last one is the active segment.
    segments: Vec<Segment>,
    start: i64,
    end: i64,
    producers: ProducerStates,
    aborted: AbortedTransactions,
    /// First dirty offset: below it, compaction has left at most one record per key.
    cleaned_to: i64,
    /// A write failed and could not be undone: the log takes no further writes.
    write_failed: bool,
    /// A merged segment could not be removed. No compaction runs until recovery has removed it.
    compaction_disabled: bool,
    /// Sum of the digests of all closed segments.
    closed_digest: u64,
    /// Batches that recovery found past the recorded end.
    past_end: usize,
    /// Where the log's end is recorded in the file `ends`.
    slot: Option<EndsSlot>,
    /// Repairs that `open` found necessary, for [`Log::apply_repairs`].
    repairs: Repairs,
}

impl Log {
    pub fn configure(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The next offset to be written. On a single node this is also the high watermark.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.end
    }

    /// First offset of the oldest open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.producers.first_unstable_offset().map_or(self.end, |first| first.max(self.start))
    }

    /// Batches that recovery found past the recorded end of the log.
    #[must_use]
    pub fn batches_past_end(&self) -> usize {
        self.past_end
    }

    /// Where a reader of this isolation level stops.
    #[must_use]
    pub fn end_offset(&self, isolation: IsolationLevel) -> i64 {
        match isolation {
            IsolationLevel::ReadUncommitted => self.high_watermark(),
            IsolationLevel::ReadCommitted => self.last_stable_offset(),
        }
    }

    #[cfg(test)]
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Aborted transactions in an offset range, as a `read_committed` fetch returns them.
    #[must_use]
    pub fn aborted(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        self.aborted.within(from, to)
    }

    /// State of the producers that have not expired.
    #[must_use]
    pub fn producers(&self) -> Vec<ProducerState> {
        self.producers.states()
    }

    /// Removes the log's files.
    pub fn remove(self) -> io::Result<()> {
        for segment in &self.segments {
            if let SegmentData::File(file) = &segment.data {
                drop(file.detach());
            }
        }
        let removed = match &self.storage {
            LogStorage::Memory => Ok(()),
            LogStorage::Directory { dir, .. } => {
                // A running compaction may create a file between the two steps.
                let again = |error: &io::Error| error.kind() == io::ErrorKind::DirectoryNotEmpty;
                remove_files(dir).or_else(|error| if again(&error) { remove_files(dir) } else { Err(error) })
            }
        };
        // The journal records the deletion, so a slot that stays behind is released at the next start.
        removed.and_then(|()| self.slot.map_or(Ok(()), EndsSlot::release))
    }

    /// Index of the segment that holds this offset, or would hold it.
    fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has an active segment")
    }
}

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod compaction_tests;
#[cfg(test)]
mod log_model;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod recorded_end_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod test_support;
